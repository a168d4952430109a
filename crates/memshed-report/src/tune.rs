//! What `memshed tune` shows: a program under settings, side by side.

use crate::page::{Page, Report};
use crate::tune_text;
use memshed_analysis::tune::{
    ERROR, Effect, Figures, Metric, Pair, Question, SCREENING, Spread, effect,
};
use serde::Serialize;

/// A gain in processor time, time or memory is called little unless it is surely more than this.
const LITTLE: f64 = 0.1;
/// It is called much if it is surely more than this.
const MUCH: f64 = 0.25;
/// What a setting gains must be so many times what it costs for it to be recommended.
const WORTH: f64 = 3.0;
/// The most that a simpler setting may be behind and still be recommended instead, as a share of
/// the gain.
const AS_GOOD: f64 = 0.95;

/// What was measured, and what it means.
#[derive(Clone, Debug, Serialize)]
pub struct TuneView {
    /// The number of the JSON's shape.
    schema: u32,
    /// The program's name.
    pub program: String,
    /// What it runs on, such as `CPython 3.12`; `None` if no Python was seen.
    pub interpreter: Option<String>,
    /// How much there is to gain.
    pub gain: Gain,
    /// The setting to choose: the one that gains most, if what it gains is worth what it costs.
    pub recommended: Option<String>,
    /// The program as it is: how its figures spread over all rounds.
    pub as_is: Vec<FigureRow>,
    /// The settings, in the order of the table.
    pub settings: Vec<SettingRow>,
    /// How it was measured.
    pub rounds: Rounds,
    /// Whether the load took the same time in every run: it is given a time, as it seems, and not
    /// an amount of work, so that processor time cannot be compared.
    pub timed_load: bool,
    /// Why there were no more rounds, if the program failed as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_off: Option<String>,
}

/// How much there is to gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gain {
    /// Nothing is really better.
    None,
    /// Not surely more than a tenth of anything but pauses, with 95 % confidence.
    Little,
    /// Surely more than a tenth of something, but not surely more than a quarter.
    Some,
    /// Surely more than a quarter of something.
    Much,
}

/// How it was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rounds {
    /// Rounds that chose what is worth a test.
    pub choosing: usize,
    /// New rounds, on which alone the test is made.
    pub deciding: usize,
    /// Runs in all, a first one included.
    pub runs: usize,
    /// The chance that anything is called better though nothing is, at most.
    pub chance_of_error: f64,
    /// Where the order of the runs came from.
    pub seed: u64,
}

/// A figure and its spread.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FigureRow {
    /// Which: seconds of processor time, of the clock, of a pause; bytes of memory.
    #[serde(serialize_with = "metric_name")]
    pub metric: Metric,
    /// The middle one.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

/// What became of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Really better in something, worse in nothing.
    Better,
    /// Really better in something, worse in something else.
    TradeOff,
    /// Not really better in anything.
    NoBetter,
    /// Better in nothing, worse in something.
    Worse,
    /// The program fails under it.
    Fails,
    /// It could not be applied, or was not tried.
    NotTried,
}

/// A setting and how it fared.
#[derive(Clone, Debug, Serialize)]
pub struct SettingRow {
    /// Its name.
    pub name: String,
    /// What it does.
    pub does: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why it was not tried, or how the program fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The end of what the failing program wrote to standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Rounds behind `changes`: those that decided if it was chosen, else those that chose.
    pub rounds: usize,
    /// Whether it was chosen for the test.
    pub tested: bool,
    /// How single runs failed, which a second one did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mishaps: Vec<String>,
    /// How its figures spread over all rounds.
    pub figures: Vec<FigureRow>,
    /// By how much it changes them.
    pub changes: Vec<ChangeRow>,
    /// When start-up was over for it, in seconds in the middle, where that matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub froze_after: Option<f64>,
    /// The environment that makes it last.
    pub environment: Vec<(String, String)>,
    /// The lines of Python that make it last.
    pub python: Vec<String>,
    /// Where these belong.
    pub place: String,
    /// The package that it needs, on Debian.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// By how much a setting changes a figure.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ChangeRow {
    /// Which figure.
    #[serde(serialize_with = "metric_name")]
    pub metric: Metric,
    /// As a multiple of what it is without the setting.
    pub ratio: f64,
    /// Where the ratio lies with 95 % confidence.
    pub ratio_low: f64,
    /// See `ratio_low`.
    pub ratio_high: f64,
    /// The chance of rounds like these if the gain were less than the least that counts.
    pub p: f64,
    /// Whether it is really better, by the test.
    pub better: bool,
    /// Whether it is taken for worse.
    pub worse: bool,
    /// Whether it looked better, and the rounds did not decide.
    pub undecided: bool,
}

