//! What the machine permits, whatever the process.

use super::with_sudo;
use memshed_report::Check;
use memshed_target::access::{ptrace_works, yama_scope};
use memshed_target::{Process, Status};
use std::io::Read;
use std::path::Path;

/// CAP_SYS_PTRACE (capabilities(7)).
pub const SYS_PTRACE: u32 = 19;
/// CAP_SYS_ADMIN.
pub const SYS_ADMIN: u32 = 21;

/// All checks of the machine.
pub fn checks(virtual_env: Option<&Path>) -> Vec<Check> {
    let mut checks = vec![kernel()];
    checks.extend(c_library());
    checks.extend([
        ptrace_scope(),
        capabilities(),
        container(),
        seccomp(),
        tracing(),
        memfd(),
        pagemap(),
        overcommit(),
    ]);
    checks.extend(sudo(virtual_env));
    checks
}

/// memshed's own status; empty where it cannot be read.
fn own_status() -> Status {
    let own = Process::open(std::process::id() as i32);
    own.and_then(|process| process.status()).unwrap_or_default()
}

/// Whether memshed has an effective capability.
pub fn has_capability(number: u32) -> bool {
    own_status().capabilities >> number & 1 == 1
}

fn read(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().to_string()
}

fn kernel() -> Check {
    // smaps_rollup, which the exact resident size needs, came with 4.14.
    const OLDEST: (u32, u32) = (4, 14);
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let version: (u32, u32) = (number(), number());
    if version >= OLDEST {
        Check::ok("kernel", format!("Linux {release}"))
    } else {
        Check::fail(
            "kernel",
            format!("Linux {release}"),
            format!("memshed needs Linux {}.{} or later", OLDEST.0, OLDEST.1),
        )
    }
}

/// The C library that memshed itself runs with; nothing to say where it brings its own.
fn c_library() -> Option<Check> {
    let own = Process::open(std::process::id() as i32);
    let maps = own
        .and_then(|process| process.mappings())
        .unwrap_or_default();
    let libc = maps
        .iter()
        .map(|mapping| Path::new(mapping.file_path()))
        .find(|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
            name.starts_with("libc.so") || name.starts_with("libc-") || name.starts_with("ld-musl")
        });
    let detail = match libc {
        None => "memshed brings its own".to_string(),
        Some(path) => match glibc_version(path) {
            Some(version) => format!("glibc {version} ({})", path.display()),
            None => path.display().to_string(),
        },
    };
    Some(Check::ok("c_library", detail))
}

/// The version that glibc's own banner gives: `GNU C Library (…) stable release version 2.36`.
fn glibc_version(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let mark = b"release version ";
    let at = bytes.windows(mark.len()).position(|w| w == mark)? + mark.len();
    let version = bytes[at..].iter().take(16);
    let version: Vec<u8> = version
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .copied()
        .collect();
    let version = String::from_utf8(version).ok()?;
    Some(version.trim_end_matches('.').to_string())
}

fn ptrace_scope() -> Check {
    const NAME: &str = "ptrace_scope";
    let privileged = has_capability(SYS_PTRACE);
    match yama_scope() {
        None => Check::ok(NAME, "Yama is not in use"),
        Some(0) => Check::ok(NAME, "0: a user may look at all of its own processes"),
        Some(3) => Check::fail(
            NAME,
            "3: nobody may look at any process",
            "only a reboot with kernel.yama.ptrace_scope below 3 changes that; \
             `memshed inspect SNAPSHOT` works",
        ),
        Some(scope) if privileged => Check::ok(
            NAME,
            format!("{scope}: memshed has CAP_SYS_PTRACE and is not limited by it"),
        ),
        Some(1) => Check::warn(
            NAME,
            "1: a user may look only at what memshed itself starts",
            format!(
                "`{}`, or `sudo sysctl kernel.yama.ptrace_scope=0`, or `memshed inspect -- COMMAND`",
                with_sudo("inspect PID")
            ),
        ),
        Some(scope) => Check::fail(
            NAME,
            format!("{scope}: only who has CAP_SYS_PTRACE may look at a process"),
            format!("`{}`", with_sudo("inspect PID")),
        ),
    }
}

