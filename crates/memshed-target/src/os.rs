//! The system calls this room needs, each behind a safe function of its own.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The size of a page, in bytes; x86-64 knows no other base page.
pub(crate) const PAGE: u64 = 4096;

fn result(value: i64) -> io::Result<i64> {
    if value < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}

fn owned(fd: i64) -> io::Result<OwnedFd> {
    let fd = result(fd)? as RawFd;
    // SAFETY: the kernel has just handed out this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An empty file in memory, closed on exec (memfd_create(2)).
pub(crate) fn memory_file(size: u64) -> io::Result<File> {
    // SAFETY: the name is a literal that ends in NUL.
    let fd = unsafe { libc::memfd_create(c"memshed".as_ptr(), libc::MFD_CLOEXEC) };
    let file = File::from(owned(i64::from(fd))?);
    file.set_len(size)?;
    Ok(file)
}

/// Gives back the pages of a file in memory; they read as zeros afterwards (fallocate(2)).
pub(crate) fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: no memory of ours is involved.
    let r = unsafe { libc::fallocate(file.as_raw_fd(), mode, offset as i64, len as i64) };
    result(i64::from(r)).map(drop)
}

/// A mapping of a file, unmapped when dropped.
pub(crate) struct Mapped {
    base: *mut u8,
    len: usize,
}

// SAFETY: a mapping is plain memory; those who write to it synchronise among themselves.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps `len` bytes of `file` at `offset`, shared; at exactly `at` when given, which fails if
    /// anything is there already (MAP_FIXED_NOREPLACE, Linux 4.17).
    pub(crate) fn new(
        file: &File,
        offset: u64,
        len: u64,
        at: Option<u64>,
        writable: bool,
    ) -> io::Result<Mapped> {
        let mut flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        if at.is_some() {
            flags |= libc::MAP_FIXED_NOREPLACE;
        }
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let wanted = at.unwrap_or(0) as *mut libc::c_void;
        // SAFETY: NOREPLACE never takes memory that is in use; otherwise the kernel chooses.
        let base = unsafe {
            libc::mmap(
                wanted,
                len as usize,
                protection,
                flags,
                file.as_raw_fd(),
                offset as i64,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = Mapped {
            base: base.cast(),
            len: len as usize,
        };
        match at {
            Some(_) if base != wanted => Err(io::Error::from_raw_os_error(libc::EEXIST)),
            _ => Ok(map),
        }
    }

    /// Maps `len` bytes of zeros that can only be read, and take no memory.
    pub(crate) fn zeros(len: u64) -> io::Result<Mapped> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: the kernel chooses the place.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len as usize,
                libc::PROT_READ,
                flags,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapped {
            base: base.cast(),
            len: len as usize,
        })
    }

    /// The first byte.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: base and len are what mmap returned; nobody keeps a slice beyond the owner.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// Maps the pages of `start..start + len` that are in the page cache into our page tables, so
/// that later reads do not fault one by one. Only a hint.
pub(crate) fn populate_for_reading(start: u64, len: u64) {
    const MADV_POPULATE_READ: i32 = 22;
    // SAFETY: populating changes no contents; addresses that are not mapped give an error.
    unsafe { libc::madvise(start as *mut libc::c_void, len as usize, MADV_POPULATE_READ) };
}

/// Faults in `start..start + len` for writing. Only a hint.
pub(crate) fn populate_for_writing(start: u64, len: u64) {
    const MADV_POPULATE_WRITE: i32 = 23;
    // SAFETY: populating changes no contents; addresses that are not mapped give an error.
    unsafe {
        libc::madvise(
            start as *mut libc::c_void,
            len as usize,
            MADV_POPULATE_WRITE,
        )
    };
}

/// Reads `len` bytes of `file` from `from` on to `to`, writable memory of a [`Mapped`] that nobody
/// else reads or writes at the moment. Returns how many bytes came (pread(2)).
pub(crate) fn read_at_raw(file: &File, from: u64, to: u64, len: u64) -> io::Result<u64> {
    let to = to as *mut libc::c_void;
    // SAFETY: the kernel checks that the memory is mapped and writable; see above for who uses it.
    let n = unsafe { libc::pread(file.as_raw_fd(), to, len as usize, from as i64) };
    result(n as i64).map(|n| n as u64)
}