/// A setting as it was measured, for the view.
#[derive(Clone, Debug, Default)]
pub struct TuneSetting {
    /// Its name.
    pub name: String,
    /// What it does.
    pub does: String,
    /// Why it was not tried or could not be applied.
    pub not_tried: Option<String>,
    /// How the program fails under it, and the end of what it said.
    pub fails: Option<(String, String)>,
    /// The rounds that chose.
    pub first: Vec<Pair>,
    /// The rounds that decided.
    pub fresh: Vec<Pair>,
    /// What was asked of these, and whether the answer is yes; `None` if they did not decide.
    pub questions: Vec<(Question, Option<bool>)>,
    /// How single runs failed, which a second one did not.
    pub mishaps: Vec<String>,
    /// When start-up was over.
    pub frozen: Vec<f64>,
    /// See [`SettingRow`].
    pub environment: Vec<(String, String)>,
    /// See [`SettingRow`].
    pub python: Vec<String>,
    /// See [`SettingRow`].
    pub place: String,
    /// See [`SettingRow`].
    pub package: Option<String>,
}

/// What was measured, for the view.
#[derive(Clone, Debug, Default)]
pub struct TuneMeasured {
    /// See [`TuneView`].
    pub program: String,
    /// See [`TuneView`].
    pub interpreter: Option<String>,
    /// The program as it is, in all rounds.
    pub as_is: Vec<Figures>,
    /// The settings.
    pub settings: Vec<TuneSetting>,
    /// Deciding rounds.
    pub deciding: usize,
    /// Runs in all.
    pub runs: usize,
    /// Where the order of the runs came from.
    pub seed: u64,
    /// Whether the runs were as long as a load.
    pub load: bool,
    /// See [`TuneView`].
    pub broken_off: Option<String>,
}

/// A metric in JSON.
pub(crate) fn key(metric: Metric) -> &'static str {
    match metric {
        Metric::Cpu => "cpu",
        Metric::Wall => "wall",
        Metric::Peak => "peak",
        Metric::Settled => "settled",
        Metric::Pause => "pause",
    }
}

fn metric_name<S: serde::Serializer>(metric: &Metric, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(key(*metric))
}

impl TuneView {
    /// What these measurements mean.
    #[must_use]
    pub fn new(measured: &TuneMeasured) -> TuneView {
        let settings: Vec<SettingRow> = measured.settings.iter().map(row).collect();
        let recommended = recommended(&settings).map(|setting| setting.name.clone());
        TuneView {
            schema: crate::json::SCHEMA,
            program: measured.program.clone(),
            interpreter: measured.interpreter.clone(),
            gain: gain(&settings),
            recommended,
            as_is: figures(&measured.as_is),
            settings,
            rounds: Rounds {
                choosing: SCREENING,
                deciding: measured.deciding,
                runs: measured.runs,
                chance_of_error: ERROR,
                seed: measured.seed,
            },
            timed_load: measured.load && is_timed(measured),
            broken_off: measured.broken_off.clone(),
        }
    }

    /// The setting of this name.
    pub(crate) fn setting(&self, name: &str) -> Option<&SettingRow> {
        self.settings.iter().find(|setting| setting.name == name)
    }
}

impl SettingRow {
    /// By how much it changes a figure.
    pub(crate) fn change(&self, metric: Metric) -> Option<&ChangeRow> {
        self.changes.iter().find(|change| change.metric == metric)
    }

    /// How a figure spreads under it.
    pub(crate) fn figure(&self, metric: Metric) -> Option<&FigureRow> {
        figure(&self.figures, metric)
    }

    /// How much it gains where it is really better, all things together, less what it costs where
    /// it is worse; nothing if that is not worth it.
    fn score(&self) -> f64 {
        let weighed = |change: &ChangeRow| {
            let weight = match change.metric {
                Metric::Cpu | Metric::Settled => 1.0,
                Metric::Wall | Metric::Peak => 0.5,
                Metric::Pause => 0.05,
            };
            weight * change.ratio.max(1e-3).ln()
        };
        let better = self.changes.iter().filter(|change| change.better);
        let worse = self.changes.iter().filter(|change| change.worse);
        let gain = -better.map(weighed).sum::<f64>();
        let price = worse.map(weighed).sum::<f64>();
        match gain >= price * WORTH {
            true => gain - price,
            false => 0.0,
        }
    }
}

/// One of several figures.
pub(crate) fn figure(rows: &[FigureRow], metric: Metric) -> Option<&FigureRow> {
    rows.iter().find(|row| row.metric == metric)
}

