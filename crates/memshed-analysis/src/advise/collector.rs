//! What the collector costs, and what would be left of that with other settings.
//!
//! A full collection goes through all objects that the collector knows. Those that stay for good
//! it goes through in vain: `gc.freeze()` takes them out. What is left is predicted from how many of
//! the old objects stayed between two looks.

use super::oldest::WAITS;
use super::{Advice, AdviceKind, CollectorCost, LEAST_TIME, Oldest, Stake};
use crate::findings::{Confidence, Location};
use crate::matching::matching;
use crate::units::{count, duration};
use memshed_heap::{Heap, ObjectId};

/// Where the collector doesn't count its old objects, full collections come so many times more often
/// than its other counts explain, if the program asks for them itself; where its code mentions that,
/// less is telling.
const OFTEN: f64 = 1.5;
const MENTIONED: f64 = 0.5;
/// The part of the full collections that the program asks for, from which on it is told.
const ASKED: f64 = 0.3;
/// Thresholds that are advised, as `gc.set_threshold` takes them.
const THRESHOLDS: [i64; 3] = [100_000, 50, 50];
/// Of the young objects so many outlive their first collection, if nothing tells.
const USUAL_SURVIVORS: f64 = 0.5;
/// So many full collections tell how often they come.
const ENOUGH: f64 = 3.0;
/// Seconds that a full collection takes for each object, about.
const A_VISIT: f64 = 0.2e-6;
/// A visit of an object that was made lately takes so many times as long as one of an old object:
/// old ones lie side by side, and many of the others have to be freed.
const RECENT: f64 = 1.75;
/// Freezing is told of if at least this part of what full collections cost would go.
const WORTHWHILE: f64 = 0.5;
/// Other thresholds are told of if they give so many times what freezing gives.
const BETTER: f64 = 1.25;

/// What of the collector's objects stays.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Staying {
    /// Objects of the oldest generation at the later look: a sample.
    pub old: u64,
    /// How many of them were there at the earlier look.
    pub stayed: u64,
    /// Seconds between the looks.
    pub seconds: f64,
    /// Objects of the middle generation at both looks, and the collections of the youngest that they
    /// have outlived, in sum.
    pub young: (u64, u64),
}

/// What of the oldest generation stayed from one look to a later one at the same process, by the
/// fingerprints of both: an address alone is taken again too soon.
pub fn staying(earlier: &Heap, later: &Heap) -> Staying {
    let matched = matching(earlier, later);
    let print = |heap: &Heap, object: ObjectId| {
        let prints = &heap.fingerprints;
        let row = prints.binary_search_by_key(&object, |&(object, _)| object);
        row.ok().map(|row| prints[row].1)
    };
    let mut staying = Staying {
        seconds: later.snapshot.taken_at - earlier.snapshot.taken_at,
        young: young(&[earlier, later]),
        ..Staying::default()
    };
    for &(object, now) in &later.fingerprints {
        let before = matched.old_of.get(object.0 as usize);
        let same = before.is_some_and(|&before| print(earlier, before) == Some(now));
        staying.old += 1;
        staying.stayed += u64::from(same);
    }
    staying
}

/// What outlived collections of the youngest generation, and how many of these.
fn young(heaps: &[&Heap]) -> (u64, u64) {
    let middle = heaps.iter().filter_map(|heap| heap.gc.generations.get(1));
    let sums = middle.map(|one| (one.objects, one.count.max(0) as u64));
    sums.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}

/// An object that is tracked, but in none of the lists: the look came during a collection.
const IN_COLLECTION: u8 = 254;

/// Advice on the collector.
pub(super) fn advise(heap: &Heap, cost: &CollectorCost, staying: Option<&Staying>) -> Vec<Advice> {
    let model = Model::new(heap, cost, staying);
    let mut advice = Vec::new();
    if model.share * cost.load() < LEAST_TIME {
        return advice;
    }
    let asked = model.asked_for();
    if let Some(times) = asked {
        advice.push(model.own_collections(times));
    }
    let freeze = model.after_freeze();
    let thresholds = model.after_thresholds();
    let pays = model.share - freeze >= WORTHWHILE * model.shares[2];
    if pays {
        advice.push(model.freeze(freeze));
    }
    let frozen = if pays { model.gain(freeze) } else { 0.0 };
    if asked.is_none() && model.gain(thresholds) > BETTER * frozen {
        advice.push(model.thresholds(thresholds));
    }
    advice
}

