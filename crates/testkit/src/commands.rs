//! What the application and its machine do without being asked: commands at any moment, and death.

use vodferry_engine::{Engine, FileId};

use crate::app::Outcome;
use crate::checker::{Check, broken};
use crate::scenario;
use crate::world::{Pending, World};

#[derive(Clone, Copy)]
enum Command {
    Add,
    Authorize,
    Cancel,
    ChangeSource,
    Clear,
    ClockJump,
    Network,
    PauseFile,
    PauseList,
    Remove,
    Restore,
    ResumeFile,
    ResumeList,
    Start,
    Stop,
}

const COMMANDS: &[(Command, u64)] = &[
    (Command::Add, 3),
    (Command::Authorize, 4),
    (Command::Cancel, 7),
    (Command::ChangeSource, 4),
    (Command::Clear, 1),
    (Command::ClockJump, 4),
    (Command::Network, 5),
    (Command::PauseFile, 8),
    (Command::PauseList, 6),
    (Command::Remove, 3),
    (Command::Restore, 10),
    (Command::ResumeFile, 14),
    (Command::ResumeList, 10),
    (Command::Start, 16),
    (Command::Stop, 8),
];

impl World {
    /// Something happens that nobody asked for.
    pub(crate) fn command(&mut self) -> Check {
        let now = self.clock.now();
        let command = self.rng.weighted(COMMANDS);
        let index = self.rng.below(self.files.len() as u64) as usize;
        let file = self.files.get(index).and_then(|f| f.id);
        match (command, file) {
            (Command::Add, _) if self.files.len() < 8 => {
                let plan = scenario::file(&mut self.rng, self.sources.len(), &self.scenario.config);
                return self.add(&plan);
            }
            (Command::Clear, _) => {
                self.note(|| "clear".to_owned());
                self.coverage.hit("command", "clear");
                self.engine.clear(now);
                self.checker.cleared();
                for file in &mut self.files {
                    let listed = file.id.take().is_some();
                    if listed && !matches!(file.outcome, Outcome::Succeeded(_)) {
                        file.outcome = Outcome::Removed;
                    }
                }
            }
            (Command::ClockJump, _) => {
                let skew = self.rng.pick(&[0, 3_600_000, -3_600_000, 86_400_000 * 30, -20_000]);
                self.note(|| format!("the wall clock is now {skew} ms ahead"));
                self.clock.jump(skew);
            }
            (Command::Network, _) => {
                self.note(|| "network_changed".to_owned());
                self.coverage.hit("command", "network_changed");
                self.engine.network_changed(now);
            }
            (Command::Start, _) => return self.start(),
            (Command::Stop, _) => {
                self.note(|| "stop".to_owned());
                self.coverage.hit("command", "stop");
                self.engine.stop(now);
                self.checker.stopped();
            }
            (Command::PauseList, _) => return self.pause(None).map(drop),
            (Command::ResumeList, _) => return self.resume(None).map(drop),
            (Command::Authorize, Some(id)) => {
                let video = self.engine.files().into_iter().find(|v| v.id == id);
                let video = video.and_then(|v| v.video_id);
                self.push(id, true, video.as_deref())?;
            }
            (Command::Cancel, Some(id)) => return self.cancel(index, id),
            (Command::ChangeSource, _) => self.change_source(index),
            (Command::PauseFile, Some(id)) => return self.pause(Some(id)).map(drop),
            (Command::Remove, Some(id)) => {
                let result = self.engine.remove(now, id);
                self.note(|| format!("remove {}: {result:?}", id.0));
                if result.is_err() {
                    return broken("1 remove takes every listed file", format!("file {}", id.0));
                }
                self.coverage.hit("command", "remove");
                self.checker.removed(id);
                if let Some(file) = self.files.get_mut(index) {
                    file.id = None;
                    if !matches!(file.outcome, Outcome::Succeeded(_)) {
                        file.outcome = Outcome::Removed;
                    }
                }
            }
            (Command::Restore, Some(id)) => return self.restore(index, id),
            (Command::ResumeFile, Some(id)) => return self.resume(Some(id)).map(drop),
            _ => {}
        }
        self.drain(usize::MAX).map(drop)
    }