/// Copies bytes of another process to `to`, `len` bytes of writable memory of a [`Mapped`] that
/// nobody else reads or writes at the moment. Returns how many bytes came (process_vm_readv(2)).
pub(crate) fn read_process_raw(pid: i32, from: u64, to: u64, len: u64) -> io::Result<u64> {
    let local = libc::iovec {
        iov_base: to as *mut libc::c_void,
        iov_len: len as usize,
    };
    let remote = libc::iovec {
        iov_base: from as *mut libc::c_void,
        iov_len: len as usize,
    };
    // SAFETY: the kernel checks both sides and writes within the local range only.
    let n = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    result(n as i64).map(|n| n as u64)
}

/// Fills `buf` from another process; fewer bytes than asked for are an error.
pub(crate) fn read_process(pid: i32, from: u64, buf: &mut [u8]) -> io::Result<()> {
    let len = buf.len() as u64;
    let n = read_process_raw(pid, from, buf.as_mut_ptr() as u64, len)?;
    if n == len {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EFAULT))
    }
}

/// Whether each page of `start..end` of process `pid` can be read.
pub(crate) fn can_read_pages(pid: i32, start: u64, end: u64) -> bool {
    const PAGE: usize = 4096;
    // A byte of each: the kernel stops at the first that it cannot read.
    let remote: Vec<libc::iovec> = (start..end)
        .step_by(PAGE)
        .map(|at| libc::iovec {
            iov_base: at as *mut libc::c_void,
            iov_len: 1,
        })
        .collect();
    let mut bytes = vec![0u8; remote.len()];
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: the kernel checks both sides and writes within the local range only.
    let read =
        unsafe { libc::process_vm_readv(pid, &local, 1, remote.as_ptr(), remote.len() as u64, 0) };
    result(read as i64).is_ok_and(|read| read as usize == bytes.len())
}

/// Reads words of 64 bits of process `pid` at `from`.
pub(crate) fn read_words(pid: i32, from: u64, count: usize) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    read_process(pid, from, &mut bytes)?;
    let words = bytes.as_chunks().0.iter();
    Ok(words.map(|word| u64::from_le_bytes(*word)).collect())
}

/// Writes words of 64 bits into process `pid` at `to`.
pub(crate) fn write_words(pid: i32, to: u64, words: &[u64]) -> io::Result<()> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    write_process(pid, to, &bytes)
}

/// The runs of pages within `start..end` that are in memory or in swap, the zero page apart, and
/// the address up to which was looked (`PAGEMAP_SCAN`, Linux 6.7; ENOTTY before).
pub(crate) fn scan_pages(
    pagemap: &File,
    start: u64,
    end: u64,
) -> io::Result<(Vec<crate::memory::Range>, u64)> {
    // include/uapi/linux/fs.h
    const PAGEMAP_SCAN: u64 = 0xc060_6610;
    const PRESENT: u64 = 1 << 3;
    const SWAPPED: u64 = 1 << 4;
    const ZERO: u64 = 1 << 5;
    const MOST_RUNS: usize = 4096;
    let mut runs = vec![[0u64; 3]; MOST_RUNS];
    // struct pm_scan_arg: size, flags, start, end, walk_end, vec, vec_len, max_pages,
    // category_inverted, category_mask, category_anyof_mask, return_mask
    let mut arg = [0u64; 12];
    arg[0] = size_of_val(&arg) as u64;
    (arg[2], arg[3]) = (start, end);
    (arg[5], arg[6]) = (runs.as_mut_ptr() as u64, MOST_RUNS as u64);
    // Pages are wanted that are not the zero page, and in memory or in swap.
    (arg[8], arg[9], arg[10]) = (ZERO, ZERO, PRESENT | SWAPPED);
    arg[11] = PRESENT | SWAPPED;
    // SAFETY: the kernel writes at most `vec_len` runs to `runs`, and the argument's own words.
    let n = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, arg.as_mut_ptr()) };
    let n = result(i64::from(n))? as usize;
    let found = runs[..n.min(MOST_RUNS)].iter().map(|run| {
        let [start, end, _] = *run;
        crate::memory::Range { start, end }
    });
    Ok((found.collect(), arg[4]))
}

