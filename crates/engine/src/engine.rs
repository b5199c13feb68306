//! The machine as a shell sees it: commands and answers in, effects and events out.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::aborts::Aborts;
use crate::access::Access;
use crate::config::Config;
use crate::desk::{Desk, Kind, Owner};
use crate::list::{List, is_terminal};
use crate::plan::may_be_asked;
use crate::ready::Ready;
use crate::transfer::Transfer;
use crate::vocab::{
    Event, FileId, FileSpec, FileState, FileView, Grant, Input, Misuse, Now, Output,
};

/// Decides what to do next, for a list of files. Pure: give it commands, answers and the time; perform the effects and tell
/// the events that [`Engine::poll`] gives out.
///
/// Any call order is safe. Commands and answers only change what is known and may queue events; poll again after each of
/// them, until it answers [`Output::Timeout`].
///
/// ```
/// use vodferry_engine::{Config, Effect, Engine, FileSpec, Now, Output};
///
/// let now = Now { mono_ms: 0, wall_ms: 1_700_000_000_000 };
/// let mut engine = Engine::new(Config::default(), 1).expect("the defaults are valid");
/// let file = engine.add(now, FileSpec::default()).expect("a valid part size");
/// engine.start(now);
/// assert!(matches!(engine.poll(now), Output::Effect(Effect::LoadCheckpoint { file: f, .. }) if f == file));
/// assert_eq!(engine.poll(now), Output::Timeout(None));
/// ```
#[derive(Debug)]
pub struct Engine {
    desk: Desk,
    list: List,
    aborts: Aborts,
    running: bool,
    /// The whole list is paused.
    paused: bool,
    /// The file that finished last.
    last: Option<FileId>,
    /// The file that sends first in the next round.
    turn: FileId,
    attempts: u64,
}

impl Engine {
    /// An empty list, stopped. `seed` feeds the jitter.
    ///
    /// Misuse: `max_in_flight` or `files_at_once` is 0, or the part size is neither 0 nor from 102,400 bytes to 5 GiB.
    pub fn new(config: Config, seed: u64) -> Result<Engine, Misuse> {
        if config.max_in_flight == 0 || config.files_at_once == 0 {
            return Err(Misuse { rule: "max_in_flight and files_at_once must be at least 1" });
        }
        check_part_size(config.part_size)?;
        Ok(Engine {
            desk: Desk::new(config, seed),
            list: List::default(),
            aborts: Aborts::default(),
            running: false,
            paused: false,
            last: None,
            turn: FileId(0),
            attempts: 0,
        })
    }

    /// Puts a file at the end of the list. A run under way takes it up.
    ///
    /// Misuse: the part size is neither 0 nor from 102,400 bytes to 5 GiB.
    pub fn add(&mut self, _now: Now, spec: FileSpec) -> Result<FileId, Misuse> {
        check_part_size(spec.part_size)?;
        Ok(self.list.add(spec))
    }

    /// Takes a file out of the list, whatever its state; nothing more is told about it.
    pub fn remove(&mut self, now: Now, file: FileId) -> Result<(), Misuse> {
        self.list.get(file)?;
        self.drop_transfer(now, file, false);
        self.list.remove(file);
        if self.last == Some(file) {
            self.last = None;
        }
        Ok(())
    }

    /// Skips a file that has not finished: Canceled is told, the next one starts. What becomes of its upload is
    /// [`Config::on_cancel`]'s; it stays where the file was neither under way nor paused while it was.
    pub fn cancel(&mut self, now: Now, file: FileId) -> Result<(), Misuse> {
        if is_terminal(self.list.get(file)?.state()) {
            return Err(Misuse { rule: "only a file that has not finished can be cancelled" });
        }
        self.drop_transfer(now, file, true);
        self.finish(file, FileState::Canceled);
        Ok(())
    }

    /// Queues a cancelled or failed file again, at its old place.
    pub fn restore(&mut self, _now: Now, file: FileId) -> Result<(), Misuse> {
        match self.list.get(file)?.state() {
            FileState::Canceled | FileState::Failed => {
                self.list.set(file, FileState::Waiting);
                Ok(())
            }
            _ => Err(Misuse { rule: "only a cancelled or failed file can be restored" }),
        }
    }

