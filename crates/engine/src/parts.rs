//! The parts of one upload: where each begins, which are stored, which are to be sent next.

use crate::map::{Map, Set};
use alloc::vec::Vec;
use core::ops::Range;

use crate::config::{DEFAULT_PART_SIZE, MAX_PART_SIZE, MAX_PARTS, SMALL_FILE};
use crate::vocab::PartInfo;

/// Raised part sizes are multiples of this.
const GRAIN: u64 = 64 << 10;

/// How a file is cut: parts of equal size, but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    length: u64,
    part_size: u64,
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
        if size > MAX_PART_SIZE { None } else { Plan::of(length, size) }
    }

    /// The plan of an upload begun earlier. `None`: such an upload cannot exist.
    pub(crate) fn of(length: u64, part_size: u64) -> Option<Plan> {
        let count = length.checked_add(part_size)?.checked_sub(1)?.checked_div(part_size)?;
        let count = u32::try_from(count).ok()?;
        (count > 0 && u64::from(count) <= MAX_PARTS).then_some(Plan { length, part_size, count })
    }

    pub(crate) fn part_size(&self) -> u64 {
        self.part_size
    }

    /// The highest part number.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The bytes of a part; empty for numbers beyond the plan.
    pub(crate) fn range(&self, number: u32) -> Range<u64> {
        let start = u64::from(number.saturating_sub(1)).saturating_mul(self.part_size);
        let start = start.min(self.length);
        start..start.saturating_add(self.part_size).min(self.length)
    }

    fn length_of(&self, number: u32) -> u64 {
        let range = self.range(number);
        range.end - range.start
    }

    /// Whether these parts are all of the plan.
    pub(crate) fn covered_by(&self, parts: &[PartInfo]) -> bool {
        let fitting: Set<u32> = parts.iter().filter(|p| self.fits(p)).map(|p| p.number).collect();
        fitting.len() == self.count as usize
    }

    fn fits(&self, part: &PartInfo) -> bool {
        part.number >= 1 && part.number <= self.count && part.length == self.length_of(part.number)
    }
}

/// Whether a size may be asked for: 0, or from [`SMALL_FILE`] to [`MAX_PART_SIZE`].
pub(crate) fn may_be_asked(part_size: u64) -> bool {
    part_size == 0 || (SMALL_FILE..=MAX_PART_SIZE).contains(&part_size)
}

/// Which parts are stored, which are in flight (taken), which are still to be sent.
#[derive(Debug)]
pub(crate) struct Parts {
    plan: Plan,
    /// Stored parts; the slot of part n is n − 1.
    stored: Vec<Option<PartInfo>>,
    stored_count: u32,
    stored_bytes: u64,
    /// Never taken from here on.
    cursor: u32,
    /// Taken before, to be sent again; lowest first.
    again: Set<u32>,
    /// Bytes that arrived other than they were sent: how often in a row, by part.
    mismatches: Map<u32, u32>,
    /// Our records of parts that the server lists otherwise. They stand until the part is acknowledged anew: the next listing
    /// must not be believed either.
    disputed: Vec<PartInfo>,
}

impl Parts {
    pub(crate) fn new(plan: Plan) -> Parts {
        let mut stored = Vec::new();
        stored.resize(plan.count as usize, None);
        Parts {
            plan,
            stored,
            stored_count: 0,
            stored_bytes: 0,
            cursor: 1,
            again: Set::new(),
            mismatches: Map::new(),
            disputed: Vec::new(),
        }
    }

    /// What is stored, out of what the server lists and what we recorded. A listed part that does not fit the plan, or
    /// contradicts our record of it, is sent again.
    pub(crate) fn reconcile(plan: Plan, listed: &[PartInfo], recorded: &[PartInfo]) -> Parts {
        let records = by_number(plan, recorded);
        let mut parts = Parts::new(plan);
        for part in listed {
            if !plan.fits(part) {
                continue;
            }
            let slot = part.number as usize - 1;
            let record = records.get(slot).and_then(|r| *r);
            if let Some(record) = record.filter(|r| contradicts(r, part)) {
                parts.disputed.push(record.clone());
                continue;
            }
            let mut part = part.clone();
            part.crc64 = part.crc64.or(record.and_then(|r| r.crc64));
            parts.store(part);
        }
        parts
    }

    /// The next part to send; it counts as in flight.
    pub(crate) fn take(&mut self) -> Option<u32> {
        if let Some(number) = self.again.pop_first() {
            return Some(number);
        }
        self.skip_stored();
        if self.cursor > self.plan.count {
            return None;
        }
        self.cursor += 1;
        Some(self.cursor - 1)
    }