/// What is known of the collector.
struct Model<'a> {
    heap: &'a Heap,
    cost: &'a CollectorCost,
    /// Its share of the processor time, in all and by generation.
    share: f64,
    shares: [f64; 3],
    /// The part of the old objects that is new each time.
    turnover: Option<f64>,
    /// The part of the young ones that outlive their first collection.
    survivors: f64,
    /// Full collections in the time, where too few were seen to count on.
    reckoned: Option<f64>,
}

impl<'a> Model<'a> {
    fn new(heap: &'a Heap, cost: &'a CollectorCost, staying: Option<&Staying>) -> Model<'a> {
        let turnover = staying.filter(|one| one.old > 0);
        let mut model = Model {
            heap,
            cost,
            share: cost.share(),
            shares: std::array::from_fn(|i| cost.share_of(i)),
            turnover: turnover.map(|one| 1.0 - one.stayed as f64 / one.old as f64),
            survivors: USUAL_SURVIVORS,
            reckoned: None,
        };
        let (objects, collections) = staying.map_or_else(|| young(&[heap]), |one| one.young);
        if collections > 0 {
            let each = objects as f64 / collections as f64;
            model.survivors = (each / model.threshold(0).max(1.0)).min(1.0);
        }
        model.reckon();
        model
    }

    /// Where full collections are rarer than the time that was watched, reckons what they cost by
    /// how often they have to come, and by how many objects they go through.
    fn reckon(&mut self) {
        let seen = self.collections(2);
        if seen >= ENOUGH || self.cost.processor <= 0.0 {
            return;
        }
        let (often, one) = (self.explained(), &self.cost.generations[2]);
        let pause = match seen > 0.0 {
            true => one.processor / seen,
            false => self.old_objects() as f64 * A_VISIT,
        };
        let often = if seen > 0.0 {
            f64::midpoint(often, seen)
        } else {
            often
        };
        self.shares[2] = (often * pause / self.cost.processor).min(1.0);
        self.share = self.shares.iter().sum::<f64>().min(1.0);
        self.reckoned = Some(often);
    }

    fn threshold(&self, generation: usize) -> f64 {
        let known = self.heap.gc.generations.get(generation);
        known.map_or(0.0, |one| one.threshold.max(0) as f64)
    }

    fn collections(&self, generation: usize) -> f64 {
        self.cost.generations[generation].collections as f64
    }

    /// Full collections that the counts allow: one for so many of the middle generation.
    fn allowed(&self) -> f64 {
        self.collections(1) / (self.threshold(2) + 1.0)
    }

    /// Objects that were added to the old ones in the time.
    fn added(&self) -> f64 {
        if let Some(oldest) = self.cost.oldest {
            return oldest.added as f64;
        }
        let young = self.collections(1) * (self.threshold(1) + 1.0);
        young * self.threshold(0) * self.survivors
    }

    /// Full collections that come by themselves: they are allowed, and enough objects have been added.
    fn explained(&self) -> f64 {
        let enough = self.added() * WAITS as f64 / (self.old_objects() as f64).max(1.0);
        self.allowed().min(enough)
    }

    /// How often a second the program asks for a full collection, if it does.
    fn asked_for(&self) -> Option<f64> {
        let (all, seconds) = (self.collections(2), self.cost.seconds);
        let known = self.cost.oldest.and_then(|oldest| oldest.asked_share(all));
        let asked = match known {
            Some(share) => (share >= ASKED).then_some(share * all),
            None => self.probably_asked_for(),
        };
        let asked = asked.filter(|_| all > ENOUGH && seconds > 0.0);
        asked.map(|asked| asked / seconds)
    }

    /// Full collections that nothing else explains, if they are many.
    fn probably_asked_for(&self) -> Option<f64> {
        let more = self.collections(2) - self.explained() - 1.0;
        let telling = if callers(self.heap).is_empty() {
            OFTEN
        } else {
            MENTIONED
        };
        let often = more > telling * self.explained();
        often.then(|| self.collections(2) - self.explained())
    }

    /// The share of the time now spent that would be left, counted in the processor time of now.
    fn after_freeze(&self) -> f64 {
        let turnover = self.turnover.unwrap_or(0.1);
        // Up to 3.13, and again since 3.14.5, a full collection waits until a quarter has been
        // added to the old objects; with few of them it comes as often as the counts say.
        let often = self.reckoned.unwrap_or(self.collections(2));
        let more = match often > 0.0 {
            true => (self.allowed() / often).max(1.0),
            false => 1.0,
        };
        // What was added since the last full collection is gone through by the next one, frozen or not.
        let (old, added) = (self.old_objects() as f64, self.added() / often.max(1.0));
        let now = old * (1.0 - turnover) + RECENT * (old * turnover + added);
        let then = RECENT * (old * turnover * more + added);
        let old = self.shares[2] * (then / now.max(1.0)).min(1.0);
        self.shares[0] + self.shares[1] + old
    }

    /// The same with higher thresholds: full collections are rare, and of the young objects those
    /// are gone through that live on.
    fn after_thresholds(&self) -> f64 {
        let rarer = |generation: usize| {
            let ratio = self.threshold(generation) / THRESHOLDS[generation] as f64;
            ratio.clamp(0.0, 1.0)
        };
        let young = self.survivors.max(rarer(0));
        let middle = self.survivors.max(rarer(0) * rarer(1));
        let old = rarer(0) * rarer(1) * rarer(2);
        self.shares[0] * young + self.shares[1] * middle + self.shares[2] * old
    }

    /// Milliseconds in each second that passes.
    fn gain(&self, left: f64) -> f64 {
        (self.share - left).max(0.0) * self.cost.load()
    }

    fn stake(&self, left: f64) -> Stake {
        let removed = (self.share - left).max(0.0);
        Stake::Time {
            ms_per_second: self.gain(left),
            share_before: self.share,
            // What is left is a greater part of what is left in all.
            share_after: (left / (1.0 - removed).max(0.01)).clamp(0.0, 1.0),
        }
    }

    fn freeze(&self, left: f64) -> Advice {
        let stake = self.stake(left);
        let old = self.old_objects();
        let mut evidence = self.evidence();
        if let Some(turnover) = self.turnover {
            evidence.push(format!(
                "{:.0} % of the {} old objects were there at the look before: a full collection goes \
                 through them in vain",
                (1.0 - turnover) * 100.0,
                count(old)
            ));
        }
        let confidence = match self.turnover {
            Some(turnover) if turnover < 0.5 && self.collections(2) >= 3.0 => Confidence::High,
            Some(_) => Confidence::Medium,
            None => Confidence::Low,
        };
        Advice {
            kind: AdviceKind::Freeze,
            title: title(
                stake,
                "if it left alone what the program keeps for good (gc.freeze() after start-up)",
            ),
            stake,
            confidence,
            evidence,
            to_do: "Call gc.freeze() once, when the program has loaded what it keeps, before it begins \
                    to serve. Frozen objects still go when nothing refers to them; only cycles among \
                    them would stay."
                .to_owned(),
            code: lines(&["import gc", "gc.collect()", "gc.freeze()"]),
            locations: Vec::new(),
            proof: "memshed tune -- COMMAND, or the same program with these lines: memshed advise PID \
                    says what is left"
                .to_owned(),
        }
    }

    fn thresholds(&self, left: f64) -> Advice {
        let stake = self.stake(left);
        let [a, b, c] = THRESHOLDS;
        let now: Vec<String> = (0..3).map(|i| format!("{}", self.threshold(i))).collect();
        let mut evidence = self.evidence();
        evidence.push(format!(
            "the thresholds are {}; {:.0} % of the young objects outlive their first collection",
            now.join(", "),
            self.survivors * 100.0
        ));
        Advice {
            kind: AdviceKind::Thresholds,
            title: title(stake, "if it ran less often (gc.set_threshold)"),
            stake,
            confidence: Confidence::Low,
            evidence,
            to_do:
                "Raise the thresholds at start-up. Cyclic garbage then waits longer, so watch the \
                    resident memory; instead of gc.freeze(), or beside it."
                    .to_owned(),
            code: lines(&["import gc", &format!("gc.set_threshold({a}, {b}, {c})")]),
            locations: Vec::new(),
            proof: "memshed tune -- COMMAND".to_owned(),
        }
    }

    fn own_collections(&self, times: f64) -> Advice {
        // Some come by themselves then.
        let still = (self.explained() / self.collections(2).max(1.0)).min(1.0);
        let left = self.shares[0] + self.shares[1] + self.shares[2] * still;
        let stake = self.stake(left);
        let mut evidence = self.evidence();
        evidence.push(match self.cost.oldest.filter(|oldest| oldest.asked > 0) {
            Some(Oldest { asked, seen, .. }) => format!(
                "{asked} of {seen} full collections came before so much was added that the collector \
                 comes by itself; the program asked for one {times:.1} times a second"
            ),
            None => format!(
                "its counts explain {:.0} full collections in that time; the rest was asked for, \
                 {times:.1} times a second",
                self.explained()
            ),
        });
        Advice {
            kind: AdviceKind::OwnCollections,
            title: title(stake, "if the program did not call gc.collect() itself"),
            stake,
            confidence: Confidence::High,
            evidence,
            to_do: "Take gc.collect() out of what runs often; the collector comes by itself."
                .to_owned(),
            code: Vec::new(),
            locations: callers(self.heap),
            proof: "without that line, memshed advise PID says what is left".to_owned(),
        }
    }

    /// Objects that a full collection goes through.
    fn old_objects(&self) -> u64 {
        let old = |&&generation: &&u8| generation == 2 || generation == IN_COLLECTION;
        self.heap.objects.generation.iter().filter(old).count() as u64
    }

    fn evidence(&self) -> Vec<String> {
        let cost = self.cost;
        let mut evidence = vec![format!(
            "at {} of {} moments in {} it was at work",
            count(cost.inside),
            count(cost.samples),
            duration(cost.seconds)
        )];
        let names = ["young", "middle", "full"];
        let told = (0..3).rev().filter(|&i| cost.generations[i].seconds > 0.0);
        let told: Vec<String> = told
            .map(|i| {
                let one = &cost.generations[i];
                format!(
                    "{} {} collections, {} each, {:.1} % of the processor time",
                    count(one.collections),
                    names[i],
                    duration(one.pause()),
                    self.shares[i] * 100.0
                )
            })
            .collect();
        evidence.push(format!("in that time {}", told.join("; ")));
        if let Some(often) = self.reckoned.filter(|&often| often > 0.0) {
            evidence.push(format!(
                "by its counts a full collection comes about every {}, which is reckoned in",
                duration(cost.seconds / often)
            ));
        }
        let longest = cost.generations.iter().map(|one| one.longest);
        let longest = longest.fold(0.0, f64::max);
        evidence.push(format!(
            "nothing else of Python runs during one; the longest took {}",
            duration(longest)
        ));
        evidence
    }
}

