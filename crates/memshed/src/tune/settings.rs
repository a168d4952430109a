//! The settings that are tried, as data: a row says what a setting is called, what it does, how it
//! is applied from outside, what it needs, and the lines that make it last.

use std::path::{Path, PathBuf};

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name, for `--only` and `--skip`.
    pub name: &'static str,
    /// What it does, in a few words.
    pub does: &'static str,
    /// Variables of the environment. `GLIBC_TUNABLES` joins those that are there already.
    pub environment: &'static [(&'static str, &'static str)],
    /// A library to be loaded before all others: the names of its file, and the package that
    /// has the first of these on Debian.
    pub preload: Option<(&'static [&'static str], &'static str)>,
    /// What is done inside Python.
    pub python: Python,
    /// Whether the kernel is to give no huge pages.
    pub no_huge_pages: bool,
    /// What it needs beside its library.
    pub needs: Needs,
}

/// What is done inside Python.
#[derive(Clone, Copy, Debug, Default)]
pub struct Python {
    /// `gc.set_threshold`, at the start; with `freeze`, that of the youngest once start-up is over.
    pub thresholds: Option<[u32; 3]>,
    /// `gc.freeze`, once start-up is over.
    pub freeze: bool,
}

/// What a setting needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A CPython, which has this collector.
    Collector,
    /// A CPython with a GIL, whose allocator can be chosen.
    Allocator,
    /// As `Allocator`, from 3.13 on.
    Mimalloc,
    /// As `Allocator`, and the system's C library is glibc, which gives huge pages on request.
    AllocatorHugePages,
    /// The kernel gives huge pages unasked.
    HugePagesUnasked,
}

const NOTHING: Setting = Setting {
    name: "",
    does: "",
    environment: &[],
    preload: None,
    python: Python {
        thresholds: None,
        freeze: false,
    },
    no_huge_pages: false,
    needs: Needs::Nothing,
};

/// All settings. Where two are as good as each other, the earlier one is recommended.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "gc-thresholds",
        does: "the garbage collector runs less often: gc.set_threshold(100_000, 50, 50)",
        python: Python {
            thresholds: Some([100_000, 50, 50]),
            freeze: false,
        },
        needs: Needs::Collector,
        ..NOTHING
    },
    Setting {
        name: "gc-freeze",
        does: "the collector leaves alone what is there after start-up: gc.freeze()",
        python: Python {
            thresholds: None,
            freeze: true,
        },
        needs: Needs::Collector,
        ..NOTHING
    },
    Setting {
        name: "gc-freeze-thresholds",
        does: "both of these: thresholds from the start, gc.freeze() once start-up is over",
        python: Python {
            thresholds: Some([100_000, 50, 50]),
            freeze: true,
        },
        needs: Needs::Collector,
        ..NOTHING
    },
    Setting {
        name: "arenas",
        does: "glibc keeps two heaps instead of eight for each processor",
        environment: &[("MALLOC_ARENA_MAX", "2")],
        ..NOTHING
    },
    Setting {
        name: "trim",
        does: "glibc gives freed memory back from 128 kB on, for good",
        environment: &[
            ("MALLOC_TRIM_THRESHOLD_", "131072"),
            ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ],
        ..NOTHING
    },
    Setting {
        name: "malloc",
        does: "objects come from glibc instead of Python's pools",
        environment: &[("PYTHONMALLOC", "malloc")],
        needs: Needs::Allocator,
        ..NOTHING
    },
    Setting {
        name: "malloc-huge",
        does: "as malloc, in huge pages",
        environment: &[
            ("PYTHONMALLOC", "malloc"),
            ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
        ],
        needs: Needs::AllocatorHugePages,
        ..NOTHING
    },
    Setting {
        name: "jemalloc",
        does: "objects and C code get their memory from jemalloc, which gives it back after a second",
        environment: &[
            ("PYTHONMALLOC", "malloc"),
            (
                "MALLOC_CONF",
                "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0",
            ),
        ],
        preload: Some((&["libjemalloc.so.2"], "libjemalloc2")),
        needs: Needs::Allocator,
        ..NOTHING
    },
    Setting {
        name: "mimalloc",
        does: "objects and C code get their memory from mimalloc",
        environment: &[("PYTHONMALLOC", "malloc")],
        preload: Some((
            &["libmimalloc.so.2", "libmimalloc.so.3", "libmimalloc.so"],
            "libmimalloc2.0",
        )),
        needs: Needs::Allocator,
        ..NOTHING
    },
    Setting {
        name: "mimalloc-python",
        does: "objects come from the mimalloc that Python brings along",
        environment: &[("PYTHONMALLOC", "mimalloc")],
        needs: Needs::Mimalloc,
        ..NOTHING
    },
    Setting {
        name: "tcmalloc",
        does: "objects and C code get their memory from tcmalloc",
        environment: &[("PYTHONMALLOC", "malloc")],
        preload: Some((
            &["libtcmalloc_minimal.so.4", "libtcmalloc.so.4"],
            "libtcmalloc-minimal4",
        )),
        needs: Needs::Allocator,
        ..NOTHING
    },
    Setting {
        name: "no-huge",
        does: "the kernel gives no huge pages",
        no_huge_pages: true,
        needs: Needs::HugePagesUnasked,
        ..NOTHING
    },
];

