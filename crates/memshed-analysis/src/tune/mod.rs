//! Whether a setting makes a program really better: what is compared, and the test.
//!
//! A round runs the program once as it is and once under each setting, one after the other, so
//! that what disturbs the machine disturbs all alike. A few rounds choose what looks better; new
//! rounds, and only these, decide. So whoever looked best by luck has to show it again.
//!
//! The test is a one-sided paired t-test of the logarithms of the ratios, round by round, not
//! against "no difference" but against the least gain that counts ([`Metric::least_share`]). All
//! questions of a run share one chance of error ([`ERROR`]), by Holm's method, and so do the
//! times at which the rounds so far are looked at.

mod compare;
pub mod student;

pub use compare::{Effect, Question, Spread, decide, effect, hopeless, likely, looks, question};

/// The chance that anything is called better though nothing is, at most.
pub const ERROR: f64 = 0.01;
/// Rounds that choose what is worth a test.
pub const SCREENING: usize = 3;
/// After so many new rounds the test is made for the first time.
pub const FIRST_LOOK: usize = 5;
/// The chance of error at which a setting counts as worse in something: on the safe side.
pub const ERROR_WORSE: f64 = 0.05;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Processor time of the program and its children, in seconds.
    Cpu,
    /// From start to end, in seconds.
    Wall,
    /// The most memory, in bytes.
    Peak,
    /// Memory at the end, in bytes.
    Settled,
    /// The longest collection, in seconds.
    Pause,
}

impl Metric {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Metric; 5] = [
        Metric::Cpu,
        Metric::Wall,
        Metric::Peak,
        Metric::Settled,
        Metric::Pause,
    ];

    /// The least gain that counts, as a share of what there was.
    #[must_use]
    pub fn least_share(self) -> f64 {
        match self {
            Metric::Cpu | Metric::Peak | Metric::Settled => 0.03,
            // What else the machine does is in it.
            Metric::Wall => 0.05,
            // A maximum, which is far less even than a sum.
            Metric::Pause => 0.2,
        }
    }

    /// The least gain that counts, in the metric's unit: less is nothing to anybody.
    #[must_use]
    pub fn least_amount(self) -> f64 {
        match self {
            Metric::Cpu => 0.01,
            Metric::Wall => 0.02,
            Metric::Peak | Metric::Settled => 4e6,
            Metric::Pause => 5e-3,
        }
    }

    /// What is added to both sides before they are divided: a pause may be none at all.
    fn floor(self) -> f64 {
        match self {
            Metric::Pause => 1e-3,
            _ => 0.0,
        }
    }
}

/// What one run took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// See [`Metric::Cpu`].
    pub cpu: f64,
    /// See [`Metric::Wall`]; `None` where the run was ended after a time.
    pub wall: Option<f64>,
    /// See [`Metric::Peak`].
    pub peak: f64,
    /// See [`Metric::Settled`]; `None` if the program ended before it could be asked.
    pub settled: Option<f64>,
    /// See [`Metric::Pause`]; `None` where the collector could not be watched.
    pub pause: Option<f64>,
    /// Processor time in the collector, in seconds.
    pub collecting: Option<f64>,
    /// Collections.
    pub collections: Option<f64>,
}

impl Figures {
    /// One of the figures.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Cpu => Some(self.cpu),
            Metric::Wall => self.wall,
            Metric::Peak => Some(self.peak),
            Metric::Settled => self.settled,
            Metric::Pause => self.pause,
        }
    }
}

/// A run of the program as it is, and one under a setting, side by side.
pub type Pair = (Figures, Figures);
