//! The model shell: performs effects as a real one would, at its own pace and with its own misfortunes.

use vodferry_engine::{
    Effect, EffectId, ErrorKind, Event, FaultKind, FileId, FileState, Input, Op, Output, Record,
    Reply,
};

use crate::app::Outcome;
use crate::checker::{Check, Violation, broken};
use crate::content::Version;
use crate::coverage::{event_name, op_name, state_name};
use crate::pairs::{self, list_row};
use crate::store::fault;
use crate::world::{Call, JournalCall, Pending, World};

/// A disk may be as slow as this.
const SLOW_DISK_MS: u64 = 4_000;
/// So many answers are remembered.
const HEARD: usize = 30;
/// So many outputs in a row do not end.
const MAX_OUTPUTS: usize = 10_000;

impl World {
    /// Takes the engine's outputs, `limit` at most; tells how many there were.
    pub(crate) fn drain(&mut self, limit: usize) -> Result<usize, Violation> {
        for count in 0..limit.min(MAX_OUTPUTS) {
            self.checker.at(self.clock.now(), self.engine.clock_offset_ms());
            match self.engine.poll(self.clock.now()) {
                Output::Effect(effect) => {
                    self.note(|| format!("  effect {effect:?}"));
                    let Self { checker, store, journals, coverage, .. } = self;
                    checker.effect(&effect, store, journals, coverage)?;
                    self.perform(effect)?;
                }
                Output::Event(event) => {
                    self.note(|| format!("  event  {event:?}"));
                    let Self { checker, store, sources, coverage, .. } = self;
                    let length_of =
                        |v: Version| sources.get(v.source).map_or(0, |s| s.length_of(v));
                    checker.event(&event, store, length_of, coverage)?;
                    self.cover(&event);
                    self.told(&event)?;
                }
                Output::Timeout(deadline) => {
                    if deadline.is_some_and(|at| at <= self.clock.mono_ms()) {
                        let what = format!("{deadline:?} at {}", self.clock.mono_ms());
                        return broken("a timer lies ahead", what);
                    }
                    self.deadline = deadline;
                    let list = self.engine.files();
                    for view in &list {
                        self.coverage.hit("state", state_name(view.state));
                    }
                    self.checker.drained(&list, deadline)?;
                    return Ok(count);
                }
            }
        }
        if limit > MAX_OUTPUTS {
            return broken("poll comes to an end", format!("{MAX_OUTPUTS} outputs in a row"));
        }
        Ok(limit)
    }

    /// Something that was pending happens.
    pub(crate) fn happen(&mut self, pending: Pending) -> Check {
        match pending {
            Pending::Announce(input) => self.announce(input),
            Pending::Arrive(call) => {
                self.arrive(&call);
                Ok(())
            }
            Pending::Deliver(input) => self.deliver(input),
            Pending::Journal(file, call) => self.journal(file, call),
            Pending::Grant(id, file, want) => {
                let result = self.answer_want(file, &want);
                self.deliver(Input::Granted { id, result })
            }
            Pending::Push(file, refresh, video) => {
                self.coverage.hit("grant", "pushed late");
                self.push(file, refresh, video.as_deref())?;
                self.drain(usize::MAX).map(drop)
            }
        }
    }

    /// Hands an answer to the engine.
    pub(crate) fn deliver(&mut self, input: Input) -> Check {
        self.hand_over(input)?;
        self.drain(usize::MAX).map(drop)
    }

    /// Hands an answer to the engine without asking what follows.
    pub(crate) fn hand_over(&mut self, input: Input) -> Check {
        self.note(|| format!("input {input:?}"));
        self.meet_answer(&input);
        if let Input::Answer { id, result: Err(fault), .. } = &input
            && fault.kind == FaultKind::Expired
            && self.checker.flight(*id).is_some()
        {
            self.coverage.hit("fault", "credential expired");
        }
        let version = match &input {
            Input::Loaded { result: Ok((source, _)), .. } => {
                let looked = self.looked_at.values().find(|(_, s)| s == source);
                looked.map(|(version, _)| *version)
            }
            _ => None,
        };
        self.checker.at(self.clock.now(), self.engine.clock_offset_ms());
        self.checker.delivered(&input, version, &mut self.coverage);
        let often = match input {
            Input::Granted { .. } | Input::Loaded { .. } => 1_000,
            Input::Appended { .. } | Input::Sent { .. } => 400,
            _ => 200,
        };
        if self.rng.chance(often) {
            self.heard.truncate(HEARD);
            self.heard.push_front(input.clone());
        }
        self.engine.handle(self.clock.now(), input);
        Ok(())
    }

    /// An answer that was given before comes once more; or one to a question that nobody asked.
    pub(crate) fn echo(&mut self) -> Check {
        let index = self.rng.below(self.heard.len() as u64 + 1) as usize;
        let nobody = EffectId(u64::MAX - self.rng.below(3));
        let input = match (self.heard.get(index).cloned(), self.rng.below(3)) {
            (Some(input), _) => input,
            (None, 0) => {
                Input::Answer { id: nobody, result: Ok(Reply::Aborted), server_date_ms: None }
            }
            (None, 1) => Input::Appended { id: nobody, result: Ok(()) },
            (None, _) => Input::Sent { id: nobody, bytes: 1 },
        };
        self.coverage.hit("story", "an answer of old");
        self.deliver(input)
    }