    /// Gives a file another place among those that wait ([`FileSpec::priority`]). It never interrupts: of a file that is under way,
    /// paused or over it counts when it waits again.
    ///
    /// Misuse: no such file.
    pub fn set_priority(&mut self, _now: Now, file: FileId, priority: i32) -> Result<(), Misuse> {
        self.list.get(file)?;
        self.list.set_priority(file, priority);
        Ok(())
    }

    /// Removes all files.
    pub fn clear(&mut self, now: Now) {
        for file in self.list.ids() {
            // Every id is in the list.
            let _ = self.remove(now, file);
        }
    }

    /// Begins a run; no-op while one is under way. Failed files take part only with
    /// [`Config::restart_failed`]. An empty list ends the run at once.
    pub fn start(&mut self, _now: Now) {
        if self.running {
            return;
        }
        self.running = true;
        if self.desk.config.restart_failed {
            for file in self.list.failed() {
                self.list.set(file, FileState::Waiting);
            }
        }
    }

    /// Ends the run. Files under way wait for the next one, which resumes them from their checkpoints.
    pub fn stop(&mut self, _now: Now) {
        if !self.running {
            return;
        }
        for file in self.list.active().clone() {
            self.leave(file, FileState::Waiting);
        }
        for file in self.list.parked() {
            self.unpark(file);
        }
        self.end_if_done();
        self.running = false;
    }

    /// Pauses the list, or one file. The list keeps its transfers, stays paused over `stop` and `start`, and cuts what is in
    /// flight; a file paused alone frees its place for the next.
    ///
    /// Misuse: the file has finished. Pausing what is paused changes nothing.
    pub fn pause(&mut self, _now: Now, file: Option<FileId>) -> Result<(), Misuse> {
        let Some(file) = file else {
            self.paused = true;
            for file in self.list.active().clone() {
                if let Some(transfer) = self.list.transfer(file) {
                    transfer.cut(&mut self.desk);
                }
            }
            return Ok(());
        };
        if is_terminal(self.list.get(file)?.state()) {
            return Err(Misuse { rule: "only a file that has not finished can be paused" });
        }
        self.leave(file, FileState::Paused);
        Ok(())
    }

