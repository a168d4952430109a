//! The rounds: which settings are tried when, which are dropped, when it is decided.

use super::records::{Folder, Said};
use super::run::{self, Done, Failure, Program};
use super::settings::{Interpreter, Machine, Setting};
use crate::look::Progress;
use memshed_analysis::tune::{
    Effect, Figures, Pair, Question, SCREENING, decide, effect, hopeless, looks, question,
};

/// What became of a setting.
pub enum Fate {
    /// It was measured.
    Measured,
    /// It was not tried, and why.
    Left(String),
    /// It could not be applied, and why.
    NotApplied(String),
    /// The program fails under it, also a second time: how, and the end of what it said.
    Fails(String, String),
}

/// A setting and how it fared.
pub struct Tried {
    /// Which.
    pub setting: &'static Setting,
    /// What became of it.
    pub fate: Fate,
    /// The rounds that chose.
    pub first: Vec<Pair>,
    /// The rounds that decided; empty if it was not chosen.
    pub fresh: Vec<Pair>,
    /// What the first rounds asked, and whether it is really better; `None` as long as that is open.
    pub questions: Vec<(Question, Option<bool>)>,
    /// How single runs failed, which a second one did not.
    pub mishaps: Vec<String>,
    /// When start-up was over, in seconds, as the program's collector saw it.
    pub frozen: Vec<f64>,
}

/// All that was measured.
pub struct Tuned {
    /// What the program runs on; `None` if no Python took memshed's hook up.
    pub interpreter: Option<Interpreter>,
    /// The settings in the order of the table.
    pub tried: Vec<Tried>,
    /// The program as it is, in all rounds.
    pub as_is: Vec<Figures>,
    /// Rounds after those that chose.
    pub fresh: usize,
    /// How often the test was made at most.
    pub looks: usize,
    /// Runs in all.
    pub runs: usize,
    /// Why there are no more rounds, if the program as it is failed twice in a row.
    pub broken_off: Option<String>,
}

/// Why nothing could be measured.
pub enum Cannot {
    /// The program as it is does not work.
    AsIs(Failure),
    /// The folder for the hook.
    Folder(std::io::Error),
}

/// Decides in which order the runs of a round go.
struct Dice(u64);

impl Dice {
    /// A number below `n`, by SplitMix64.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }
}

/// Settings under trial, and how far it is.
struct Trial<'a> {
    program: &'a Program,
    progress: &'a dyn Progress,
    folder: Folder,
    dice: Dice,
    tuned: Tuned,
}

