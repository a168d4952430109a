//! `cargo xtask accept`: measures what an issue promises, row by row.
//!
//! A row that could not be measured says so and counts as not passed. Oracles are the targets'
//! own words (what Python code inside the target reports of itself), never memshed.

mod after_effects;
pub mod answers;
mod bad_input;
mod builds;
mod busy;
pub mod child;
mod edges;
mod every_edge;
mod explain;
pub mod ground;
mod harm;
pub mod load;
pub mod look;
mod objects;
mod pools;
mod real;
mod refused;
pub mod release;
mod see;
mod speed;
mod stop;
mod table;
pub mod venv;
pub mod watch;

use anyhow::Result;
use ground::Ground;
use std::process::ExitCode;
use table::Finding;

/// Arguments of `cargo xtask accept`.
#[derive(clap::Args)]
pub struct Args {
    /// What to accept.
    #[arg(value_enum)]
    what: What,
    /// Only these rows.
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// Only interpreters whose version begins so, such as 3.12.
    #[arg(long = "python", value_name = "VERSION")]
    pythons: Vec<String>,
    /// Smaller counts and heaps; ends within four minutes.
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// The issue "First light".
    FirstLight,
    /// The issue "See everything".
    See,
    /// The issue "Explain".
    Explain,
    /// The issue "Release and tune".
    Release,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::FirstLight => "first-light",
            What::See => "see",
            What::Explain => "explain",
            What::Release => "release",
        }
    }

    fn rows(self) -> &'static [Row] {
        match self {
            What::FirstLight => FIRST_LIGHT,
            What::See => SEE,
            What::Explain => EXPLAIN,
            What::Release => RELEASE,
        }
    }
}

/// A row of the table: its name, and how it is measured.
type Row = (&'static str, fn(&Ground) -> Result<Vec<Finding>>);

const FIRST_LIGHT: &[Row] = &[
    ("objects", objects::measure),
    ("edges", edges::measure),
    ("pools", pools::measure),
    ("busy", busy::measure),
    ("harm", harm::measure),
    ("after-effects", after_effects::measure),
    ("stop", stop::measure),
    ("speed", speed::measure),
    ("real", real::measure),
    ("bad-input", bad_input::measure),
];

const SEE: &[Row] = &[
    ("objects", objects::measure),
    ("builds", builds::builds),
    ("refused", refused::refused),
    ("blocks", see::blocks::measure),
    ("edges", every_edge::measure),
    ("account", see::account::measure),
    ("caches", see::caches::measure),
    ("robustness", see::robustness::measure),
    ("speed", speed::measure),
];

const EXPLAIN: &[Row] = &[
    ("leaks-attach", explain::leaks::attach),
    ("leaks-launch", explain::leaks::launch),
    ("steady", explain::steady::measure),
    ("planted", explain::planted::measure),
    ("dominators", explain::dominators::measure),
    ("garbage", explain::garbage::measure),
    ("audit", explain::audit::measure),
    ("speed", explain::speed::measure),
    ("bad-input", explain::bad_input::measure),
];

const RELEASE: &[Row] = &[
    ("fragment", release::fragment::measure),
    ("afterwards", release::afterwards::measure),
    ("stops", release::stops::measure),
    ("safety", release::safety::measure),
    ("killed", release::killed::measure),
    ("stays", release::stays::measure),
    ("tune", release::tune::measure),
    ("advise", release::advise::measure),
    ("bad-input", release::bad_input::measure),
];

/// Runs the verb: 0 if every row passed, 1 if one did not.
pub fn run(args: Args) -> Result<ExitCode> {
    let rows = args.what.rows();
    for name in &args.rows {
        if !rows.iter().any(|(row, _)| row == name) {
            let names: Vec<_> = rows.iter().map(|(row, _)| *row).collect();
            anyhow::bail!("no row {name}; there are {}", names.join(", "));
        }
    }
    let ground = Ground::prepare(args.quick, &args.pythons)?;
    let mut findings = Vec::new();
    for (name, measure) in rows {
        if !args.rows.is_empty() && !args.rows.iter().any(|row| row == name) {
            continue;
        }
        eprintln!("accept: {name} …");
        let began = std::time::Instant::now();
        let measured = measure(&ground).unwrap_or_else(|error| {
            vec![Finding::not_measured(name, "", "", format!("{error:#}"))]
        });
        for finding in &measured {
            eprintln!("  {}", finding.line());
        }
        eprintln!("accept: {name} took {:.0} s", began.elapsed().as_secs_f64());
        findings.extend(measured);
    }
    print!("{}", table::text(&findings));
    table::write_json(&ground, args.what.name(), &findings)?;
    let passed = findings.iter().all(Finding::passed);
    Ok(ExitCode::from(u8::from(!passed)))
}