/// A handle of a process that becomes readable when the process ends (pidfd_open(2), Linux 5.3).
pub(crate) fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory of ours is involved.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Waits until one of `fds` can be read or has hung up; which of them did. `None`: no limit.
pub(crate) fn wait_readable(fds: &[RawFd], limit: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> = fds
        .iter()
        .map(|&fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let limit = limit.map(|d| libc::timespec {
        tv_sec: d.as_secs() as i64,
        tv_nsec: i64::from(d.subsec_nanos()),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both pointers are to live values of the stated lengths.
    let n = unsafe {
        libc::ppoll(
            polled.as_mut_ptr(),
            polled.len() as u64,
            limit,
            std::ptr::null(),
        )
    };
    match result(i64::from(n)) {
        Err(e) if e.raw_os_error() == Some(libc::EINTR) => Ok(vec![false; fds.len()]),
        Err(e) => Err(e),
        Ok(_) => Ok(polled.iter().map(|p| p.revents != 0).collect()),
    }
}

/// A descriptor that becomes readable when a child or tracee changes state (signalfd(2));
/// SIGCHLD has to be blocked.
pub(crate) fn open_child_events() -> io::Result<File> {
    // SAFETY: the set is initialised before it is used.
    let fd = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    Ok(File::from(owned(i64::from(fd))?))
}

/// Blocks every signal of the calling thread that can be blocked. Safe between fork and exec.
pub(crate) fn block_signals() {
    // SAFETY: the set is initialised before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
    }
}

/// Keeps the contents of this process out of core files and of other tracers (prctl(2)).
pub(crate) fn hide_myself() {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain values.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::setrlimit(libc::RLIMIT_CORE, &none);
    }
}

/// Whether the lock on `file` could be taken, without waiting (flock(2)).
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: no memory of ours is involved.
    let r = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    match result(i64::from(r)) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(e) => Err(e),
    }
}

/// Sends a signal to a thread (tgkill(2)); fails only if it has ended.
pub(crate) fn signal_thread(pid: i32, tid: i32, signal: i32) {
    // SAFETY: integers only.
    let _ = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) };
}

/// Sends SIGKILL to a process that is ours to kill: the copy.
pub(crate) fn kill(pid: i32) {
    // SAFETY: no memory of ours is involved.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Binds the calling thread to one processor.
pub(crate) fn bind_to_cpu(cpu: usize) -> io::Result<()> {
    // SAFETY: the set is plain bits; CPU_SET ignores numbers out of range.
    unsafe {
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut one);
        result(i64::from(libc::sched_setaffinity(
            0,
            size_of::<libc::cpu_set_t>(),
            &one,
        )))
        .map(drop)
    }
}

/// The calling thread goes before all ordinary ones, as far as it is permitted to (`CAP_SYS_NICE`),
/// until this is dropped. Threads that it starts do not (sched(7), `SCHED_RESET_ON_FORK`).
pub(crate) struct Urgent(());

impl Urgent {
    pub(crate) fn begin() -> Urgent {
        // Without permission it stays as it is.
        let _ = set_scheduler(libc::SCHED_RR, 1);
        Urgent(())
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        // Fails only if the thread was not urgent.
        let _ = set_scheduler(libc::SCHED_OTHER, 0);
    }
}

fn set_scheduler(policy: i32, priority: i32) -> io::Result<()> {
    // SAFETY: integers only, for which zero is a value.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = priority;
    let policy = policy | libc::SCHED_RESET_ON_FORK;
    // SAFETY: param is live; 0 is the calling thread.
    result(i64::from(unsafe {
        libc::sched_setscheduler(0, policy, &param)
    }))
    .map(drop)
}

/// The thread id of the caller.
pub(crate) fn my_tid() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

/// The effective user id of this process.
pub(crate) fn my_uid() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() }
}

/// A point in time by which something has to be done.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    end: Instant,
    /// The whole time allowed, for messages.
    pub(crate) limit: Duration,
}

impl Deadline {
    /// A deadline `limit` from now.
    pub(crate) fn after(limit: Duration) -> Deadline {
        Deadline {
            end: Instant::now() + limit,
            limit,
        }
    }

    /// The time left; zero when it is over.
    pub(crate) fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether it is over.
    pub(crate) fn over(self) -> bool {
        self.left().is_zero()
    }
}

/// Whether a process has ended: it takes no signal, or is waiting to be reaped.
pub(crate) fn process_is_gone(pid: i32) -> bool {
    // SAFETY: signal 0 only asks.
    unsafe { libc::kill(pid, 0) != 0 && *libc::__errno_location() == libc::ESRCH }
}

/// The descriptors that the tracer was started with: control socket, copying socket, memory.
pub(crate) fn inherited() -> Option<(UnixStream, UnixStream, File)> {
    use crate::protocol::{CONTROL_FD, COPIER_FD, MEMORY_FD};
    let fds = [CONTROL_FD, COPIER_FD, MEMORY_FD];
    for fd in fds {
        // SAFETY: no memory of ours is involved.
        result(i64::from(unsafe {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC)
        }))
        .ok()?;
    }
    // SAFETY: the descriptors are open, and nothing else in this process uses them yet.
    let [control, copier, memory] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    Some((control.into(), copier.into(), memory.into()))
}

