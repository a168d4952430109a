//! `memshed tune`: under which settings a program needs less time or memory, told by runs of it.

use super::Status;
use crate::cli::TuneArgs;
use crate::error::{CommandError, LaunchError, OutputError};
use crate::launch::guardian::Guardian;
use crate::printer::Printer;
use crate::tune::plan::{Cannot, Fate, Tried, Tuned, tune};
use crate::tune::run::{Failure, Program, Ready, listens};
use crate::tune::settings::{Machine, SETTINGS, Setting};
use crate::tune::tree;
use memshed_report::{
    PictureError, TuneList, TuneListRow, TuneMeasured, TuneSetting, TuneView, tune_html, tune_png,
};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a server under load may take to start, unless it is said when it is ready.
const READY_AFTER: Duration = Duration::from_secs(1);

/// Runs, compares and reports.
pub fn run(args: &TuneArgs, printer: &Printer) -> Result<Status, CommandError> {
    let settings = chosen(args)?;
    if args.list {
        printer.report(&list(&settings))?;
        return Ok(Status::Fine);
    }
    let program = Program {
        command: args.command.clone(),
        load: args.load.clone(),
        ready: ready(args)?,
        run_for: args.run_for,
        limit: args.limit,
        // Before memshed becomes the reaper of its descendants, of whom this one must not be.
        guardian: Guardian::start().map_err(|error| LaunchError::System {
            command: name(&args.command),
            what: "fork",
            error,
        })?,
    };
    if let Some(Ready::Listening(address)) = &program.ready
        && listens(address)
    {
        return Err(CommandError::Usage {
            what: format!("something listens on {address} already"),
            hint: "end it: memshed starts the server itself, again and again".into(),
        });
    }
    // Better now than after an hour of runs.
    for path in [&args.html, &args.png].into_iter().flatten() {
        writable(path)?;
    }
    tree::become_reaper();
    let seed = seed();
    let stages = printer.stages();
    let tuned = tune(&program, &settings, args.rounds, seed, &stages);
    drop(stages);
    let tuned = tuned.map_err(|cannot| story(&cannot, args))?;
    let view = view(&program, &tuned, seed);
    printer.report(&view)?;
    picture(args, &view)?;
    Ok(Status::Fine)
}

/// The settings that are asked for.
fn chosen(args: &TuneArgs) -> Result<Vec<&'static Setting>, CommandError> {
    let known = |name: &String| SETTINGS.iter().any(|setting| setting.name == *name);
    if let Some(unknown) = args.only.iter().chain(&args.skip).find(|name| !known(name)) {
        let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        return Err(CommandError::Usage {
            what: format!("there is no setting {unknown:?}"),
            hint: format!("there are {}", names.join(", ")),
        });
    }
    let named = |list: &[String], setting: &Setting| list.iter().any(|n| n == setting.name);
    let wanted = |setting: &&Setting| {
        (args.only.is_empty() || named(&args.only, setting)) && !named(&args.skip, setting)
    };
    let settings: Vec<&Setting> = SETTINGS.iter().filter(wanted).collect();
    if settings.is_empty() {
        return Err(CommandError::Usage {
            what: "no setting is left to try".into(),
            hint: "`memshed tune --list` lists them".into(),
        });
    }
    Ok(settings)
}

fn list(settings: &[&'static Setting]) -> TuneList {
    let machine = Machine::look();
    let rows = settings.iter().map(|setting| TuneListRow {
        name: setting.name.into(),
        does: setting.does.into(),
        missing: setting.missing(&machine),
    });
    TuneList::new(rows.collect())
}

/// When a server is ready for load.
fn ready(args: &TuneArgs) -> Result<Option<Ready>, CommandError> {
    let Some(text) = &args.wait_for else {
        let after = args
            .ready_after
            .or(args.load.is_some().then_some(READY_AFTER));
        return Ok(after.map(Ready::After));
    };
    let full = match text.rsplit_once(':') {
        Some(("", port)) => format!("127.0.0.1:{port}"),
        None => format!("127.0.0.1:{text}"),
        Some(_) => text.clone(),
    };
    let address: Option<SocketAddr> = full.to_socket_addrs().ok().and_then(|mut all| all.next());
    match address {
        Some(address) => Ok(Some(Ready::Listening(address))),
        None => Err(CommandError::Usage {
            what: format!("{text:?} is no place to listen on"),
            hint: "give a port, or HOST:PORT".into(),
        }),
    }
}

fn seed() -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed();
    // Readable in JSON by whatever has doubles only.
    now.map_or(1, |now| now.as_micros() as u64) % 1_000_000_007
}

