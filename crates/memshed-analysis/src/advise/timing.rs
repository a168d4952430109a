//! What the collector costs, from moments at which somebody looked whether it was at work.

use super::Oldest;
use memshed_heap::LongLived;

/// Moments that lie further apart, in seconds, say nothing of what was in between: whoever looked had
/// no processor.
const BLIND: f64 = 5e-3;

/// The collector at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CollectorSample {
    /// When, in seconds from the first.
    pub at: f64,
    /// Seconds that the process has had on processors so far.
    pub processor: f64,
    /// Whether the collector was at work.
    pub collecting: bool,
    /// Collections of each generation so far.
    pub collections: [i64; 3],
    /// The old objects as the collector counts them, where it does.
    pub long_lived: Option<LongLived>,
}

/// What the collections of one generation cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GenerationCost {
    /// How many there were.
    pub collections: u64,
    /// Seconds that passed within them.
    pub seconds: f64,
    /// Seconds on processors within them.
    pub processor: f64,
    /// The longest one, in seconds, as far as moments tell.
    pub longest: f64,
}

/// What the collector cost in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectorCost {
    /// The time.
    pub seconds: f64,
    /// What the process had on processors in it, in seconds.
    pub processor: f64,
    /// How often somebody looked.
    pub samples: u64,
    /// In how many of them the collector was at work.
    pub inside: u64,
    /// By generation, youngest first.
    pub generations: [GenerationCost; 3],
    /// What befell the oldest, where the interpreter keeps counts of it.
    pub oldest: Option<Oldest>,
}

impl CollectorCost {
    /// The sum over moments in order of time. What is between moments too far apart is taken to be as
    /// the rest. Which generation a collection is of is known when it
    /// ends, by the number that goes up then.
    pub fn of(samples: &[CollectorSample]) -> CollectorCost {
        let mut cost = CollectorCost {
            samples: samples.len() as u64,
            inside: samples.iter().filter(|one| one.collecting).count() as u64,
            oldest: Oldest::of(samples),
            ..CollectorCost::default()
        };
        // Of the collection that is at work: time, and time on processors.
        let mut open = (0.0, 0.0);
        let mut watched = (0.0, 0.0);
        for pair in samples.windows(2) {
            let (before, now) = (pair[0], pair[1]);
            let (time, processor) = (
                (now.at - before.at).max(0.0),
                (now.processor - before.processor).max(0.0),
            );
            cost.seconds += time;
            cost.processor += processor;
            let seen = time <= BLIND;
            if seen {
                watched.0 += time;
                watched.1 += processor;
            }
            // Where one end is inside and the other is not, half of the time was, on the average.
            let inside = u8::from(before.collecting) + u8::from(now.collecting);
            let weight = f64::from(inside * u8::from(seen)) / 2.0;
            let ended = (0..3).map(|i| now.collections[i] - before.collections[i]);
            let ended: Vec<u64> = ended.map(|n| n.max(0) as u64).collect();
            let last = ended.iter().rposition(|&n| n > 0);
            let Some(last) = last else {
                open.0 += time * weight;
                open.1 += processor * weight;
                continue;
            };
            // One has ended, and if the collector is at work still, another one has begun.
            let again = now.collecting;
            let part = match (before.collecting, again) {
                (true, true) => 0.5,
                (true, false) => 1.0,
                (false, _) => 0.0,
            };
            let one = &mut cost.generations[last];
            open.0 += time * weight * part;
            open.1 += processor * weight * part;
            one.longest = one.longest.max(open.0 / ended[last] as f64);
            one.seconds += open.0;
            one.processor += open.1;
            open = (
                time * weight * (1.0 - part),
                processor * weight * (1.0 - part),
            );
            for (one, n) in cost.generations.iter_mut().zip(ended) {
                one.collections += n;
            }
        }
        // One that has not ended is as likely as not of the kind that takes longest.
        let longest = (0..3).max_by(|&a, &b| {
            let mean = |i: usize| cost.generations[i].pause();
            mean(a).total_cmp(&mean(b))
        });
        if let Some(longest) = longest
            && open.0 > 0.0
        {
            let last = if open.0 > 2.0 * cost.generations[longest].pause() {
                2
            } else {
                longest
            };
            let one = &mut cost.generations[last];
            one.seconds += open.0;
            one.processor += open.1;
            one.longest = one.longest.max(open.0);
        }
        let scale = |all: f64, watched: f64| if watched > 0.0 { all / watched } else { 1.0 };
        let time = scale(cost.seconds, watched.0);
        let processor = scale(cost.processor, watched.1);
        for one in &mut cost.generations {
            one.seconds *= time;
            one.processor *= processor;
        }
        cost
    }

