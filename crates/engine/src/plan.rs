//! How a file is cut into parts.

use core::ops::Range;

use crate::config::{DEFAULT_PART_SIZE, MAX_PART_SIZE, MAX_PARTS, SMALL_FILE};
use crate::vocab::PartInfo;

/// Raised part sizes are multiples of this.
const GRAIN: u64 = 64 << 10;
/// A part size that nobody set is a multiple of this.
const LEAST_SUITABLE: u64 = 256 << 10;
/// The largest part that nobody set: sixteen of them fill a line of 1 Gbit/s and 200 ms, where a connection waits for its answer a
/// round trip after each.
const MOST_SUITABLE: u64 = 8 << 20;
/// Of a source of unknown length, parts are twice as long after so many.
const STEP: u64 = 1_000;

/// Where each part begins. Of a known length: parts of equal size, but for the last. Of an unknown length: twice as long
/// every thousand parts, so that ten thousand of them go a long way and the first ones still fit into small buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// `None` as long as it is unknown.
    length: Option<u64>,
    part_size: u64,
    /// The longest part, where they grow.
    grows_to: Option<u64>,
    count: u32,
}

impl Plan {
    /// The plan for a new upload; `asked` 0 takes the default, too small a size is raised. `None`: the file needs more parts
    /// than there may be, of any size.
    pub(crate) fn choose(length: u64, asked: u64) -> Option<Plan> {
        let asked = if asked == 0 { DEFAULT_PART_SIZE } else { asked };
        let least = length.div_ceil(MAX_PARTS).div_ceil(GRAIN).saturating_mul(GRAIN);
        // A size that is large enough as it is stays as it was asked for.
        let size = if length.div_ceil(asked.max(1)) <= MAX_PARTS { asked } else { least };
        if size > MAX_PART_SIZE { None } else { Plan::of(Some(length), size, None) }
    }

    /// The plan for a new upload of unknown length; no part is longer than `most` bytes, but for what was asked for.
    pub(crate) fn open(asked: u64, most: u64) -> Option<Plan> {
        let part_size = if asked == 0 { DEFAULT_PART_SIZE } else { asked };
        Plan::of(None, part_size, Some(most.min(MAX_PART_SIZE).max(part_size)))
    }

    /// The plan of an upload begun earlier. `None`: such an upload cannot exist.
    pub(crate) fn of(length: Option<u64>, part_size: u64, grows_to: Option<u64>) -> Option<Plan> {
        let sizes = 1..=MAX_PART_SIZE;
        let possible = sizes.contains(&part_size)
            && grows_to.is_none_or(|most| most >= part_size && sizes.contains(&most));
        let count = u32::try_from(MAX_PARTS).ok().filter(|_| possible)?;
        let plan = Plan { length: None, part_size, grows_to, count };
        match (length, grows_to) {
            (Some(length), _) => plan.finish(length),
            (None, Some(_)) => Some(plan),
            (None, None) => None,
        }
    }

    /// The same cut, now that the length is known. `None`: it needs more parts than there may be, or none.
    pub(crate) fn finish(&self, length: u64) -> Option<Plan> {
        let (mut low, mut high) = (1, MAX_PARTS);
        if length == 0 || self.offset(high) < length {
            return None;
        }
        while low < high {
            let middle = low.midpoint(high);
            if self.offset(middle) < length { low = middle + 1 } else { high = middle }
        }
        let count = u32::try_from(low).ok()?;
        Some(Plan { length: Some(length), count, ..*self })
    }

