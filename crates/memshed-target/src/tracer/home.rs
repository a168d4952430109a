//! How a thread in the middle of an injected call finds back by itself, should the tracer die.
//!
//! Below its stack, and below the red zone, lies a frame as the kernel makes one for a signal
//! handler: all registers, the vector registers and the set of blocked signals. The call is made by
//! a `syscall` instruction that a `ret` follows, which leads to rt_sigreturn(2), which puts all of it
//! back (arch/x86/include/asm/sigframe.h, `struct rt_sigframe`). With a living tracer nothing of it
//! is ever used.

use super::calls::{self, SYSCALL};
use super::ptrace::{self, Registers};
use crate::maps::Mapping;
use crate::memory::RemoteAddr;
use crate::os;

/// `syscall; ret`.
const SYSCALL_RET: [u8; 3] = [0x0f, 0x05, 0xc3];
/// `mov $15, %rax; syscall`, as glibc's `__restore_rt` has it, and `mov $15, %eax; syscall`.
const SIGRETURN: [&[u8]; 2] = [
    &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05],
    &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05],
];
/// Code is looked through up to here, the C library's first.
const MOST_CODE: u64 = 64 << 20;
const RED_ZONE: u64 = 128;

/// What a thread goes on with where it was, as the kernel would have it.
#[derive(Clone, Debug)]
pub(super) struct Home {
    regs: Registers,
    /// Its blocked signals, a bit each.
    mask: u64,
}

impl Home {
    /// For a thread with these registers, that had been asleep for so long.
    pub(super) fn new(
        pid: i32,
        regs: &Registers,
        slept: Option<std::time::Duration>,
        mask: u64,
    ) -> Home {
        let regs = registers(pid, regs, slept);
        Home { regs, mask }
    }

    /// Gives them back to a thread that stands still, in whatever it is.
    pub(super) fn lead_back(&self, tid: i32) {
        // At the entry of a call that is not to be made, and nowhere to be repeated.
        let regs = Registers {
            orig_rax: u64::MAX,
            ..self.regs
        };
        // Fail only if the thread has ended meanwhile.
        let _ = ptrace::set_registers(tid, &regs);
        let _ = ptrace::set_signal_mask(tid, self.mask);
    }
}

/// Whether the first thread's stack may yet grow: it does where the thread itself pushes, and not
/// where another process writes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Grows {
    Yes,
    No,
}

/// Whether a thread has so many bytes of stack left. The C library keeps its own data on a thread in
/// the same mapping as the stack, which ends at a page that cannot be read; a stack that is elsewhere
/// is of a kind that may be small (a goroutine's, a fibre's, sigaltstack(2)).
pub(super) fn has_room(
    pid: i32,
    maps: &[Mapping],
    regs: &Registers,
    room: u64,
    grows: Grows,
) -> bool {
    let stack = RemoteAddr(regs.rsp);
    let mapping = maps.iter().find(|mapping| mapping.range().contains(stack));
    mapping.is_some_and(|mapping| {
        let own = mapping.range().contains(RemoteAddr(regs.fs_base));
        let start = regs.rsp.saturating_sub(room);
        match mapping.path.as_str() {
            "[stack]" => grows == Grows::Yes || mapping.start <= start,
            _ => own && os::can_read_pages(pid, start, regs.rsp),
        }
    })
}

/// Instructions of the target that lead a thread back.
#[derive(Clone, Copy, Debug)]
pub(super) struct WayHome {
    /// A `syscall` instruction, and a `ret` after it.
    pub(super) syscall: u64,
    /// An rt_sigreturn(2), and which one.
    sigreturn: (u64, &'static [u8]),
}

impl WayHome {
    /// Looks for them in the code that the target has mapped.
    pub(super) fn find(pid: i32, maps: &[Mapping]) -> Option<WayHome> {
        let is_code = |m: &&Mapping| m.executable() && !m.path.is_empty() && m.path != "[vsyscall]";
        let mut code: Vec<&Mapping> = maps.iter().filter(is_code).collect();
        code.sort_by_key(|m| (!of_the_c_library(&m.path), m.range().len()));
        let (mut syscall, mut sigreturn, mut read) = (None, None, 0);
        for mapping in code {
            let range = mapping.range();
            read += range.len();
            if read > MOST_CODE {
                return None;
            }
            let mut bytes = vec![0; range.len() as usize];
            if os::read_process(pid, range.start, &mut bytes).is_err() {
                continue;
            }
            let find = |what: &[u8]| {
                let at = bytes.windows(what.len()).position(|bytes| bytes == what)?;
                Some(range.start + at as u64)
            };
            syscall = syscall.or_else(|| find(&SYSCALL_RET));
            let mut sigreturns = SIGRETURN.into_iter();
            sigreturn = sigreturn.or_else(|| sigreturns.find_map(|code| Some((find(code)?, code))));
            if let (Some(syscall), Some(sigreturn)) = (syscall, sigreturn) {
                return Some(WayHome { syscall, sigreturn });
            }
        }
        None
    }

