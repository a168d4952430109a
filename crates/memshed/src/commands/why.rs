//! `memshed why`: what holds something in memory, and what would be freed without that.

use super::Status;
use crate::cli::WhyArgs;
use crate::error::CommandError;
use crate::look::Progress;
use crate::obtain;
use crate::printer::Printer;
use crate::target::{self, Target};
use memshed_analysis::what::{self, NotFound};
use memshed_analysis::{Dominators, Graph};
use memshed_report::{WhyRequest, WhyView};

/// Looks, finds what was asked for, and says why it is there.
pub fn run(args: &WhyArgs, printer: &Printer) -> Result<Status, CommandError> {
    let target = target::find(&args.target)?;
    if args.what.trim().is_empty() {
        return Err(not_found(&NotFound::Empty, args, &target));
    }
    let heap = obtain::found(&target, &args.look, true, printer)?;
    let stages = printer.stages();
    stages.stage("finding out what holds what");
    let found = what::find(&heap, &args.what).map_err(|error| not_found(&error, args, &target))?;
    let graph = Graph::new(&heap).ok_or_else(|| not_found(&NotFound::NoEdges, args, &target))?;
    let dominators = Dominators::new(&graph);
    let request = WhyRequest {
        top: args.top,
        target: args.target.to_string_lossy().into_owned(),
    };
    let view = WhyView::new(&graph, &dominators, &found, &request);
    drop(stages);
    printer.report(&view)?;
    Ok(Status::Fine)
}

/// Examples of what can be asked for.
const EXAMPLES: &str =
    "ask for a way from a module (app.CACHE), a type (app.Session) or an address (0x7f…)";

/// The error for what was not found, and what is called similarly.
fn not_found(error: &NotFound, args: &WhyArgs, target: &Target) -> CommandError {
    let what = args.what.trim();
    let inspect = format!(
        "`memshed inspect {} --top 0` lists all types",
        args.target.to_string_lossy()
    );
    let similar = |names: &[String]| match names {
        [] => format!("{inspect}; {EXAMPLES}"),
        names => format!("did you mean {}?", names.join(", ")),
    };
    let (what, hint) = match error {
        NotFound::Empty => ("nothing was asked for".to_owned(), EXAMPLES.to_owned()),
        NotFound::NoEdges => (
            match target {
                Target::Snapshot(path) => format!("{} holds no references", path.display()),
                Target::Process(pid) => {
                    format!("process {pid} has more references than memshed can keep in mind")
                }
            },
            "`memshed snapshot TARGET -o NAME` takes a snapshot that has them".to_owned(),
        ),
        NotFound::NotAnAddress => (
            format!("{what:?} is not an address"),
            "an address is hexadecimal, such as 0x7f3a5c001200".to_owned(),
        ),
        NotFound::NoObjectAt { address, inside } => match inside {
            Some((start, kind)) => (
                format!("{address:#x} is not an object, but lies in the memory of a {kind}"),
                format!("ask for that: {start:#x}"),
            ),
            None => (
                format!("there is no object at {address:#x}"),
                "an object's address may have changed since: addresses are good for one process \
                 or one snapshot only"
                    .to_owned(),
            ),
        },
        NotFound::Ambiguous(names) => (
            format!("{} types are called {what:?}", names.len()),
            format!("name one in full: {}", some(names)),
        ),
        NotFound::NoObjectsOf(name) => (
            format!("there is no object of type {name}"),
            format!("`object:{name}` asks for the class itself"),
        ),
        NotFound::NoSuchStep {
            until,
            step,
            closest,
        } => (
            format!("{until} has no {step}"),
            match closest.as_slice() {
                [] => format!("ask for {until}: it shows what it is; {EXAMPLES}"),
                names => format!("did you mean {}?", some(names)),
            },
        ),
        NotFound::Unknown { closest } => (
            format!("nothing in it is called {what:?}"),
            similar(closest),
        ),
    };
    CommandError::Usage { what, hint }
}

/// A few of `names`.
fn some(names: &[String]) -> String {
    const SOME: usize = 6;
    match names.len() {
        0..=SOME => names.join(", "),
        n => format!("{} and {} more", names[..SOME].join(", "), n - SOME),
    }
}
