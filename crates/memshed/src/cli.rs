//! The command line as clap reads it. It must not know what the commands do.

use clap::{Args, Parser, Subcommand, ValueEnum};
use memshed_report::SortBy;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Shows what fills the memory of a running Python program, from outside, without disturbing it.
#[derive(Debug, Parser)]
#[command(name = "memshed", version, max_term_width = 100, after_help = SIZES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalOptions,
}

const SIZES: &str = "\
Sizes are decimal: 1 kB = 1,000 bytes, 1 MB = 1,000,000 bytes.
Exit status: 0 fine, 1 findings, 2 could not, 130 interrupted.";

/// Options that every command takes, before or after its target.
#[derive(Args, Clone, Debug)]
pub struct GlobalOptions {
    /// How the result is written.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub format: Format,
    /// Write the result to FILE instead of standard output (`snapshot`: the directory to make).
    #[arg(short, long, global = true, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
    /// Say more about what is being done, on standard error.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Begin when a byte comes on standard input; end at its end. Whoever starts memshed may have to
    /// permit it first to look, and cannot name a process that is not there yet.
    #[arg(long, global = true, hide = true)]
    pub await_input: bool,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object with a `schema` number.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show where the memory of a Python program is.
    Inspect(InspectArgs),
    /// Keep the heap of a Python program for later, or for another machine.
    Snapshot(SnapshotArgs),
    /// Find what leaks, who holds it, and what to change.
    Leaks(LeaksArgs),
    /// Compare two looks at a Python program: what grew, and where objects were added.
    Diff(DiffArgs),
    /// Show why something is in memory: what holds it, and what would be freed without that.
    Why(WhyArgs),
    /// Have a running Python program give memory back to the system.
    Release(ReleaseArgs),
    /// Tell what would make a Python program smaller or faster, what is at stake, and the line to
    /// change.
    Advise(AdviseArgs),
    /// Run a program under settings of its collector and allocator, and tell which make it better.
    Tune(TuneArgs),
    /// List Python processes, and whether memshed can look at them.
    Ps,
    /// Check what this machine and a process permit, and what to change where they do not.
    Doctor(DoctorArgs),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the JSON schema of what a command writes with `--format json`.
    Schema {
        /// The command.
        #[arg(value_enum, default_value_t, value_name = "COMMAND")]
        of: SchemaOf,
    },
    /// Print the manual page, in roff.
    Man {
        /// The page of this command instead of memshed's own.
        #[arg(value_name = "COMMAND")]
        page: Option<String>,
    },
}

/// Arguments of `inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// What to look at.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How to look at it.
    #[command(flatten)]
    pub look: LookArgs,
    /// How many rows a table has at most (0: all). JSON always has all types.
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub top: usize,
    /// What the types are sorted by.
    #[arg(long, value_enum, default_value_t, value_name = "KEY")]
    pub sort: Sort,
    /// Only types whose name matches PATTERN: part of the name, or a pattern with * and ?.
    #[arg(long, value_name = "PATTERN")]
    pub filter: Option<String>,
    /// Add the types of each module up.
    #[arg(long)]
    pub by_module: bool,
    /// Look again and again, from the start of a look to the start of the next so long: a line for
    /// each look, and what grew in an hour at the end.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_duration,
        conflicts_with_all = ["values", "by_module", "filter"]
    )]
    pub every: Option<Duration>,
    /// With --every: end after so many looks.
    #[arg(long, value_name = "N", requires = "every", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// With --every: append each look to FILE, too, as a line of JSON. A later watch of the same
    /// process goes on in it.
    #[arg(long, value_name = "FILE", requires = "every")]
    pub history: Option<PathBuf>,
}