    /// Whether [`Parts::take`] has one.
    pub(crate) fn has_next(&mut self) -> bool {
        self.skip_stored();
        !self.again.is_empty() || self.cursor <= self.plan.count
    }

    /// A taken part did not arrive.
    pub(crate) fn give_back(&mut self, number: u32) {
        if self.get(number).is_none() {
            self.again.insert(number);
        }
    }

    /// A part is stored at the server.
    pub(crate) fn store(&mut self, part: PartInfo) {
        self.again.remove(&part.number);
        self.mismatches.remove(&part.number);
        self.disputed.retain(|record| record.number != part.number);
        let Some(slot) = self.stored.get_mut((part.number as usize).wrapping_sub(1)) else {
            return;
        };
        if slot.is_none() {
            self.stored_count += 1;
            self.stored_bytes += part.length;
        }
        *slot = Some(part);
    }

    /// A part failed: how often in a row its bytes have arrived other than they were sent.
    pub(crate) fn on_failure(&mut self, number: u32, mismatch: bool) -> u32 {
        if !mismatch {
            self.mismatches.remove(&number);
            return 0;
        }
        let times = self.mismatches.get(&number).map_or(1, |times| times + 1);
        self.mismatches.insert(number, times);
        times
    }

    pub(crate) fn plan(&self) -> Plan {
        self.plan
    }

    pub(crate) fn get(&self, number: u32) -> Option<&PartInfo> {
        self.stored.get((number as usize).wrapping_sub(1)).and_then(|p| p.as_ref())
    }

    /// The stored parts, ascending.
    pub(crate) fn all(&self) -> Vec<PartInfo> {
        self.stored.iter().flatten().cloned().collect()
    }

    /// What we know of the parts without the server: those stored, and those it disputes.
    pub(crate) fn records(&self) -> Vec<PartInfo> {
        self.stored.iter().flatten().chain(&self.disputed).cloned().collect()
    }

    pub(crate) fn complete(&self) -> bool {
        self.stored_count == self.plan.count
    }