fn title(stake: Stake, how: &str) -> String {
    let Stake::Time {
        share_before,
        share_after,
        ..
    } = stake
    else {
        return String::new();
    };
    format!(
        "The garbage collector takes {} of the processor time; it would take about {} {how}",
        percent(share_before),
        percent(share_after)
    )
}

/// `45 %`, `0.8 %`.
fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent >= 9.5 => format!("{percent:.0} %"),
        percent => format!("{percent:.1} %"),
    }
}

fn lines(all: &[&str]) -> Vec<String> {
    all.iter().map(|line| (*line).to_owned()).collect()
}

/// Functions that mention both `gc` and `collect`.
fn callers(heap: &Heap) -> Vec<Location> {
    let mentions = |code: &memshed_heap::Code, word: &str| {
        let mut names = code.mentions.iter();
        names.any(|&name| heap.strings.get(name) == word)
    };
    let calls = |code: &&memshed_heap::Code| mentions(code, "gc") && mentions(code, "collect");
    // What `python -c` runs is in no file.
    let own = |code: &&memshed_heap::Code| {
        let file = heap.strings.get(code.file);
        file == "<string>" || !crate::findings::is_library(file)
    };
    let all = heap.code.iter().filter(calls).filter(own);
    all.take(4)
        .map(|code| Location {
            file: heap.strings.get(code.file).to_owned(),
            line: code.line,
            role: format!("{}() mentions gc.collect", heap.strings.get(code.name)),
        })
        .collect()
}