/// Arguments of `release`.
#[derive(Args, Debug)]
pub struct ReleaseArgs {
    /// A process id, or the name of a Python program.
    #[arg(value_name = "PID")]
    pub target: OsString,
    /// Only say what it would give.
    #[arg(long)]
    pub dry_run: bool,
    /// Also retire free pools whole: Python's allocator does without them until `--undo`.
    #[arg(long)]
    pub hard: bool,
    /// Give the allocator back what `--hard` has retired, and do nothing else.
    #[arg(long, conflicts_with_all = ["hard", "collect"])]
    pub undo: bool,
    /// Run the garbage collector first. The program waits for it.
    #[arg(long)]
    pub collect: bool,
    /// Empty caches first: `types` (method lookups), `free-lists` (which takes a garbage
    /// collection), `re`, `linecache`, `functools` (every `lru_cache`) or `functools:MODULE.NAME`
    /// [without NAMES: types,free-lists,re,linecache]. `memshed inspect` lists them.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "types,free-lists,re,linecache",
        value_parser = parse_cache
    )]
    pub caches: Vec<String>,
    /// Stay, and look so often whether there is something to give back. What comes straight back
    /// is released more and more rarely.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with_all = ["dry_run", "undo"])]
    pub every: Option<Duration>,
    /// With --every: only while more than this is resident, such as 2GB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "every")]
    pub above: Option<u64>,
    /// With --every: end after so many looks.
    #[arg(long, value_name = "N", requires = "every", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
}

/// Arguments of `snapshot`.
#[derive(Args, Debug)]
pub struct SnapshotArgs {
    /// What to look at.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How to look at it.
    #[command(flatten)]
    pub look: LookArgs,
    /// Replace a snapshot that is there already.
    #[arg(long)]
    pub overwrite: bool,
}

/// Arguments of `leaks`.
#[derive(Args, Debug)]
pub struct LeaksArgs {
    /// A process id, the name of a Python program, or snapshots of one process, oldest first.
    #[arg(
        value_name = "TARGET",
        required_unless_present = "command",
        conflicts_with = "command"
    )]
    pub targets: Vec<OsString>,
    /// How long to watch: a slow leak takes longer to show [default: 20s].
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub run_for: Option<Duration>,
    /// How to look at it.
    #[command(flatten)]
    pub look: LookArgs,
    /// End with status 1 if there is a finding of one of these kinds, such as
    /// growth,cycle,reference-count,native,interned.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub fail_on: Vec<String>,
    /// Start COMMAND, watch its first Python process, and end it. Its output goes to standard
    /// error.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Arguments of `diff`.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// The earlier look: a snapshot.
    #[arg(value_name = "OLD")]
    pub old: OsString,
    /// The later look: a snapshot, or a process id or the name of a Python program.
    #[arg(value_name = "NEW")]
    pub new: OsString,
    /// How to freeze NEW if it is a process (default: fork, or pause where a fork is refused or
    /// unwise).
    #[arg(long, value_enum, value_name = "METHOD")]
    pub method: Option<FreezeMethod>,
    /// Refuse beforehand if the process would probably stand still for longer, such as 50ms.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub max_stop: Option<Duration>,
    /// How many rows a table has at most (0: all). JSON always has all.
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub top: usize,
    /// What is sorted by: by the growth of its bytes or of its number, or by name.
    #[arg(long, value_enum, default_value_t, value_name = "KEY")]
    pub sort: Sort,
    /// Only types whose name matches PATTERN: part of the name, or a pattern with * and ?.
    #[arg(long, value_name = "PATTERN")]
    pub filter: Option<String>,
}

/// Arguments of `why`.
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// What to look at: a process id, the name of a Python program, or a snapshot.
    #[arg(value_name = "TARGET")]
    pub target: OsString,
    /// What to explain: a way from a module (app.CACHE, 'app.CACHE["users"][3].name', app.Server._pool,
    /// 'app.CACHE[…]' for all that is in it), the name of a type (app.Session, Session) for all of
    /// its objects, or the address of an object (0x7f…). `type:` or `object:` before a name says
    /// which is meant.
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// How to look at it.
    #[command(flatten)]
    pub look: LookArgs,
    /// How many branches and rows are shown at most (0: all).
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub top: usize,
}

