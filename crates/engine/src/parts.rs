//! The parts of one upload: which are stored, which are to be sent next.

use alloc::string::String;
use alloc::vec::Vec;

use crate::map::{Map, Set};
use crate::plan::Plan;
use crate::ready::Ready;
use crate::vocab::PartInfo;

/// Which parts are stored, which are in flight (taken), which are still to be sent.
#[derive(Debug)]
pub(crate) struct Parts {
    plan: Plan,
    /// Stored parts; the slot of part n is n − 1.
    stored: Vec<Option<PartInfo>>,
    stored_count: u32,
    stored_bytes: u64,
    /// Never taken from here on. Beyond the plan where parts have to become ready first.
    cursor: u32,
    /// To be sent before those at the cursor (taken before, or ready at last); lowest first.
    again: Set<u32>,
    /// Of a source of unknown length: which parts have become ready; the slot of part n is n − 1.
    ready: Vec<bool>,
    /// Of a source of unknown length: parts that the server holds, of content that is not known to be ours.
    held: Map<u32, String>,
    /// Bytes that arrived other than they were sent: how often in a row, by part.
    mismatches: Map<u32, u32>,
    /// Our records of parts that the server lists otherwise. They stand until the part is acknowledged anew: the next listing
    /// must not be believed either.
    disputed: Vec<PartInfo>,
}

impl Parts {
    pub(crate) fn new(plan: Plan) -> Parts {
        let mut stored = Vec::new();
        stored.resize(plan.count() as usize, None);
        let mut ready = Vec::new();
        // What grows becomes ready part by part, in any order.
        let grows = plan.grows_to().is_some();
        if grows {
            ready.resize(plan.count() as usize, false);
        }
        Parts {
            plan,
            stored,
            stored_count: 0,
            stored_bytes: 0,
            cursor: if grows { plan.count().saturating_add(1) } else { 1 },
            again: Set::new(),
            ready,
            held: Map::new(),
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

    /// The same for a source of unknown length, whose content is not known: all that the server lists is only held, but for
    /// what was `sent` by this run.
    pub(crate) fn reconcile_held(plan: Plan, listed: &[PartInfo], sent: &[PartInfo]) -> Parts {
        let ours = by_number(plan, sent);
        let mut parts = Parts::new(plan);
        for part in listed.iter().filter(|part| plan.fits(part) || plan.length().is_none()) {
            match ours.get((part.number as usize).wrapping_sub(1)).and_then(|ours| *ours) {
                Some(own) if !contradicts(own, part) => parts.store(own.clone()),
                _ => {
                    parts.held.insert(part.number, part.etag.clone());
                }
            }
        }
        parts
    }

    /// More bytes of a source of unknown length are final, from `from` on: whole parts of them may be sent. Its length, once
    /// known, ends the plan. False: there may not be so many parts.
    pub(crate) fn grow(&mut self, ready: &Ready, from: u64) -> bool {
        if let (Some(length), None) = (ready.length(), self.plan.length()) {
            let Some(plan) = self.plan.finish(length) else { return false };
            self.plan = plan;
            self.stored.truncate(plan.count() as usize);
            self.ready.truncate(plan.count() as usize);
            self.cursor = plan.count().saturating_add(1);
        }
        for number in self.plan.number_at(from)..=self.plan.count() {
            let range = self.plan.range(number);
            if range.end > ready.reach() {
                break;
            }
            let known = self.ready.get_mut(number as usize - 1);
            if let Some(known) = known.filter(|known| !**known && ready.covers(&range)) {
                *known = true;
                self.give_back(number);
            }
        }
        self.plan.length().is_some() || ready.reach() <= self.plan.range(self.plan.count()).end
    }

    /// The server's ETag of a part whose content is to be compared before it is sent.
    pub(crate) fn held(&self, number: u32) -> Option<&String> {
        self.held.get(&number)
    }

    /// The next part to send; it counts as in flight.
    pub(crate) fn take(&mut self) -> Option<u32> {
        if let Some(number) = self.again.pop_first() {
            return Some(number);
        }
        self.skip_stored();
        if self.cursor > self.plan.count() {
            return None;
        }
        self.cursor += 1;
        Some(self.cursor - 1)
    }

    /// Whether [`Parts::take`] has one.
    pub(crate) fn has_next(&mut self) -> bool {
        self.skip_stored();
        !self.again.is_empty() || self.cursor <= self.plan.count()
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
        self.held.remove(&part.number);
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

    /// The same for a server that refuses to list: what is `recorded`, and what is still to be compared.
    pub(crate) fn known(&self, recorded: &[PartInfo]) -> Vec<PartInfo> {
        let held = self.held.iter().map(|(number, etag)| PartInfo {
            number: *number,
            length: self.plan.length_of(*number),
            etag: etag.clone(),
            crc64: None,
        });
        recorded.iter().cloned().chain(held).collect()
    }

    pub(crate) fn complete(&self) -> bool {
        self.plan.length().is_some() && self.stored_count == self.plan.count()
    }

    pub(crate) fn stored_count(&self) -> u32 {
        self.stored_count
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    fn skip_stored(&mut self) {
        while self.cursor <= self.plan.count() && self.get(self.cursor).is_some() {
            self.cursor += 1;
        }
    }
}

/// The records that fit the plan, by slot.
pub(crate) fn by_number(plan: Plan, recorded: &[PartInfo]) -> Vec<Option<&PartInfo>> {
    let mut records = Vec::new();
    records.resize(plan.count() as usize, None);
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
        Plan::of(Some(length), size, None).unwrap()
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
        let plan = Plan::of(Some(300_000), 150_000, None).expect("a plan");
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
        fn what_is_stored_and_what_is_taken_are_all_of_the_plan(
            length in 1..2_000_000_u64,
            size in 102_400..=500_000_u64,
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

    #[test]
    fn what_this_run_sent_of_a_growing_source_stands_unless_the_server_lists_another() {
        const MIB: u64 = 1 << 20;
        let plan = Plan::open(MIB, 64 * MIB).unwrap();
        let sent = [part(1, MIB, "A", None), part(2, MIB, "B", None)];
        let listed = [part(1, MIB, "a", None), part(2, MIB, "X", None), part(3, MIB, "C", None)];
        let parts = Parts::reconcile_held(plan, &listed, &sent);
        assert_eq!((parts.stored_count, parts.stored[0].as_ref()), (1, Some(&sent[0])));
        let held: Vec<(u32, &str)> =
            parts.held.iter().map(|(n, etag)| (*n, etag.as_str())).collect();
        assert_eq!(held, [(2, "X"), (3, "C")]);
    }
}
