//! Rule 5: who is asked for grants, and with which of them requests are signed.

use vodferry_engine::{EffectId, Event, FileId, Grant, GrantId, Op, Want};

use super::books::Refusal;
use super::renewals::Renewals;
use super::{Check, Checker, FileWatch, UploadWatch, broken};
use crate::app::REFUSED;
use crate::coverage::Coverage;
use crate::pairs::Stage;

/// An authorizer who may answer yet.
const AGAIN: &str = "5 an authorizer that fails for a while is asked again";
/// By more than this a wall clock jumps.
const JUMP_MS: u64 = 2_000;

impl Checker {
    /// `authorize` succeeded.
    pub fn authorized(&mut self, file: FileId, grant: &Grant) {
        let now = self.now.mono_ms;
        self.watch(file, |watch| {
            // Who was told that it is needed has helped.
            if watch.expired_told {
                watch.patience.renew(now);
            }
            watch.given = true;
            let key = |grant: &Grant| grant.target.key.clone();
            if let Some(parked) = watch.parked.as_mut().filter(|p| key(&p.grant) == key(grant)) {
                parked.grant = grant.clone();
            }
        });
        self.renewed(file, grant);
    }

    /// `supplied` was called: who waits after TokenExpired asks the authorizer again.
    pub fn supplied(&mut self) {
        if !self.config.authorizer {
            return;
        }
        let now = self.now.mono_ms;
        let waiting = |watch: &&mut FileWatch| watch.expired_told && watch.is_under_way();
        for watch in self.files.values_mut().filter(waiting) {
            (watch.expired_told, watch.refusal) = (false, None);
            watch.patience.renew(now);
        }
    }

    pub(super) fn renewed(&mut self, file: FileId, grant: &Grant) {
        let at = self.files.get(&file).and_then(|f| self.uploads.get(f.upload.as_ref()?));
        let moves = at.is_some_and(|upload| upload.key != grant.target.key);
        let before = self.files.get(&file).and_then(|f| f.grant.as_ref());
        if moves || before.is_some_and(|before| before.target.key != grant.target.key) {
            self.begins_elsewhere(file);
            // What was done in the place before is on no record any more.
            let app = self.files.get(&file).map(|f| f.app);
            let left = |u: &&mut UploadWatch| Some(u.app) == app && u.key != grant.target.key;
            self.uploads.values_mut().filter(left).for_each(|u| u.exempt = true);
        }
        let now = self.now.mono_ms;
        self.watch(file, |watch| {
            if moves {
                watch.upload = None;
            }
            watch.signed = None;
            // Before its turn a file does not use up the life of a grant.
            watch.since = (watch.load.is_some() || watch.attempt.is_some()).then_some(now);
            watch.grant = Some(grant.clone());
            watch.holds = true;
            watch.expired_told = false;
            watch.refusal = None;
            watch.renewals = Renewals::default();
        });
    }

    /// Whether the engine knows the server's time, and that this grant is dead by it. A wall clock that moved otherwise than the
    /// monotonic one makes the time unknown until the next reply (ADR 0001).
    pub(super) fn is_known_dead(&self, grant: &Grant) -> bool {
        let Some(dated) = self.dated else { return false };
        let passed = self.now.mono_ms.saturating_sub(dated.mono_ms) as i64;
        let shown = self.now.wall_ms.saturating_sub(dated.wall_ms);
        let known = shown.abs_diff(passed) <= JUMP_MS;
        known && grant.expires_at.is_some_and(|at| at <= self.server_ms())
    }

    /// Whether the file holds a credential that the engine takes for alive.
    pub(super) fn holds_usable(&self, file: FileId) -> bool {
        let held = self.files.get(&file).filter(|watch| watch.holds);
        let grant = held.and_then(|watch| watch.grant.as_ref());
        grant.is_some_and(|grant| !self.is_dead(grant))
    }

    /// Refused, or dead by its date and the known time.
    fn is_dead(&self, grant: &Grant) -> bool {
        self.dead.contains(&grant.id) || self.is_known_dead(grant)
    }

    /// All outputs were taken: a file that can do nothing without another credential, and whom nobody can be asked for one, has said so.
    pub(super) fn tells_expiry(&self) -> Check {
        if self.config.authorizer {
            return Ok(());
        }
        for (id, watch) in &self.files {
            let runs = watch.attempt.as_ref().is_some_and(|a| !a.closing) && self.may_send(*id);
            // One that did not sign yet may be of an attempt long over.
            let newest = watch.grant.as_ref().filter(|grant| watch.signed == Some(grant.id));
            let dead = newest.is_some_and(|grant| self.is_dead(grant));
            let saving =
                matches!(watch.stage, Stage::Loading | Stage::SavingBegin | Stage::SavingLast);
            let waits = saving || watch.load.is_some() || !watch.appends.is_empty();
            if !runs || !dead || watch.expired_told || waits || watch.doom.is_possible() {
                continue;
            }
            let idle = !self.flights.values().any(|f| f.file == *id);
            let certain = match watch.stage {
                Stage::Sending => self.could_send(*id),
                _ => idle && watch.written.is_none() && self.is_free(*id),
            };
            if certain {
                return broken("5 TokenExpired is told when it is due", format!("file {}", id.0));
            }
        }
        Ok(())
    }

