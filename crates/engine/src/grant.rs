//! Grants of one file: how the next one is come by. What is known of the one it holds is in `access.rs`.
//!
//! With an authorizer the engine asks; when that fails at expiry, or without one, it tells TokenExpired once and
//! waits for `authorize`. See `docs/adr/0002-grants-and-secrets.md`.

use crate::access::dead_by_date;
use crate::desk::Desk;
use crate::retry::{Asker, Verdict, wish};
use crate::transfer::Transfer;
use crate::vocab::{EffectId, ErrorKind, Event, Fault, FaultKind, Grant, Now, Target, Want};

/// The least pause between two failed renewals.
const RENEWAL_PAUSE_MS: u64 = 1_000;

impl Transfer {
    /// Takes a grant that the application pushed; one that was asked for is no longer wanted.
    pub(crate) fn authorize(&mut self, now: Now, desk: &mut Desk, grant: Grant) {
        self.stop_asking(desk);
        if self.access.told {
            self.retry.renew(now.mono_ms);
        }
        self.accept(now, desk, grant);
    }

    /// The authorizer can give what it could not give before: TokenExpired, if it was told, is answered by asking again.
    pub(crate) fn ask_again(&mut self, now: Now) {
        if core::mem::take(&mut self.access.told) {
            self.retry.renew(now.mono_ms);
        }
    }

    /// A request wants to go out and no grant is usable: ask for one, or tell that one is needed.
    pub(crate) fn seek_grant(&mut self, desk: &mut Desk) {
        if self.access.told || self.access.ask.is_some() {
            return;
        }
        if desk.config.authorizer {
            if desk.asking.is_none() {
                self.ask(desk);
            }
        } else if self.access.grant().is_some() {
            self.tell_expired(desk);
        }
    }

    /// Asks for the next grant while this one still lives, when it is time.
    pub(crate) fn renew_grant(&mut self, now: Now, desk: &mut Desk) {
        if self.renewal_deadline(now, desk).is_some_and(|at| at <= now.mono_ms) {
            self.ask(desk);
        }
    }

    /// When [`Transfer::renew_grant`] will ask; `None` while it may not.
    pub(crate) fn renewal_deadline(&self, now: Now, desk: &Desk) -> Option<u64> {
        let idle = self.access.ask.is_none() && desk.asking.is_none() && !self.access.told;
        if !desk.config.authorizer || !idle || !self.is_loaded() || self.failing.is_some() {
            return None;
        }
        self.access.renewal_at(now, &desk.clock)
    }

    /// The answer to an AskGrant of this transfer.
    pub(crate) fn granted(
        &mut self,
        now: Now,
        desk: &mut Desk,
        id: EffectId,
        result: Result<Grant, Fault>,
    ) {
        if self.access.ask != Some(id) {
            return;
        }
        self.access.ask = None;
        match result {
            Ok(grant) if desk.clock.learned(now) && dead_by_date(&grant, now, &desk.clock) => {
                self.not_granted(now, desk, id, dead_grant());
            }
            Ok(grant) => {
                self.retry.on_granted();
                self.accept(now, desk, grant);
            }
            Err(fault) => self.not_granted(now, desk, id, fault),
        }
    }

    /// Gives up an open AskGrant.
    pub(crate) fn stop_asking(&mut self, desk: &mut Desk) {
        if let Some(id) = self.access.ask.take() {
            desk.abandon(id);
        }
    }

    fn ask(&mut self, desk: &mut Desk) {
        // A place is kept though nothing is there to be continued: the file turned out to be small, say.
        let known = self.upload.is_some() || self.video_id.is_some();
        let continues = self.access.grant().is_some() || known;
        let want = match continues {
            true => Want::Refresh { video_id: self.video_id.clone() },
            false => Want::Create,
        };
        self.access.ask = Some(desk.ask(self.owner, want));
    }

    fn accept(&mut self, now: Now, desk: &mut Desk, grant: Grant) {
        let moved = match (&self.upload, self.access.target()) {
            (Some(upload), _) => !same_place(&upload.target, &grant.target),
            (None, Some(before)) => !same_place(before, &grant.target),
            (None, None) => false,
        };
        if grant.video_id.is_some() || moved {
            self.video_id = grant.video_id.clone();
        }
        if let Some(upload) = self.upload.as_mut().filter(|_| !moved) {
            upload.target = grant.target.clone();
        }
        self.access.accept(now, grant);
        if moved {
            self.move_place(desk);
        }
    }

