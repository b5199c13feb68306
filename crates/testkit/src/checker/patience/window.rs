//! When a request may go out, and how many parts at once: no more than may be, and no fewer.

use vodferry_engine::{FileId, Op};

use super::Patience;
use crate::checker::{Check, Checker, Flight, broken};
use crate::coverage::Coverage;
use crate::pairs::Stage;

impl Checker {
    /// A request is about to go out: it is not before its time, and no part too many.
    pub(crate) fn sent_patiently(&mut self, flight: &Flight, coverage: &mut Coverage) -> Check {
        self.cover_later_pause(flight.file, coverage);
        let Some(watch) = self.files.get(&flight.file) else { return Ok(()) };
        let (patience, now) = (&watch.patience, self.now.mono_ms);
        if now < patience.wish {
            let what = format!("{:?} at {now}, asked until {}", flight.op, patience.wish);
            return broken("6 Retry-After is honoured", what);
        }
        if now < patience.backoff {
            let what = format!("{:?} at {now}, told until {}", flight.op, patience.backoff);
            return broken("6 nothing is sent before the back-off is over", what);
        }
        let Some(window) = patience.window else { return Ok(()) };
        let part = |op: &Op| matches!(op, Op::UploadPart { .. });
        let mine = |f: &&Flight| part(&f.op) && f.file == flight.file;
        let parts = self.flights.values().filter(mine).count() + 1;
        if part(&flight.op) && parts as f64 > window.max(1.0) {
            let what = format!("{parts} parts of file {}, at most {window}", flight.file.0);
            return broken("6 SlowDown shrinks, additively grown again", what);
        }
        Ok(())
    }

    /// How long the later pauses of an outage are, where it is the timer that ends them.
    fn cover_later_pause(&mut self, file: FileId, coverage: &mut Coverage) {
        let (now, woken) = (self.now.mono_ms, self.deadline == Some(self.now.mono_ms));
        let Some(watch) = self.files.get_mut(&file) else { return };
        let pauses = watch.patience.pauses;
        let Some((at, most)) = watch.patience.later.take() else { return };
        if pauses > 1 && woken && most > 0 {
            let second = (now - at) * 2 > most;
            let name = if second { "later pause: second half" } else { "later pause: first half" };
            coverage.hit("story", name);
        }
    }

    /// All outputs were taken: who may send a part does.
    pub(crate) fn fills_the_window(&self) -> Check {
        let body = |f: &&Flight| matches!(f.op, Op::UploadPart { .. } | Op::PutObject { .. });
        if self.flights.values().filter(body).count() >= self.config.max_in_flight as usize {
            return Ok(());
        }
        for id in self.files.keys() {
            if self.could_send(*id) && self.holds_usable(*id) {
                let what = format!("file {} at {}", id.0, self.now.mono_ms);
                return broken("6 as many parts are sent as may be", what);
            }
        }
        Ok(())
    }

    /// Whether nothing but a credential keeps this file from sending one more part. What is not certain is taken for a no.
    pub(crate) fn could_send(&self, file: FileId) -> bool {
        let Some(watch) = self.files.get(&file).filter(|_| self.may_send(file)) else {
            return false;
        };
        let (Some(id), Some(length)) = (&watch.upload, watch.length()) else { return false };
        let Some(upload) = self.uploads.get(id) else { return false };
        let sends =
            watch.stage == Stage::Sending && watch.attempt.as_ref().is_some_and(|a| !a.closing);
        let hindered = watch.gone || watch.must_list || watch.doom.is_possible();
        if !sends || hindered || upload.exempt || watch.written.is_some() || !self.is_free(file) {
            return false;
        }
        let part = |f: &&Flight| f.file == file && matches!(f.op, Op::UploadPart { .. });
        let flying = self.flights.values().filter(part).count();
        let settled = upload.known.len() + upload.damaged.len() + flying;
        let window = match watch.patience.window {
            _ if self.climbs() => 1.0,
            None => f64::from(self.parallel()),
            // The engine counts in whole numbers.
            Some(window) => (window - 0.1).max(1.0),
        };
        (settled as u64) < upload.count(length) && flying < window as usize
    }

    /// No back-off and no wish of a server holds this file's requests back.
    pub(crate) fn is_free(&self, file: FileId) -> bool {
        let free = |patience: &Patience| {
            let holds = [patience.latest, patience.wish, patience.backoff];
            holds.into_iter().all(|at| at <= self.now.mono_ms)
        };
        self.files.get(&file).is_some_and(|watch| free(&watch.patience))
    }

    /// Nobody is asked for a credential before the back-off is over, unless the present one is renewed ahead of time.
    pub(crate) fn asks_patiently(&self, file: FileId) -> Check {
        let Some(watch) = self.files.get(&file).filter(|_| !self.holds_usable(file)) else {
            return Ok(());
        };
        let (now, until) = (self.now.mono_ms, watch.patience.backoff.max(watch.patience.wish));
        match now < until {
            true => broken(
                "6 nobody is asked before the back-off is over",
                format!("file {} at {now}, not before {until}", file.0),
            ),
            false => Ok(()),
        }
    }
}
