//! Rows "leaks-attach" and "leaks-launch": the cases of `benches/leaks`, scored by the script
//! beside them.

use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use anyhow::{Context, Result, bail, ensure};
use std::process::{Command, Stdio};

const FIRST_THREE: &str = "≥ 27 of 31 cases named among the first three findings";
const FIRST: &str = "≥ 23 of 31 named by the first";
const CONTROLS: &str = "both controls silent";
const FEW: &str = "≤ 1.5 findings of a leaking kind per case";

/// Without packages of others, and short.
const QUICK: [&str; 5] = ["29", "60", "66", "70", "93"];

/// memshed is given the process id of the running case.
pub fn attach(ground: &Ground) -> Result<Vec<Finding>> {
    measure(ground, "leaks-attach", "attach")
}

/// memshed starts the case.
pub fn launch(ground: &Ground) -> Result<Vec<Finding>> {
    measure(ground, "leaks-launch", "launch")
}

fn measure(ground: &Ground, row: &str, mode: &str) -> Result<Vec<Finding>> {
    let mut score = Command::new("python3");
    score
        .args(["-B", "-u"])
        .arg(ground.root.join("benches/leaks/score.py"))
        .arg("--memshed")
        .arg(&ground.memshed)
        .args(["--mode", mode])
        .stdin(Stdio::null());
    if ground.quick {
        score.args(QUICK);
    }
    // Its own words go where a person sees them; what pip says is among them.
    let done = score.stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    // Status 1 says no more than that a case was missed.
    ensure!(
        matches!(done.status.code(), Some(0 | 1)),
        "score.py: {}",
        done.status
    );
    for line in said.lines() {
        eprintln!("    {line}");
    }
    let on = if ground.quick {
        "a few cases"
    } else {
        "all cases"
    };
    judge(row, on, &read(&said)?)
}

/// One line of the script's.
#[derive(Debug, PartialEq, Eq)]
struct Case<'a> {
    name: &'a str,
    place: Place,
    said: &'a str,
}

/// Where the right finding was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    First,
    Three,
    Miss,
}

/// What the script prints: its cases, and its count of leaking findings per case.
struct Score<'a> {
    cases: Vec<Case<'a>>,
    leaking: f64,
}

/// Reads lines of "PLACE  CASE  WORDS" and the last one, which ends in a number.
fn read(said: &str) -> Result<Score<'_>> {
    let (mut cases, mut leaking) = (Vec::new(), None);
    for line in said.lines() {
        let mut parts = line.splitn(3, "  ");
        let place = match parts.next() {
            Some("top1") => Place::First,
            Some("top3") => Place::Three,
            Some("miss") => Place::Miss,
            _ => {
                let last = line.rsplit(' ').next().and_then(|word| word.parse().ok());
                leaking = last.filter(|_| line.contains("findings of a leaking kind"));
                continue;
            }
        };
        let name = parts.next().context("a case without a name")?;
        cases.push(Case {
            name,
            place,
            said: parts.next().unwrap_or_default(),
        });
    }
    if cases.is_empty() {
        bail!("score.py named no case: {said}");
    }
    Ok(Score {
        cases,
        leaking: leaking.context("score.py did not end with its counts")?,
    })
}

fn judge(row: &str, on: &str, score: &Score<'_>) -> Result<Vec<Finding>> {
    let cases = &score.cases;
    let all = cases.len();
    let first = cases.iter().filter(|case| case.place == Place::First);
    let first = first.count();
    let missed: Vec<_> = cases
        .iter()
        .filter(|case| case.place == Place::Miss)
        .collect();
    let three = all - missed.len();
    let controls: Vec<_> = cases.iter().filter(|case| is_control(case)).collect();
    let loud: Vec<_> = controls
        .iter()
        .filter(|case| case.place == Place::Miss)
        .map(|case| told(case))
        .collect();
    let misses: Vec<_> = missed.iter().map(|case| told(case)).collect();
    // Of fewer cases, in proportion.
    let demanded = |of_31: usize| (of_31 * all).div_ceil(31);
    Ok(vec![
        Finding::new(
            row,
            on,
            FIRST_THREE,
            format!("{three} of {all}; missed: {}", misses.join(" | ")),
            three >= demanded(27),
        ),
        Finding::new(
            row,
            on,
            FIRST,
            format!("{first} of {all}"),
            first >= demanded(23),
        ),
        Finding::new(
            row,
            on,
            CONTROLS,
            format!(
                "{} of {} silent {}",
                controls.len() - loud.len(),
                controls.len(),
                loud.join(" | ")
            ),
            loud.is_empty() && !controls.is_empty(),
        ),
        Finding::new(
            row,
            on,
            FEW,
            format!("{:.1}", score.leaking),
            score.leaking <= 1.5,
        ),
    ])
}

fn is_control(case: &Case) -> bool {
    case.name.contains("-ctl-")
}

fn told(case: &Case) -> String {
    format!("{} ({})", case.name, case.said)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "top1  01-a  growth: x holds\n\
        miss  02-b  \n\
        top3  03-c  native: y; growth: z\n\
        top1  91-ctl-d  no leak\n\
        attach: top1 2/4 (50 %), top3 3/4 (75 %), findings of a leaking kind per case 1.2\n";

    #[test]
    fn a_score_is_read() {
        let score = read(SAID).expect("it is whole");
        let places: Vec<_> = score.cases.iter().map(|case| case.place).collect();
        assert_eq!(
            places,
            [Place::First, Place::Miss, Place::Three, Place::First]
        );
        assert_eq!(score.cases[2].said, "native: y; growth: z");
        assert_eq!(score.leaking, 1.2);
    }

    #[test]
    fn a_score_without_its_end_is_refused() {
        assert!(read("top1  01-a  growth: x\n").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn a_loud_control_fails_its_target() {
        let loud = SAID.replace("top1  91-ctl-d  no leak", "miss  91-ctl-d  growth: POOL");
        let failed = |said: &str| -> Vec<bool> {
            let score = read(said).expect("it is whole");
            let found = judge("row", "all", &score).expect("it is judged");
            found.iter().map(|one| !one.passed()).collect()
        };
        assert_eq!(failed(SAID), [true, true, false, false]);
        assert_eq!(failed(&loud), [true, true, true, false]);
    }
}
