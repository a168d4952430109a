//! What `memshed release --every` says, a line at a time, and when it had better not release.

use crate::page::{Report, harmless};
use crate::release::ReleaseView;
use crate::units::bytes;

/// When to leave a process alone: what it takes back within one interval is not worth releasing
/// again at the next, nor is trying again and again what gives little or does not succeed.
#[derive(Clone, Copy, Debug, Default)]
pub struct BackOff {
    /// Resident bytes before and after the last release, until the next look.
    last: Option<(u64, u64)>,
    /// Resident bytes at the last attempt in vain: once there is more, it is worth another.
    in_vain: Option<u64>,
    /// For how many looks it is left alone after that; doubles each time.
    pause: u32,
    /// For how many more.
    left: u32,
    why: LeftAlone,
}

/// Why a process is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeftAlone {
    /// What it gave back came straight back.
    #[default]
    CameBack,
    /// It gave little.
    GaveLittle,
    /// Nothing came of it.
    Failed,
}

impl LeftAlone {
    fn words(self) -> &'static str {
        match self {
            LeftAlone::CameBack => "what it gave back came straight back",
            LeftAlone::GaveLittle => "it gave little the last time",
            LeftAlone::Failed => "the last attempt did not succeed",
        }
    }
}

/// Longest pause, in looks.
const LONGEST: u32 = 64;

impl BackOff {
    /// Notes a release, from so many resident bytes to so many; `None` if nothing was done, since
    /// it had nothing to give.
    pub fn released(&mut self, before: u64, after: Option<u64>) {
        let Some(after) = after else { return };
        self.in_vain = None;
        if before.saturating_sub(after) >= BackOff::least(before) {
            self.last = Some((before, after));
        } else {
            self.was_in_vain(after, LeftAlone::GaveLittle);
        }
    }

    /// Notes an attempt that did not succeed, at so many resident bytes.
    pub fn failed(&mut self, rss: u64) {
        self.was_in_vain(rss, LeftAlone::Failed);
    }

    fn was_in_vain(&mut self, rss: u64, why: LeftAlone) {
        self.in_vain = Some(rss);
        self.leave_alone(why);
    }

    fn leave_alone(&mut self, why: LeftAlone) {
        self.pause = (self.pause * 2).clamp(1, LONGEST);
        self.left = self.pause;
        self.why = why;
    }

    /// Less than this is not worth releasing, of a process with so many resident bytes.
    #[must_use]
    pub fn least(rss: u64) -> u64 {
        rss / 20
    }

    /// Notes a look at which nothing was to be done.
    pub fn rest(&mut self, rss: u64) {
        self.judge(rss);
        self.left = self.left.saturating_sub(1);
    }

    /// Whether to leave it alone now, for how many more looks, and why.
    pub fn hold(&mut self, rss: u64) -> Option<(u32, LeftAlone)> {
        self.judge(rss);
        if self
            .in_vain
            .is_some_and(|at| rss >= at + BackOff::least(at))
        {
            self.in_vain = None;
            (self.pause, self.left) = (0, 0);
        }
        let left = self.left;
        self.left = left.saturating_sub(1);
        (left > 0).then_some((left, self.why))
    }

    /// Whether the last release was worth it: less than half of it has come back.
    fn judge(&mut self, rss: u64) {
        let Some((before, after)) = self.last.take() else {
            return;
        };
        let came_back = rss.saturating_sub(after);
        if came_back * 2 >= before - after {
            self.leave_alone(LeftAlone::CameBack);
        } else {
            self.pause = 0;
        }
    }
}

/// What came of a look.
#[derive(Clone, Debug)]
pub enum ReleaseEvent {
    /// Less is resident than what was set as the limit.
    Below {
        /// Resident bytes.
        rss: u64,
    },
    /// It was left alone.
    Held {
        /// Resident bytes.
        rss: u64,
        /// For how many looks, with this one.
        looks: u32,
        /// Why.
        why: LeftAlone,
    },
    /// It gave back what it could.
    Released(Box<ReleaseView>),
    /// The look did not succeed.
    Missed {
        /// Why.
        why: String,
    },
    /// The process has ended.
    Ended,
}