/// Makes sure that there is a folder to write a file to, and that it can be written to.
fn writable(path: &Path) -> Result<(), CommandError> {
    let folder = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    let fail = |error: rustix::io::Errno| OutputError::new(path, error.into());
    if path.is_dir() {
        return Err(fail(rustix::io::Errno::ISDIR).into());
    }
    if folder.is_dir() {
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).map_err(fail)?;
    } else {
        return Err(OutputError::new(path, std::io::ErrorKind::NotFound.into()).into());
    }
    Ok(())
}

fn picture(args: &TuneArgs, view: &TuneView) -> Result<(), CommandError> {
    let broken = |path: &PathBuf, error: PictureError| {
        OutputError::new(path, std::io::Error::other(error.to_string()))
    };
    if let Some(path) = &args.html {
        let html = tune_html(view).map_err(|error| broken(path, error))?;
        crate::printer::write_file(path, html.as_bytes())
            .map_err(|error| OutputError::new(path, error))?;
    }
    if let Some(path) = &args.png {
        let png = tune_png(view).map_err(|error| broken(path, error))?;
        crate::printer::write_file(path, &png).map_err(|error| OutputError::new(path, error))?;
    }
    Ok(())
}

/// What the command is called.
fn name(args: &[std::ffi::OsString]) -> String {
    args.first()
        .map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

/// What a program is called: its script, if there is one.
fn program(command: &[std::ffi::OsString]) -> String {
    let words: Vec<String> = command
        .iter()
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    let own = Path::new(words.first().map_or("", String::as_str)).file_name();
    let own = own.map_or(String::new(), |name| name.to_string_lossy().into_owned());
    match crate::proc::script(&words) {
        script if own.starts_with("python") && !script.is_empty() => script,
        _ => own,
    }
}

/// The same error once more.
fn same(error: &std::io::Error) -> std::io::Error {
    match error.raw_os_error() {
        Some(number) => std::io::Error::from_raw_os_error(number),
        None => std::io::Error::from(error.kind()),
    }
}

fn story(cannot: &Cannot, args: &TuneArgs) -> CommandError {
    match cannot {
        Cannot::AsIs(Failure::Start(error)) => LaunchError::Start {
            command: name(&args.command),
            error: same(error),
        }
        .into(),
        Cannot::AsIs(Failure::Ended { how, tail }) => {
            let said = match tail.as_str() {
                "" => String::new(),
                tail => format!("; at the end it wrote:\n{}", indented(tail)),
            };
            CommandError::Usage {
                what: format!(
                    "{:?} does not work as it is: {how}{said}",
                    name(&args.command)
                ),
                hint: "it has to come to a good end by itself, without input; a server is ended \
                       with --for or --load, a slow program needs a longer --limit"
                    .into(),
            }
        }
        Cannot::Folder(error) => {
            let folder = std::env::temp_dir();
            OutputError::new(&folder, same(error)).into()
        }
    }
}

/// The last lines of a text, indented, harmless to a terminal.
fn indented(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(8));
    let plain = |line: &&str| {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        format!("  {line}")
    };
    last.map(plain).collect::<Vec<_>>().join("\n")
}

fn view(run: &Program, tuned: &Tuned, seed: u64) -> TuneView {
    TuneView::new(&TuneMeasured {
        program: program(&run.command),
        interpreter: tuned.interpreter.map(|interpreter| interpreter.to_string()),
        as_is: tuned.as_is.clone(),
        settings: tuned.tried.iter().map(row).collect(),
        deciding: tuned.fresh,
        runs: tuned.runs,
        seed,
        load: run.load.is_some(),
        broken_off: tuned.broken_off.clone(),
    })
}

fn row(tried: &Tried) -> TuneSetting {
    let setting = tried.setting;
    let (not_tried, fails) = match &tried.fate {
        Fate::Measured => (None, None),
        Fate::Left(why) | Fate::NotApplied(why) => (Some(why.clone()), None),
        Fate::Fails(how, tail) => (None, Some((how.clone(), tail.clone()))),
    };
    TuneSetting {
        name: setting.name.into(),
        does: setting.does.into(),
        not_tried,
        fails,
        first: tried.first.clone(),
        fresh: tried.fresh.clone(),
        questions: tried.questions.clone(),
        frozen: tried.frozen.clone(),
        environment: setting.lasting_environment(),
        python: setting.lasting_python(),
        place: setting.place(),
        package: setting.package().map(str::to_string),
        mishaps: tried.mishaps.clone(),
    }
}