/// Starts `program` as the tracer, with `fds` as its descriptors from 3 on.
pub(crate) fn spawn_tracer(
    mut command: std::process::Command,
    fds: [RawFd; 3],
) -> io::Result<std::process::Child> {
    use std::os::unix::process::CommandExt;
    let prepare = move || {
        block_signals();
        // Out of the way first: a wanted number may be in use by another of the three.
        let mut high = [0; 3];
        for (to, from) in high.iter_mut().zip(fds) {
            // SAFETY: no memory of ours is involved.
            *to = unsafe { libc::fcntl(from, libc::F_DUPFD, 10) };
            result(i64::from(*to))?;
        }
        for (to, from) in (3..).zip(high) {
            // SAFETY: no memory of ours is involved.
            unsafe {
                result(i64::from(libc::dup2(from, to)))?;
                libc::close(from);
            }
        }
        // SAFETY: no arguments. Fails only for a group leader, which a new child is not.
        result(i64::from(unsafe { libc::setsid() })).map(drop)
    };
    // SAFETY: the closure makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

/// Clock ticks per second, the unit of some files in `/proc`.
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: no memory of ours is involved.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) })
        .unwrap_or(100)
        .max(1)
}

/// Forks a child that does nothing until it is killed. No exec, so that it is a child of the
/// calling thread's making whatever files there are.
pub(crate) fn fork_idle_child() -> io::Result<i32> {
    // SAFETY: the child makes only system calls that are safe after a fork of many threads.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            loop {
                libc::pause();
            }
        }
        result(i64::from(pid)).map(|pid| pid as i32)
    }
}

/// Waits for a child that has been killed.
pub(crate) fn reap(pid: i32) {
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) } == pid {
        if process_is_gone(pid) {
            return;
        }
    }
}

/// Writes `bytes` to `to` in the memory of process `pid`, whose pages have to be writable.
pub(crate) fn write_process(pid: i32, to: u64, bytes: &[u8]) -> io::Result<()> {
    write_process_all(pid, &[(to, bytes)])
}

/// Writes to several places in the memory of process `pid`, in order, as few system calls as that
/// takes.
pub(crate) fn write_process_all(pid: i32, pieces: &[(u64, &[u8])]) -> io::Result<()> {
    // `UIO_MAXIOV`
    const MOST: usize = 1024;
    let mut parts = pieces.chunks(MOST);
    parts.try_for_each(|part| write_process_some(pid, part))
}

/// The same for at most 1,024 places, in one system call.
fn write_process_some(pid: i32, pieces: &[(u64, &[u8])]) -> io::Result<()> {
    let local: Vec<libc::iovec> = pieces
        .iter()
        .map(|(_, bytes)| libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        })
        .collect();
    let remote: Vec<libc::iovec> = pieces
        .iter()
        .map(|(to, bytes)| libc::iovec {
            iov_base: *to as *mut libc::c_void,
            iov_len: bytes.len(),
        })
        .collect();
    let (count, length) = (
        pieces.len() as u64,
        pieces.iter().map(|p| p.1.len()).sum::<usize>(),
    );
    // SAFETY: the local pieces are only read; the remote ones are the kernel's to check.
    let written =
        unsafe { libc::process_vm_writev(pid, local.as_ptr(), count, remote.as_ptr(), count, 0) };
    match result(written as i64)? {
        n if n as usize == length => Ok(()),
        _ => Err(io::Error::other("not all of it could be written")),
    }
}

/// Bytes that XSAVE needs for all that is enabled (Intel's manual, volume 1, 13.2: CPUID leaf 0xd);
/// `None` where the processor or the system has no XSAVE.
#[allow(unused_unsafe, reason = "safe from some version of Rust on")]
pub(crate) fn xsave_size() -> Option<u64> {
    const OSXSAVE: u32 = 1 << 27;
    // SAFETY: every 64-bit processor has CPUID, and the leaf is asked for only if it exists.
    unsafe {
        let has = std::arch::x86_64::__cpuid(1).ecx & OSXSAVE != 0;
        has.then(|| u64::from(std::arch::x86_64::__cpuid_count(0xd, 0).ebx))
    }
}

/// Time that the threads of a process have had on processors (clock_getcpuclockid(3)).
pub(crate) fn processor_time(pid: i32) -> Option<Duration> {
    let mut clock = 0;
    // SAFETY: the clock's number is ours to write.
    if unsafe { libc::clock_getcpuclockid(pid, &mut clock) } != 0 {
        return None;
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is ours to write; a clock whose process has ended is refused.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return None;
    }
    let seconds = u64::try_from(time.tv_sec).ok()?;
    Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
}
