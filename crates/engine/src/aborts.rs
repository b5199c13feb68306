//! Uploads to be given up at the server after their files were cancelled or removed. In the background: the application
//! hears nothing of it, and after a few failures the bucket's lifecycle rule has to do. Only that there is nothing to try it
//! with is told, as a warning before Canceled.

use crate::map::Map;
use alloc::string::String;
use alloc::vec::Vec;

use crate::access::Access;
use crate::desk::{Desk, Owner};
use crate::grant::same_place;
use crate::retry::wish;
use crate::transfer::Transfer;
use crate::vocab::{
    EffectId, ErrorInfo, ErrorKind, Fault, FaultKind, Grant, GrantId, Now, Op, Reply,
};

const MOST_TRIES: u32 = 4;
const PAUSE_MS: u64 = 2_000;

#[derive(Debug)]
struct Abort {
    owner: Owner,
    grant: GrantId,
    op: Op,
    tries: u32,
}

/// The upload of a file without a transfer that a cancel would give up. Its checkpoint is open.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) owner: Owner,
    pub(crate) upload_id: String,
    pub(crate) access: Access,
}

impl Parked {
    /// That of a transfer; `None` where it has none.
    pub(crate) fn of(transfer: &Transfer) -> Option<Parked> {
        let upload_id = transfer.upload.as_ref()?.id.clone();
        let access = transfer.access.held().map(Access::again).unwrap_or_default();
        Some(Parked { owner: transfer.owner, upload_id, access })
    }

    /// The file was given another grant: good for this upload where it names the same place.
    pub(crate) fn renew(&mut self, now: Now, grant: &Grant) {
        if self.access.target().is_some_and(|target| same_place(target, &grant.target)) {
            self.access.accept(now, grant.clone());
        }
    }
}

/// The aborts under way, and those that wait to be tried again.
#[derive(Debug, Default)]
pub(crate) struct Aborts {
    flight: Map<EffectId, Abort>,
    waiting: Vec<(u64, Abort)>,
}

impl Aborts {
    pub(crate) fn perform(&mut self, desk: &mut Desk, owner: Owner, grant: GrantId, op: Op) {
        self.send(desk, Abort { owner, grant, op, tries: 0 });
    }

    /// Whether this effect is an abort.
    pub(crate) fn holds(&self, id: EffectId) -> bool {
        self.flight.contains_key(&id)
    }

    pub(crate) fn answered(&mut self, now: Now, id: EffectId, result: Result<Reply, Fault>) {
        let Some(abort) = self.flight.remove(&id) else { return };
        let Err(fault) = result else { return };
        let again = matches!(
            fault.kind,
            FaultKind::Transient(_) | FaultKind::SlowDown | FaultKind::ClockSkew
        );
        if again && abort.tries < MOST_TRIES {
            let pause = wish(fault.retry_after_ms).max(PAUSE_MS);
            self.waiting.push((now.mono_ms.saturating_add(pause), abort));
        }
    }

    /// Sends what is due.
    pub(crate) fn fire(&mut self, now: Now, desk: &mut Desk) {
        let (due, later) =
            core::mem::take(&mut self.waiting).into_iter().partition(|(at, _)| *at <= now.mono_ms);
        self.waiting = later;
        let due: Vec<(u64, Abort)> = due;
        for (_, abort) in due {
            // Another request of its file may have found out meanwhile.
            if !desk.refused.contains(&abort.grant) {
                self.send(desk, abort);
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.waiting.iter().map(|(at, _)| *at).min()
    }

    fn send(&mut self, desk: &mut Desk, mut abort: Abort) {
        abort.tries += 1;
        let id = desk.perform(abort.owner, abort.grant, abort.op.clone());
        self.flight.insert(id, abort);
    }
}

/// What is told of an upload that cannot be given up as no credential is there to do it with.
pub(crate) fn abort_skipped(upload_id: &str) -> ErrorInfo {
    let mut message =
        String::from("the parts stay at the server: no usable credential to abort upload ");
    message.push_str(upload_id);
    ErrorInfo {
        kind: ErrorKind::Auth,
        code: "AbortSkipped".into(),
        message,
        request_id: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use crate::script::*;
    use crate::*;

    fn aborts(output: &Output) -> bool {
        matches!(
            output,
            Output::Effect(Effect::Perform { op: Op::AbortMultipartUpload { .. }, .. })
        )
    }

    fn performed(outputs: Vec<Output>, wanted: impl Fn(&Op) -> bool) -> EffectId {
        let found = outputs.into_iter().find_map(|output| match output {
            Output::Effect(Effect::Perform { id, op, .. }) if wanted(&op) => Some(id),
            _ => None,
        });
        found.expect("the request")
    }

    /// Cancelled with its upload open, and queued again with the grant that it came with: the requests for Abort and the new
    /// Initiate.
    fn cancelled_and_restored() -> (Script, EffectId, EffectId) {
        let mut s = Script::new(Config { on_cancel: OnCancel::Abort, ..config() });
        let spec = FileSpec { grant: Some(grant(1, None)), ..FileSpec::default() };
        let file = s.engine.add(s.now, spec).expect("a valid spec");
        s.engine.start(s.now);
        s.load(MIB, None);
        s.started_event();
        let (id, _) = s.perform();
        s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
        s.saved(true);
        s.engine.cancel(s.now, file).expect("it is under way");
        let abort = performed(s.drain(), |op| matches!(op, Op::AbortMultipartUpload { .. }));
        s.engine.restore(s.now, file).expect("it was cancelled");
        s.engine.start(s.now);
        s.load(MIB, None);
        let initiate = performed(s.drain(), |op| matches!(op, Op::InitiateMultipartUpload));
        (s, abort, initiate)
    }

    #[test]
    fn an_abort_without_an_answer_is_tried_again() {
        let (mut s, abort, _) = cancelled_and_restored();
        s.answer(abort, Err(no_reply()));
        s.pass(60_000);
        assert!(s.drain().iter().any(aborts));
    }

    #[test]
    fn an_abort_is_not_tried_again_with_a_credential_refused_meanwhile() {
        let (mut s, abort, initiate) = cancelled_and_restored();
        s.answer(initiate, Err(fault(FaultKind::Expired)));
        s.answer(abort, Err(no_reply()));
        s.pass(60_000);
        assert!(!s.drain().iter().any(aborts));
    }

    #[test]
    fn nor_with_one_of_which_token_expired_was_told() {
        let mut s =
            Script::new(Config { on_cancel: OnCancel::Abort, authorizer: false, ..config() });
        let now = s.now.wall_ms;
        let spec = FileSpec { grant: Some(grant(1, Some(now + 50_000))), ..FileSpec::default() };
        let file = s.engine.add(s.now, spec).expect("a valid spec");
        s.engine.start(s.now);
        s.load(MIB, None);
        s.started_event();
        let (id, _) = s.perform();
        let result = Ok(Reply::Initiated { upload_id: "U".into() });
        s.engine.handle(s.now, Input::Answer { id, result, server_date_ms: Some(now) });
        s.saved(true);
        s.engine.cancel(s.now, file).expect("it is under way");
        let abort = performed(s.drain(), |op| matches!(op, Op::AbortMultipartUpload { .. }));
        s.pass(60_000);
        s.engine.restore(s.now, file).expect("it was cancelled");
        s.engine.start(s.now);
        s.load(MIB, None);
        let told = |output: &Output| matches!(output, Output::Event(Event::TokenExpired { .. }));
        assert!(s.drain().iter().any(told));
        s.answer(abort, Err(no_reply()));
        s.pass(60_000);
        assert!(!s.drain().iter().any(aborts));
    }
}