impl ReleaseEvent {
    /// For people.
    #[must_use]
    pub fn line(&self, pid: i32) -> String {
        match self {
            ReleaseEvent::Below { rss } => {
                format!("process {pid}: {} resident, below the limit", bytes(*rss))
            }
            ReleaseEvent::Held { rss, looks, why } => format!(
                "process {pid}: {} resident; {}, so it is left alone for {looks} more",
                bytes(*rss),
                why.words()
            ),
            ReleaseEvent::Released(view) => match &view.after {
                None => format!(
                    "process {pid}: {} resident, nothing to give back",
                    bytes(view.before.rss_bytes)
                ),
                Some(after) => format!(
                    "process {pid}: gave {} back, {} resident before, {} now, waited at most {:.1} ms",
                    bytes(view.released_bytes()),
                    bytes(view.before.rss_bytes),
                    bytes(after.rss_bytes),
                    view.stopped_ms()
                ),
            },
            ReleaseEvent::Missed { why } => format!("process {pid}: {}", harmless(why)),
            ReleaseEvent::Ended => format!("process {pid} has ended"),
        }
    }

    /// For programs: one line.
    #[must_use]
    pub fn json(&self, pid: i32, at: f64) -> String {
        let mut value = match self {
            ReleaseEvent::Below { rss } => {
                serde_json::json!({ "event": "below", "rss_bytes": rss })
            }
            ReleaseEvent::Held { rss, looks, why } => serde_json::json!({
                "event": "held", "rss_bytes": rss, "looks": looks, "why": why.words()
            }),
            ReleaseEvent::Released(view) => {
                let mut value = view.json();
                value["event"] = "released".into();
                value
            }
            ReleaseEvent::Missed { why } => serde_json::json!({ "event": "missed", "why": why }),
            ReleaseEvent::Ended => serde_json::json!({ "event": "ended" }),
        };
        value["schema"] = crate::json::SCHEMA.into();
        value["pid"] = pid.into();
        value["at"] = at.into();
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a supervisor does about a process that is this large at each look, when it can always
    /// be brought down to `low`.
    fn releases(sizes: &[u64], low: u64) -> Vec<bool> {
        let mut back_off = BackOff::default();
        let look = |&rss: &u64| {
            let release = back_off.hold(rss).is_none();
            if release {
                // It is not even tried where little is expected.
                let worth_it = rss.saturating_sub(low) >= BackOff::least(rss);
                back_off.released(rss, worth_it.then_some(rss.min(low)));
            }
            release
        };
        sizes.iter().map(look).collect()
    }

    #[test]
    fn what_comes_straight_back_is_left_alone_for_longer_and_longer() {
        let told = releases(&[1000; 16], 400);
        let at: Vec<usize> = (0..16).filter(|&k| told[k]).collect();
        assert_eq!(at, [0, 2, 5, 10]);
    }

    #[test]
    fn what_stays_released_is_released_again_when_it_has_grown() {
        assert_eq!(releases(&[1000, 410, 415, 600, 420], 400), [true; 5]);
    }

    /// When a process is tried, of which more is expected than it gives.
    fn attempts(sizes: &[u64], fails: bool) -> Vec<bool> {
        let mut back_off = BackOff::default();
        let look = |&rss: &u64| {
            let release = back_off.hold(rss).is_none();
            match (release, fails) {
                (true, true) => back_off.failed(rss),
                (true, false) => back_off.released(rss, Some(rss - 1)),
                (false, _) => {}
            }
            release
        };
        sizes.iter().map(look).collect()
    }

    #[test]
    fn what_is_tried_in_vain_is_tried_less_and_less_until_there_is_more() {
        for fails in [true, false] {
            let told = attempts(&[1000; 16], fails);
            let at: Vec<usize> = (0..16).filter(|&k| told[k]).collect();
            assert_eq!(at, [0, 2, 5, 10]);
            let grows = attempts(&[1000, 1000, 1000, 1010, 1100, 1100, 1100], fails);
            assert_eq!(grows, [true, false, true, false, true, false, true]);
        }
    }

    #[test]
    fn a_process_that_calms_down_is_forgiven() {
        let told = releases(&[1000, 1000, 1000, 450, 415, 415, 1000, 1000], 400);
        assert_eq!(told, [true, false, true, true, true, true, true, false]);
    }
}
