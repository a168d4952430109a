//! `memshed ps`: the Python processes of a machine.

use crate::page::{Column, Page, Report, harmless};
use crate::units::{bytes, duration};
use serde::Serialize;

/// A Python process.
#[derive(Clone, Debug, Serialize)]
pub struct PsRow {
    /// Its process id.
    pub pid: i32,
    /// Version and build, such as `3.12.1`; empty if it could not be told.
    pub python: String,
    /// Resident bytes.
    pub rss_bytes: u64,
    /// Seconds since it started.
    pub uptime_seconds: f64,
    /// Who runs it.
    pub user: String,
    /// The script or module it runs, or its command line's best approximation.
    pub script: String,
    /// Whether memshed can look at it.
    pub can_look: bool,
    /// Why not, in words.
    pub why_not: Option<String>,
}

/// All of them, largest first.
#[derive(Clone, Debug, Default)]
pub struct PsView {
    /// The processes.
    pub processes: Vec<PsRow>,
}

impl PsView {
    /// A view of `processes`, sorted by resident size.
    pub fn new(mut processes: Vec<PsRow>) -> PsView {
        processes.sort_by_key(|p| (std::cmp::Reverse(p.rss_bytes), p.pid));
        PsView { processes }
    }
}

impl Report for PsView {
    fn text(&self, page: &Page) -> String {
        if self.processes.is_empty() {
            return "No Python process found.\n".into();
        }
        let columns = [
            ("PID", Column::Right),
            ("PYTHON", Column::Left),
            ("RESIDENT", Column::Right),
            ("UP", Column::Right),
            ("USER", Column::Left),
            ("SCRIPT", Column::Left),
            ("LOOK", Column::Remark),
        ];
        let row = |p: &PsRow| {
            vec![
                p.pid.to_string(),
                harmless(&p.python),
                bytes(p.rss_bytes),
                duration(p.uptime_seconds),
                harmless(&p.user),
                crate::page::shorten(&harmless(&p.script), 40),
                match &p.why_not {
                    None => "yes".to_string(),
                    Some(why) => format!("no: {}", harmless(why)),
                },
            ]
        };
        page.table(&columns, self.processes.iter().map(row).collect())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "schema": 1, "processes": self.processes })
    }
}