/// Where libraries are, as ld.so(8) looks for them by itself, and where they are put by hand.
const FOLDERS: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/lib64",
];

/// So many of these, the first ones, are where Debian's packages put libraries.
const DEBIAN: usize = 2;

/// What this machine has.
pub struct Machine {
    /// What the kernel does about huge pages: `always`, `madvise` or `never`; empty if it does not
    /// say.
    pub huge_pages: String,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Machine {
        let path = "/sys/kernel/mm/transparent_hugepage/enabled";
        let says = std::fs::read_to_string(path).unwrap_or_default();
        // The one in force stands in brackets.
        let chosen = says
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'));
        Machine {
            huge_pages: chosen.map_or(String::new(), |(chosen, _)| chosen.to_string()),
        }
    }
}

impl Setting {
    /// Its library on this machine.
    pub fn preload_path(&self) -> Option<PathBuf> {
        let (names, _) = self.preload?;
        let places = names.iter().flat_map(|name| {
            let in_folder = move |folder: &&str| Path::new(folder).join(name);
            FOLDERS.iter().map(in_folder)
        });
        places.into_iter().find(|path| path.is_file())
    }

    /// Debian's package that has its library, if that is where the library is from.
    pub fn package(&self) -> Option<&'static str> {
        let (names, package) = self.preload?;
        let path = self.preload_path()?;
        let debian = FOLDERS[..DEBIAN].iter();
        let there = path
            .parent()
            .is_some_and(|folder| debian.map(Path::new).any(|d| folder == d));
        // Other versions are other packages'.
        let same = path.file_name().is_some_and(|name| name == names[0]);
        (there && same).then_some(package)
    }

    /// Why this machine does not have it, if so.
    pub fn missing(&self, machine: &Machine) -> Option<String> {
        if let (Some((names, package)), None) = (self.preload, self.preload_path()) {
            return Some(format!("{} is not installed (Debian: {package})", names[0]));
        }
        match (self.needs, machine.huge_pages.as_str()) {
            (Needs::HugePagesUnasked, "always") => None,
            (Needs::HugePagesUnasked, _) => {
                Some("the kernel gives huge pages on request only, or none".into())
            }
            (Needs::AllocatorHugePages, "never" | "") => Some("the kernel gives none".into()),
            _ => None,
        }
    }

    /// Why this interpreter does not have it, if so.
    pub fn refused(&self, interpreter: Option<Interpreter>) -> Option<String> {
        let Some(interpreter) = interpreter else {
            let inside = self.python.freeze || self.python.thresholds.is_some();
            let allocator = self
                .environment
                .iter()
                .any(|(name, _)| *name == "PYTHONMALLOC");
            return (inside || allocator).then(|| {
                "no Python took memshed's sitecustomize up: is it started with -I, -E or -S? These \
                 keep it from other settings, too"
                    .into()
            });
        };
        let no_gil = interpreter.kind == Kind::WithoutGil;
        let other = interpreter.kind == Kind::Other;
        match self.needs {
            Needs::Nothing | Needs::HugePagesUnasked => None,
            Needs::Collector | Needs::Allocator | Needs::AllocatorHugePages | Needs::Mimalloc
                if other =>
            {
                Some("this Python is no CPython".into())
            }
            Needs::Allocator | Needs::AllocatorHugePages | Needs::Mimalloc if no_gil => {
                Some("without a GIL, Python has one allocator of its own and no other".into())
            }
            Needs::Mimalloc if interpreter.version < 313 => {
                Some("Python has it from 3.13 on".into())
            }
            _ => None,
        }
    }

    /// The lines of a shell's environment that make it last.
    pub fn lasting_environment(&self) -> Vec<(String, String)> {
        let library = self.preload_path();
        let library = library.map(|path| ("LD_PRELOAD".into(), path.display().to_string()));
        let own = self.environment.iter();
        let own = own.map(|(name, value)| ((*name).to_string(), (*value).to_string()));
        library.into_iter().chain(own).collect()
    }

    /// The lines of Python that make it last.
    pub fn lasting_python(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.python.freeze || self.python.thresholds.is_some() {
            lines.push("import gc".to_string());
        }
        if let Some([young, middle, old]) = self.python.thresholds {
            lines.push(format!("gc.set_threshold({young}, {middle}, {old})"));
        }
        if self.python.freeze {
            lines.push("gc.freeze()".into());
        }
        if self.no_huge_pages {
            // PR_SET_THP_DISABLE, linux/prctl.h; the kernel's switch has no other handle.
            lines.push("import ctypes".into());
            lines.push("ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)".into());
        }
        lines
    }

    /// Where the lines of Python belong.
    pub fn place(&self) -> String {
        const START_UP_IS_OVER: &str = "where start-up is over: modules imported, data loaded, before the first request; with \
             gunicorn, in post_worker_init, or with --preload in when_ready";
        let Python { thresholds, freeze } = self.python;
        match (freeze, thresholds) {
            (true, None) => START_UP_IS_OVER.to_owned(),
            (true, Some(_)) => {
                format!("the thresholds at the top of the program, gc.freeze() {START_UP_IS_OVER}")
            }
            (false, _) => "at the top of the program".to_owned(),
        }
    }
}