/// Arguments of `advise`.
#[derive(Args, Debug)]
pub struct AdviseArgs {
    /// What to look at: a process id, the name of a Python program, or a snapshot.
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    pub target: Option<OsString>,
    /// How long to watch the garbage collector at work before the look.
    #[arg(
        long = "for",
        value_name = "TIME",
        value_parser = parse_duration,
        default_value = "5s"
    )]
    pub run_for: Duration,
    /// How to look at it.
    #[command(flatten)]
    pub look: LookArgs,
    /// Start COMMAND, watch its first Python process, and end it. Its output goes to standard
    /// error.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Arguments of `tune`.
#[derive(Args, Debug)]
pub struct TuneArgs {
    /// Only these settings, such as gc-freeze,jemalloc.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
    /// All settings but these.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// List the settings, and which of them this machine has.
    #[arg(long, conflicts_with = "command")]
    pub list: bool,
    /// Rounds that decide, at most: fewer if they suffice. Three rounds that choose come first.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(5..=1000))]
    pub rounds: usize,
    /// End each run after TIME, as a server has to be. What is left to do then is not compared,
    /// so give it the same work each time, or let --load do so.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub run_for: Option<Duration>,
    /// Run this line of the shell once COMMAND is ready, such as 'ab -n 20000 -c 8
    /// http://localhost:8000/'; each run ends with it, and takes the time that it takes. It has to do
    /// the same work each time, not work for the same time, and to fail if requests do.
    #[arg(long, value_name = "LINE")]
    pub load: Option<OsString>,
    /// COMMAND is ready, and its start-up over, when something listens there: a port, or HOST:PORT.
    #[arg(long, value_name = "PORT", conflicts_with = "ready_after")]
    pub wait_for: Option<String>,
    /// COMMAND is ready, and its start-up over, after TIME [default: 1s with --load; else start-up
    /// is over when the memory has ceased to grow].
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub ready_after: Option<Duration>,
    /// A run that takes longer has failed.
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = parse_duration)]
    pub limit: Duration,
    /// Write a page with the picture of the trade-off to FILE, too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the picture to FILE, too.
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// The program. It is run many times, reads nothing, and its output is thrown away; of what it
    /// writes to standard error the end is shown if it fails.
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "list")]
    pub command: Vec<OsString>,
}

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// The process to check: a process id, or the name of a Python program.
    #[arg(value_name = "PID")]
    pub pid: Option<String>,
}

/// TARGET, or a command to start.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// A process id, the name of a Python program (its process or script name, if unique), or a
    /// snapshot directory.
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    pub target: Option<OsString>,
    /// Look at COMMAND after SECONDS instead of just before it exits. With --every: end after
    /// SECONDS.
    #[arg(long = "for", value_name = "SECONDS", value_parser = parse_duration)]
    pub run_for: Option<Duration>,
    /// Start COMMAND, look at its first Python process, and end it. Its output goes to standard
    /// error.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// How a process is looked at.
#[derive(Args, Debug)]
pub struct LookArgs {
    /// How to freeze the process (default: fork, or pause where a fork is refused or unwise).
    #[arg(long, value_enum, value_name = "METHOD")]
    pub method: Option<FreezeMethod>,
    /// Refuse beforehand if the process would probably stand still for longer, such as 50ms.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub max_stop: Option<Duration>,
    /// Also show, or keep, what the largest objects contain: the beginnings of texts, numbers,
    /// the first elements. Without it nothing but names and sizes leaves the process.
    #[arg(long)]
    pub values: bool,
}

/// How to freeze a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FreezeMethod {
    /// Read a forked copy; the process goes on at once.
    Fork,
    /// Stop the process while its memory is copied.
    Pause,
}

/// What the types are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Bytes, most first.
    #[default]
    Bytes,
    /// Number of objects, most first.
    Count,
    /// Name.
    Name,
}