    pub(crate) fn stored_count(&self) -> u32 {
        self.stored_count
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    fn skip_stored(&mut self) {
        while self.cursor <= self.plan.count && self.get(self.cursor).is_some() {
            self.cursor += 1;
        }
    }
}

/// The records that fit the plan, by slot.
pub(crate) fn by_number(plan: Plan, recorded: &[PartInfo]) -> Vec<Option<&PartInfo>> {
    let mut records = Vec::new();
    records.resize(plan.count as usize, None);
    for record in recorded.iter().filter(|r| plan.fits(r)) {
        if let Some(slot) = records.get_mut(record.number as usize - 1) {
            *slot = Some(record);
        }
    }
    records
}

fn contradicts(record: &PartInfo, listed: &PartInfo) -> bool {
    let etags = !record.etag.eq_ignore_ascii_case(&listed.etag);
    let crcs = matches!((record.crc64, listed.crc64), (Some(a), Some(b)) if a != b);
    etags || crcs
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::String;
    use alloc::vec;
    use proptest::prelude::*;

    fn part(number: u32, length: u64, etag: &str, crc64: Option<u64>) -> PartInfo {
        PartInfo { number, length, etag: String::from(etag), crc64 }
    }

    fn plan(length: u64, size: u64) -> Plan {
        Plan::of(length, size).unwrap()
    }

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
    fn ranges_cover_the_file_without_gap_or_overlap() {
        for (length, size) in [(1, 1), (10, 3), (9, 3), (1_048_577, 102_400)] {
            let plan = plan(length, size);
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
        assert!(plan(10, 3).range(u32::MAX).is_empty());
    }

    #[test]
    fn impossible_plans_of_a_checkpoint_are_refused() {
        assert_eq!(Plan::of(10, 0), None);
        assert_eq!(Plan::of(0, 10), None);
        assert_eq!(Plan::of(10_001, 1), None);
        assert_eq!(Plan::of(u64::MAX, u64::MAX), None);
    }

    #[test]
    fn only_the_sizes_of_the_service_may_be_asked() {
        assert!(may_be_asked(0) && may_be_asked(102_400) && may_be_asked(5 << 30));
        assert!(!may_be_asked(1) && !may_be_asked(102_399) && !may_be_asked((5 << 30) + 1));
    }

    #[test]
    fn parts_go_out_in_order_and_come_back_lowest_first() {
        let mut parts = Parts::new(plan(50, 10));
        assert_eq!([parts.take(), parts.take(), parts.take()], [Some(1), Some(2), Some(3)]);
        parts.give_back(3);
        parts.give_back(1);
        assert_eq!([parts.take(), parts.take(), parts.take()], [Some(1), Some(3), Some(4)]);
        parts.store(part(4, 10, "d", None));
        parts.give_back(4);
        assert_eq!([parts.take(), parts.take()], [Some(5), None]);
        assert!(!parts.has_next() && !parts.complete());
        for n in [1, 2, 3, 5] {
            parts.store(part(n, 10, "x", None));
        }
        parts.store(part(5, 10, "x", None));
        assert!(parts.complete());
        assert_eq!(parts.stored_bytes(), 50);
        let numbers: Vec<u32> = parts.records().iter().map(|p| p.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn any_subset_resumes_and_contradictions_are_sent_again() {
        let listed = [
            part(2, 10, "b", None),
            part(3, 9, "c", None),
            part(4, 10, "other", None),
            part(5, 10, "E", Some(5)),
            part(7, 10, "g", None),
            part(9, 10, "beyond", None),
            part(0, 10, "zero", None),
        ];
        let recorded = [
            part(1, 10, "gone", None),
            part(2, 10, "b", Some(22)),
            part(4, 10, "d", None),
            part(5, 10, "e", Some(6)),
        ];
        let mut parts = Parts::reconcile(plan(75, 10), &listed, &recorded);
        assert_eq!(parts.stored_count(), 2);
        assert_eq!(parts.get(2).unwrap().crc64, Some(22));
        let mut left = vec![];
        while let Some(number) = parts.take() {
            left.push(number);
        }
        assert_eq!(left, [1, 3, 4, 5, 6, 8]);
    }

    #[test]
    fn a_listing_of_all_ten_thousand_is_complete() {
        let plan = Plan::choose(10_000 << 20, 0).unwrap();
        let listed: Vec<PartInfo> =
            (1..=10_000).map(|n| part(n, plan.length_of(n), "e", None)).collect();
        assert!(plan.covered_by(&listed));
        assert!(!plan.covered_by(listed.get(1..).unwrap()));
        assert!(Parts::reconcile(plan, &listed, &[]).complete());
    }

    #[test]
    fn mismatches_count_in_a_row() {
        let mut parts = Parts::new(plan(50, 10));
        assert_eq!(parts.on_failure(1, true), 1);
        assert_eq!(parts.on_failure(1, true), 2);
        assert_eq!(parts.on_failure(2, true), 1);
        assert_eq!(parts.on_failure(1, false), 0);
        assert_eq!(parts.on_failure(1, true), 1);
    }

    #[test]
    fn a_disputed_part_is_not_believed_at_the_second_listing_either() {
        let plan = Plan::of(300_000, 150_000).expect("a plan");
        let ours = PartInfo { number: 1, length: 150_000, etag: "A".into(), crc64: None };
        let theirs = PartInfo { etag: "B".into(), ..ours.clone() };
        let first = Parts::reconcile(plan, core::slice::from_ref(&theirs), &[ours]);
        assert_eq!(first.get(1), None);
        let mut second = Parts::reconcile(plan, core::slice::from_ref(&theirs), &first.records());
        assert_eq!(second.get(1), None);
        second.store(theirs.clone());
        let third = Parts::reconcile(plan, core::slice::from_ref(&theirs), &second.records());
        assert_eq!(third.get(1), Some(&theirs));
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
            prop_assert_eq!(Plan::of(length, size), Some(plan));
        }

        #[test]
        fn any_numbers_give_a_plan_or_none(length: u64, size: u64, number: u32) {
            for plan in [Plan::choose(length, size), Plan::of(length, size)].into_iter().flatten() {
                let range = plan.range(number);
                prop_assert!(range.start <= range.end && range.end <= length);
            }
        }

        #[test]
        fn what_is_stored_and_what_is_taken_are_all_of_the_plan(
            length in 1..2_000_000_u64,
            size in SMALL_FILE..=500_000,
            listed in proptest::collection::vec((0..25_u32, 0..600_000_u64, any::<bool>()), 0..25),
        ) {
            let plan = plan(length, size);
            let listed: Vec<PartInfo> = listed
                .into_iter()
                .map(|(number, other, fits)| {
                    part(number, if fits { plan.length_of(number) } else { other }, "e", None)
                })
                .collect();
            let mut parts = Parts::reconcile(plan, &listed, &[]);
            let mut seen: BTreeSet<u32> = parts.all().iter().map(|part| part.number).collect();
            let bytes: u64 = seen.iter().map(|number| plan.length_of(*number)).sum();
            prop_assert_eq!(parts.stored_bytes(), bytes);
            while let Some(number) = parts.take() {
                prop_assert!(seen.insert(number), "part {} is sent though it is stored, or twice", number);
            }
            prop_assert!(seen.into_iter().eq(1..=plan.count()));
        }
    }
}