    /// The process or the machine dies; a new engine goes on with what is on disk.
    pub(crate) fn die(&mut self) -> Check {
        if let Some((key, _)) = self.pending.iter().next().filter(|_| self.rng.chance(400)) {
            let key = *key;
            // The last thing before death: an answer of whose consequences only the first come to pass.
            if let Some(Pending::Deliver(input)) = self.pending.remove(&key) {
                self.clock.advance_to(key.0);
                self.coverage.hit("death", "crash between outputs");
                self.note(|| format!("input before death {input:?}"));
                self.last_words(input)?;
            }
        }
        for pending in std::mem::take(&mut self.pending).into_values() {
            match pending {
                Pending::Arrive(call) if call.fate.refusal().is_none() && self.rng.chance(400) => {
                    self.coverage.hit("death", "request carried out after death");
                    let _unheard = self.carry_out(&call);
                }
                _ => {}
            }
        }
        if self.rng.chance(500) {
            self.coverage.hit("death", "power loss");
            self.note(|| "--- power loss ---".to_owned());
            self.journals.power_loss(&mut self.rng);
        } else {
            self.coverage.hit("death", "crash");
            self.note(|| "--- crash ---".to_owned());
            self.journals.crash();
        }
        self.journal_free.clear();
        self.looked_at.clear();
        self.deadline = None;
        self.checker.crashed();
        let seed = self.rng.bits();
        self.engine = match Engine::new(self.scenario.config.clone(), seed) {
            Ok(engine) => engine,
            Err(misuse) => return broken("a valid configuration is accepted", misuse.rule),
        };
        let pause = self.rng.below(60_000);
        self.clock.advance(pause);
        for index in 0..self.files.len() {
            if self.mishap() {
                self.change_source(index);
            }
            let Some(file) = self.files.get_mut(index) else { continue };
            file.id = None;
            let again = match file.outcome {
                Outcome::Open | Outcome::Failed(_) => true,
                Outcome::Canceled => self.rng.chance(300),
                Outcome::Succeeded(_) | Outcome::Removed => false,
            };
            if again {
                file.outcome = Outcome::Open;
                self.list(index)?;
            }
        }
        self.start()
    }

    fn pause(&mut self, file: Option<FileId>) -> Check {
        let result = self.engine.pause(self.clock.now(), file);
        self.note(|| format!("pause {file:?}: {result:?}"));
        if result.is_ok() {
            let name = if file.is_some() { "pause file" } else { "pause list" };
            self.coverage.hit("command", name);
            self.checker.paused(file);
        }
        self.drain(usize::MAX).map(drop)
    }

    pub(crate) fn resume(&mut self, file: Option<FileId>) -> Check {
        let result = self.engine.resume(self.clock.now(), file);
        self.note(|| format!("resume {file:?}: {result:?}"));
        if result.is_ok() {
            let name = if file.is_some() { "resume file" } else { "resume list" };
            self.coverage.hit("command", name);
            self.checker.resumed(file);
        }
        self.drain(usize::MAX).map(drop)
    }

    fn cancel(&mut self, index: usize, id: FileId) -> Check {
        let result = self.engine.cancel(self.clock.now(), id);
        self.note(|| format!("cancel {}: {result:?}", id.0));
        if result.is_ok() {
            self.coverage.hit("command", "cancel");
            self.checker.canceled(id)?;
        } else if self.files.get(index).is_some_and(|f| f.outcome == Outcome::Open) {
            return broken("7 a file that is not finished can be cancelled", format!("{}", id.0));
        }
        self.drain(usize::MAX).map(drop)
    }

    pub(crate) fn restore(&mut self, index: usize, id: FileId) -> Check {
        let result = self.engine.restore(self.clock.now(), id);
        self.note(|| format!("restore {}: {result:?}", id.0));
        let Some(file) = self.files.get_mut(index) else { return Ok(()) };
        let lost = matches!(file.outcome, Outcome::Failed(_) | Outcome::Canceled);
        if result.is_ok() {
            file.outcome = Outcome::Open;
            self.coverage.hit("command", "restore");
            self.checker.restored(id)?;
        } else if lost {
            return broken("7 a failed or cancelled file can be restored", format!("{}", id.0));
        }
        self.drain(usize::MAX).map(drop)
    }

    fn change_source(&mut self, index: usize) {
        let Some(plan) = self.files.get(index).map(|f| f.plan.clone()) else { return };
        let length = if self.rng.chance(600) { plan.length } else { plan.length + 1 };
        if let Some(source) = self.sources.get_mut(plan.source) {
            source.change(length);
            self.coverage.hit("fault", "source changed between runs");
            self.note(|| format!("source {} changes", plan.source));
        }
    }

    /// An answer whose consequences are cut short.
    fn last_words(&mut self, input: vodferry_engine::Input) -> Check {
        let outputs = self.rng.below(4) as usize;
        self.hand_over(input)?;
        self.drain(outputs).map(drop)
    }
}