    fn meet_answer(&mut self, input: &Input) {
        if let Some(file) = pairs::announced_of(input) {
            self.meet(pairs::wanted(input, false), Some(file));
            return;
        }
        let Some((file, wanted, abort)) = self.checker.concerns(input) else {
            self.meet("unknown id", None);
            return;
        };
        let column = if wanted { pairs::wanted(input, abort) } else { pairs::late(input, abort) };
        let state = self.engine.files().into_iter().find(|view| view.id == file).map(|v| v.state);
        if abort && !matches!(state, None | Some(FileState::Canceled)) {
            // Restored since: the Abort is of an upload that this file has left.
            let list = list_row(self.engine.is_running(), self.checker.is_paused());
            return self.coverage.pairs.hit(list, column);
        }
        self.meet(column, Some(file));
    }

    fn perform(&mut self, effect: Effect) -> Check {
        match effect {
            Effect::Abandon { id } => {
                self.coverage.hit("effect", "Abandon");
                self.abandon(id);
            }
            Effect::AppendCheckpoint { id, file, record, sync } => {
                self.coverage.hit("effect", "Append");
                self.queue_journal(file, JournalCall::Append(id, record, sync));
            }
            Effect::AskGrant { id, file, want } => {
                self.cover_want(&want);
                // Where grants live for seconds, answers straddle their death.
                let slow = if self.is_hasty() { 500 } else { 100 };
                let most = if self.rng.chance(slow) { 8_000 } else { 2_000 };
                let delay = self.rng.between(1, most);
                self.later(delay, Pending::Grant(id, file, want));
            }
            Effect::CloseCheckpoint { file } => {
                self.coverage.hit("effect", "Close");
                self.queue_journal(file, JournalCall::Close);
            }
            Effect::LoadCheckpoint { id, file } => {
                self.coverage.hit("effect", "Load");
                self.queue_journal(file, JournalCall::Load(id));
            }
            Effect::Perform { id, file, grant, op, clock_offset_ms } => {
                self.coverage.hit("effect", "Perform");
                self.coverage.hit("operation", op_name(&op));
                let signed_ms = self.clock.now().wall_ms + clock_offset_ms;
                let Some((body, _)) = self.looked_at.get(&file).cloned() else {
                    return broken("1 order: load comes before requests", format!("{op:?}"));
                };
                let reads = matches!(op, Op::UploadPart { .. } | Op::PutObject { .. });
                let present = self.sources.get(body.source).map(|s| s.version());
                if reads && present != Some(body) {
                    let result = Err(fault(FaultKind::SourceChanged, "SourceChanged"));
                    let input = Input::Answer { id, result, server_date_ms: None };
                    let read = self.rng.between(1, 200);
                    self.later(read, Pending::Deliver(input));
                    return Ok(());
                }
                if let Some(input) = self.compared(id, &op, body) {
                    let read = self.rng.between(1, 200);
                    self.later(read, Pending::Deliver(input));
                    return Ok(());
                }
                let fate = self.fate(&op, grant);
                self.send(Call { id, grant, op, body, signed_ms, fate });
            }
        }
        Ok(())
    }

    fn queue_journal(&mut self, file: FileId, call: JournalCall) {
        let free = self.journal_free.get(&file).copied().unwrap_or(0);
        // An authorizer seldom answers while something is written, unless that takes its time.
        let straddles = !self.calm && self.checker.is_asked_for(file) && self.rng.chance(400);
        let slow = straddles || self.mishap() || self.mishap();
        let most = if slow { SLOW_DISK_MS } else { 30 };
        let at = free.max(self.clock.mono_ms() + self.rng.below(most));
        self.journal_free.insert(file, at);
        self.at(at, Pending::Journal(file, call));
    }

    fn journal(&mut self, file: FileId, call: JournalCall) -> Check {
        match call {
            JournalCall::Append(id, record, sync) => {
                let result = if self.mishap() {
                    if matches!(record, Record::End) {
                        self.coverage.hit("fault", "append failure: end");
                        self.journals.end_unwritten(file);
                    } else {
                        self.coverage.hit("fault", "append failure");
                        self.checker.journal_failed(file);
                    }
                    Err(fault(FaultKind::Fatal(ErrorKind::Storage), "DiskFull"))
                } else if let Err(why) = self.journals.append(file, &record, sync) {
                    return broken(
                        "checkpoints are open while written",
                        format!("{why}: {file:?}"),
                    );
                } else {
                    Ok(())
                };
                self.deliver(Input::Appended { id, result })
            }
            JournalCall::Close => {
                let stays = self.journals.close(file);
                let outcome = self.index(file).map(|index| &self.files[index].outcome);
                match (stays, outcome) {
                    (Some(found), Some(Outcome::Succeeded(key)))
                        if found.begin.target.key == *key =>
                    {
                        let what = format!("file {}: {:?}", file.0, found.begin);
                        broken("4 of what succeeded nothing is left to resume", what)
                    }
                    _ => Ok(()),
                }
            }
            JournalCall::Load(id) => {
                let result = self.load(file);
                self.deliver(Input::Loaded { id, result })
            }
        }
    }

    fn cover(&mut self, event: &Event) {
        self.coverage.hit("event", event_name(event));
    }
}