/// Whether all runs took the same time, of whole seconds.
fn is_timed(measured: &TuneMeasured) -> bool {
    let tried = measured.settings.iter();
    let tried = tried.flat_map(|setting| setting.first.iter().chain(&setting.fresh));
    let runs = measured.as_is.iter().chain(tried.map(|(_, run)| run));
    let Some(Spread { median, low, high }) = Spread::metric(runs, Metric::Wall) else {
        return false;
    };
    median > 0.9 && (high - low) < 0.01 * median && (median - median.round()).abs() < 0.02 * median
}

/// The setting to choose: the one that gains most; an earlier one where it is about as good.
fn recommended(settings: &[SettingRow]) -> Option<&SettingRow> {
    let better = |setting: &&SettingRow| {
        matches!(setting.verdict, Verdict::Better | Verdict::TradeOff) && setting.score() > 0.0
    };
    let most = settings.iter().filter(better).map(SettingRow::score);
    let most = most.fold(0.0, f64::max);
    let mut better = settings.iter().filter(better);
    better.find(|setting| setting.score() >= most * AS_GOOD)
}

fn gain(settings: &[SettingRow]) -> Gain {
    let better = settings.iter().flat_map(|setting| &setting.changes);
    let better: Vec<&ChangeRow> = better.filter(|change| change.better).collect();
    let counts = |change: &&&ChangeRow| change.metric != Metric::Pause;
    let best = better.iter().filter(counts).map(|change| change.ratio_high);
    match best.fold(1.0, f64::min) {
        _ if better.is_empty() => Gain::None,
        ratio if ratio > 1.0 - LITTLE => Gain::Little,
        ratio if ratio > 1.0 - MUCH => Gain::Some,
        _ => Gain::Much,
    }
}

fn figures(runs: &[Figures]) -> Vec<FigureRow> {
    let rows = Metric::ALL.into_iter().filter_map(|metric| {
        let Spread { median, low, high } = Spread::metric(runs, metric)?;
        Some(FigureRow {
            metric,
            median,
            low,
            high,
        })
    });
    rows.collect()
}

fn row(setting: &TuneSetting) -> SettingRow {
    let tested = !setting.fresh.is_empty();
    let judged = if tested {
        &setting.fresh
    } else {
        &setting.first
    };
    let answered = |metric, wanted| {
        let mut all = setting.questions.iter();
        all.any(|(question, answer)| question.metric == metric && *answer == wanted)
    };
    let change = |effect: Effect| ChangeRow {
        metric: effect.metric,
        ratio: effect.ratio,
        ratio_low: effect.low,
        ratio_high: effect.high,
        p: effect.p_better,
        better: tested && answered(effect.metric, Some(true)),
        worse: effect.loses(),
        undecided: tested && answered(effect.metric, None),
    };
    let changes = Metric::ALL
        .into_iter()
        .filter_map(|metric| effect(judged, metric));
    let changes: Vec<ChangeRow> = changes.map(change).collect();
    let better = changes.iter().any(|change| change.better);
    let worse = changes.iter().any(|change| change.worse);
    let verdict = match (better, worse) {
        _ if setting.fails.is_some() => Verdict::Fails,
        _ if setting.not_tried.is_some() => Verdict::NotTried,
        (true, false) => Verdict::Better,
        (true, true) => Verdict::TradeOff,
        (false, true) => Verdict::Worse,
        (false, false) => Verdict::NoBetter,
    };
    let all = setting.first.iter().chain(&setting.fresh);
    let runs: Vec<Figures> = all.map(|(_, figures)| *figures).collect();
    let fails = setting.fails.as_ref();
    SettingRow {
        name: setting.name.clone(),
        does: setting.does.clone(),
        verdict,
        why: fails
            .map(|(how, _)| how.clone())
            .or(setting.not_tried.clone()),
        stderr: fails
            .map(|(_, tail)| tail.clone())
            .filter(|tail| !tail.is_empty()),
        rounds: judged.len(),
        tested,
        mishaps: setting.mishaps.clone(),
        figures: figures(&runs),
        changes,
        froze_after: Spread::of(setting.frozen.iter().copied()).map(|spread| spread.median),
        environment: setting.environment.clone(),
        python: setting.python.clone(),
        place: setting.place.clone(),
        package: setting.package.clone(),
    }
}

impl Report for TuneView {
    fn text(&self, page: &Page) -> String {
        tune_text::tune(self, page)
    }

    fn json(&self) -> serde_json::Value {
        // Plain structs of numbers and strings cannot fail to serialize.
        serde_json::to_value(self).unwrap_or_default()
    }
}