impl From<Sort> for SortBy {
    fn from(sort: Sort) -> SortBy {
        match sort {
            Sort::Bytes => SortBy::Bytes,
            Sort::Count => SortBy::Count,
            Sort::Name => SortBy::Name,
        }
    }
}

/// Commands whose JSON has a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Of `memshed inspect`.
    #[default]
    Inspect,
    /// Of `memshed leaks`.
    Leaks,
    /// Of `memshed diff`.
    Diff,
    /// Of `memshed why`.
    Why,
    /// Of `memshed release`.
    Release,
    /// Of `memshed advise`.
    Advise,
    /// Of `memshed tune`.
    Tune,
}

/// Reads a length of time: `50ms`, `1.5s`, `2m`, `1h`, `300us`; a bare number is in seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds_per_unit = match unit.trim() {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "" | "s" | "sec" | "seconds" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("unknown unit {other:?}: use us, ms, s, m or h")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "not a length of time, such as 50ms or 1.5s".to_string())?;
    let seconds = number * seconds_per_unit;
    if seconds > LONGEST.as_secs_f64() {
        return Err("more than a year, which is too long".to_string());
    }
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

/// What a length of time may be at most: clocks can be moved by so much without overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Reads a size: `2GB`, `500 MB`, `1.5GiB`, `4096`; without a unit it is in bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let bytes_per_unit: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        other => {
            return Err(format!(
                "unknown unit {other:?}: use kB, MB, GB, MiB or GiB"
            ));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "not a size, such as 500MB or 2GB".to_string())?;
    Ok((number * bytes_per_unit) as u64)
}

/// The name of a cache that can be emptied. It becomes part of code that the process runs.
fn parse_cache(text: &str) -> Result<String, String> {
    let names = ["types", "free-lists", "re", "linecache", "functools"];
    let is_name = |name: &str| {
        let plain = |c: char| c.is_alphanumeric() || "._<>".contains(c);
        !name.is_empty() && name.chars().all(plain)
    };
    match text.strip_prefix("functools:") {
        Some(name) if is_name(name) => Ok(text.to_owned()),
        None if names.contains(&text) => Ok(text.to_owned()),
        _ => Err(format!("use {} or functools:MODULE.NAME", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("3"), Ok(Duration::from_secs(3)));
        assert_eq!(parse_duration("2 m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("300us"), Ok(Duration::from_micros(300)));
        for wrong in [
            "",
            "ms",
            "5 apples",
            "1.2.3s",
            "-1s",
            "1e400h",
            "9000h",
            "99999999999999999999",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_size("1.5 MB"), Ok(1_500_000));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        for wrong in ["", "GB", "5 apples", "-1MB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_caches_cannot_be_code() {
        assert!(parse_cache("functools:app.models.Shop.price").is_ok());
        for wrong in ["", "all", "functools:", "functools:a\"); print(\"", "re;x"] {
            assert!(parse_cache(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn global_options_may_stand_before_and_after_the_target() {
        for line in [
            "memshed --format json inspect 42",
            "memshed inspect --format json 42",
            "memshed inspect 42 --format json",
        ] {
            let cli = Cli::parse_from(line.split(' '));
            assert_eq!(cli.global.format, Format::Json, "{line}");
        }
    }

    #[test]
    fn a_target_or_a_command_but_not_both() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("memshed inspect").is_err());
        assert!(parse("memshed inspect 42 -- python").is_err());
        assert!(parse("memshed inspect --count 3 42").is_err());
        assert!(parse("memshed inspect --every 10s --count 0 42").is_err());
        assert!(parse("memshed inspect --every 10s --count 3 --for 3 42").is_ok());
        let cli = parse("memshed inspect --for 3s -- python -c pass --top 5").expect("a command");
        let Command::Inspect(args) = cli.command else {
            panic!("not inspect");
        };
        assert_eq!(args.target.run_for, Some(Duration::from_secs(3)));
        assert_eq!(args.target.command.len(), 5);
    }
}
