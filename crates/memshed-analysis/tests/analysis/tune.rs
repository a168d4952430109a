//! Whether the test of `tune` finds what is there, and nothing where nothing is.

use memshed_analysis::tune::{
    ERROR, FIRST_LOOK, Figures, Metric, Pair, Question, SCREENING, Spread, decide, effect,
    hopeless, likely, looks, question,
};
use proptest::prelude::*;

/// Numbers as even as dice, for trials in great number.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// What a busy machine adds: mostly a little, at times a lot.
    fn noise(&mut self, size: f64) -> f64 {
        let bell: f64 = (0..6).map(|_| self.uniform() - 0.5).sum::<f64>() * 1.4;
        let burst = if self.uniform() < 0.1 {
            self.uniform() * 3.0
        } else {
            0.0
        };
        (size * (bell + burst)).exp()
    }

    fn run(&mut self, noise: f64, gain: f64) -> Figures {
        let cpu = 2.0 * gain * self.noise(noise);
        Figures {
            cpu,
            wall: Some(cpu * self.noise(noise)),
            peak: 5e7 * self.noise(0.002),
            // Memory that comes in two sizes, by chance.
            settled: Some(if self.uniform() < 0.5 { 5e7 } else { 4e7 }),
            pause: Some(0.02 * self.noise(0.3)),
            collecting: None,
            collections: None,
        }
    }

    fn rounds(&mut self, n: usize, noise: f64, gain: f64) -> Vec<Pair> {
        (0..n)
            .map(|_| (self.run(noise, 1.0), self.run(noise, gain)))
            .collect()
    }
}

/// What the rounds of a whole run call better: settings that multiply the processor time by
/// `gains`.
fn trial(dice: &mut Dice, noise: f64, gains: &[f64]) -> Vec<Question> {
    let mut questions = Vec::new();
    for (setting, gain) in gains.iter().enumerate() {
        questions.extend(question(setting, &dice.rounds(SCREENING, noise, *gain)));
    }
    let all: Vec<Vec<Pair>> = gains
        .iter()
        .map(|gain| dice.rounds(20, noise, *gain))
        .collect();
    let times = looks(20);
    let mut better = Vec::new();
    for look in &times {
        let of = |q: &Question| effect(&all[q.setting][..*look], q.metric);
        let effects: Vec<_> = questions.iter().map(of).collect();
        let yes = decide(&effects, times.len());
        let found = questions.iter().zip(yes).filter(|(_, yes)| *yes);
        better.extend(found.map(|(question, _)| *question));
    }
    better.sort_unstable();
    better.dedup();
    better
}

#[test]
fn a_program_that_nothing_helps_is_hardly_ever_told_otherwise() {
    let mut dice = Dice(1);
    for noise in [0.005, 0.05, 0.2] {
        let told = (0..400).filter(|_| !trial(&mut dice, noise, &[1.0; 10]).is_empty());
        let told = told.count();
        // One in a hundred at most, and luck.
        assert!(told <= 8, "{told} of 400 at {noise}");
    }
}

#[test]
fn a_gain_below_the_least_is_no_gain() {
    let mut dice = Dice(2);
    let cpu = |q: &Question| q.metric == Metric::Cpu;
    let told = (0..300).filter(|_| trial(&mut dice, 0.02, &[0.985; 5]).iter().any(cpu));
    assert!(told.count() <= 5);
}

#[test]
fn what_helps_is_found() {
    let mut dice = Dice(3);
    for (noise, gain) in [(0.02, 0.92), (0.1, 0.7), (0.2, 0.55)] {
        let mut found = 0;
        for _ in 0..100 {
            let better = trial(&mut dice, noise, &[1.0, 1.0, gain, 1.0, 1.0, 1.0]);
            let asked = Question {
                setting: 2,
                metric: Metric::Cpu,
            };
            found += usize::from(better.contains(&asked));
        }
        assert!(found >= 90, "{found} of 100 with {gain} at {noise}");
    }
}

