//! What the application and its machine do without being asked: commands at any moment, and death.

use vodferry_engine::{Engine, FileId, FileState, FileView};

use crate::app::Outcome;
use crate::checker::{Check, broken};
use crate::scenario;
use crate::world::{Pending, World};

#[derive(Clone, Copy)]
enum Command {
    Add,
    Announce,
    Authorize,
    Cancel,
    ChangeSource,
    Clear,
    ClockJump,
    Echo,
    Network,
    PauseFile,
    PauseList,
    Remove,
    Restore,
    ResumeFile,
    ResumeList,
    SetPriority,
    Start,
    Stop,
    Supplied,
}

const COMMANDS: &[(Command, u64)] = &[
    (Command::Add, 3),
    (Command::Announce, 10),
    (Command::Authorize, 4),
    (Command::Cancel, 7),
    (Command::ChangeSource, 4),
    (Command::Clear, 2),
    (Command::ClockJump, 4),
    (Command::Echo, 12),
    (Command::Network, 5),
    (Command::PauseFile, 8),
    (Command::PauseList, 6),
    (Command::Remove, 3),
    (Command::Restore, 10),
    (Command::ResumeFile, 14),
    (Command::ResumeList, 10),
    (Command::SetPriority, 6),
    (Command::Start, 16),
    (Command::Stop, 8),
    (Command::Supplied, 5),
];