    /// Undoes [`Engine::pause`]. A file paused alone waits for its turn again.
    ///
    /// Misuse: the file has finished. Resuming what is not paused changes nothing.
    pub fn resume(&mut self, _now: Now, file: Option<FileId>) -> Result<(), Misuse> {
        let Some(file) = file else {
            self.paused = false;
            return Ok(());
        };
        match self.list.get(file)?.state() {
            FileState::Paused => self.list.set(file, FileState::Waiting),
            state if is_terminal(state) => {
                return Err(Misuse { rule: "only a file that has not finished can be resumed" });
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives a file its (next) grant, asked for or not. A file whose turn has not come keeps it for its start; one that is paused is aborted
    /// with it, where a cancel is to.
    ///
    /// Misuse: the file has finished.
    pub fn authorize(&mut self, now: Now, file: FileId, grant: Grant) -> Result<(), Misuse> {
        if is_terminal(self.list.get(file)?.state()) {
            return Err(Misuse { rule: "only a file that has not finished can be authorized" });
        }
        match self.list.transfer(file) {
            Some(transfer) => {
                transfer.authorize(now, &mut self.desk, grant);
                self.settle(now, file);
            }
            None => {
                if let Some(entry) = self.list.get_mut(file) {
                    if let Some(parked) = &mut entry.parked {
                        parked.renew(now, &grant);
                    }
                    entry.pushed = Some(grant);
                }
            }
        }
        Ok(())
    }

    /// The authorizer can give grants again, as it was supplied with a credential: files that wait after TokenExpired ask anew.
    /// Nothing happens to others, nor without an authorizer.
    pub fn supplied(&mut self, now: Now) {
        if !self.desk.config.authorizer {
            return;
        }
        for file in self.list.active().clone() {
            if let Some(transfer) = self.list.transfer(file) {
                transfer.ask_again(now);
            }
        }
    }

    /// The way to the network changed: requests under way are sent anew, back-off ends. No failure, no event.
    pub fn network_changed(&mut self, _now: Now) {
        for file in self.list.active().clone() {
            if let Some(transfer) = self.list.transfer(file) {
                transfer.network_changed(&mut self.desk);
            }
        }
    }

    /// Takes an answer. One that is late, repeated or unknown changes nothing.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Answer { id, result, server_date_ms } => {
                let owner = self.desk.answered(id, Kind::Perform);
                if let Some(date) = server_date_ms.filter(|_| owner.is_some()) {
                    self.desk.clock.learn(now, date);
                }
                if self.aborts.holds(id) {
                    return self.aborts.answered(now, id, result);
                }
                self.with(now, owner, |t, desk| t.answered(now, desk, id, result));
            }
            Input::Appended { id, result } => {
                let owner = self.desk.answered(id, Kind::Append);
                self.with(now, owner, |t, desk| t.appended(desk, id, result));
            }
            Input::Broken { file, error } => {
                self.grow(now, file, 0, |ready| ready.break_off(error));
            }
            Input::Finished { file, length } => {
                self.grow(now, file, 0, |ready| ready.finish(length));
            }
            Input::Grown { file, range } => {
                self.grow(now, file, range.start, |ready| ready.add(range));
            }
            Input::Granted { id, result } => {
                let owner = self.desk.answered(id, Kind::Ask);
                self.with(now, owner, |t, desk| t.granted(now, desk, id, result));
            }
            Input::Loaded { id, result } => {
                let owner = self.desk.answered(id, Kind::Load);
                self.with(now, owner, |t, desk| t.loaded(desk, id, result));
            }
            Input::Sent { id, bytes } => {
                let owner = self.desk.owner(id);
                self.with(now, owner, |t, _| t.on_sent(id, bytes));
            }
        }
    }

    /// Gives the next thing to do; fires what is due.
    pub fn poll(&mut self, now: Now) -> Output {
        loop {
            while let Some(output) = self.desk.pop() {
                let removed = match &output {
                    Output::Event(event) => event.file().is_some_and(|f| !self.list.holds(f)),
                    _ => false,
                };
                if !removed {
                    return output;
                }
            }
            self.step(now);
            if self.desk.is_empty() {
                return Output::Timeout(self.deadline(now));
            }
        }
    }

    /// The list, in order.
    pub fn files(&self) -> Vec<FileView> {
        self.list.views()
    }

    /// One file of the list; `None` when it is not in it.
    pub fn file(&self, file: FileId) -> Option<FileView> {
        Some(self.list.get(file).ok()?.view(file))
    }

    /// Whether a run is under way (a paused one too).
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// What is to be added to this machine's wall clock to get the server's time, as learned from its replies; milliseconds.
    pub fn clock_offset_ms(&self) -> i64 {
        self.desk.clock.offset_ms()
    }

    /// Everything that needs no input: timers, files to start, requests to send. In one go until the limits are reached.
    fn step(&mut self, now: Now) {
        self.aborts.fire(now, &mut self.desk);
        let active: Vec<FileId> = self.list.active().iter().copied().collect();
        for file in active {
            if let Some(transfer) = self.list.transfer(file) {
                transfer.tell_progress(now.mono_ms, &mut self.desk);
                transfer.fail_when_answered(&mut self.desk);
                if !self.paused {
                    transfer.step(now, &mut self.desk);
                }
            }
            self.settle(now, file);
        }
        if self.running && !self.paused {
            self.start_files(now);
            self.send_bodies(now);
        }
        self.end_if_done();
    }

