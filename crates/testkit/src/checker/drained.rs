//! What must be true between two calls: everything owed was told, nobody idles, and the list says what the events said.

use vodferry_engine::{FileId, FileState, FileView, Op};

use super::{Check, Checker, FileWatch, Standing, broken};

impl Checker {
    /// All outputs were taken: what must be true between two calls. `deadline`: when the engine wants to be woken.
    pub fn drained(&mut self, list: &[FileView], deadline: Option<u64>) -> Check {
        if std::mem::take(&mut self.halted) {
            self.running = false;
        }
        for (id, file) in &mut self.files {
            file.abort_skipped = false;
            let closed = file.attempt.take_if(|attempt| attempt.closing);
            if let Some(closed) = closed.filter(|a| a.acknowledged < a.floor) {
                let what = format!("file {}: {} of {}", id.0, closed.acknowledged, closed.floor);
                return broken("2 the last acknowledged figure is told", what);
            }
            if let Some(early) = file.attempt.as_ref().and_then(|attempt| attempt.early.clone()) {
                return broken("2 progress is coalesced", early);
            }
            if file.owes_changed {
                return broken("8 a source that changed fails its file", format!("file {}", id.0));
            }
        }
        self.gives_up_in_time()?;
        self.breaks_rightly()?;
        self.keeps_busy(list)?;
        self.renews_in_time(deadline)?;
        self.tells_outages()?;
        self.tells_expiry()?;
        self.fills_the_window()?;
        self.deadline = deadline;
        for (id, flight) in &self.flights {
            let abort = matches!(flight.op, Op::AbortMultipartUpload { .. });
            if !abort && !self.may_send(flight.file) {
                let what = format!("request {} of file {} goes on", id.0, flight.file.0);
                return broken("7 a stopped, paused or cancelled file is cut", what);
            }
        }
        for (id, file) in &self.files {
            if file.owes_canceled {
                return broken("1 cancel tells Canceled", format!("file {}", id.0));
            }
            if file.owes_abort || file.owes_abort_of.is_some() {
                return broken(
                    "10 an upload is aborted, or said to stay",
                    format!("file {}", id.0),
                );
            }
            let view = list.iter().find(|view| view.id == *id);
            self.agrees(*id, file, view)?;
        }
        match list.iter().find(|view| !self.files.contains_key(&view.id)) {
            Some(view) => broken("1 list", format!("file {} was never added", view.id.0)),
            None => Ok(()),
        }
    }

    /// Rule 7: a file that left its place is followed by the next one at once.
    fn keeps_busy(&self, list: &[FileView]) -> Check {
        let count =
            |states: &[FileState]| list.iter().filter(|v| states.contains(&v.state)).count();
        let waiting = count(&[FileState::Waiting]);
        let under_way = count(&[FileState::Active, FileState::Expired]);
        let room = under_way < self.config.files_at_once as usize;
        match self.running && !self.paused && waiting > 0 && room {
            true => broken(
                "7 the next file starts",
                format!("{waiting} wait, {under_way} are under way"),
            ),
            false => Ok(()),
        }
    }

    fn agrees(&self, id: FileId, file: &FileWatch, view: Option<&FileView>) -> Check {
        let state = view.map(|view| view.state);
        let fits = match file.standing {
            Standing::Removed => state.is_none(),
            Standing::Succeeded => state == Some(FileState::Succeeded),
            Standing::Failed => state == Some(FileState::Failed),
            Standing::Canceled => state == Some(FileState::Canceled),
            Standing::Queued => matches!(
                state,
                Some(
                    FileState::Waiting | FileState::Active | FileState::Paused | FileState::Expired
                )
            ),
        };
        if !fits {
            let what = format!("file {} is {:?}, listed as {state:?}", id.0, file.standing);
            return broken("1 list", what);
        }
        let told = file.attempt.as_ref().and_then(|a| a.told);
        match (told, view) {
            (Some((told, _)), Some(view)) if view.acknowledged != told => broken(
                "2 list",
                format!("file {}: told {told}, listed {}", id.0, view.acknowledged),
            ),
            _ => Ok(()),
        }
    }
}