    pub(super) fn asks_rightly(&mut self, id: EffectId, file: FileId, want: &Want) -> Check {
        let what = format!("{want:?} for file {}", file.0);
        if !self.config.authorizer {
            return broken("5 no authorizer is asked where there is none", what);
        }
        if let Some((open, of)) = self.ask {
            let what = format!("{what}, request {} for file {} is open", open.0, of.0);
            return broken("5 one grant is asked for at a time", what);
        }
        self.renews_patiently(file, &what)?;
        self.asks_patiently(file)?;
        self.ask = Some((id, file));
        let Some(watch) = self.files.get(&file) else {
            return broken("1 only listed files", what);
        };
        let Some(loaded) = watch.loaded.as_ref() else {
            return broken("1 order: load comes before the grant", what);
        };
        if watch.given || watch.granted_for == Some(loaded.version) {
            return Ok(());
        }
        let begin = loaded.checkpoint.as_ref().map(|c| &c.begin);
        match (begin, want) {
            (None, Want::Refresh { .. }) => broken("8 other content gets a grant of its own", what),
            (Some(begin), Want::Refresh { video_id }) if *video_id != begin.video_id => {
                broken("5 the checkpoint's video is refreshed", what)
            }
            (Some(begin), Want::Create) if !watch.video_gone && begin.video_id.is_some() => {
                broken("5 a video that exists is refreshed", what)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn signs_rightly(&self, file: FileId, grant: GrantId, op: &Op) -> Check {
        let what = || format!("{op:?} of file {} with grant {}", file.0, grant.0);
        if self.dead.contains(&grant) {
            return broken("5 nothing is sent with a dead credential", what());
        }
        let watch = self.files.get(&file);
        let content = watch.and_then(|f| f.loaded.as_ref()).map(|l| l.version);
        let granted = watch.filter(|f| !f.given).and_then(|f| f.granted_for);
        if granted.is_some() && content.is_some() && granted != content {
            return broken("8 other content gets a grant of its own", what());
        }
        if matches!(op, Op::AbortMultipartUpload { .. }) {
            // Tried again in the background, whatever becomes of its file in the meantime.
            return Ok(());
        }
        let newest = watch.and_then(|f| f.grant.as_ref());
        let Some(newest) = newest.filter(|newest| newest.id == grant) else {
            return broken("5 the newest credential signs", format!("{}: {newest:?}", what()));
        };
        let upload_id = match op {
            Op::CompleteMultipartUpload { upload_id, .. }
            | Op::ListParts { upload_id, .. }
            | Op::UploadPart { upload_id, .. } => upload_id,
            _ => return Ok(()),
        };
        let key = self.uploads.get(upload_id).map(|u| &u.key);
        if key.is_some_and(|key| *key != newest.target.key) {
            return broken("5 the upload stays in its place", format!("{}: {newest:?}", what()));
        }
        Ok(())
    }

    /// TokenExpired is told: nobody is there who could be asked, or whoever was asked failed.
    pub(super) fn expired_rightly(
        &mut self,
        file: FileId,
        event: &Event,
        coverage: &mut Coverage,
    ) -> Check {
        let authorizer = self.config.authorizer;
        if self.holds_usable(file) {
            return broken("5 TokenExpired is told of the newest credential", format!("{event:?}"));
        }
        let Some(watch) = self.files.get(&file) else { return Ok(()) };
        if watch.expired_told {
            return broken("5 one TokenExpired per expiry", format!("{event:?}"));
        }
        if authorizer {
            let Some(refusal) = watch.refusal else {
                return broken("5 an authorizer keeps expiry silent", format!("{event:?}"));
            };
            if !self.is_refused(&watch.patience, refusal) {
                let what = format!("{event:?}: {refusal:?}, {:?}", watch.patience);
                return broken(AGAIN, what);
            }
            if refusal != Refusal::ForGood {
                coverage.hit("story", "patience with the authorizer spent");
            }
        }
        // Whatever a late reply makes of the time: nobody signs with it any more.
        self.dead.extend(watch.grant.as_ref().map(|grant| grant.id));
        self.watch(file, |watch| {
            watch.expired_told = true;
            // The last of the failures brought this in place of an outage.
            watch.patience.spent();
        });
        Ok(())
    }

    /// A file is given up for its credential only when the credential never worked.
    pub(super) fn failed_rightly(&self, file: FileId, event: &Event) -> Check {
        let Event::Failed { error, .. } = event else { return Ok(()) };
        let watch = self.files.get(&file);
        // One that has signed nothing in this attempt was not refused, but could not be replaced by a living one.
        let signed = watch.and_then(|f| f.signed);
        let fresh = watch.is_some_and(|f| f.doom.allows(&error.code));
        let worked = signed.is_some_and(|grant| self.used.contains(&grant));
        if error.code == "SecurityTokenExpired" && worked && !fresh {
            return broken("5 only a fresh grant's expiry is fatal", format!("{event:?}"));
        }
        let held = watch.is_some_and(|f| f.holds && f.grant.is_some());
        if error.code == REFUSED && held {
            return broken(
                "5 a file whose credential died waits for another",
                format!("{event:?}"),
            );
        }
        // Without a credential it is the authorizer who gave dead ones.
        let dead = watch.filter(|_| error.code == "SecurityTokenExpired" && !held);
        let given_up = |f: &FileWatch| f.refusal.is_some_and(|r| self.is_refused(&f.patience, r));
        if dead.is_some_and(|f| !given_up(f)) {
            return broken(AGAIN, format!("{event:?}: {:?}", watch.map(|f| &f.patience)));
        }
        self.waits_for_others(file, event, error)?;
        self.gives_up_rightly(file, event, error)?;
        self.despairs_rightly(file, event, error)
    }
}