impl World {
    /// Something happens that nobody asked for.
    pub(crate) fn command(&mut self) -> Check {
        let now = self.clock.now();
        let command = self.rng.weighted(COMMANDS);
        let index = self.rng.below(self.files.len() as u64) as usize;
        let mut file = self.files.get(index).and_then(|f| f.id);
        if !self.removed.is_empty() && self.rng.chance(40) {
            let gone = self.rng.below(self.removed.len() as u64) as usize;
            file = self.removed.get(gone).copied();
        }
        match (command, file) {
            (Command::Add, _) if self.rng.chance(150) => return self.ask_too_much(),
            (Command::Add, _) if self.files.len() < 8 => {
                let plan = scenario::file(&mut self.rng, self.sources.len(), &self.scenario.config);
                return self.add(&plan);
            }
            (Command::Clear, _) => {
                self.note(|| "clear".to_owned());
                self.coverage.hit("command", "clear");
                self.meet("clear", None);
                self.removed.extend(self.files.iter().filter_map(|f| f.id));
                self.engine.clear(now);
                self.checker.at(now, self.engine.clock_offset_ms());
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
                self.coverage.hit("fault", "clock jump");
                self.meet("clock jump", None);
                self.clock.jump(skew);
            }
            (Command::Echo, _) => return self.echo(),
            (Command::Network, _) => {
                self.note(|| "network_changed".to_owned());
                self.coverage.hit("command", "network_changed");
                self.meet("network_changed", None);
                self.engine.network_changed(now);
                self.checker.network_changed();
            }
            (Command::Start, _) => return self.start(),
            (Command::Stop, _) => {
                self.note(|| "stop".to_owned());
                self.coverage.hit("command", "stop");
                self.meet("stop", None);
                self.engine.stop(now);
                self.checker.stopped();
            }
            (Command::Supplied, _) => {
                self.note(|| "supplied".to_owned());
                self.coverage.hit("command", "supplied");
                self.meet("supplied", None);
                self.engine.supplied(now);
                self.checker.at(now, self.engine.clock_offset_ms());
                self.checker.supplied();
            }
            (Command::PauseList, _) => return self.pause(None).map(drop),
            (Command::ResumeList, _) => return self.resume(None).map(drop),
            (Command::Authorize, Some(id)) => {
                let video = self.engine.files().into_iter().find(|v| v.id == id);
                let video = video.and_then(|v| v.video_id);
                self.push(id, true, video.as_deref())?;
            }
            (Command::Announce, Some(id)) => return self.say_again(id),
            (Command::Cancel, Some(id)) => return self.cancel(id),
            // What a writer has announced does not change any more.
            (Command::ChangeSource, _) if !self.files.get(index).is_some_and(|f| f.plan.grows) => {
                self.change_source(index);
            }
            (Command::PauseFile, Some(id)) => return self.pause(Some(id)).map(drop),
            (Command::Remove, Some(id)) => {
                let list = self.meet("remove", Some(id));
                let result = self.engine.remove(now, id);
                self.note(|| format!("remove {}: {result:?}", id.0));
                self.judge("remove", id, &list, result.is_ok())?;
                if result.is_ok() {
                    self.coverage.hit("command", "remove");
                    self.checker.at(now, self.engine.clock_offset_ms());
                    self.checker.removed(id);
                    self.removed.push(id);
                }
                if let Some(file) = self.files.iter_mut().find(|f| f.id == Some(id)) {
                    file.id = None;
                    if !matches!(file.outcome, Outcome::Succeeded(_)) {
                        file.outcome = Outcome::Removed;
                    }
                }
            }
            (Command::Restore, Some(id)) => return self.restore(id),
            (Command::ResumeFile, Some(id)) => return self.resume(Some(id)).map(drop),
            (Command::SetPriority, Some(id)) => return self.set_priority(id),
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
        self.heard.clear();
        self.removed.clear();
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
        }
        for index in 0..self.files.len() {
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
        let name = if file.is_some() { "pause" } else { "pause list" };
        let list = self.meet(name, file);
        let result = self.engine.pause(self.clock.now(), file);
        self.note(|| format!("pause {file:?}: {result:?}"));
        if let Some(file) = file {
            self.judge("pause", file, &list, result.is_ok())?;
        }
        if result.is_ok() {
            let name = if file.is_some() { "pause file" } else { "pause list" };
            self.coverage.hit("command", name);
            self.checker.paused(file);
        }
        self.drain(usize::MAX).map(drop)
    }

    pub(crate) fn resume(&mut self, file: Option<FileId>) -> Check {
        let name = if file.is_some() { "resume" } else { "resume list" };
        let list = self.meet(name, file);
        let result = self.engine.resume(self.clock.now(), file);
        self.note(|| format!("resume {file:?}: {result:?}"));
        if let Some(file) = file {
            self.judge("resume", file, &list, result.is_ok())?;
        }
        if result.is_ok() {
            let name = if file.is_some() { "resume file" } else { "resume list" };
            self.coverage.hit("command", name);
            self.checker.resumed(file);
        }
        self.drain(usize::MAX).map(drop)
    }

    fn cancel(&mut self, id: FileId) -> Check {
        let list = self.meet("cancel", Some(id));
        let result = self.engine.cancel(self.clock.now(), id);
        self.note(|| format!("cancel {}: {result:?}", id.0));
        self.judge("cancel", id, &list, result.is_ok())?;
        if result.is_ok() {
            self.coverage.hit("command", "cancel");
            self.checker.at(self.clock.now(), self.engine.clock_offset_ms());
            self.checker.canceled(id, &mut self.coverage)?;
        }
        self.drain(usize::MAX).map(drop)
    }

    pub(crate) fn restore(&mut self, id: FileId) -> Check {
        let list = self.meet("restore", Some(id));
        let result = self.engine.restore(self.clock.now(), id);
        self.note(|| format!("restore {}: {result:?}", id.0));
        self.judge("restore", id, &list, result.is_ok())?;
        if result.is_ok() {
            if let Some(file) = self.files.iter_mut().find(|f| f.id == Some(id)) {
                file.outcome = Outcome::Open;
            }
            self.coverage.hit("command", "restore");
            self.checker.restored(id)?;
        }
        self.drain(usize::MAX).map(drop)
    }

    fn set_priority(&mut self, id: FileId) -> Check {
        let priority = self.rng.pick(&[i32::MIN, -1, 0, 0, 1, i32::MAX]);
        let list = self.meet("set_priority", Some(id));
        let result = self.engine.set_priority(self.clock.now(), id, priority);
        self.note(|| format!("set priority of {} to {priority}: {result:?}", id.0));
        self.judge("set_priority", id, &list, result.is_ok())?;
        if result.is_ok() {
            self.coverage.hit("command", "set_priority");
            self.checker.set_priority(id, priority);
        }
        self.drain(usize::MAX).map(drop)
    }

    /// A command for one file is taken or refused by the file's state alone, and a refused one changes nothing.
    pub(crate) fn judge(&self, name: &str, id: FileId, before: &[FileView], taken: bool) -> Check {
        let state = before.iter().find(|view| view.id == id).map(|view| view.state);
        let over =
            matches!(state, Some(FileState::Succeeded | FileState::Failed | FileState::Canceled));
        let lost = matches!(state, Some(FileState::Failed | FileState::Canceled));
        let rightly = match name {
            "remove" | "set_priority" => state.is_some(),
            "restore" => lost,
            _ => state.is_some() && !over,
        };
        if taken != rightly {
            let what = format!("{name} of file {} ({state:?}): taken {taken}", id.0);
            return broken("1 commands are taken or refused by the file's state", what);
        }
        if !taken && self.engine.files() != before {
            return broken("1 a refused command changes nothing", format!("{name} of {}", id.0));
        }
        Ok(())
    }

    fn change_source(&mut self, index: usize) {
        let Some(plan) = self.files.get(index).map(|f| f.plan.clone()) else { return };
        let length = match self.rng.below(10) {
            0 => plan.length / 2,
            // What grows may turn out small.
            5..8 if plan.grows => self.rng.below(vodferry_engine::SMALL_FILE),
            1 => self.rng.below(vodferry_engine::SMALL_FILE),
            2..5 => plan.length + 1,
            _ => plan.length,
        };
        // An export that is made again often begins like the one before.
        let kept = if self.rng.chance(500) { self.rng.below(plan.length + 2) } else { 0 };
        if let Some(source) = self.sources.get_mut(plan.source) {
            match plan.grows {
                true => source.change_after(kept, length),
                false => source.change(length),
            }
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