    fn not_granted(&mut self, now: Now, desk: &mut Desk, id: EffectId, fault: Fault) {
        let usable = self.access.usable(now, &desk.clock).is_some();
        if fault.kind == FaultKind::NoSuchUpload
            && (self.upload.is_some() || self.access.grant().is_some())
        {
            // The video is gone: nothing of this upload can be continued anywhere.
            self.video_id = None;
            self.access.drop_grant();
            self.begin_anew(desk, fault);
            return;
        }
        if usable {
            // A renewal ahead of time: nobody needs to know, as long as the grant lives.
            self.access.renewals_failed = self.access.renewals_failed.saturating_add(1);
            let pause = self.retry.backoff(self.access.renewals_failed, &mut desk.rng);
            let pause = pause.max(RENEWAL_PAUSE_MS).max(wish(fault.retry_after_ms));
            self.access.renewal_hold = now.mono_ms.saturating_add(pause);
            return;
        }
        // An authorizer whose own credential died says so by Expired: the file waits, whether or not it had a grant before.
        let at_expiry = self.access.grant().is_some() || fault.kind == FaultKind::Expired;
        let verdict = match fault.kind {
            FaultKind::SlowDown => self.on_slow_down(now, desk, Asker::Authorizer, &fault),
            FaultKind::Transient(_) | FaultKind::ClockSkew => {
                let next = desk.next_id();
                let after = fault.retry_after_ms;
                self.retry.on_failure(now.mono_ms, id, next, after, &mut desk.rng)
            }
            _ => Verdict::GiveUp,
        };
        match verdict {
            Verdict::GiveUp if at_expiry => self.tell_expired(desk),
            Verdict::GiveUp => self.fail(desk, fault.into()),
            Verdict::Opened { delay_ms } => {
                let (file, error) = (self.owner.file, fault.into());
                desk.event(Event::Retry { file, error, delay_ms });
            }
            Verdict::Again => {}
        }
    }

    fn tell_expired(&mut self, desk: &mut Desk) {
        if let Some(grant) = self.access.give_up() {
            desk.refused.insert(grant);
        }
        let (file, video_id) = (self.owner.file, self.video_id.clone());
        desk.event(Event::TokenExpired { file, video_id });
    }
}

/// Whether an upload under way in one place can go on in the other: the endpoint may differ.
pub(crate) fn same_place(a: &Target, b: &Target) -> bool {
    a.bucket == b.bucket && a.key == b.key
}