fn capabilities() -> Check {
    let name = |number, name| if has_capability(number) { name } else { "" };
    let held: Vec<&str> = [
        name(SYS_PTRACE, "CAP_SYS_PTRACE"),
        name(SYS_ADMIN, "CAP_SYS_ADMIN"),
    ]
    .into_iter()
    .filter(|name| !name.is_empty())
    .collect();
    let detail = match held.as_slice() {
        [] => "none: memshed can look at this user's processes only".to_string(),
        held => held.join(", "),
    };
    Check::ok("capabilities", detail)
}

/// Whether memshed runs in a container, and what that may need.
fn container() -> Check {
    const NAME: &str = "container";
    let groups = read("/proc/self/cgroup");
    let marked = Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists();
    let named = ["docker", "kubepods", "containerd", "libpod", "lxc"]
        .iter()
        .any(|word| groups.contains(word));
    let nested = own_status().namespace_pids.len() > 1;
    match (marked || named || nested, has_capability(SYS_PTRACE)) {
        (false, _) => Check::ok(NAME, "none found around memshed"),
        (true, true) => Check::ok(NAME, "memshed runs in one that has CAP_SYS_PTRACE"),
        (true, false) => Check::warn(
            NAME,
            "memshed runs in one without CAP_SYS_PTRACE: it can look at this user's processes \
             where ptrace_scope lets it",
            "`docker run --cap-add SYS_PTRACE …`; in Kubernetes \
             `securityContext: {capabilities: {add: [SYS_PTRACE]}}`; or run memshed on the host",
        ),
    }
}

/// Whether a system call filter lies over memshed itself.
fn seccomp() -> Check {
    match own_status().seccomp {
        0 => Check::ok("seccomp", "no filter over memshed"),
        _ => Check::ok("seccomp", "memshed runs under a filter of system calls"),
    }
}

/// Whether ptrace works at all, tried on a child made for the purpose.
fn tracing() -> Check {
    match ptrace_works() {
        Ok(()) => Check::ok("ptrace", "works, as tried on a child of memshed's own"),
        Err(error) => Check::fail(
            "ptrace",
            format!("is refused: {error}"),
            "`docker run --cap-add SYS_PTRACE …`, or run memshed outside of the container",
        ),
    }
}

fn memfd() -> Check {
    match rustix::fs::memfd_create("memshed", rustix::fs::MemfdFlags::CLOEXEC) {
        Ok(_) => Check::ok("memfd", "memfd_create works"),
        Err(error) => Check::warn(
            "memfd",
            format!("memfd_create: {error}"),
            "memshed copies into ordinary memory instead",
        ),
    }
}

fn pagemap() -> Check {
    let mut word = [0; 8];
    let read = std::fs::File::open("/proc/self/pagemap").and_then(|mut f| f.read_exact(&mut word));
    match read {
        Ok(()) => Check::ok(
            "pagemap",
            "readable: absent and swapped pages are left alone",
        ),
        Err(error) => Check::warn(
            "pagemap",
            format!("/proc/self/pagemap: {error}"),
            "without it memshed cannot tell absent pages from present ones, and reads more",
        ),
    }
}

fn overcommit() -> Check {
    match read("/proc/sys/vm/overcommit_memory").as_str() {
        "2" => Check::warn(
            "overcommit",
            "2: the kernel may refuse to fork large processes; memshed pauses them instead",
            "`sudo sysctl vm.overcommit_memory=0` permits the shorter stop by a fork",
        ),
        setting => Check::ok("overcommit", format!("{setting}: forks are not refused")),
    }
}

/// How to run memshed as root from where it is installed.
fn sudo(virtual_env: Option<&Path>) -> Option<Check> {
    if has_capability(SYS_PTRACE) {
        return None;
    }
    let memshed = std::env::current_exe().ok()?;
    let directory = memshed.parent()?;
    let usual = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    if usual.iter().any(|usual| directory == Path::new(usual)) {
        return Some(Check::ok("sudo", "`sudo memshed` finds it"));
    }
    let place = match virtual_env {
        Some(environment) if memshed.starts_with(environment) => "a virtual environment",
        _ => "a directory that sudo does not search",
    };
    Some(Check::warn(
        "sudo",
        format!("memshed is installed in {place}: `sudo memshed` would not find it"),
        format!(
            "`{}`, or `sudo env PATH=\"$PATH\" memshed …`",
            with_sudo("…")
        ),
    ))
}
