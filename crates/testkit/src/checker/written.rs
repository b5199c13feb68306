//! What the writer of a growing source has announced, and how such a source is cut (rule 9): told apart from the engine's own
//! way of knowing it.

use std::ops::Range;

use vodferry_engine::{ErrorInfo, Input, MAX_PARTS};

use super::{Check, Checker, FileWatch, Flight, broken};

/// Parts of a growing source are twice as long after so many.
const STEP: u64 = 1_000;

/// What is final of one file's source, in this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    ranges: Vec<Range<u64>>,
    length: Option<u64>,
    /// The code of the error that it ended with.
    broken: Option<String>,
}

impl Written {
    /// Whether all of these bytes are final.
    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        let mut from = range.start;
        while from < range.end {
            match self.ranges.iter().find(|r| r.contains(&from)) {
                Some(found) => from = found.end,
                None => return false,
            }
        }
        true
    }

    /// The end of what was announced.
    pub(crate) fn reach(&self) -> u64 {
        self.ranges.iter().map(|r| r.end).max().unwrap_or(0)
    }

    /// Bytes in all, once the writer is done.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether the writer gave up, or took back what it had announced.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    fn finish(&mut self, length: u64) {
        if length < self.reach() {
            self.broken = Some("SourceChanged".to_owned());
        } else if self.length.is_none() {
            self.length = Some(length);
            self.ranges = vec![Range { start: 0, end: length }];
        }
    }
}

/// The bytes of part `number` of a source that grows, as if it had no end.
pub(super) fn cut(number: u32, part_size: u64, most: u64) -> Range<u64> {
    let (mut before, mut size, mut start) = (u64::from(number).saturating_sub(1), part_size, 0);
    while before >= STEP {
        start += size * STEP;
        size = (size * 2).min(most);
        before -= STEP;
    }
    start += size * before;
    start..start + size
}

impl Checker {
    /// What was announced of a file whose source grows; `None` for others.
    pub(crate) fn written(&self, file: vodferry_engine::FileId) -> Option<&Written> {
        self.files.get(&file).and_then(|watch| watch.written.as_ref())
    }

    /// A writer has said something.
    pub(super) fn announced(&mut self, input: &Input) {
        let (file, tell): (_, &dyn Fn(&mut Written)) = match input {
            Input::Broken { file, error } => (file, &|w| {
                if w.length.is_none() {
                    w.broken = Some(error.code.clone());
                }
            }),
            Input::Finished { file, length } => (file, &|w| w.finish(*length)),
            Input::Grown { file, range } if !range.is_empty() => {
                (file, &|w| w.ranges.push(range.clone()))
            }
            _ => return,
        };
        self.watch(*file, |watch| {
            if let Some(written) = &mut watch.written {
                tell(written);
            }
        });
    }

    /// A request of a growing source is about to go out: nothing is opened or sent before its bytes are final.
    pub(super) fn sends_what_is_final(&self, flight: &Flight) -> Check {
        use vodferry_engine::Op;
        let Some(watch) = self.files.get(&flight.file) else { return Ok(()) };
        let Some(written) = &watch.written else { return Ok(()) };
        let final_yet = match &flight.op {
            Op::UploadPart { range, .. } => written.covers(range),
            Op::PutObject { length } => written.length == Some(*length),
            Op::CompleteMultipartUpload { .. } => written.length.is_some(),
            Op::InitiateMultipartUpload => {
                written.length.is_some() || self.has_whole_part(watch, written)
            }
            _ => true,
        };
        match final_yet {
            true => Ok(()),
            false => {
                broken("8 only what is final is sent", format!("{:?}: {written:?}", flight.op))
            }
        }
    }

    fn has_whole_part(&self, watch: &FileWatch, written: &Written) -> bool {
        let (size, most) = self.growing_size(watch.part_size);
        let ranges = (1..).map(|number| cut(number, size, most));
        ranges.take_while(|range| range.end <= written.reach()).any(|range| written.covers(&range))
    }

    /// The first part's size of a source that grows, and the largest.
    pub(super) fn growing_size(&self, asked: u64) -> (u64, u64) {
        let size = self.asked_size(asked);
        (size, self.config.max_buffered.min(vodferry_engine::MAX_PART_SIZE).max(size))
    }

    /// Bytes of the longest source that may grow in parts of this size.
    pub(crate) fn longest_growing(&self, asked: u64) -> u64 {
        let (size, most) = self.growing_size(asked);
        u32::try_from(MAX_PARTS).map_or(0, |last| cut(last, size, most).end)
    }

    /// A file whose writer gave up, or took back what it had announced, fails by that as soon as it is under way.
    pub(super) fn breaks_rightly(&self) -> Check {
        for (id, watch) in self.files.iter().filter(|(_, watch)| watch.is_under_way()) {
            let loaded = watch.loaded.is_some() && watch.load.is_none();
            if let Some(code) =
                watch.written.as_ref().and_then(|w| w.broken.as_ref()).filter(|_| loaded)
            {
                let what = format!("file {}: {code}", id.0);
                return broken("8 a writer that gives up fails its file", what);
            }
        }
        Ok(())
    }

    /// Whether this is the error of a writer that gave up; the reverse of [`Checker::breaks_rightly`].
    pub(super) fn is_of_writer(watch: &FileWatch, error: &ErrorInfo) -> bool {
        let broken = watch.written.as_ref().and_then(|written| written.broken.as_ref());
        broken == Some(&error.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_double_every_thousand_and_no_more_than_may_be() {
        assert_eq!(cut(1, 10, 1_000), 0..10);
        assert_eq!(cut(1_000, 10, 1_000), 9_990..10_000);
        assert_eq!(cut(1_001, 10, 1_000), 10_000..10_020);
        assert_eq!(cut(2_002, 10, 25), 30_025..30_050);
    }

    #[test]
    fn what_is_covered_may_be_put_together() {
        let mut written = Written { ranges: Vec::from([5..9, 0..6]), ..Written::default() };
        assert!(written.covers(&(1..9)) && !written.covers(&(8..10)));
        written.finish(8);
        assert_eq!((written.length(), written.broken.as_deref()), (None, Some("SourceChanged")));
    }
}
