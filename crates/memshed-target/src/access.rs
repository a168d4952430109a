//! Whether memshed may look at a process, and if not, why and what helps (ptrace(2), "Ptrace
//! access mode checking").

use crate::error::TargetError;
use crate::os;
use crate::process::Process;
use crate::status::Status;
use crate::still::Still;
use crate::tracer::probe;
use std::fs;
use std::sync::OnceLock;

const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// Something that stands in the way, or makes a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The kernel lets nobody use ptrace here: a container's seccomp profile, most likely.
    PtraceForbidden(String),
    /// It belongs to another user.
    OtherUser {
        /// Its user id.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// Yama's ptrace_scope forbids it (Documentation/admin-guide/LSM/Yama.rst).
    Yama(u32),
    /// It has capabilities that we lack.
    Privileged,
    /// It has declared itself not dumpable, or runs a program with more rights than its user.
    NotDumpable,
    /// Another process traces it.
    Traced {
        /// The tracer.
        by: i32,
    },
    /// It has ended and waits to be reaped.
    Zombie,
    /// It is part of the kernel.
    KernelThread,
    /// It lives in another user namespace, in which we have no rights.
    OtherUserNamespace,
    /// It is ourselves.
    Ourselves,
}

impl Obstacle {
    /// The obstacle as a sentence without a full stop.
    pub fn sentence(&self) -> String {
        match self {
            Obstacle::PtraceForbidden(error) => format!("ptrace is not permitted here ({error})"),
            Obstacle::OtherUser { theirs, ours } => {
                format!("it belongs to user {theirs}, not to user {ours}")
            }
            Obstacle::Yama(scope) => match scope {
                1 => {
                    "kernel.yama.ptrace_scope is 1: only parents may look at their children".into()
                }
                2 => "kernel.yama.ptrace_scope is 2: only root may look at processes".into(),
                _ => format!("kernel.yama.ptrace_scope is {scope}: nobody may look at processes"),
            },
            Obstacle::Privileged => "it has capabilities that this user lacks".into(),
            Obstacle::NotDumpable => "it has declared itself not dumpable".into(),
            Obstacle::Traced { by } => format!("process {by} is tracing it"),
            Obstacle::Zombie => "it has ended".into(),
            Obstacle::KernelThread => "it is part of the kernel".into(),
            Obstacle::OtherUserNamespace => "it lives in another user namespace".into(),
            Obstacle::Ourselves => "it is memshed itself".into(),
        }
    }

    /// The command or setting that helps, if there is one.
    pub fn remedy(&self, pid: i32) -> Option<String> {
        Some(match self {
            Obstacle::PtraceForbidden(_) => {
                "start the container with --cap-add=SYS_PTRACE (Docker, Podman) or \
                 securityContext.capabilities.add: [\"SYS_PTRACE\"] (Kubernetes)"
                    .into()
            }
            Obstacle::OtherUser { .. } | Obstacle::NotDumpable | Obstacle::Privileged => {
                "run memshed as root: sudo \"$(command -v memshed)\" …".into()
            }
            Obstacle::Yama(1) => "run memshed as root: sudo \"$(command -v memshed)\" …, or for \
                                  all users until the next boot: \
                                  sudo sysctl kernel.yama.ptrace_scope=0"
                .into(),
            Obstacle::Yama(2) => "run memshed as root: sudo \"$(command -v memshed)\" …".into(),
            Obstacle::Yama(_) => {
                "set kernel.yama.ptrace_scope to 1 in /etc/sysctl.d and reboot: 3 cannot be undone"
                    .into()
            }
            Obstacle::Traced { by } => format!(
                "end the debugger or tracer, process {by}, or have it stop every thread, first"
            ),
            Obstacle::OtherUserNamespace => {
                format!(
                    "run memshed as root outside of containers, or inside: \
                         nsenter --user --target {pid} …"
                )
            }
            Obstacle::Zombie | Obstacle::KernelThread | Obstacle::Ourselves => return None,
        })
    }
}

/// What can be done with a process.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// What forbids looking at it; nothing if it may be looked at.
    pub obstacles: Vec<Obstacle>,
    /// What does not forbid it but changes how it is done, in sentences.
    pub remarks: Vec<String>,
}

