//! `memshed doctor`: what works on this machine and for a process, and what to change.

use crate::page::{BAD, BOLD, GOOD, Page, Report, WARN, harmless, styled};
use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// Works, but not as well as it could.
    Warn,
    /// Does not work.
    Fail,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// A short stable name, such as `ptrace_scope`.
    pub name: String,
    /// How it ended.
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// The exact command or setting that changes it.
    pub hint: Option<String>,
}

impl Check {
    /// A check that found all well.
    pub fn ok(name: &str, detail: impl Into<String>) -> Check {
        Check::new(name, CheckStatus::Ok, detail, None)
    }

    /// A check that found something that could be better.
    pub fn warn(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Check {
        Check::new(name, CheckStatus::Warn, detail, Some(hint.into()))
    }

    /// A check that found something in the way.
    pub fn fail(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Check {
        Check::new(name, CheckStatus::Fail, detail, Some(hint.into()))
    }

    fn new(
        name: &str,
        status: CheckStatus,
        detail: impl Into<String>,
        hint: Option<String>,
    ) -> Check {
        Check {
            name: name.into(),
            status,
            detail: detail.into(),
            hint,
        }
    }
}

/// All checks of one visit.
#[derive(Clone, Debug)]
pub struct DoctorView {
    /// The process that was checked, if one was asked for.
    pub pid: Option<i32>,
    /// Whether memshed can look at it; without a process: at the caller's own processes.
    pub can_look: bool,
    /// The checks of the machine, then those of the process.
    pub checks: Vec<Check>,
}

impl DoctorView {
    /// A view of `checks`; a failed one means that memshed cannot look.
    pub fn new(pid: Option<i32>, checks: Vec<Check>) -> DoctorView {
        DoctorView {
            pid,
            can_look: checks.iter().all(|c| c.status != CheckStatus::Fail),
            checks,
        }
    }

    fn verdict(&self) -> String {
        let what = match self.pid {
            Some(pid) => format!("process {pid}"),
            None => "Python processes of this user".to_string(),
        };
        match (
            self.can_look,
            self.checks.iter().any(|c| c.status == CheckStatus::Warn),
        ) {
            (true, false) => format!("memshed can look at {what}."),
            (true, true) => {
                format!("memshed can look at {what}; the warnings say what could be better.")
            }
            (false, _) => format!("memshed cannot look at {what}; the hints say what to change."),
        }
    }
}

impl Report for DoctorView {
    fn text(&self, page: &Page) -> String {
        let mut out = styled(BOLD, &page.wrap(&self.verdict(), 0));
        out.push_str("\n\n");
        let name_width = self.checks.iter().map(|c| c.name.len()).max().unwrap_or(0);
        for check in &self.checks {
            let (style, word) = match check.status {
                CheckStatus::Ok => (GOOD, "ok  "),
                CheckStatus::Warn => (WARN, "warn"),
                CheckStatus::Fail => (BAD, "fail"),
            };
            let indent = name_width + 8;
            let line = format!("{:name_width$}  {}", check.name, harmless(&check.detail));
            // The status word stands before the wrapped text: its width is not counted twice.
            let wrapped = page.wrap(&format!("xxxx  {line}"), indent);
            out.push_str(&styled(style, word));
            out.push_str(&wrapped[4..]);
            out.push('\n');
            if let Some(hint) = &check.hint {
                let hint = format!("{:indent$}hint: {}", "", harmless(hint));
                out.push_str(&wrap_indented(page, &hint, indent));
                out.push('\n');
            }
        }
        out
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": 1,
            "pid": self.pid,
            "can_look": self.can_look,
            "checks": self.checks,
        })
    }
}

/// Wraps a line that already begins with `indent` blanks.
fn wrap_indented(page: &Page, line: &str, indent: usize) -> String {
    let narrower = Page {
        width: page.width.saturating_sub(indent),
        ..*page
    };
    let blanks = " ".repeat(indent);
    let wrapped = narrower.wrap(line.trim_start(), 6);
    let lines: Vec<String> = wrapped.lines().map(|l| format!("{blanks}{l}")).collect();
    lines.join("\n")
}
