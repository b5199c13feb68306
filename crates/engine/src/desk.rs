//! What all files share: the one queue of effects and events, the ids that couple effects with answers, the clock, the
//! randomness, and the counters of what is open in the whole engine.

use alloc::collections::VecDeque;

use crate::map::{Map, Set};

use crate::checkpoint::Record;
use crate::clock::Clock;
use crate::config::Config;
use crate::retry::Rng;
use crate::vocab::{Effect, EffectId, Event, FileId, GrantId, Op, Output, Want};

/// Whom an answer is for. A file that was stopped and started again is another attempt: what was asked before is not
/// for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) file: FileId,
    pub(crate) attempt: u64,
}

/// What kind of answer an effect wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Append,
    Ask,
    Load,
    Perform,
}

/// The shared desk: every effect and event goes over it.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    /// The one AskGrant that may be open.
    pub(crate) asking: Option<EffectId>,
    /// Bytes per second of the last transfer that measured it.
    pub(crate) goodput: Option<u64>,
    /// Bodies on their way: parts and whole small files, of all files.
    pub(crate) bodies: u32,
    /// Grants that the server called expired, or of which TokenExpired was told.
    pub(crate) refused: Set<GrantId>,
    /// What was taken back is `None`.
    queue: VecDeque<Option<Output>>,
    owners: Map<EffectId, (Owner, Kind)>,
    next: u64,
}

impl Desk {
    pub(crate) fn new(config: Config, seed: u64) -> Desk {
        Desk {
            config,
            clock: Clock::default(),
            rng: Rng::new(seed),
            asking: None,
            goodput: None,
            bodies: 0,
            refused: Set::new(),
            queue: VecDeque::new(),
            owners: Map::new(),
            next: 1,
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.queue.push_back(Some(Output::Event(event)));
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        while let Some(output) = self.queue.pop_front() {
            if output.is_some() {
                return output;
            }
        }
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.queue.iter().any(Option::is_some)
    }

    /// The id that the next effect will have.
    pub(crate) fn next_id(&self) -> EffectId {
        EffectId(self.next)
    }

    pub(crate) fn append(&mut self, owner: Owner, record: Record, sync: bool) -> EffectId {
        let id = self.issue(owner, Kind::Append);
        self.effect(Effect::AppendCheckpoint { id, file: owner.file, record, sync });
        id
    }

    pub(crate) fn ask(&mut self, owner: Owner, want: Want) -> EffectId {
        let id = self.issue(owner, Kind::Ask);
        self.asking = Some(id);
        self.effect(Effect::AskGrant { id, file: owner.file, want });
        id
    }

    pub(crate) fn close(&mut self, file: FileId) {
        self.effect(Effect::CloseCheckpoint { file });
    }

    pub(crate) fn load(&mut self, owner: Owner) -> EffectId {
        let id = self.issue(owner, Kind::Load);
        self.effect(Effect::LoadCheckpoint { id, file: owner.file });
        id
    }

    pub(crate) fn perform(&mut self, owner: Owner, grant: GrantId, op: Op) -> EffectId {
        let id = self.issue(owner, Kind::Perform);
        let clock_offset_ms = self.clock.offset_ms();
        self.effect(Effect::Perform { id, file: owner.file, grant, op, clock_offset_ms });
        id
    }

    /// The answer to a Perform or AskGrant is no longer wanted. True: the shell may have carried it out, or begun to;
    /// false: it never left the queue.
    pub(crate) fn abandon(&mut self, id: EffectId) -> bool {
        self.owners.remove(&id);
        if self.asking == Some(id) {
            self.asking = None;
        }
        let queued = self.queue.iter_mut().rev().find(|output| match output {
            Some(Output::Effect(
                Effect::AskGrant { id: queued, .. } | Effect::Perform { id: queued, .. },
            )) => *queued == id,
            _ => false,
        });
        match queued {
            Some(output) => {
                *output = None;
                false
            }
            None => {
                self.effect(Effect::Abandon { id });
                true
            }
        }
    }

    /// Whom an unanswered effect belongs to.
    pub(crate) fn owner(&self, id: EffectId) -> Option<Owner> {
        self.owners.get(&id).map(|(owner, _)| *owner)
    }

    /// An effect was answered: whose it was. `None` for one that is unknown, answered before, or wants another kind of
    /// answer.
    pub(crate) fn answered(&mut self, id: EffectId, kind: Kind) -> Option<Owner> {
        let (owner, _) = self.owners.get(&id).copied().filter(|(_, wanted)| *wanted == kind)?;
        if self.asking == Some(id) {
            self.asking = None;
        }
        self.owners.remove(&id);
        Some(owner)
    }

    fn effect(&mut self, effect: Effect) {
        self.queue.push_back(Some(Output::Effect(effect)));
    }

    fn issue(&mut self, owner: Owner, kind: Kind) -> EffectId {
        let id = EffectId(self.next);
        self.next += 1;
        self.owners.insert(id, (owner, kind));
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner { file: FileId(1), attempt: 1 };

    #[test]
    fn what_never_left_the_queue_is_taken_back_instead_of_abandoned() {
        let mut desk = Desk::new(Config::default(), 0);
        let put = || Op::PutObject { length: 0 };
        let first = desk.perform(OWNER, GrantId(1), put());
        assert!(matches!(desk.pop(), Some(Output::Effect(Effect::Perform { .. }))));
        let second = desk.perform(OWNER, GrantId(1), put());
        assert!(desk.abandon(first));
        assert!(!desk.abandon(second));
        assert_eq!(desk.pop(), Some(Output::Effect(Effect::Abandon { id: first })));
        assert!(desk.is_empty());
        assert_eq!(desk.owner(second), None);
    }

    #[test]
    fn an_answer_or_an_abandon_lets_the_next_ask() {
        let mut desk = Desk::new(Config::default(), 0);
        let id = desk.ask(OWNER, Want::Create);
        assert_eq!(desk.asking, Some(id));
        assert_eq!(desk.answered(id, Kind::Perform), None);
        assert_eq!(desk.answered(id, Kind::Ask), Some(OWNER));
        assert_eq!(desk.answered(id, Kind::Ask), None);
        assert_eq!(desk.asking, None);
        let id = desk.ask(OWNER, Want::Create);
        desk.abandon(id);
        assert_eq!(desk.asking, None);
    }
}
