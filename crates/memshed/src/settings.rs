//! Settings: the command line and the environment, resolved once. Nothing else reads the
//! environment.

use crate::cli::{Color, Format, GlobalOptions};
use anstream::ColorChoice;
use memshed_report::Page;
use std::io::IsTerminal;
use std::path::PathBuf;

/// What every command needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How results are written.
    pub format: Format,
    /// Where to, if not to standard output.
    pub output: Option<PathBuf>,
    /// Colours of standard output.
    pub color: ColorChoice,
    /// Colours of standard error.
    pub error_color: ColorChoice,
    /// The page that text is laid out for.
    pub page: Page,
    /// Whether to say more on standard error.
    pub verbose: bool,
    /// Whether somebody watches standard error.
    pub watched: bool,
    /// Where programs are looked for (`PATH`), and the virtual environment, for hints.
    pub virtual_env: Option<PathBuf>,
}

impl Settings {
    /// Settings for this command line in this environment.
    pub fn resolve(options: &GlobalOptions) -> Settings {
        let color = match options.color {
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
            Color::Auto if options.output.is_some() => ColorChoice::Never,
            // Honours NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM=dumb.
            Color::Auto => anstream::AutoStream::choice(&std::io::stdout()),
        };
        let error_color = match options.color {
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
            Color::Auto => anstream::AutoStream::choice(&std::io::stderr()),
        };
        Settings {
            format: options.format,
            output: options.output.clone(),
            color,
            error_color,
            page: Page {
                width: width(options.output.is_some()),
                unicode: unicode(),
            },
            verbose: options.verbose,
            watched: std::io::stderr().is_terminal(),
            virtual_env: std::env::var_os("VIRTUAL_ENV").map(PathBuf::from),
        }
    }
}

/// Columns: of the terminal; elsewhere `COLUMNS` if it is set, or 100.
fn width(to_file: bool) -> usize {
    const ELSEWHERE: usize = 100;
    let terminal = match to_file {
        true => None,
        false => terminal_size::terminal_size_of(std::io::stdout()),
    };
    let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    match terminal {
        Some((terminal_size::Width(columns), _)) if columns > 0 => usize::from(columns),
        _ => columns.unwrap_or(ELSEWHERE),
    }
    .clamp(40, 400)
}

/// Whether the locale can show more than ASCII. One that is not set is taken for UTF-8, as
/// containers leave it unset and today's terminals are.
fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    match locale {
        None => true,
        Some(locale) => {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
    }
}