/// Tries `settings` on the program, deciding in `most` rounds at most.
pub fn tune(
    program: &Program,
    settings: &[&'static Setting],
    most: usize,
    seed: u64,
    progress: &dyn Progress,
) -> Result<Tuned, Cannot> {
    let folder = Folder::make().map_err(Cannot::Folder)?;
    let remove = folder.path().to_owned();
    let _undo = crate::interrupt::OnInterrupt::new(move || {
        super::tree::end_all_soon();
        let _ = std::fs::remove_dir_all(remove);
    });
    let tried = settings.iter().map(|setting| Tried {
        setting,
        fate: Fate::Measured,
        first: Vec::new(),
        fresh: Vec::new(),
        questions: Vec::new(),
        mishaps: Vec::new(),
        frozen: Vec::new(),
    });
    let mut trial = Trial {
        program,
        progress,
        folder,
        dice: Dice(seed),
        tuned: Tuned {
            interpreter: None,
            tried: tried.collect(),
            as_is: Vec::new(),
            fresh: 0,
            looks: looks(most).len(),
            runs: 0,
            broken_off: None,
        },
    };
    trial.leave_what_is_missing();
    if trial.measured().is_empty() {
        return Ok(trial.tuned);
    }
    trial.warm_up()?;
    match trial.rounds(most) {
        Ok(()) => {}
        // What there is by then is worth more than nothing.
        Err(Cannot::AsIs(failure)) if !trial.tuned.as_is.is_empty() => {
            trial.tuned.broken_off = Some(failure.how());
        }
        Err(cannot) => return Err(cannot),
    }
    Ok(trial.tuned)
}

impl Trial<'_> {
    fn leave_what_is_missing(&mut self) {
        let machine = Machine::look();
        for tried in &mut self.tuned.tried {
            if let Some(why) = tried.setting.missing(&machine) {
                tried.fate = Fate::Left(why);
            }
        }
    }

    /// A first run that is not counted: it fills caches, and shows what the program is.
    fn warm_up(&mut self) -> Result<(), Cannot> {
        self.progress.stage("a first run, as it is");
        let done = self.run(None)?.map_err(Cannot::AsIs)?;
        self.tuned.interpreter = done.said.interpreter;
        for at in self.measured() {
            let tried = &mut self.tuned.tried[at];
            if let Some(why) = tried.setting.refused(done.said.interpreter) {
                tried.fate = Fate::Left(why);
            }
        }
        Ok(())
    }

    /// Those that choose, and those that decide.
    fn rounds(&mut self, most: usize) -> Result<(), Cannot> {
        for round in 1..=SCREENING {
            let all = self.measured();
            if all.is_empty() {
                return Ok(());
            }
            let name = format!("round {round} of {SCREENING}, all settings");
            self.round(&all, &name, |tried| &mut tried.first)?;
        }
        self.ask();
        self.decide(most)
    }

    fn measured(&self) -> Vec<usize> {
        let all = self.tuned.tried.iter().enumerate();
        let measured = all.filter(|(_, tried)| matches!(tried.fate, Fate::Measured));
        measured.map(|(at, _)| at).collect()
    }

    fn run(&mut self, setting: Option<&Setting>) -> Result<Result<Done, Failure>, Cannot> {
        self.tuned.runs += 1;
        let records = self.folder.run().map_err(Cannot::Folder)?;
        Ok(run::run(
            self.program,
            setting,
            self.folder.path(),
            &records,
        ))
    }

    /// Runs the program as it is and under each of `settings`, in an order of its own.
    fn round(
        &mut self,
        settings: &[usize],
        name: &str,
        place: fn(&mut Tried) -> &mut Vec<Pair>,
    ) -> Result<(), Cannot> {
        let mut order: Vec<Option<usize>> = settings.iter().copied().map(Some).collect();
        order.push(None);
        self.dice.shuffle(&mut order);
        let mut as_is = None;
        let mut results = Vec::new();
        for (place, one) in order.iter().enumerate() {
            let setting = one.map(|at| self.tuned.tried[at].setting);
            let shown = setting.map_or("as it is", |setting| setting.name);
            let step = format!("{name}: {} of {}, {shown}", place + 1, order.len());
            self.progress.stage(&step);
            let done = match self.run(setting)? {
                Ok(done) => Ok(done),
                // A mishap, perhaps.
                Err(first) => {
                    if let Some(at) = one {
                        self.tuned.tried[*at].mishaps.push(first.how());
                    }
                    self.progress.stage(&format!("{step}, again"));
                    self.run(setting)?
                }
            };
            match (*one, done) {
                (None, done) => as_is = Some(done.map_err(Cannot::AsIs)?.figures),
                (Some(at), Ok(done)) => {
                    let tried = &mut self.tuned.tried[at];
                    match not_applied(tried.setting, &done.said) {
                        // One run that ended too early spoils nothing but its round.
                        Some(why) if tried.first.is_empty() => tried.fate = Fate::NotApplied(why),
                        Some(_) => {}
                        None => results.push((at, done)),
                    }
                }
                (Some(at), Err(failure)) => self.tuned.tried[at].fate = fails(failure),
            }
        }
        let Some(as_is) = as_is else { return Ok(()) };
        self.tuned.as_is.push(as_is);
        for (at, done) in results {
            let tried = &mut self.tuned.tried[at];
            tried.frozen.extend(done.said.frozen);
            place(tried).push((as_is, done.figures));
        }
        Ok(())
    }

    /// What the first rounds make worth a test.
    fn ask(&mut self) {
        for at in self.measured() {
            let asked: Vec<Question> = question(at, &self.tuned.tried[at].first).collect();
            let open = |one| (one, None);
            self.tuned.tried[at].questions = asked.into_iter().map(open).collect();
        }
    }

    /// New rounds until all questions are answered or the rounds are used up.
    fn decide(&mut self, most: usize) -> Result<(), Cannot> {
        for look in looks(most) {
            while self.tuned.fresh < look {
                let open = self.open();
                if open.is_empty() {
                    return Ok(());
                }
                let round = self.tuned.fresh + 1;
                let name = format!("deciding round {round}, {look} or more");
                self.round(&open, &name, |tried| &mut tried.fresh)?;
                self.tuned.fresh = round;
            }
            self.answer();
        }
        Ok(())
    }

    /// Makes the test of all questions together, those that have been answered already included.
    fn answer(&mut self) {
        let questions: Vec<Question> = self.questions().map(|(question, _)| question).collect();
        let effects: Vec<Option<Effect>> = questions.iter().map(|q| self.effect(*q)).collect();
        let yes = decide(&effects, self.tuned.looks);
        for ((question, effect), yes) in questions.iter().zip(&effects).zip(yes) {
            let lost = effect.is_some_and(|effect| hopeless(&effect));
            let tried = &mut self.tuned.tried[question.setting];
            let mut asked = tried.questions.iter_mut();
            if let Some((_, answer)) = asked.find(|(asked, _)| asked == question) {
                *answer = match *answer {
                    // Once it is answered with yes, it stays so.
                    Some(true) => Some(true),
                    _ if yes => Some(true),
                    _ if lost => Some(false),
                    _ => None,
                };
            }
        }
    }

    fn questions(&self) -> impl Iterator<Item = (Question, Option<bool>)> {
        let measured = |tried: &&Tried| matches!(tried.fate, Fate::Measured);
        let tried = self.tuned.tried.iter().filter(measured);
        tried.flat_map(|tried| tried.questions.iter().copied())
    }

    fn effect(&self, question: Question) -> Option<Effect> {
        effect(&self.tuned.tried[question.setting].fresh, question.metric)
    }

    /// Settings with a question that is not answered yet.
    fn open(&self) -> Vec<usize> {
        let is_open = |(question, answer): &(Question, Option<bool>)| {
            let rounds = self.tuned.tried[question.setting].fresh.len();
            let early = rounds < memshed_analysis::tune::FIRST_LOOK;
            let lost = self
                .effect(*question)
                .is_some_and(|effect| hopeless(&effect));
            early || *answer != Some(true) && !lost
        };
        let mut open: Vec<usize> = self
            .questions()
            .filter(is_open)
            .map(|(question, _)| question.setting)
            .collect();
        open.dedup();
        open
    }
}

/// Why a run was not under its setting after all, if so.
fn not_applied(setting: &Setting, said: &Said) -> Option<String> {
    if setting.preload.is_some() && said.interpreter.is_some() && !said.preload {
        return Some("the library was not loaded into Python".into());
    }
    if setting.python.thresholds.is_some() && said.own_thresholds {
        return Some("the program sets thresholds of its own".into());
    }
    if setting.python.freeze && said.frozen.is_none() {
        let why = match said.collections {
            0.0 => "no collection ran, so there was nothing to freeze",
            _ => "the program ended before its start-up seemed over; --ready-after says when it is",
        };
        return Some(why.into());
    }
    None
}

fn fails(failure: Failure) -> Fate {
    match failure {
        Failure::Start(error) => Fate::Fails(error.to_string(), String::new()),
        Failure::Ended { how, tail } => Fate::Fails(how, tail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_everything_once_and_varies() {
        let mut dice = Dice(1);
        let mut orders = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let mut order = [0, 1, 2, 3];
            dice.shuffle(&mut order);
            orders.insert(order);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
        assert!(orders.len() > 10, "{}", orders.len());
    }
}