impl Access {
    /// Whether the process is traced by the tracer of another memshed.
    #[must_use]
    pub fn is_traced_by_memshed(&self) -> bool {
        let is_ours = |by: i32| {
            let line = std::fs::read(format!("/proc/{by}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(crate::tracer::MARKER.as_bytes())
        };
        let mut obstacles = self.obstacles.iter();
        obstacles.any(|obstacle| matches!(obstacle, Obstacle::Traced { by } if is_ours(*by)))
    }

    /// Whether the process may be looked at.
    pub fn granted(&self) -> bool {
        self.obstacles.is_empty()
    }

    /// The obstacles as an error.
    pub fn into_result(self, pid: i32) -> Result<(), TargetError> {
        if self.granted() {
            return Ok(());
        }
        Err(TargetError::Denied {
            pid,
            reasons: self.obstacles.iter().map(Obstacle::sentence).collect(),
            hint: self.obstacles.iter().find_map(|o| o.remedy(pid)),
        })
    }
}

/// Whether this process may look at `process`, without touching it. What only the kernel knows,
/// a security module's policy for instance, comes out when it is tried.
pub fn check(process: &Process) -> Result<Access, TargetError> {
    let theirs = process.status()?;
    let own = Process::open(std::process::id() as i32)?.status()?;
    let mut access = Access::default();
    if process.pid() == std::process::id() as i32 {
        access.obstacles.push(Obstacle::Ourselves);
    }
    if matches!(theirs.state, 'Z' | 'X') {
        access.obstacles.push(Obstacle::Zombie);
        return Ok(access);
    }
    if !theirs.has_memory {
        access.obstacles.push(Obstacle::KernelThread);
        return Ok(access);
    }
    // Where Yama forbids all of it, not even a child of our own can be traced.
    let capable = own.capabilities & CAP_SYS_PTRACE != 0;
    let all_forbidden = yama_scope().is_some_and(|scope| scope > 2 || scope == 2 && !capable);
    if let Err(e) = ptrace_works()
        && !all_forbidden
    {
        access.obstacles.push(Obstacle::PtraceForbidden(e));
    }
    let still = Still::of(process.pid());
    if theirs.tracer != 0 && still.is_none() {
        access
            .obstacles
            .push(Obstacle::Traced { by: theirs.tracer });
    }
    check_rights(process, &theirs, &own, &mut access);
    remark(still, &theirs, &own, &mut access);
    Ok(access)
}

/// The kernel's own checks, in its order (kernel/ptrace.c, __ptrace_may_access).
fn check_rights(process: &Process, theirs: &Status, own: &Status, access: &mut Access) {
    let capable = own.capabilities & CAP_SYS_PTRACE != 0;
    let same_namespace = user_namespace("self") == user_namespace(&process.pid().to_string())
        || user_namespace(&process.pid().to_string()).is_none();
    if let Some(scope) = yama_scope() {
        let forbidden = match scope {
            0 => false,
            1 => !capable && !may_attach(process),
            2 => !capable,
            _ => true,
        };
        if forbidden {
            access.obstacles.push(Obstacle::Yama(scope));
        }
    }
    if capable {
        return;
    }
    let ours = os::my_uid();
    let all_ours = theirs.uid == ours
        && theirs.other_uids == [ours, ours]
        && theirs.gids.iter().all(|&g| g == own.gids[0]);
    if !same_namespace {
        access.obstacles.push(Obstacle::OtherUserNamespace);
    } else if !all_ours {
        access.obstacles.push(Obstacle::OtherUser {
            theirs: theirs.uid,
            ours,
        });
    } else if theirs.permitted & !own.permitted != 0 {
        access.obstacles.push(Obstacle::Privileged);
    } else if fs::read_link(format!("/proc/{}/exe", process.pid())).is_err() {
        // Owned by us, and yet its files in /proc are not: PR_SET_DUMPABLE(2const).
        access.obstacles.push(Obstacle::NotDumpable);
    }
}

/// Whether the kernel would let this process attach. Opening that file takes the same right, and
/// does nothing to the process: mm_access() in kernel/fork.c. Only so comes out that it has named
/// us, or everybody, by PR_SET_PTRACER(2const).
fn may_attach(process: &Process) -> bool {
    fs::File::open(format!("/proc/{}/mem", process.pid())).is_ok()
}

/// What changes the method.
fn remark(still: Option<Still>, theirs: &Status, own: &Status, access: &mut Access) {
    if theirs.seccomp != 0 && (own.capabilities & CAP_SYS_ADMIN == 0 || own.seccomp != 0) {
        access.remarks.push(
            "it is under seccomp: memshed will pause it instead of forking a copy; with \
             CAP_SYS_ADMIN (sudo, or --cap-add=SYS_ADMIN) it can fork"
                .into(),
        );
    }
    if let Some(still) = still {
        access
            .remarks
            .push(format!("it will be read as it is: {}", still.reason()));
    }
    if theirs.state == 'T' {
        access
            .remarks
            .push("it is stopped (SIGSTOP), and will stay so".into());
    }
}

fn user_namespace(pid: &str) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/user")).ok()
}

/// The setting of the Yama security module, if the kernel has it.
pub fn yama_scope() -> Option<u32> {
    fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Whether ptrace works at all here: tried once, on a child of our own.
pub fn ptrace_works() -> Result<(), String> {
    static TRIED: OnceLock<Result<(), String>> = OnceLock::new();
    let tried = TRIED.get_or_init(|| probe().map_err(|e| e.to_string()));
    tried.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_obstacle_says_what_it_is() {
        let all = [
            Obstacle::PtraceForbidden("EPERM".into()),
            Obstacle::OtherUser {
                theirs: 0,
                ours: 1000,
            },
            Obstacle::Yama(1),
            Obstacle::Yama(2),
            Obstacle::Yama(3),
            Obstacle::Privileged,
            Obstacle::NotDumpable,
            Obstacle::Traced { by: 7 },
            Obstacle::OtherUserNamespace,
        ];
        for obstacle in all {
            assert!(!obstacle.sentence().is_empty());
            assert!(
                obstacle.remedy(4711).is_some_and(|r| !r.is_empty()),
                "{obstacle:?}"
            );
        }
    }

    #[test]
    fn the_kernel_s_own_threads_are_recognised() {
        let Ok(kthreadd) = Process::open(2) else {
            return;
        };
        if kthreadd.status().is_ok_and(|s| s.comm == "kthreadd") {
            let access = check(&kthreadd).expect("a check");
            assert_eq!(access.obstacles, [Obstacle::KernelThread]);
        }
    }
}
