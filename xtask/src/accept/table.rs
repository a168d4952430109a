//! Findings and the table that shows them.

use super::ground::Ground;
use anyhow::Result;
use serde::Serialize;

/// How a measurement came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Within its target.
    Pass,
    /// Not within its target.
    Fail,
    /// Not measured, which is no pass.
    NotMeasured,
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The row of the table.
    pub row: String,
    /// On which interpreter, program or heap.
    pub on: String,
    /// What was to be shown.
    pub target: String,
    /// What was measured.
    pub measured: String,
    /// Whether it was shown.
    pub verdict: Verdict,
}

impl Finding {
    /// A measurement that passes or fails.
    pub fn new(
        row: &str,
        on: impl Into<String>,
        target: impl Into<String>,
        measured: impl Into<String>,
        good: bool,
    ) -> Self {
        let verdict = if good { Verdict::Pass } else { Verdict::Fail };
        Finding {
            row: row.into(),
            on: on.into(),
            target: target.into(),
            measured: measured.into(),
            verdict,
        }
    }

    /// A measurement that could not be made, and why.
    pub fn not_measured(
        row: &str,
        on: impl Into<String>,
        target: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Finding {
            row: row.into(),
            on: on.into(),
            target: target.into(),
            measured: why.into(),
            verdict: Verdict::NotMeasured,
        }
    }

    /// Whether it was shown.
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Pass
    }

    /// The finding in one line.
    pub fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::NotMeasured => "NOT MEASURED",
        };
        format!(
            "{} | {} | {} | {} | {verdict}",
            self.row,
            self.on,
            self.target,
            self.measured.replace('\n', "; ")
        )
    }
}

/// All findings as a Markdown table with a closing line.
pub fn text(findings: &[Finding]) -> String {
    let mut out = String::from("| row | on | target | measured | |\n|---|---|---|---|---|\n");
    for finding in findings {
        out += &format!("| {} |\n", finding.line());
    }
    let passed = findings.iter().filter(|finding| finding.passed()).count();
    out + &format!("{passed} of {} measurements passed\n", findings.len())
}

/// Writes `target/acceptance/WHAT.json`.
pub fn write_json(ground: &Ground, what: &str, findings: &[Finding]) -> Result<()> {
    let directory = ground.root.join("target/acceptance");
    let path = directory.join(format!("{what}.json"));
    std::fs::create_dir_all(path.parent().unwrap_or(&ground.root))?;
    let whole = serde_json::json!({ "quick": ground.quick, "findings": findings });
    Ok(std::fs::write(path, serde_json::to_string_pretty(&whole)?)?)
}