    /// The part size for a file and a network when nobody set one: a part takes about a second while eight of them share
    /// the goodput last measured (bytes per second), eight fit into `max_buffered` bytes, and a small file still has parts
    /// to send side by side. From 256 KiB to 8 MiB. Before anything was measured it goes by the file's length: what an interruption
    /// costs is a small share of the whole.
    pub(crate) fn suitable_size(length: u64, goodput: Option<u64>, max_buffered: u64) -> u64 {
        let fitting = goodput.map_or(length / 256, |rate| rate / 8);
        let side_by_side = length.div_ceil(8);
        let size = fitting.min(side_by_side).min(max_buffered / 8);
        let size = size.div_ceil(LEAST_SUITABLE).saturating_mul(LEAST_SUITABLE);
        size.clamp(LEAST_SUITABLE, MOST_SUITABLE)
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn part_size(&self) -> u64 {
        self.part_size
    }

    pub(crate) fn grows_to(&self) -> Option<u64> {
        self.grows_to
    }

    /// The highest part number, or the highest there may be.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The bytes of a part; empty for numbers beyond the plan.
    pub(crate) fn range(&self, number: u32) -> Range<u64> {
        let most = self.length.unwrap_or(u64::MAX);
        let number = u64::from(number);
        let end = self.offset(number.min(MAX_PARTS)).min(most);
        if number > MAX_PARTS {
            return end..end;
        }
        self.offset(number.saturating_sub(1)).min(most)..end
    }

    /// The part that holds the byte at this place; beyond the plan, the last.
    pub(crate) fn number_at(&self, place: u64) -> u32 {
        let (mut low, mut high) = (1, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.range(middle).end <= place { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub(crate) fn length_of(&self, number: u32) -> u64 {
        let range = self.range(number);
        range.end - range.start
    }

    /// Whether these parts, each of them once, are all of the plan.
    pub(crate) fn covered_by(&self, parts: &[PartInfo]) -> bool {
        let fitting = parts.iter().filter(|p| self.fits(p)).count();
        self.length.is_some() && fitting == self.count as usize
    }

    pub(crate) fn fits(&self, part: &PartInfo) -> bool {
        part.number >= 1 && part.number <= self.count && part.length == self.length_of(part.number)
    }

    /// The bytes of the first so many whole parts.
    fn offset(&self, parts: u64) -> u64 {
        let Some(most) = self.grows_to else { return parts.saturating_mul(self.part_size) };
        let (mut left, mut size, mut bytes) = (parts, self.part_size, 0_u64);
        while left > 0 {
            let same = if size < most { left.min(STEP) } else { left };
            bytes = bytes.saturating_add(same.saturating_mul(size));
            left -= same;
            size = size.saturating_mul(2).min(most);
        }
        bytes
    }
}

/// Whether a size may be asked for: 0, or from [`SMALL_FILE`] to [`MAX_PART_SIZE`].
pub(crate) fn may_be_asked(part_size: u64) -> bool {
    part_size == 0 || (SMALL_FILE..=MAX_PART_SIZE).contains(&part_size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_taken_as_asked_or_raised_to_fit_ten_thousand_parts() {
        const MIB: u64 = 1 << 20;
        assert_eq!(Plan::choose(SMALL_FILE, 0).unwrap().part_size(), MIB);
        assert_eq!(Plan::choose(5 * MIB, 102_400).unwrap().part_size(), 102_400);
        let whole = Plan::choose(10_000 * MIB, 0).unwrap();
        assert_eq!((whole.part_size(), whole.count()), (MIB, 10_000));
        let raised = Plan::choose(10_000 * MIB + 1, 0).unwrap();
        assert_eq!(raised.part_size(), MIB + GRAIN);
        assert!(raised.count() <= 10_000);
        let largest = MAX_PART_SIZE * MAX_PARTS;
        assert_eq!(Plan::choose(largest, 0).unwrap().part_size(), MAX_PART_SIZE);
        assert_eq!(Plan::choose(largest + 1, 0), None);
        assert_eq!(Plan::choose(u64::MAX, MAX_PART_SIZE), None);
    }

    #[test]
    fn a_size_that_nobody_set_suits_file_network_and_memory() {
        const KIB: u64 = 1 << 10;
        let size = |length, goodput| Plan::suitable_size(length, goodput, 64 << 20) / KIB;
        // Nothing measured yet: by the file alone.
        assert_eq!(size(SMALL_FILE, None), 256);
        assert_eq!(size(100 << 20, None), 512);
        assert_eq!(size(1 << 30, None), 4_096);
        assert_eq!(size(10 << 30, None), 8_192);
        // 1 Mbit/s, 100 Mbit/s, 1 Gbit/s.
        assert_eq!(size(1 << 30, Some(125_000)), 256);
        assert_eq!(size(1 << 30, Some(12_500_000)), 1_536);
        assert_eq!(size(1 << 30, Some(125_000_000)), 8_192);
        assert_eq!(size(3 << 20, Some(125_000_000)), 512);
        assert_eq!(Plan::suitable_size(u64::MAX, Some(u64::MAX), u64::MAX), MOST_SUITABLE);
        assert_eq!(Plan::suitable_size(10 << 30, None, 16 << 20), 2_048 * KIB);
        assert_eq!(Plan::suitable_size(1 << 30, None, 0), 256 * KIB);
    }

    #[test]
    fn ranges_cover_the_file_without_gap_or_overlap() {
        for (length, size) in [(1, 1), (10, 3), (9, 3), (1_048_577, 102_400)] {
            let plan = Plan::of(Some(length), size, None).unwrap();
            let mut at = 0;
            for number in 1..=plan.count() {
                let range = plan.range(number);
                assert_eq!(range.start, at);
                assert!(range.end > range.start);
                at = range.end;
            }
            assert_eq!(at, length);
            assert!(plan.range(plan.count() + 1).is_empty());
        }
        assert!(Plan::of(Some(10), 3, None).unwrap().range(u32::MAX).is_empty());
    }

    #[test]
    fn impossible_plans_of_a_checkpoint_are_refused() {
        assert_eq!(Plan::of(Some(10), 0, None), None);
        assert_eq!(Plan::of(Some(0), 10, None), None);
        assert_eq!(Plan::of(Some(10_001), 1, None), None);
        assert_eq!(Plan::of(Some(u64::MAX), u64::MAX, None), None);
    }

    #[test]
    fn only_the_sizes_of_the_service_may_be_asked() {
        assert!(may_be_asked(0) && may_be_asked(102_400) && may_be_asked(5 << 30));
        assert!(!may_be_asked(1) && !may_be_asked(102_399) && !may_be_asked((5 << 30) + 1));
    }

    #[test]
    fn parts_of_unknown_length_double_every_thousand() {
        const MIB: u64 = 1 << 20;
        let plan = Plan::open(0, 64 * MIB).unwrap();
        assert_eq!(plan.range(1), 0..MIB);
        assert_eq!(plan.range(1_000), 999 * MIB..1_000 * MIB);
        assert_eq!(plan.range(1_001), 1_000 * MIB..1_002 * MIB);
        assert_eq!(plan.length_of(7_000), 64 * MIB);
        assert_eq!(plan.length_of(10_000), 64 * MIB);
        // 1 + 2 + 4 + 8 + 16 + 32 + 4 x 64 thousand MiB: about 311 GiB.
        let most = 319_000 * MIB;
        assert_eq!(plan.range(10_000).end, most);
        assert!(plan.range(10_001).is_empty());
        assert_eq!(plan.finish(most).unwrap().count(), 10_000);
        assert_eq!(plan.finish(most + 1), None);
        assert_eq!(plan.finish(0), None);
        let whole = plan.finish(1_000 * MIB + 1).unwrap();
        assert_eq!((whole.count(), whole.range(1_001)), (1_001, 1_000 * MIB..1_000 * MIB + 1));
        // What was asked for is not cut by a small memory.
        assert_eq!(Plan::open(8 * MIB, MIB).unwrap().length_of(5_000), 8 * MIB);
        assert_eq!(Plan::of(None, MIB, None), None);
        assert_eq!(Plan::of(None, MIB, Some(MIB - 1)), None);
    }

    proptest! {
        #[test]
        fn every_plan_covers_the_file_once(
            length in prop_oneof![
                1..=20 * SMALL_FILE,
                1..=u64::from(u32::MAX),
                1..=MAX_PART_SIZE * MAX_PARTS,
                (0..3_u64, 1..=MAX_PARTS).prop_map(|(off, parts)| parts * DEFAULT_PART_SIZE + off - 1),
            ],
            asked in prop_oneof![Just(0), SMALL_FILE..=16 << 20, SMALL_FILE..=MAX_PART_SIZE],
        ) {
            prop_assert!(may_be_asked(asked));
            let plan = Plan::choose(length, asked).expect("no file of this length is too large");
            let size = plan.part_size();
            prop_assert!((1..=MAX_PARTS).contains(&u64::from(plan.count())));
            prop_assert!((SMALL_FILE..=MAX_PART_SIZE).contains(&size), "{}", size);
            let wanted = if asked == 0 { DEFAULT_PART_SIZE } else { asked };
            // Raised only where it must be, and then by no more than the next multiple.
            prop_assert!(size >= wanted);
            prop_assert!(size == wanted || length > wanted * MAX_PARTS);
            prop_assert!(size == wanted || length > (size - GRAIN) * MAX_PARTS);
            let mut at = 0;
            for number in 1..=plan.count() {
                let range = plan.range(number);
                prop_assert_eq!(range.start, at);
                let bytes = range.end - range.start;
                prop_assert!(bytes == size || number == plan.count() && (1..size).contains(&bytes));
                at = range.end;
            }
            prop_assert_eq!(at, length);
            prop_assert!(plan.range(0).start == 0 && plan.range(plan.count() + 1).is_empty());
            // Whoever resumes it cuts the file the same way.
            prop_assert_eq!(Plan::of(Some(length), size, None), Some(plan));
        }

        #[test]
        fn any_numbers_give_a_plan_or_none(length: u64, size: u64, number: u32) {
            for plan in [Plan::choose(length, size), Plan::of(Some(length), size, None)].into_iter().flatten() {
                let range = plan.range(number);
                prop_assert!(range.start <= range.end && range.end <= length);
            }
        }

        #[test]
        fn a_growing_plan_covers_the_source_once(
            asked in prop_oneof![Just(0), SMALL_FILE..=4 << 20],
            most in 0..128_u64 << 20,
            length in 1..=400_u64 << 30,
        ) {
            let plan = Plan::open(asked, most).expect("a plan");
            let Some(whole) = plan.finish(length) else {
                prop_assert!(plan.range(plan.count()).end < length);
                return Ok(());
            };
            prop_assert_eq!(Plan::of(Some(length), plan.part_size(), plan.grows_to()), Some(whole));
            let mut at = 0;
            for number in 1..=whole.count() {
                let range = whole.range(number);
                prop_assert_eq!(range.start, at);
                prop_assert!(!range.is_empty());
                prop_assert_eq!(whole.number_at(range.start), number);
                prop_assert_eq!(whole.number_at(range.end - 1), number);
                if number < whole.count() {
                    prop_assert_eq!(&range, &plan.range(number));
                }
                at = range.end;
            }
            prop_assert_eq!(at, length);
        }
    }
}