    /// Whether they still lie there: the process may have become another program.
    pub(super) fn is_there(&self, pid: i32) -> bool {
        let (sigreturn, code) = self.sigreturn;
        has_code(pid, self.syscall, &SYSCALL_RET) && has_code(pid, sigreturn, code)
    }

    /// Lays a frame below the stack of a thread. Where its stack pointer has to be, or `None` if it
    /// could not be laid. `home`: the registers to go back with; `mask`: its blocked signals;
    /// `vectors`: its vector registers as the kernel tells them.
    pub(super) fn lay(&self, pid: i32, home: &Registers, mask: u64, vectors: &[u8]) -> Option<u64> {
        // Behind the state comes a magic number; it begins at a multiple of 64.
        let top = home.rsp.checked_sub(RED_ZONE)?;
        let state = top.checked_sub(vectors.len() as u64 + 4)? & !63;
        let frame = state.checked_sub(Frame::SIZE as u64)? & !15;
        let mut bytes = Frame::new(self.sigreturn.0).filled(home, mask, state);
        bytes.resize((state - frame) as usize, 0);
        bytes.extend(with_magic(vectors)?);
        os::write_process(pid, frame, &bytes).ok()?;
        Some(frame)
    }
}

/// Whether these instructions lie at an address of a process.
pub(super) fn has_code(pid: i32, at: u64, code: &[u8]) -> bool {
    let mut bytes = vec![0; code.len()];
    os::read_process(pid, at, &mut bytes).is_ok() && bytes == code
}

fn of_the_c_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("ld-") || name.starts_with("libc.") || name.starts_with("libc-")
}

/// The vector registers as a signal frame has them (`struct _fpx_sw_bytes`): the same, with magic
/// numbers that say how large they are.
fn with_magic(vectors: &[u8]) -> Option<Vec<u8>> {
    const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
    const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
    /// Where the kernel's own bytes are, and first in them which features there are.
    const SOFTWARE: usize = 464;
    let size = u32::try_from(vectors.len()).ok()?;
    let features: [u8; 8] = vectors.get(SOFTWARE..)?.first_chunk().copied()?;
    let mut bytes = vectors.to_vec();
    let mut put = |at: usize, what: &[u8]| {
        let room = bytes.get_mut(SOFTWARE + at..SOFTWARE + at + what.len());
        room.map(|room| room.copy_from_slice(what))
    };
    put(0, &FP_XSTATE_MAGIC1.to_le_bytes())?;
    put(4, &(size + 4).to_le_bytes())?;
    put(8, &features)?;
    put(16, &size.to_le_bytes())?;
    put(20, &[0; 28])?;
    bytes.extend(FP_XSTATE_MAGIC2.to_le_bytes());
    Some(bytes)
}

/// A frame in the making: the return address, then `struct ucontext`.
struct Frame(Vec<u8>);

impl Frame {
    /// With `uc_sigmask` at its end, which 128 bytes of `struct siginfo` follow in the kernel's own,
    /// unread.
    const SIZE: usize = 8 + 296 + 8 + 128;
    const UCONTEXT: usize = 8;
    /// `uc_mcontext`, a `struct sigcontext`.
    const CONTEXT: usize = Frame::UCONTEXT + 40;

    fn new(sigreturn: u64) -> Frame {
        let mut frame = Frame(vec![0; Frame::SIZE]);
        frame.put(0, sigreturn);
        frame
    }

    fn put(&mut self, at: usize, word: u64) {
        self.0[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    fn filled(mut self, r: &Registers, mask: u64, state: u64) -> Vec<u8> {
        /// `UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS`.
        const FLAGS: u64 = 7;
        /// No flags of an alternate stack: an error that the kernel passes over, so that the stack
        /// stays what it is.
        const NO_CHANGE: u64 = 0x7f;
        self.put(Frame::UCONTEXT, FLAGS);
        self.put(Frame::UCONTEXT + 24, NO_CHANGE);
        let registers = [
            r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx,
            r.rdx, r.rax, r.rcx, r.rsp, r.rip, r.eflags,
        ];
        for (number, register) in registers.into_iter().enumerate() {
            self.put(Frame::CONTEXT + 8 * number, register);
        }
        // cs, gs, fs and ss, 16 bits each.
        self.put(Frame::CONTEXT + 144, r.cs | r.ss << 48);
        self.put(Frame::CONTEXT + 184, state);
        self.put(Frame::UCONTEXT + 296, mask);
        self.0
    }
}

/// The registers with which a thread goes on where it was, as the kernel would have it: its call,
/// if it was interrupted in one, is made again. `slept`: how long it had been asleep.
pub(super) fn registers(
    pid: i32,
    regs: &Registers,
    slept: Option<std::time::Duration>,
) -> Registers {
    if calls::will_restart(regs) {
        let rax = match calls::restarts_by_block(regs) {
            true => libc::SYS_restart_syscall as u64,
            false => regs.orig_rax,
        };
        let rip = regs.rip - SYSCALL.len() as u64;
        return Registers { rax, rip, ..*regs };
    }
    let interrupted = Some(regs).filter(|regs| calls::was_interrupted(regs));
    let restart = interrupted.and_then(|regs| calls::restart(pid, regs, slept));
    restart.map_or(*regs, |restart| restart.regs)
}
