//! The way of a stopped thread to a job and back.
//!
//! Memshed's tracer sends a thread here by setting its registers, and puts it back the same way when
//! the job is done, so that the kernel restarts the call in which the thread was found. If the
//! tracer dies meanwhile, the thread goes back by itself: it waits for the tracer for a while, then
//! restores its signals and registers, and repeats its call.

use crate::abi::Excursion;
use crate::kernel;
use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::Ordering;

/// Where a stopped thread is sent to.
///
/// # Safety
///
/// rdi points to an [`Excursion`]. rsp is a multiple of 64, and at least 136 bytes below the stack of
/// the thread, which has a red zone of 128.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memshed_excursion() -> ! {
    naked_asm!(
        "mov rbx, rdi",
        "mov rbp, rsp",
        // The thread may have values in vector registers: a system call preserves them.
        "sub rsp, [rbx + {xsave_size}]",
        "and rsp, -64",
        "xor eax, eax",
        "mov [rsp + 512], rax",
        "mov [rsp + 520], rax",
        "mov [rsp + 528], rax",
        "mov [rsp + 536], rax",
        "mov [rsp + 544], rax",
        "mov [rsp + 552], rax",
        "mov [rsp + 560], rax",
        "mov [rsp + 568], rax",
        "mov eax, -1",
        "mov edx, -1",
        "xsave64 [rsp]",
        "mov r12, rsp",
        "mov rdi, rbx",
        "call {travel}",
        // Nobody has put the thread back.
        "mov eax, -1",
        "mov edx, -1",
        "xrstor64 [r12]",
        "mov rsp, rbp",
        "mov rax, [rbx + {stack}]",
        "mov rcx, [rbx + {instruction}]",
        "sub rax, 136",
        "mov [rax], rcx",
        "push rax",
        "push [rbx + {flags}]",
        "push [rbx + {registers} + 112]",
        "push [rbx + {registers} + 104]",
        "push [rbx + {registers} + 96]",
        "push [rbx + {registers} + 88]",
        "push [rbx + {registers} + 80]",
        "push [rbx + {registers} + 72]",
        "push [rbx + {registers} + 64]",
        "push [rbx + {registers} + 56]",
        "push [rbx + {registers} + 48]",
        "push [rbx + {registers} + 40]",
        "push [rbx + {registers} + 32]",
        "push [rbx + {registers} + 24]",
        "push [rbx + {registers} + 16]",
        "push [rbx + {registers} + 8]",
        "push [rbx + {registers}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rax",
        "pop rcx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "popfq",
        "pop rsp",
        // Above the address that this takes lie the 128 bytes of the red zone.
        "ret 128",
        // SAFETY: never called.
        xsave_size = const offset_of!(Excursion, xsave_size),
        registers = const offset_of!(Excursion, registers),
        flags = const offset_of!(Excursion, flags),
        stack = const offset_of!(Excursion, stack),
        instruction = const offset_of!(Excursion, instruction),
        travel = sym travel,
    )
}

/// Does the job, then waits to be put back.
extern "C" fn travel(excursion: &mut Excursion) {
    // SAFETY: the tracer has put a job there, which nobody else writes to.
    crate::run(unsafe { &mut *(excursion.job as *mut crate::abi::Job) });
    excursion.arrived.store(1, Ordering::Release);
    let arrived = kernel::now();
    let mut waited = 0;
    while waited < excursion.patience_ns {
        kernel::sleep(excursion.patience_ns - waited);
        waited = kernel::now().wrapping_sub(arrived);
    }
    excursion.left.store(1, Ordering::Release);
    // A signal that came meanwhile would have interrupted the call.
    let signals = excursion.signals;
    if kernel::pending_signals() & !signals != 0 && excursion.interrupted != 0 {
        excursion.instruction = excursion.interrupted;
        excursion.registers[10] = EINTR as u64;
    }
    kernel::block_signals(signals);
}

const EINTR: i64 = -4;
