//! How far a file is, told often enough to look alive and seldom enough to cost nothing.
//!
//! Within an attempt neither the acknowledged figure nor its sum with what is in flight goes backwards, whatever has
//! to be sent again: a bar that jumps back frightens people.

/// What a Progress event says, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) acknowledged: u64,
    pub(crate) in_flight: u64,
}

/// The figures of one attempt.
#[derive(Debug)]
pub(crate) struct Progress {
    interval_ms: u64,
    /// Unknown while the source is being written.
    total: Option<u64>,
    acknowledged: u64,
    /// Highest sum of acknowledged and in flight.
    reached: u64,
    /// With the total as it was known then.
    told: Option<(Figure, Option<u64>)>,
    /// Something is to be told, but not before `next`.
    pending: bool,
    next: u64,
}

impl Progress {
    /// At most one figure per `interval_ms`; 0 gives one per acknowledged part.
    pub(crate) fn new(interval_ms: u64) -> Progress {
        Progress {
            interval_ms,
            total: None,
            acknowledged: 0,
            reached: 0,
            told: None,
            pending: false,
            next: 0,
        }
    }

    pub(crate) fn set_total(&mut self, total: Option<u64>) {
        self.total = total;
    }

    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Parts were acknowledged: `acknowledged` bytes in all, `in_flight` handed to the network besides.
    pub(crate) fn on_acknowledged(&mut self, acknowledged: u64, in_flight: u64) {
        self.acknowledged = self.acknowledged.max(acknowledged.min(self.most()));
        self.reach(acknowledged.saturating_add(in_flight));
        self.pending = true;
    }

    /// Bytes were handed to the network.
    pub(crate) fn on_sent(&mut self, acknowledged: u64, in_flight: u64) {
        if self.reach(acknowledged.saturating_add(in_flight)) && self.interval_ms > 0 {
            self.pending = true;
        }
    }

    /// What is to be told now, if anything.
    pub(crate) fn due(&mut self, mono: u64) -> Option<Figure> {
        if !self.pending || mono < self.next {
            return None;
        }
        self.next = mono.saturating_add(self.interval_ms);
        self.tell()
    }

    /// When [`Progress::due`] will have something.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.pending.then_some(self.next)
    }

    /// The file is left as it is, nothing is on its way any more: the last acknowledged figure, unless it was told.
    pub(crate) fn flush(&mut self) -> Option<Figure> {
        self.reached = self.acknowledged;
        if self.told() == self.acknowledged {
            self.pending = false;
            return None;
        }
        self.tell()
    }

    /// The object exists: the total, unless it was told.
    pub(crate) fn finish(&mut self) -> Option<Figure> {
        let total = self.total.unwrap_or(self.acknowledged);
        self.acknowledged = total;
        self.reached = total;
        let whole = Figure { acknowledged: total, in_flight: 0 };
        if self.told == Some((whole, self.total)) {
            self.pending = false;
            return None;
        }
        self.tell()
    }

    /// The acknowledged bytes as last told.
    pub(crate) fn told(&self) -> u64 {
        self.told.map_or(0, |(figure, _)| figure.acknowledged)
    }

    fn most(&self) -> u64 {
        self.total.unwrap_or(u64::MAX)
    }

    fn reach(&mut self, sum: u64) -> bool {
        let sum = sum.min(self.most()).max(self.acknowledged);
        let further = sum > self.reached;
        self.reached = self.reached.max(sum);
        further
    }

    fn tell(&mut self) -> Option<Figure> {
        self.pending = false;
        let figure = Figure {
            acknowledged: self.acknowledged,
            in_flight: self.reached.saturating_sub(self.acknowledged),
        };
        let told = Some((figure, self.total));
        if self.told == told {
            return None;
        }
        self.told = told;
        Some(figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_never_go_back_nor_beyond_the_total() {
        let mut progress = Progress::new(0);
        progress.set_total(Some(100));
        progress.on_acknowledged(40, 30);
        assert_eq!(progress.due(0), Some(Figure { acknowledged: 40, in_flight: 30 }));
        // The upload was begun anew.
        progress.on_acknowledged(10, 5);
        assert_eq!(progress.due(0), None);
        progress.on_acknowledged(90, 50);
        assert_eq!(progress.due(0), Some(Figure { acknowledged: 90, in_flight: 10 }));
        assert_eq!(progress.finish(), Some(Figure { acknowledged: 100, in_flight: 0 }));
        assert_eq!(progress.finish(), None);
    }

    #[test]
    fn at_most_one_per_interval_and_the_last_is_not_lost() {
        let mut progress = Progress::new(100);
        progress.set_total(Some(1_000));
        progress.on_acknowledged(10, 0);
        assert!(progress.due(5).is_some());
        progress.on_sent(10, 7);
        progress.on_acknowledged(20, 0);
        assert_eq!(progress.due(104), None);
        assert_eq!(progress.deadline(), Some(105));
        assert_eq!(progress.due(105), Some(Figure { acknowledged: 20, in_flight: 0 }));
        assert_eq!(progress.deadline(), None);
        progress.on_acknowledged(30, 0);
        assert_eq!(progress.flush(), Some(Figure { acknowledged: 30, in_flight: 0 }));
        assert_eq!(progress.flush(), None);
        assert_eq!(progress.told(), 30);
    }

    #[test]
    fn without_an_interval_only_acknowledged_parts_tell() {
        let mut progress = Progress::new(0);
        progress.set_total(Some(100));
        progress.on_sent(0, 10);
        assert_eq!(progress.due(0), None);
        progress.on_acknowledged(10, 0);
        assert!(progress.due(0).is_some());
        progress.on_acknowledged(20, 0);
        assert!(progress.due(0).is_some());
    }

    #[test]
    fn an_empty_file_ends_at_its_total() {
        let mut progress = Progress::new(100);
        assert_eq!(progress.finish(), Some(Figure::default()));
    }
}