/// What a Python is, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// What kind.
    pub kind: Kind,
    /// 3.12 is 312.
    pub version: u32,
}

/// The kinds of interpreters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CPython.
    Usual,
    /// CPython without a GIL.
    WithoutGil,
    /// Another.
    Other,
}

impl std::fmt::Display for Interpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.kind {
            Kind::Usual => "CPython",
            Kind::WithoutGil => "free-threaded CPython",
            Kind::Other => "Python, not CPython,",
        };
        write!(f, "{name} {}.{}", self.version / 100, self.version % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        let plain = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(names.iter().all(|name| plain(name) && *name != "as-is"));
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_setting_leaves_lines_to_paste() {
        for setting in SETTINGS {
            let lines = setting.lasting_environment().len() + setting.lasting_python().len();
            assert!(lines > 0, "{}", setting.name);
        }
    }

    #[test]
    fn what_an_interpreter_lacks_is_refused() {
        let python = |kind, version| Some(Interpreter { kind, version });
        let refused = |name: &str, interpreter| {
            let setting = SETTINGS.iter().find(|setting| setting.name == name);
            setting.expect(name).refused(interpreter).is_some()
        };
        assert!(!refused("gc-freeze", python(Kind::Usual, 312)));
        assert!(!refused("gc-freeze", python(Kind::WithoutGil, 314)));
        assert!(refused("gc-freeze", python(Kind::Other, 311)));
        assert!(refused("gc-freeze", None));
        assert!(refused("malloc", python(Kind::WithoutGil, 314)));
        assert!(refused("malloc", None));
        assert!(!refused("arenas", None));
        assert!(!refused("arenas", python(Kind::Other, 311)));
        assert!(refused("mimalloc-python", python(Kind::Usual, 312)));
        assert!(!refused("mimalloc-python", python(Kind::Usual, 313)));
    }
}
