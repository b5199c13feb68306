//! Rules 3, 4, 8 and 9: what of a file is sent, and when its upload may be completed.

use vodferry_engine::{MAX_PARTS, Op};

use super::{Check, Checker, FileWatch, Flight, broken};
use crate::coverage::Coverage;
use crate::journal::Journals;
use crate::store::Store;

impl Checker {
    pub(super) fn part(&self, flight: &Flight, store: &Store, coverage: &mut Coverage) -> Check {
        let Op::UploadPart { upload_id, number, range, held: compared } = &flight.op else {
            return Ok(());
        };
        let what = || format!("{:?} of file {}", flight.op, flight.file.0);
        let Some(watch) = self.files.get(&flight.file) else {
            return broken("1 only listed files", what());
        };
        let (Some(loaded), Some(upload)) = (&watch.loaded, self.uploads.get(upload_id)) else {
            return broken("1 order: load and Begin come before parts", what());
        };
        if !upload.begun {
            return broken("3 Begin is stored before the first part is sent", what());
        }
        if watch.upload.as_ref() != Some(upload_id) {
            return broken("7 the upload id is kept", format!("{}: {:?}", what(), watch.upload));
        }
        if upload.version != Some(loaded.version) && watch.written.is_none() {
            return broken("8 never spliced", what());
        }
        let cut = upload.range(*number, watch.length());
        if *number == 0 || u64::from(*number) > MAX_PARTS || *range != cut || range.is_empty() {
            return broken("9 equal parts but for the last", what());
        }
        if watch.written.is_some() && range.end - range.start > upload.part_size {
            coverage.hit("story", "part of a growing source twice as long");
        }
        if self.flights.values().any(|f| f.op == flight.op) {
            return broken("3 a part is sent once at a time", what());
        }
        if watch.must_list {
            return broken("3 the server is asked before anything is sent again", what());
        }
        let held = store.upload(upload_id).is_some_and(|u| u.parts.contains_key(number));
        // One of another length is certainly another one.
        let known = upload.known.get(number).filter(|k| k.length == range.end - range.start);
        let known = known.map(|part| &part.etag);
        let acknowledged = watch.attempt.as_ref().is_some_and(|a| a.parts.contains_key(number));
        let grows = watch.written.is_some();
        if grows && !upload.damaged.contains(number) && !upload.exempt {
            // Who knows what the process before sent: it is compared. What this one sent is not asked about again. (Records that
            // were lost, or are mixed with those of another file, prove nothing.)
            if (known.is_some() && compared.as_ref() != known) || acknowledged {
                let what = format!("{}: known {known:?}, acknowledged {acknowledged}", what());
                return broken(
                    "3 what another process sent is compared, what this one sent stays",
                    what,
                );
            }
        }
        if compared.is_some() && !grows {
            return broken("3 content that is known is not compared", what());
        }
        if held && known.is_some() && !grows {
            return broken("3 a part that the server is known to hold is never sent again", what());
        }
        if held && known.is_none() {
            coverage.hit("story", "part sent again after a lost reply");
        }
        if compared.is_some() && upload.completed {
            coverage.hit("story", "whole upload compared after its completion");
        }
        if compared.is_some() {
            return Ok(());
        }
        if *number == 1 && upload.known.contains_key(&2) {
            coverage.hit("story", "first part sent last");
        }
        let of_file = |f: &&Flight| f.file == flight.file;
        if self.climbs() && self.flights.values().filter(of_file).count() >= 4 {
            coverage.hit("story", "more parts than a climb begins with");
        }
        let again = self.uploads.iter().find(|(_, u)| {
            let content = u.version == Some(loaded.version);
            let same = u.app == watch.app && content && u.key == upload.key;
            same && u.completed && !u.exempt
        });
        match again {
            Some((id, _)) => {
                broken("4 bytes never travel again after Complete", format!("{}, was {id}", what()))
            }
            None => Ok(()),
        }
    }

    /// Everything acknowledged is on disk before Complete goes out, so that a lost reply can be told from a lost upload.
    pub(super) fn complete(&self, flight: &Flight, journals: &Journals) -> Check {
        let Op::CompleteMultipartUpload { upload_id, parts } = &flight.op else { return Ok(()) };
        let what = || format!("{upload_id} of file {}", flight.file.0);
        let Some(upload) = self.uploads.get(upload_id) else {
            return broken("1 order: Begin comes before Complete", what());
        };
        let length = self.files.get(&flight.file).and_then(FileWatch::length);
        let Some(length) = length else {
            return broken("1 order: load comes before Complete", what());
        };
        let grows = upload.grows_to.is_some();
        let expected = upload.count(length);
        let counted = parts.iter().zip(1u32..).all(|(part, number)| part.number == number);
        if parts.len() as u64 != expected || !counted {
            return broken("3 Complete names all parts", format!("{}: {parts:?}", what()));
        }
        if self.flights.values().any(|f| f.op == flight.op) {
            return broken("4 one Complete at a time", what());
        }
        if upload.exempt {
            return Ok(());
        }
        match journals.synced(flight.file) {
            None => Ok(()),
            // A source that was longer before has left records of parts beyond its end.
            Some(Some(c))
                if c.begin.upload_id == *upload_id
                    && c.parts.iter().filter(|p| u64::from(p.number) <= expected).count()
                        == parts.len()
                    && c.length == grows.then_some(length) =>
            {
                Ok(())
            }
            Some(found) => {
                let parts = found.map(|c| (c.begin.upload_id, c.parts.len()));
                broken(
                    "4 the whole set is synced before Complete",
                    format!("{}: {parts:?}", what()),
                )
            }
        }
    }

    /// The store made an object of this upload.
    pub fn completed(&mut self, upload_id: &str) {
        if let Some(upload) = self.uploads.get_mut(upload_id) {
            upload.completed = true;
        }
    }

    /// The store no longer holds this part as it was acknowledged.
    pub fn damaged(&mut self, upload_id: &str, number: u32) {
        if let Some(upload) = self.uploads.get_mut(upload_id) {
            upload.known.remove(&number);
            upload.damaged.insert(number);
        }
    }

    /// Whether the journal of this upload proves nothing, so that damage to it could not be noticed.
    pub fn is_exempt(&self, upload_id: &str) -> bool {
        self.uploads.get(upload_id).is_none_or(|u| u.exempt)
    }
}