    /// The collector's share of the processor time, from 0 to 1.
    pub fn share(&self) -> f64 {
        let all: f64 = self.generations.iter().map(|one| one.processor).sum();
        if self.processor > 0.0 {
            (all / self.processor).min(1.0)
        } else {
            0.0
        }
    }

    /// The share of one generation's collections.
    pub fn share_of(&self, generation: usize) -> f64 {
        let one = self
            .generations
            .get(generation)
            .map_or(0.0, |one| one.processor);
        if self.processor > 0.0 {
            (one / self.processor).min(1.0)
        } else {
            0.0
        }
    }

    /// Milliseconds on processors in each second that passes.
    pub fn load(&self) -> f64 {
        if self.seconds > 0.0 {
            self.processor / self.seconds * 1000.0
        } else {
            0.0
        }
    }
}

impl GenerationCost {
    /// How long one took on the average, in seconds.
    pub fn pause(&self) -> f64 {
        self.seconds / self.collections.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample each millisecond, half of it on a processor: `#` inside, `.` outside; a digit ends
    /// a collection of that generation.
    fn samples(text: &str) -> Vec<CollectorSample> {
        let mut collections = [0; 3];
        let of = |(i, c): (usize, char)| {
            if let Some(generation) = c.to_digit(10) {
                collections[generation as usize] += 1;
            }
            CollectorSample {
                at: i as f64 * 1e-3,
                processor: i as f64 * 5e-4,
                collecting: c == '#',
                collections,
                long_lived: None,
            }
        };
        text.chars().enumerate().map(of).collect()
    }

    #[test]
    fn time_goes_to_the_generation_that_was_collected() {
        let cost = CollectorCost::of(&samples("..####2....#0...##1...0....."));
        let ms = |i: usize| (cost.generations[i].seconds * 1e3).round() as u64;
        assert_eq!([ms(0), ms(1), ms(2)], [1, 2, 4]);
        assert_eq!(cost.generations[0].collections, 2);
        assert!((cost.share() - 7.0 / 27.0).abs() < 1e-9, "{}", cost.share());
        assert!((cost.load() - 500.0).abs() < 1e-6);
        assert!((cost.generations[2].longest - 4e-3).abs() < 1e-9);
    }

    #[test]
    fn what_nobody_saw_is_as_the_rest() {
        let mut samples = samples("..####2....####2....####2..");
        for one in &mut samples[13..] {
            one.at += 0.1;
            one.processor += 0.05;
        }
        let cost = CollectorCost::of(&samples);
        assert!(
            (cost.share() - 12.0 / 26.0).abs() < 0.05,
            "{}",
            cost.share()
        );
        assert!(cost.generations[2].longest < 5e-3);
        assert!((cost.seconds - 0.126).abs() < 1e-9);
    }

    #[test]
    fn a_collection_longer_than_the_time_is_of_the_oldest() {
        let cost = CollectorCost::of(&samples("..0.#################"));
        assert!(cost.generations[2].seconds > 0.015 && cost.generations[2].collections == 0);
        assert_eq!(
            CollectorCost::of(&[]).generations,
            [GenerationCost::default(); 3]
        );
    }
}
