//! Rules 3, 7, 8 and 9: what is written down of an upload, and in which parts it is cut.

use vodferry_engine::{EffectId, FileId, MAX_PARTS, Record, SMALL_FILE};

use super::{Check, Checker, Standing, UploadWatch, broken};
use crate::coverage::Coverage;

impl Checker {
    pub(super) fn append(
        &mut self,
        id: EffectId,
        file: FileId,
        record: &Record,
        sync: bool,
        coverage: &mut Coverage,
    ) -> Check {
        match record {
            Record::Begin(begin) => {
                let growing = self.growing_size(self.files.get(&file).map_or(0, |f| f.part_size));
                let Some(watch) = self.files.get_mut(&file) else {
                    return broken("1 only listed files", format!("Begin of file {}", file.0));
                };
                let Some(loaded) = watch.loaded.as_ref() else {
                    return broken("1 order", format!("Begin of file {} before Loaded", file.0));
                };
                if !sync {
                    return broken("3 Begin is synced", format!("file {}", file.0));
                }
                let before = watch.upload.as_ref().and_then(|id| self.uploads.get(id));
                let same_place = before.is_some_and(|u| u.key == begin.target.key);
                if same_place && !watch.gone {
                    let what = format!("file {} begins {} anew", file.0, begin.upload_id);
                    return broken("7 the upload id is kept", what);
                }
                if begin.source.length != loaded.length {
                    return broken("8 Begin names the content", format!("{begin:?}"));
                }
                let chosen = self.config.adaptive && watch.part_size + self.config.part_size == 0;
                let fits = match loaded.length {
                    None => (begin.part_size, begin.grows_to) == (growing.0, Some(growing.1)),
                    Some(_) if begin.grows_to.is_some() => false,
                    Some(length) if chosen => {
                        is_suitable(begin.part_size, length, self.config.max_buffered)
                    }
                    Some(length) => begin.part_size == part_size(length, growing.0),
                };
                if !fits {
                    return broken("9 part size", format!("{begin:?}, asked {growing:?}"));
                }
                let upload = UploadWatch {
                    app: watch.app,
                    version: Some(loaded.version),
                    key: begin.target.key.clone(),
                    part_size: begin.part_size,
                    grows_to: begin.grows_to,
                    exempt: self.shared.contains(&loaded.version.source),
                    ..UploadWatch::default()
                };
                // Moved by the application: what was done elsewhere is on no record any more.
                let elsewhere = |u: &&mut UploadWatch| u.app == upload.app && u.key != upload.key;
                self.uploads.values_mut().filter(elsewhere).for_each(|u| u.exempt = true);
                self.uploads.insert(begin.upload_id.clone(), upload);
                self.begins.insert(id, begin.upload_id.clone());
                watch.upload = Some(begin.upload_id.clone());
                watch.gone = false;
                watch.open = true;
                watch.must_list = false;
                if let Some(attempt) = watch.attempt.as_mut() {
                    attempt.parts.clear();
                }
                self.opens_rightly(file, &begin.upload_id)
            }
            Record::End => {
                // After a cancel the file's upload is no longer on the books.
                let app = self.files.get(&file).map(|f| f.app);
                let mine = self.uploads.values_mut().filter(|u| Some(u.app) == app);
                mine.for_each(|u| u.ending = true);
                self.watch(file, |watch| {
                    watch.owes_abort |=
                        watch.standing == Standing::Canceled && !watch.abort_skipped;
                });
                if self.turns_out_small(file) {
                    coverage.hit("story", "turned out small");
                } else {
                    self.records_end(file);
                }
                Ok(())
            }
            Record::Length(_) => Ok(()),
            Record::Part(part) => {
                let watch = self.files.get(&file);
                let upload = watch.and_then(|w| self.uploads.get(w.upload.as_ref()?));
                match upload.is_some_and(|upload| upload.unsaved) {
                    true => broken("3 a part joins no other upload's records", format!("{part:?}")),
                    false => Ok(()),
                }
            }
        }
    }

    /// End is recorded of an upload that another process began of something longer: this one goes up in one request.
    fn turns_out_small(&mut self, file: FileId) -> bool {
        let Some(watch) = self.files.get_mut(&file) else { return false };
        let small = watch.written.is_some() && watch.length().is_some_and(|l| l < SMALL_FILE);
        let goes_on = small && watch.standing == Standing::Queued;
        if goes_on {
            watch.upload = None;
            watch.must_list = false;
        }
        goes_on
    }

    /// The journal of this file failed: it proves nothing any more.
    pub fn journal_failed(&mut self, file: FileId) {
        let Some(app) = self.files.get(&file).map(|f| f.app) else { return };
        self.uploads.values_mut().filter(|u| u.app == app).for_each(|u| u.exempt = true);
    }
}

/// The size that parts must have: as asked, or the least multiple of 64 KiB with which there are few enough.
fn part_size(length: u64, asked: u64) -> u64 {
    const GRAIN: u64 = 64 << 10;
    match length.div_ceil(asked) <= MAX_PARTS {
        true => asked,
        false => length.div_ceil(MAX_PARTS).next_multiple_of(GRAIN),
    }
}

/// Whether an engine that was told nothing may have chosen this size.
fn is_suitable(size: u64, length: u64, max_buffered: u64) -> bool {
    const GRAIN: u64 = 256 << 10;
    let most = (max_buffered / 8).div_ceil(GRAIN).saturating_mul(GRAIN).clamp(GRAIN, 8 << 20);
    let chosen = size.is_multiple_of(GRAIN) && (GRAIN..=most).contains(&size);
    let raised = size > GRAIN && size == part_size(length, 1);
    length <= size * MAX_PARTS && (chosen || raised)
}