    fn start_files(&mut self, now: Now) {
        while self.list.active().len() < self.desk.config.files_at_once as usize {
            let Some(file) = self.list.first_waiting() else { return };
            self.unpark(file);
            self.list.set(file, FileState::Active);
            self.attempts += 1;
            let owner = Owner { file, attempt: self.attempts };
            if let Some(entry) = self.list.get_mut(file) {
                let given = entry.pushed.take();
                // Used once: what took its place, or that nothing could, is known by the next start.
                let added = entry.spec.grant.take();
                let access = match (given, entry.kept.take(), added) {
                    (Some(grant), _, _) | (None, None, Some(grant)) => Access::of(now, grant),
                    (None, Some(held), _) => Access::again(held),
                    (None, None, None) => Access::default(),
                };
                let ready = core::mem::take(&mut entry.ready);
                let part_size = entry.spec.part_size;
                let transfer = Transfer::start(&mut self.desk, owner, part_size, access, ready);
                entry.transfer = Some(Box::new(transfer));
            }
        }
    }

    /// One body per file and round, so that files share what may be in flight.
    fn send_bodies(&mut self, now: Now) {
        let active = self.list.active();
        let mut order: Vec<FileId> = active.range(self.turn..).copied().collect();
        order.extend(active.range(..self.turn));
        while !order.is_empty() {
            let mut left = Vec::new();
            for file in order {
                if self.desk.bodies >= self.desk.config.max_in_flight {
                    self.turn = file;
                    return;
                }
                let transfer = self.list.transfer(file);
                if transfer.is_some_and(|t| t.send_body(now, &mut self.desk)) {
                    left.push(file);
                }
            }
            order = left;
        }
    }

    fn deadline(&mut self, now: Now) -> Option<u64> {
        let mut deadline = self.aborts.deadline();
        let held = self.paused;
        for file in self.list.active().clone() {
            let due = self.list.transfer(file).and_then(|t| t.deadline(now, &self.desk, held));
            deadline = [deadline, due].into_iter().flatten().min();
        }
        // What was due has been fired: a deadline that is not ahead would make the shell spin.
        debug_assert!(deadline.is_none_or(|at| at > now.mono_ms));
        deadline.map(|at| at.max(now.mono_ms.saturating_add(1)))
    }

    /// Lets a transfer take an answer, if the attempt it was for still goes on.
    fn with(
        &mut self,
        now: Now,
        owner: Option<Owner>,
        take: impl FnOnce(&mut Transfer, &mut Desk),
    ) {
        let Some(owner) = owner else { return };
        let Some(transfer) = self.list.transfer(owner.file).filter(|t| t.owner == owner) else {
            return;
        };
        take(transfer, &mut self.desk);
        self.settle(now, owner.file);
    }

    /// More of a source of unknown length is final, from this byte on. `announce` is false for what cannot be.
    fn grow(&mut self, now: Now, file: FileId, from: u64, announce: impl FnOnce(&mut Ready)) {
        let Some(entry) = self.list.get_mut(file) else { return };
        match &mut entry.transfer {
            None => announce(&mut entry.ready),
            Some(transfer) => {
                announce(&mut transfer.ready);
                transfer.grow(&mut self.desk, from);
                self.settle(now, file);
            }
        }
    }

    /// Notes how a transfer ended, if it did.
    fn settle(&mut self, now: Now, file: FileId) {
        let Some(state) = self.list.transfer(file).and_then(|t| t.over) else { return };
        self.finish(file, state);
        if state == FileState::Failed && self.desk.config.halt_on_failure {
            self.stop(now);
        }
    }

    fn finish(&mut self, file: FileId, state: FileState) {
        self.list.set(file, state);
        self.last = Some(file);
    }

    fn end_if_done(&mut self) {
        if self.running && self.list.open() == 0 {
            self.running = false;
            self.desk.event(Event::Ended { last: self.last });
        }
    }
}

fn check_part_size(part_size: u64) -> Result<(), Misuse> {
    if may_be_asked(part_size) {
        Ok(())
    } else {
        Err(Misuse { rule: "a part size is 0 (the default), or from 102,400 bytes to 5 GiB" })
    }
}

#[cfg(test)]
mod growing;
mod leaving;
#[cfg(test)]
mod tests;
