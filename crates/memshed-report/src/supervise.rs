//! What `memshed release --every` says, a line at a time, and when it had better not release.

use crate::page::{Report, harmless};
use crate::release::ReleaseView;
use crate::units::bytes;

/// When to leave a process alone: what it takes back within one interval is not worth releasing
/// again at the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct BackOff {
    /// Resident bytes before and after the last release, until the next look.
    last: Option<(u64, u64)>,
    /// For how many looks it is left alone after what comes back; doubles each time.
    pause: u32,
    /// For how many more.
    left: u32,
}

/// Longest pause, in looks.
const LONGEST: u32 = 64;

impl BackOff {
    /// Notes a release, from so many resident bytes to so many.
    pub fn released(&mut self, before: u64, after: u64) {
        self.last = (after < before).then_some((before, after));
    }

    /// Notes a look at which nothing was to be done.
    pub fn rest(&mut self, rss: u64) {
        self.judge(rss);
        self.left = self.left.saturating_sub(1);
    }

    /// Whether to leave it alone now, and for how many more looks.
    pub fn hold(&mut self, rss: u64) -> Option<u32> {
        self.judge(rss);
        let left = self.left;
        self.left = left.saturating_sub(1);
        (left > 0).then_some(left)
    }

    /// Whether the last release was worth it: less than half of it has come back.
    fn judge(&mut self, rss: u64) {
        let Some((before, after)) = self.last.take() else {
            return;
        };
        let came_back = rss.saturating_sub(after);
        if came_back * 2 >= before - after {
            self.pause = (self.pause * 2).clamp(1, LONGEST);
            self.left = self.pause;
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
    /// It was left alone, since what it gave back the last time came straight back.
    Held {
        /// Resident bytes.
        rss: u64,
        /// For how many looks, with this one.
        looks: u32,
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
            ReleaseEvent::Held { rss, looks } => format!(
                "process {pid}: {} resident; what it gave back came straight back, so it is left \
                 alone for {looks} more",
                bytes(*rss)
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
            ReleaseEvent::Held { rss, looks } => {
                serde_json::json!({ "event": "held", "rss_bytes": rss, "looks": looks })
            }
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
                back_off.released(rss, rss.min(low));
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
        assert_eq!(releases(&[1000, 420, 450, 480], 400), [true; 4]);
    }

    #[test]
    fn a_process_that_calms_down_is_forgiven() {
        let told = releases(&[1000, 1000, 1000, 450, 450, 450, 450], 400);
        assert!(told[6], "{told:?}");
    }
}
