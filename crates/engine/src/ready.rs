//! Which bytes of a source that is still being written are final.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::vocab::{ErrorInfo, ErrorKind};

/// What the writer has announced so far, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Ascending, neither overlapping nor touching.
    ranges: Vec<Range<u64>>,
    /// Known when the writer is done.
    length: Option<u64>,
    /// Why there will be no more.
    broken: Option<ErrorInfo>,
}

impl Ready {
    /// These bytes are final.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let from = self.ranges.partition_point(|r| r.end < range.start);
        let to = self.ranges.partition_point(|r| r.start <= range.end);
        let touched = self.ranges.get(from..to).unwrap_or_default();
        let start = touched.first().map_or(range.start, |r| r.start.min(range.start));
        let end = touched.last().map_or(range.end, |r| r.end.max(range.end));
        self.ranges.splice(from..to, core::iter::once(start..end));
    }

    /// The writer is done: the source has so many bytes, and all of them are final. One that announced more before is broken.
    pub(crate) fn finish(&mut self, length: u64) {
        if length < self.reach() {
            self.broken = Some(shrunk());
        } else if self.length.is_none() {
            self.length = Some(length);
            self.add(0..length);
        }
    }

    /// The writer gave up; nothing once it is done.
    pub(crate) fn break_off(&mut self, error: ErrorInfo) {
        if self.length.is_none() {
            self.broken = Some(error);
        }
    }

    /// Why this will never be whole.
    pub(crate) fn broken(&self) -> Option<&ErrorInfo> {
        self.broken.as_ref()
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The end of what is known to be there.
    pub(crate) fn reach(&self) -> u64 {
        self.ranges.last().map_or(0, |r| r.end)
    }

    /// Whether all of these bytes are final.
    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        let at = self.ranges.partition_point(|r| r.end < range.end);
        self.ranges.get(at).is_some_and(|r| r.start <= range.start && range.end <= r.end)
    }
}

fn shrunk() -> ErrorInfo {
    ErrorInfo {
        kind: ErrorKind::SourceChanged,
        code: "SourceChanged".into(),
        message: "the source ended before bytes that had been announced as final".into(),
        request_id: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_touches_is_one() {
        let mut ready = Ready::default();
        ready.add(10..20);
        ready.add(30..40);
        assert!(!ready.covers(&(10..40)) && ready.covers(&(12..20)) && !ready.covers(&(5..12)));
        ready.add(20..30);
        assert!(ready.covers(&(10..40)));
        assert_eq!(ready.ranges.len(), 1);
        ready.add(7..7);
        assert_eq!((ready.reach(), ready.length()), (40, None));
        ready.finish(50);
        assert!(ready.covers(&(0..50)) && !ready.covers(&(0..51)));
        assert_eq!((ready.length(), ready.broken()), (Some(50), None));
        ready.finish(49);
        assert!(ready.broken().is_some());
    }

    proptest! {
        #[test]
        fn any_order_of_ranges_gives_the_same_bytes(
            ranges in proptest::collection::vec((0..60_u64, 0..12_u64), 0..20),
            asked in (0..70_u64, 1..20_u64),
        ) {
            let mut ready = Ready::default();
            let mut bytes = [false; 90];
            for (start, length) in ranges {
                ready.add(start..start + length);
                bytes[start as usize..(start + length) as usize].fill(true);
            }
            let asked = asked.0..asked.0 + asked.1;
            let all = bytes[asked.start as usize..asked.end as usize].iter().all(|b| *b);
            prop_assert_eq!(ready.covers(&asked), all);
            prop_assert!(ready.ranges.windows(2).all(|w| w[0].end < w[1].start));
            prop_assert_eq!(ready.reach(), bytes.iter().rposition(|b| *b).map_or(0, |at| at as u64 + 1));
        }
    }
}
