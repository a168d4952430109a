//! Why a container grows and what to change, for patterns that are known, and in general.

use crate::growth::Place;
use memshed_heap::{Heap, ObjectId};

/// What is known of a container that grows.
pub(crate) struct Facts<'a> {
    pub(crate) heap: &'a Heap,
    pub(crate) place: &'a Place,
    /// The way from one of the things added to what is heaviest below it: hops, and types.
    pub(crate) below: &'a [(String, String)],
    pub(crate) container_type: &'a str,
}

/// Why, where that is known, and what to change.
pub(crate) struct Advice {
    pub(crate) why: Option<String>,
    pub(crate) fix: String,
}

/// A pattern that is known: whether it fits, why it grows, what to change.
type Known = (
    fn(&Facts<'_>) -> bool,
    fn(&Facts<'_>) -> String,
    fn(&Facts<'_>) -> String,
);

/// The advice for a container that grows.
pub(crate) fn of(facts: &Facts<'_>) -> Advice {
    for (fits, why, fix) in KNOWN {
        if fits(facts) {
            return Advice {
                why: Some(why(facts)),
                fix: fix(facts),
            };
        }
    }
    Advice {
        why: None,
        fix: general(facts),
    }
}

/// Hops below what was added that still tell what it is.
const SOON: usize = 5;

/// The most telling ones first.
const KNOWN: &[Known] = &[
    (
        |f| f.is_lru_cache(),
        |f| {
            format!(
                "{} is decorated with functools.lru_cache or functools.cache: it keeps the arguments \
                 and the result of every different call",
                f.function()
            )
        },
        |f| {
            let most = "give it a limit, as in @lru_cache(maxsize=1024)";
            match f.holds_instances() {
                true => format!(
                    "The cached arguments include objects of the program ({}), which the cache \
                     keeps alive. Do not cache on them: cache on plain values, keep the cached \
                     result on the object itself (functools.cached_property), or {most}.",
                    f.instances()
                ),
                false => format!("In the definition of {}: {most}.", f.function()),
            }
        },
    ),
    (
        |f| f.holds("linecache.cache"),
        |_| {
            "linecache keeps the source text of every file that it was asked for; code that is \
             generated registers a new file name each time"
                .to_owned()
        },
        |_| {
            "Something generates code again and again, a class or function in a loop (attrs, \
             dataclasses, exec, IPython). Make that class once and reuse it; as a stopgap call \
             linecache.clearcache() now and then."
                .to_owned()
        },
    ),
    (
        |f| f.holds("loggerDict"),
        |_| "logging keeps every logger for good, by its name".to_owned(),
        |_| {
            "Do not put data such as ids into the name that logging.getLogger() gets: use one \
             logger and pass the data in the message, with extra=… or a LoggerAdapter. Handlers \
             added to such loggers stay, too."
                .to_owned()
        },
    ),
    (
        |f| f.holds("Gcf.figs"),
        |_| "pyplot keeps every figure that it makes until it is closed".to_owned(),
        |_| {
            "Call plt.close(fig) after savefig(), or make figures without pyplot: \
             matplotlib.figure.Figure()."
                .to_owned()
        },
    ),
    (
        |f| f.holds("__warningregistry__") || f.holds("onceregistry"),
        |_| "warnings remembers each different text that it has shown".to_owned(),
        |_| {
            "Keep data out of the text of warnings.warn(), so that equal warnings have equal texts."
                .to_owned()
        },
    ),
    (
        |f| f.holds("finalize._registry") || f.adds("weakref._Info") || f.adds("weakref.finalize"),
        |_| {
            "weakref.finalize keeps its callback and arguments until the object dies; a callback \
             that is a method of the object, or an argument that refers to it, keeps the object \
             itself alive, so it never dies"
                .to_owned()
        },
        |f| {
            format!(
                "Give weakref.finalize a function that does not know the object: a static method \
                 or a plain function that gets the resource alone, as in weakref.finalize(self, \
                 close, handle). Here the callback keeps {}.",
                f.heaviest()
            )
        },
    ),
    (
        |f| f.soon_below("__traceback__") || f.soon_below("tb_frame"),
        |f| {
            format!(
                "the exceptions that are kept hold their traceback, that holds the frames of the \
                 functions that were left, and these hold their local variables: {}",
                f.way()
            )
        },
        |_| {
            "Keep the text alone (str(exc), traceback.format_exception(exc)), or cut the traceback \
             off before the exception is stored: exc.with_traceback(None)."
                .to_owned()
        },
    ),
    (
        |f| f.is_weak_dictionary(),
        |f| {
            format!(
                "a weak dictionary drops an entry when its key dies, but the value refers back to \
                 the key ({}), so that the key never dies",
                f.way()
            )
        },
        |_| {
            "Let the value not refer to the key: keep a weak reference (weakref.ref) in it, or \
             remove the entry yourself when its owner is closed."
                .to_owned()
        },
    ),
    (
        |f| f.adds("Task") || f.adds("coroutine"),
        |_| {
            "these tasks were started and never finish: each keeps its coroutine with all local \
             variables, and its context"
                .to_owned()
        },
        |f| {
            format!(
                "Cancel the tasks when what they serve has ended, or await them with a timeout \
                 (asyncio.timeout, asyncio.TaskGroup). What they wait for never comes. They keep {}.",
                f.heaviest()
            )
        },
    ),
    (
        |f| f.adds("Future") || f.holds("_callbacks"),
        |_| "futures, and the callbacks added to them, stay until the future is done".to_owned(),
        |_| {
            "Drop futures once their result was taken, set or cancel those that nobody will set, \
             and remove callbacks with remove_done_callback()."
                .to_owned()
        },
    ),
    (
        |f| f.adds("ndarray") && f.soon_below(".base"),
        |f| {
            format!(
                "each small array is a view: it keeps the whole array from which it was cut ({})",
                f.way()
            )
        },
        |_| {
            "Copy what is to be kept, as in array[:4].copy(), so that the large array can go."
                .to_owned()
        },
    ),
    (
        |f| f.adds("memoryview"),
        |f| {
            format!(
                "each memoryview keeps the whole buffer below it ({})",
                f.way()
            )
        },
        |_| "Copy what is to be kept with bytes(view), or release() the view.".to_owned(),
    ),
    (
        |f| f.is_unclosed(),
        |f| {
            format!(
                "{} hold memory or handles of the system beside their Python object, until they \
                 are closed",
                f.added()
            )
        },
        |f| {
            format!(
                "Close each one when it is no longer needed (use `with`, or call close(){}), and \
                 take it out of {}.",
                if f.adds("SharedMemory") {
                    " and unlink()"
                } else {
                    ""
                },
                f.place.pattern
            )
        },
    ),
    (
        |f| f.adds("type") || f.adds("ABCMeta") || f.adds("EnumType"),
        |_| "classes are made again and again, and a class is kept by all that knows it".to_owned(),
        |f| {
            format!(
                "Make each class (or ctypes type, namedtuple, dataclass, model) once, outside of \
                 the function or loop, and reuse it; {} keeps every one.",
                f.place.pattern
            )
        },
    ),
    (
        |f| f.is_thread_local(),
        |_| "what a thread puts into threading.local() stays until that thread ends".to_owned(),
        |_| {
            "Delete the attribute, or empty it, when the work that needed it is done: threads of a \
             pool and the main thread do not end."
                .to_owned()
        },
    ),
    (
        |f| f.holds("_metrics") || f.adds("Counter") && f.adds("Gauge"),
        |_| "a metric keeps a series for each different set of labels".to_owned(),
        |_| {
            "Do not use values without a bound (user ids, paths with ids, error texts) as labels of \
             a metric."
            .to_owned()
        },
    ),
    (
        |f| f.is_registry(),
        |f| {
            format!(
                "each call registers one more in {} and none is taken out",
                f.place.pattern
            )
        },
        |f| {
            format!(
                "Register once, at start-up, rather than for each request or object; or take it \
                 out of {} again when its owner goes (a weakref.WeakMethod or WeakSet does so by \
                 itself).",
                f.place.pattern
            )
        },
    ),
];

fn general(facts: &Facts<'_>) -> String {
    let place = &facts.place.pattern;
    let bounded = match facts.container_type {
        "dict" | "collections.OrderedDict" | "collections.defaultdict" => {
            "or give it a limit: functools.lru_cache(maxsize=…), a cache with a time to live, or a \
             weakref.WeakValueDictionary if others hold the values anyway"
        }
        "list" | "collections.deque" => "or give it a limit, as in collections.deque(maxlen=1000)",
        "set" => "or make it a weakref.WeakSet if others hold its members anyway",
        "bytearray" | "_io.BytesIO" | "_io.StringIO" | "array.array" => {
            "or start a new one once its content has been used"
        }
        _ => "or limit how much it may keep",
    };
    format!("Take out of {place} what is no longer needed, {bounded}.")
}

impl Facts<'_> {
    fn holds(&self, name: &str) -> bool {
        self.place.pattern.contains(name)
    }

    fn adds(&self, name: &str) -> bool {
        let last = |full: &str| full.rsplit('.').next() == Some(name) || full == name;
        let most = self.place.added.max(1);
        let added = self.place.added_types.iter();
        let mut added = added.filter(|(_, count)| count * 5 >= most);
        added.any(|(full, _)| last(full))
    }

    /// Whether what was added leads to what is heaviest below it by such a hop, and soon.
    fn soon_below(&self, hop: &str) -> bool {
        let mut soon = self.below.iter().take(SOON);
        soon.any(|(one, _)| one.contains(hop))
    }

    /// What was added, to what is heaviest below it.
    fn way(&self) -> String {
        let steps = self
            .below
            .iter()
            .enumerate()
            .map(|(i, (hop, name))| match i {
                0 => name.clone(),
                _ => hop.clone(),
            });
        let last = self.below.last().map_or("?", |(_, name)| name);
        format!("{}: {last}", steps.collect::<String>())
    }

    fn heaviest(&self) -> String {
        match self.place.types.first() {
            Some((name, _, _)) => format!("mostly {name} objects"),
            None => "what it refers to".to_owned(),
        }
    }

    fn added(&self) -> String {
        let names = self.place.added_types.iter().take(2);
        let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
        match names.is_empty() {
            true => "these objects".to_owned(),
            false => format!("{} objects", names.join(" and ")),
        }
    }

    fn is_lru_cache(&self) -> bool {
        self.container_type == "functools._lru_cache_wrapper" || self.holder_is_lru_cache()
    }

    fn holder_is_lru_cache(&self) -> bool {
        let objects = &self.heap.objects;
        let holder = objects.holder.get(self.place.container.0 as usize);
        holder.is_some_and(|&holder| {
            crate::type_name(self.heap, holder) == "functools._lru_cache_wrapper"
        })
    }

    /// The name of the function that the cache wraps.
    fn function(&self) -> String {
        let pattern = self.place.pattern.trim_end_matches(".cache");
        pattern.trim_end_matches("[…]").to_owned()
    }

    fn holds_instances(&self) -> bool {
        self.place.types.iter().any(|(name, ..)| is_own(name))
    }

    fn instances(&self) -> String {
        let own = self.place.types.iter().filter(|(name, ..)| is_own(name));
        let names: Vec<&str> = own.map(|(name, ..)| name.as_str()).take(2).collect();
        names.join(", ")
    }

    fn is_weak_dictionary(&self) -> bool {
        self.is_within(4, |name| name.starts_with("weakref.Weak"))
    }

    fn is_thread_local(&self) -> bool {
        self.is_within(6, |name| {
            name == "_thread._local" || name == "_thread._localdummy"
        })
    }

    /// Whether the container, or one of what holds it, up to so many in all, is of such a type.
    fn is_within(&self, most: usize, is_such: impl Fn(&str) -> bool) -> bool {
        let objects = &self.heap.objects;
        let holder = |at: &ObjectId| {
            let holder = objects.holder.get(at.0 as usize).copied();
            holder.filter(|holder| (holder.0 as usize) < objects.len())
        };
        let ways = std::iter::successors(Some(self.place.container), holder);
        ways.take(most)
            .any(|at| is_such(crate::type_name(self.heap, at)))
    }

    fn is_unclosed(&self) -> bool {
        [
            "SharedMemory",
            "mmap",
            "Connection",
            "Cursor",
            "socket",
            "TextIOWrapper",
            "BufferedReader",
            "BufferedWriter",
            "FileIO",
            "Popen",
            "ClientSession",
            "Session",
            "SSLSocket",
            "ZipFile",
            "TarFile",
            "Dataset",
            "File",
        ]
        .iter()
        .any(|name| self.adds(name))
    }

    fn is_registry(&self) -> bool {
        let last = self.place.pattern.rsplit(['.', '[']).next();
        let last = last.unwrap_or_default().to_lowercase();
        let names = self.place.pattern.to_lowercase();
        [
            "handler",
            "listener",
            "observer",
            "receiver",
            "hook",
            "subscriber",
            "callback",
            "plugin",
        ]
        .iter()
        .any(|word| last.contains(word) || names.contains(&format!("{word}s")))
    }
}

/// Whether a type is neither a builtin nor of the standard library's innermost parts.
fn is_own(name: &str) -> bool {
    name.contains('.') && !name.starts_with("functools.") && !name.starts_with("collections.")
}