#[test]
fn effects_in_figures() {
    let pair = |before: f64, after: f64| {
        let of = |cpu| Figures {
            cpu,
            peak: 1e8,
            ..Figures::default()
        };
        (of(before), of(after))
    };
    let pairs = [pair(4.0, 2.0), pair(4.4, 2.2), pair(4.2, 2.1)];
    let cpu = effect(&pairs, Metric::Cpu).expect("measured");
    assert!((cpu.ratio - 0.5).abs() < 1e-9 && cpu.rounds == 3);
    assert!(cpu.low < 0.5 && cpu.high > 0.5 && cpu.high < 0.52);
    assert!((cpu.amount + 2.1).abs() < 1e-9);
    assert!(cpu.p_better < 1e-4 && cpu.p_worse > 0.999);
    assert!(cpu.gains() && likely(&cpu) && !cpu.loses() && !hopeless(&cpu));
    let peak = effect(&pairs, Metric::Peak).expect("measured");
    assert!(!peak.gains() && !peak.loses() && hopeless(&peak));
    assert_eq!(effect(&pairs, Metric::Wall), None);
    assert_eq!(effect(&pairs[..1], Metric::Cpu), None);
}

#[test]
fn a_pause_may_be_none_at_all() {
    let of = |pause| Figures {
        pause: Some(pause),
        ..Figures::default()
    };
    let pairs = [(of(0.2), of(0.0)), (of(0.21), of(0.0)), (of(0.0), of(0.0))];
    let pause = effect(&pairs[..2], Metric::Pause).expect("measured");
    assert!(pause.gains() && pause.ratio < 0.01);
    let none = effect(&[pairs[2], pairs[2]], Metric::Pause).expect("measured");
    assert!((none.ratio - 1.0).abs() < 1e-9 && !none.gains() && !none.loses());
    let loss = [(of(0.0), of(0.2)), (of(0.0), of(0.21)), (of(0.0), of(0.2))];
    assert!(effect(&loss, Metric::Pause).expect("measured").loses());
}

#[test]
fn little_is_nothing_to_anybody() {
    let of = |peak: f64| Figures {
        peak,
        ..Figures::default()
    };
    let pairs = [(of(1e7), of(8e6)), (of(1e7), of(8e6)), (of(1e7), of(8e6))];
    let peak = effect(&pairs, Metric::Peak).expect("measured");
    assert!(peak.ratio < 0.81 && !peak.gains());
    assert_eq!(decide(&[Some(peak)], 1), [false]);
}

#[test]
fn looks_grow() {
    assert_eq!(looks(20), [5, 8, 13, 20]);
    assert_eq!(looks(6), [5, 6]);
    assert_eq!(looks(0), [FIRST_LOOK]);
}

#[test]
fn spreads() {
    let of = |figures: &[f64]| Spread::of(figures.iter().copied());
    let expected = |median, low, high| Some(Spread { median, low, high });
    assert_eq!(of(&[3.0, 1.0, 2.0]), expected(2.0, 1.0, 3.0));
    assert_eq!(of(&[4.0, 1.0, f64::NAN]), expected(2.5, 1.0, 4.0));
    assert_eq!(of(&[]), None);
}

proptest! {
    /// Whatever is measured, figures are figures, and the answers fit the questions.
    #[test]
    fn any_figures(values in prop::collection::vec((0.0..1e12f64, 0.0..1e12f64), 0..12)) {
        let of = |cpu| Figures { cpu, peak: cpu, pause: Some(cpu), ..Figures::default() };
        let pairs: Vec<Pair> = values.iter().map(|(a, b)| (of(*a), of(*b))).collect();
        let effects: Vec<_> = Metric::ALL.iter().map(|metric| effect(&pairs, *metric)).collect();
        for effect in effects.iter().flatten() {
            prop_assert!(effect.low <= effect.ratio && effect.ratio <= effect.high);
            for p in [effect.p_better, effect.p_worse, effect.p_any] {
                prop_assert!((0.0..=1.0).contains(&p));
            }
        }
        let yes = decide(&effects, 4);
        prop_assert_eq!(yes.len(), effects.len());
        for (yes, effect) in yes.iter().zip(&effects) {
            prop_assert!(!yes || effect.is_some_and(|e| e.gains() && e.p_better <= ERROR));
        }
    }

    /// Exchanging before and after turns every gain into a loss of the same size.
    #[test]
    fn symmetry(values in prop::collection::vec((1.0..1e3f64, 1.0..1e3f64), 2..12)) {
        let of = |cpu| Figures { cpu, ..Figures::default() };
        let pairs: Vec<Pair> = values.iter().map(|(a, b)| (of(*a), of(*b))).collect();
        let swapped: Vec<Pair> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
        let (one, other) = (effect(&pairs, Metric::Cpu), effect(&swapped, Metric::Cpu));
        let (one, other) = (one.expect("measured"), other.expect("measured"));
        prop_assert!((one.ratio * other.ratio - 1.0).abs() < 1e-9);
        prop_assert!((one.p_any + other.p_any - 1.0).abs() < 1e-9);
    }
}