/// An authorizer that hands out dead credentials is one that fails: asking it at once again would loop for ever.
fn dead_grant() -> Fault {
    Fault {
        kind: FaultKind::Transient(ErrorKind::Auth),
        code: "SecurityTokenExpired".into(),
        message: "the authorizer gave a credential that has already expired".into(),
        request_id: Default::default(),
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::FRESH_MS;
    use crate::script::*;
    use crate::{Backoff, Budget, Config, Effect, FileState, GrantId, Output, Reply, Retry};

    fn expired() -> Fault {
        fault(FaultKind::Expired)
    }

    #[test]
    fn a_grant_is_renewed_at_four_fifths_of_its_life_and_parts_go_on() {
        let mut s = Script::started(config(), 20 * MIB, None);
        let life = 100_000;
        let first = grant(1, Some(s.now.wall_ms + life));
        s.grant_asked(first);
        let (id, _) = s.perform();
        s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
        s.saved(true);
        let ids = s.parts(&[1, 2, 3, 4, 5]);
        let due = s.idle().unwrap();
        assert_eq!(due, s.now.mono_ms + 80_000);
        s.pass(80_000);
        let (ask, want) = s.ask();
        assert_eq!(want, Want::Refresh { video_id: Some("v".into()) });
        s.acknowledge(ids[0], false);
        s.parts(&[6]);
        s.granted(ask, Ok(grant(2, Some(s.now.wall_ms + life))));
        s.stored(ids[1]);
        let used = s.drain().into_iter().find_map(|output| match output {
            Output::Effect(Effect::Perform { grant, .. }) => Some(grant),
            _ => None,
        });
        assert_eq!(used, Some(GrantId(2)));
    }

    #[test]
    fn failed_renewals_are_silent_until_the_grant_dies() {
        let mut s = Script::started(config(), 20 * MIB, None);
        s.grant_asked(grant(1, Some(s.now.wall_ms + 100_000)));
        let (id, _) = s.perform();
        s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
        s.saved(true);
        let ids = s.parts(&[1, 2, 3, 4, 5]);
        // The server's time is known from here on.
        let date = Some(s.now.wall_ms);
        let result = Ok(Reply::PartUploaded { etag: "E".into(), crc64: None });
        s.engine.handle(s.now, crate::Input::Answer { id: ids[0], result, server_date_ms: date });
        s.drain();
        s.pass(80_000);
        for _ in 0..3 {
            let (ask, _) = s.ask();
            s.granted(ask, Err(fault(FaultKind::Fatal(ErrorKind::Network))));
            let due = s.idle().unwrap();
            assert!(due >= s.now.mono_ms + RENEWAL_PAUSE_MS && due < s.now.mono_ms + 20_000);
            s.pass(due - s.now.mono_ms);
        }
        let (ask, _) = s.ask();
        s.pass(30_000);
        s.granted(ask, Err(fault(FaultKind::Fatal(ErrorKind::Network))));
        assert!(matches!(s.event(), Event::TokenExpired { .. }));
        assert_eq!(s.idle(), None);
        assert_eq!(s.engine.files()[0].state, FileState::Expired);
        // By a late reply the server's time seems to be what it was: what was told to be over is not used again.
        let date = Some(s.now.wall_ms - 30_000);
        let result = Ok(Reply::PartUploaded { etag: "E".into(), crc64: None });
        s.engine.handle(s.now, crate::Input::Answer { id: ids[1], result, server_date_ms: date });
        let sent = |output: &Output| matches!(output, Output::Effect(Effect::Perform { .. }));
        assert!(!s.drain().iter().any(sent));
    }

    #[test]
    fn expiry_found_by_a_part_stops_the_pool_and_asks_once() {
        let mut s = Script::sending(config(), 20);
        let ids = s.parts(&[1, 2, 3, 4, 5]);
        s.acknowledge(ids[0], false);
        let sixth = s.parts(&[6])[0];
        s.answer(ids[1], Err(expired()));
        let (ask, want) = s.ask();
        assert_eq!(want, Want::Refresh { video_id: Some("v".into()) });
        s.answer(ids[2], Err(expired()));
        assert_eq!(s.idle(), None);
        s.acknowledge(ids[3], false);
        assert_eq!(s.idle(), None);
        s.granted(ask, Ok(grant(2, None)));
        s.parts(&[2, 3, 7]);
        // Sent with the grant before: sent again, and that is all.
        s.answer(ids[4], Err(expired()));
        s.answer(sixth, Err(expired()));
        s.parts(&[5, 6]);
        assert_eq!(s.idle(), None);
    }

    #[test]
    fn without_an_authorizer_expiry_is_told_once_and_authorize_goes_on() {
        let mut s = Script::started(Config { authorizer: false, ..config() }, 3 * MIB, None);
        assert_eq!(s.idle(), None);
        let file = s.engine.files()[0].id;
        s.engine.authorize(s.now, file, grant(1, None)).unwrap();
        let (id, _) = s.perform();
        s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
        s.saved(true);
        let ids = s.parts(&[1, 2, 3]);
        for id in ids {
            s.answer(id, Err(expired()));
        }
        // The Initiate had succeeded with it, so this is expiry and no bad grant.
        assert!(matches!(s.event(), Event::TokenExpired { .. }));
        assert_eq!(s.idle(), None);
        assert_eq!(s.engine.files()[0].state, FileState::Expired);
        s.engine.authorize(s.now, file, grant(2, None)).unwrap();
        s.parts(&[1, 2, 3]);
        assert_eq!(s.engine.files()[0].state, FileState::Active);
    }

    #[test]
    fn a_late_refusal_of_the_old_grant_leaves_the_new_one() {
        let mut s = Script::sending(config(), 3);
        let ids = s.parts(&[1, 2, 3]);
        s.answer(ids[0], Err(expired()));
        s.grant_asked(grant(2, None));
        s.parts(&[1]);
        s.answer(ids[1], Err(expired()));
        s.parts(&[2]);
        assert_eq!(s.idle(), None);
    }

    #[test]
    fn an_application_server_that_asks_for_patience_gets_it() {
        let mut s = Script::started(config(), 3 * MIB, None);
        let (id, _) = s.ask();
        s.granted(id, Err(fault(FaultKind::SlowDown)));
        assert!(matches!(s.event(), Event::Warning { .. }));
        s.pass(60_000);
        s.ask();
    }

    #[test]
    fn a_grant_of_another_place_brings_its_own_video() {
        for (key, video) in [("k", Some("v")), ("elsewhere", None)] {
            let mut s = Script::started(Config { authorizer: false, ..config() }, 3 * MIB, None);
            let file = s.engine.files()[0].id;
            s.engine.authorize(s.now, file, grant(1, None)).unwrap();
            s.drain();
            let other = Grant { target: target(key), video_id: None, ..grant(2, None) };
            s.engine.authorize(s.now, file, other).unwrap();
            s.drain();
            assert_eq!(s.engine.files()[0].video_id.as_deref(), video, "{key}");
        }
    }

    #[test]
    fn a_new_grant_may_name_another_way_to_the_same_place() {
        let mut s = Script::sending(config(), 1);
        let id = s.parts(&[1])[0];
        s.answer(id, Err(expired()));
        let target = Target { endpoint: "other".into(), ..target("k") };
        s.grant_asked(Grant { target: target.clone(), ..grant(2, None) });
        s.parts(&[1]);
        assert_eq!(s.engine.files()[0].target, Some(target));
    }

    #[test]
    fn expiry_of_a_fresh_grant_is_fatal() {
        let mut s = Script::started(config(), 3 * MIB, None);
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.answer(id, Err(expired()));
        assert_eq!(s.failed().kind, ErrorKind::Auth);
    }

    #[test]
    fn a_grant_without_a_date_is_fresh_for_fifteen_minutes() {
        let mut s = Script::started(config(), 3 * MIB, None);
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.pass(FRESH_MS);
        s.answer(id, Err(expired()));
        s.ask();
    }

    #[test]
    fn what_looks_dead_is_tried_until_the_servers_time_is_known() {
        let mut s = Script::started(config(), 3 * MIB, None);
        s.grant_asked(grant(1, Some(s.now.wall_ms - 1)));
        let (id, op) = s.perform();
        assert_eq!(op, crate::Op::InitiateMultipartUpload);
        let date = Some(s.now.wall_ms);
        let result = Err(expired());
        s.engine.handle(s.now, crate::Input::Answer { id, result, server_date_ms: date });
        // Dead by its date, so not fresh; the next dead one is a failure of the authorizer.
        s.grant_asked(grant(2, Some(s.now.wall_ms - 1)));
        assert!(matches!(s.event(), Event::Retry { .. }));
        let due = s.idle().unwrap();
        s.pass(due - s.now.mono_ms);
        s.grant_asked(grant(3, Some(s.now.wall_ms + 60_000)));
        s.perform();
    }

    #[test]
    fn a_failing_create_is_an_outage_and_a_refused_one_fails_the_file() {
        let mut s = Script::started(config(), MIB, None);
        let (ask, want) = s.ask();
        assert_eq!(want, Want::Create);
        s.granted(ask, Err(no_reply()));
        assert!(matches!(s.event(), Event::Retry { .. }));
        let due = s.idle().unwrap_or(s.now.mono_ms);
        s.pass(due - s.now.mono_ms);
        let (ask, _) = s.ask();
        s.granted(ask, Err(fault(FaultKind::Fatal(ErrorKind::Auth))));
        assert_eq!(s.failed().kind, ErrorKind::Auth);
    }

    #[test]
    fn at_expiry_an_authorizer_that_fails_for_a_while_has_the_budget() {
        let retry = Retry { budget: Budget::Count(3), backoff: Backoff::Fixed { ms: 2_000 } };
        let mut s = Script::sending(Config { retry, ..config() }, 1);
        let id = s.parts(&[1])[0];
        s.answer(id, Err(expired()));
        let (ask, _) = s.ask();
        s.granted(ask, Err(no_reply()));
        assert!(matches!(s.event(), Event::Retry { delay_ms: 2_000, .. }));
        assert_eq!(s.idle(), Some(s.now.mono_ms + 2_000));
        s.pass(2_000);
        let (ask, _) = s.ask();
        // Who asks for patience burns nothing.
        s.granted(ask, Err(fault(FaultKind::SlowDown)));
        assert!(matches!(s.event(), Event::Warning { .. }));
        s.pass(60_000);
        let (ask, _) = s.ask();
        s.granted(ask, Err(no_reply()));
        assert_eq!(s.idle(), Some(s.now.mono_ms + 2_000));
        s.pass(2_000);
        let (ask, want) = s.ask();
        assert_eq!(want, Want::Refresh { video_id: Some("v".into()) });
        s.granted(ask, Err(no_reply()));
        assert!(matches!(s.event(), Event::TokenExpired { .. }));
        assert_eq!(s.engine.files()[0].state, FileState::Expired);
        assert_eq!(s.idle(), None);
    }

    #[test]
    fn a_video_that_is_gone_is_created_anew() {
        let mut s = Script::started(config(), 3 * MIB, Some(checkpoint(3 * MIB, &[1])));
        let (ask, want) = s.ask();
        assert_eq!(want, Want::Refresh { video_id: Some("v".into()) });
        s.granted(ask, Err(fault(FaultKind::NoSuchUpload)));
        assert_eq!(s.grant_asked(grant(2, None)), Want::Create);
        assert_eq!(s.perform().1, crate::Op::InitiateMultipartUpload);
    }

    #[test]
    fn an_authorizer_without_a_credential_is_told_once_and_asked_again_when_it_has_one() {
        let mut s = Script::started(config(), 3 * MIB, None);
        let (ask, _) = s.ask();
        s.granted(ask, Err(expired()));
        assert!(matches!(s.event(), Event::TokenExpired { video_id: None, .. }));
        assert_eq!(s.engine.files()[0].state, FileState::Expired);
        assert_eq!(s.idle(), None);
        s.engine.supplied(s.now);
        let (ask, want) = s.ask();
        assert_eq!(want, Want::Create);
        s.engine.supplied(s.now);
        assert_eq!(s.idle(), None, "one that is being asked is not asked twice");
        s.granted(ask, Ok(grant(1, None)));
        let (id, _) = s.perform();
        s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
        s.saved(true);
        let ids = s.parts(&[1, 2, 3]);
        s.acknowledge(ids[0], false);
        s.answer(ids[1], Err(expired()));
        let (ask, want) = s.ask();
        assert_eq!(want, Want::Refresh { video_id: Some("v".into()) });
        s.granted(ask, Err(expired()));
        assert!(matches!(s.event(), Event::TokenExpired { .. }));
        s.acknowledge(ids[2], false);
        s.engine.supplied(s.now);
        s.grant_asked(grant(2, None));
        s.parts(&[2]);
    }

    #[test]
    fn without_an_authorizer_nobody_is_supplied() {
        let mut s = Script::started(Config { authorizer: false, ..config() }, 3 * MIB, None);
        s.engine.supplied(s.now);
        assert_eq!(s.idle(), None);
    }

    #[test]
    fn a_grant_for_another_place_begins_anew_there() {
        let mut s = Script::sending(config(), 3);
        let ids = s.parts(&[1, 2, 3]);
        s.acknowledge(ids[0], false);
        let file = s.engine.files()[0].id;
        let elsewhere = Grant { target: target("other"), ..grant(2, None) };
        s.engine.authorize(s.now, file, elsewhere).unwrap();
        assert!(matches!(s.effect(), Effect::Abandon { .. }));
        assert!(matches!(s.effect(), Effect::Abandon { .. }));
        let (id, op) = s.perform();
        assert_eq!(op, crate::Op::InitiateMultipartUpload);
        s.answer(id, Ok(Reply::Initiated { upload_id: "U2".into() }));
        let crate::Record::Begin(begin) = s.saved(true) else { panic!("expected Begin") };
        assert_eq!((begin.target, begin.upload_id), (target("other"), "U2".into()));
        s.parts(&[1, 2, 3]);
    }

    #[test]
    fn a_pushed_grant_makes_the_question_needless() {
        let mut s = Script::started(config(), 3 * MIB, None);
        let (ask, _) = s.ask();
        let file = s.engine.files()[0].id;
        s.engine.authorize(s.now, file, grant(7, None)).unwrap();
        assert_eq!(s.effect(), Effect::Abandon { id: ask });
        s.perform();
        s.granted(ask, Ok(Grant { target: target("late"), ..grant(8, None) }));
        assert_eq!(s.idle(), None);
    }

    #[test]
    fn a_grant_ends_the_patience_that_its_authorizer_asked_for() {
        let mut s = Script::started(config(), 3 * MIB, None);
        let (id, _) = s.ask();
        s.granted(id, Err(fault(FaultKind::SlowDown)));
        assert!(matches!(s.event(), Event::Warning { .. }));
        let due = s.idle().unwrap();
        s.pass(due - s.now.mono_ms);
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.pass(600_000);
        s.answer(id, Err(fault(FaultKind::SlowDown)));
        let due = s.idle().expect("it is not given up");
        s.pass(due - s.now.mono_ms);
        assert_eq!(s.perform().1, crate::Op::InitiateMultipartUpload);
    }
}
