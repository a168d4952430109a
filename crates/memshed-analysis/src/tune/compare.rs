//! The comparison: how a figure spreads, by how much it differs, and which differences are real.

use super::student::{quantile, upper_tail};
use super::{ERROR, ERROR_WORSE, Figures, Metric, Pair};

/// How a figure came out over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Spread {
    /// The spread of these figures; `None` of none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut all: Vec<f64> = figures.into_iter().filter(|f| f.is_finite()).collect();
        all.sort_by(f64::total_cmp);
        let (&low, &high) = (all.first()?, all.last()?);
        let middle = all.len() / 2;
        let median = match all.len() % 2 {
            1 => all[middle],
            _ => f64::midpoint(all[middle - 1], all[middle]),
        };
        Some(Spread { median, low, high })
    }

    /// The spread of a metric.
    #[must_use]
    pub fn metric<'a>(
        runs: impl IntoIterator<Item = &'a Figures>,
        metric: Metric,
    ) -> Option<Spread> {
        Spread::of(runs.into_iter().filter_map(|run| run.get(metric)))
    }
}

/// By how much a setting changes a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// What is compared.
    pub metric: Metric,
    /// Rounds in which both were measured.
    pub rounds: usize,
    /// Under the setting, as a multiple of what it is without: the geometric mean of the rounds.
    pub ratio: f64,
    /// Where the ratio lies with 95 % confidence.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// By how much the figure changes in the middle, in the metric's unit.
    pub amount: f64,
    /// The chance of rounds like these if the gain were less than the least that counts.
    pub p_better: f64,
    /// The same of a loss.
    pub p_worse: f64,
    /// The chance of rounds like these if there were no gain at all.
    pub p_any: f64,
}

impl Effect {
    /// Whether what is measured is as much of a gain as counts, not asking how sure that is.
    #[must_use]
    pub fn gains(&self) -> bool {
        self.ratio <= 1.0 - self.metric.least_share() && -self.amount >= self.metric.least_amount()
    }

    /// Whether it is a loss, on the safe side: likely enough, or large and not unlikely.
    #[must_use]
    pub fn loses(&self) -> bool {
        self.ratio >= 1.0 + self.metric.least_share()
            && self.amount >= self.metric.least_amount()
            && self.p_worse <= ERROR_WORSE
    }
}

/// Ratios of equal figures would have no spread at all; no measurement is that good. As a
/// logarithm: half a percent.
const LEAST_DEVIATION: f64 = 0.005;

/// By how much a setting changes a metric over these rounds; `None` if it was measured in fewer
/// than two.
#[must_use]
pub fn effect(pairs: &[Pair], metric: Metric) -> Option<Effect> {
    let measured: Vec<(f64, f64)> = pairs
        .iter()
        .filter_map(|(before, after)| Some((before.get(metric)?, after.get(metric)?)))
        .collect();
    let floor = metric.floor();
    let ratio = |(before, after): &(f64, f64)| ((after + floor) / (before + floor)).ln();
    let logs: Vec<f64> = measured
        .iter()
        .map(ratio)
        .filter(|r| r.is_finite())
        .collect();
    if logs.len() < 2 {
        return None;
    }
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let square = logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let error = square.sqrt().max(LEAST_DEVIATION) / n.sqrt();
    let least = metric.least_share();
    let half = quantile(0.025, n - 1.0) * error;
    let before = Spread::of(measured.iter().map(|(before, _)| *before))?;
    let after = Spread::of(measured.iter().map(|(_, after)| *after))?;
    Some(Effect {
        metric,
        rounds: logs.len(),
        ratio: mean.exp(),
        low: (mean - half).exp(),
        high: (mean + half).exp(),
        amount: after.median - before.median,
        p_better: upper_tail(((1.0 - least).ln() - mean) / error, n - 1.0),
        p_worse: upper_tail((mean - (1.0 + least).ln()) / error, n - 1.0),
        p_any: upper_tail(-mean / error, n - 1.0),
    })
}

/// A question that new rounds are to decide: is this setting better in this metric?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Which setting.
    pub setting: usize,
    /// In what.
    pub metric: Metric,
}

/// Above this chance of no gain at all, the rounds that choose make nothing worth a test.
const UNLIKELY: f64 = 0.2;

/// Whether the rounds that choose make it likely enough that a setting is better in a metric: by
/// half the least gain that counts, so that noise hides no real gain, and not by noise alone.
#[must_use]
pub fn likely(effect: &Effect) -> bool {
    seems(effect)
        && -effect.amount >= effect.metric.least_amount() / 2.0
        && effect.p_any <= UNLIKELY
}

/// Whether the gain seems to be half the least that counts, or more.
fn seems(effect: &Effect) -> bool {
    effect.ratio <= 1.0 - effect.metric.least_share() / 2.0
}

/// The questions that a setting's first rounds raise.
pub fn question(setting: usize, pairs: &[Pair]) -> impl Iterator<Item = Question> + '_ {
    Metric::ALL.into_iter().filter_map(move |metric| {
        let effect = effect(pairs, metric)?;
        likely(&effect).then_some(Question { setting, metric })
    })
}

/// Which questions are answered with yes: Holm's method at [`ERROR`] divided by the number of
/// times that the rounds are looked at. `effects` are those of the questions, `None` where it
/// could not be measured.
#[must_use]
pub fn decide(effects: &[Option<Effect>], looks: usize) -> Vec<bool> {
    let error = ERROR / looks.max(1) as f64;
    let p = |at: &usize| effects[*at].map_or(1.0, |effect| effect.p_better);
    let mut order: Vec<usize> = (0..effects.len()).collect();
    order.sort_by(|a, b| p(a).total_cmp(&p(b)));
    let mut yes = vec![false; effects.len()];
    for (place, at) in order.iter().enumerate() {
        if p(at) > error / (effects.len() - place) as f64 {
            break;
        }
        // Sure of the share, it still has to be an amount that counts.
        yes[*at] = effects[*at].is_some_and(|effect| effect.gains());
    }
    yes
}

/// After so many rounds, what does not even seem to gain is given up.
const ENOUGH: usize = 8;

/// Whether rounds show that a gain as large as counts is not to be had, or hardly.
#[must_use]
pub fn hopeless(effect: &Effect) -> bool {
    effect.low > 1.0 - effect.metric.least_share() || effect.rounds >= ENOUGH && !seems(effect)
}

/// After how many new rounds the test is made, if there are at most `most`.
#[must_use]
pub fn looks(most: usize) -> Vec<usize> {
    let most = most.max(super::FIRST_LOOK);
    let mut all = vec![super::FIRST_LOOK];
    while let Some(&last) = all.last().filter(|last| **last < most) {
        all.push((last * 8).div_ceil(5).min(most));
    }
    all
}
