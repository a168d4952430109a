//! What `memshed tune --list` shows: the settings, and which of them this machine has.

use crate::page::{Column, Page, Report};
use serde::Serialize;

/// The settings.
#[derive(Clone, Debug, Serialize)]
pub struct TuneList {
    schema: u32,
    settings: Vec<TuneListRow>,
}

/// A setting.
#[derive(Clone, Debug, Serialize)]
pub struct TuneListRow {
    /// Its name.
    pub name: String,
    /// What it does.
    pub does: String,
    /// What this machine lacks for it.
    pub missing: Option<String>,
}

impl TuneList {
    /// A list of these.
    #[must_use]
    pub fn new(settings: Vec<TuneListRow>) -> TuneList {
        TuneList {
            schema: crate::json::SCHEMA,
            settings,
        }
    }
}

impl Report for TuneList {
    fn text(&self, page: &Page) -> String {
        let columns = [
            ("SETTING", Column::Left),
            ("HERE", Column::Left),
            ("WHAT IT DOES, OR WHAT IS MISSING", Column::Remark),
        ];
        let row = |setting: &TuneListRow| {
            let here = if setting.missing.is_some() {
                "no"
            } else {
                "yes"
            };
            let says = setting.missing.as_ref().unwrap_or(&setting.does);
            vec![setting.name.clone(), here.into(), says.clone()]
        };
        page.table(&columns, self.settings.iter().map(row).collect())
    }

    fn json(&self) -> serde_json::Value {
        // Plain structs of strings cannot fail to serialize.
        serde_json::to_value(self).unwrap_or_default()
    }
}
