//! What happens to a packet on one way of a link: a queue, a line of a certain rate, a distance, and chance.
//!
//! No packet and no clock is in here: lengths and times go in, fates come out.

use std::time::Duration;

use crate::rng::Rng;

/// One way of a link. The default is a perfect one: no delay, no limit, no loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shape {
    /// From the end of the line's work on a packet to its arrival. Half of the round trip when both ways are alike.
    pub delay: Duration,
    /// Bits per second, counted over whole IP packets; 0 is without limit.
    pub rate: u64,
    /// How much may wait in front of the line, as time at `rate`; a packet that finds more is dropped. Without meaning when `rate` is 0. Default 100 ms.
    pub queue: Duration,
    /// Packets lost at random, in a million. They take their time on the line.
    pub loss_ppm: u32,
    /// Packets that arrive `reorder_by` later than they should, in a million, so that others overtake them.
    pub reorder_ppm: u32,
    /// Default 10 ms.
    pub reorder_by: Duration,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            delay: Duration::ZERO,
            rate: 0,
            queue: Duration::from_millis(100),
            loss_ppm: 0,
            reorder_ppm: 0,
            reorder_by: Duration::from_millis(10),
        }
    }
}

impl Shape {
    /// A line of `rate` bits per second (0: without limit) over the distance `delay`; the rest by default.
    pub fn new(rate: u64, delay: Duration) -> Shape {
        Shape { rate, delay, ..Shape::default() }
    }

    /// The same, losing so many packets in a million.
    pub fn with_loss_ppm(self, loss_ppm: u32) -> Shape {
        Shape { loss_ppm, ..self }
    }

    /// The same with another queue.
    pub fn with_queue(self, queue: Duration) -> Shape {
        Shape { queue, ..self }
    }

    /// The same, with so many packets in a million arriving `by` too late.
    pub fn with_reorder(self, reorder_ppm: u32, by: Duration) -> Shape {
        Shape { reorder_ppm, reorder_by: by, ..self }
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives at this time; `late` when others overtake it.
    Arrives { at: Duration, late: bool },
    /// Chance took it.
    Lost,
    /// The queue was full.
    Dropped,
}

/// A [`Shape`] at work.
#[derive(Debug)]
pub(super) struct Gate {
    shape: Shape,
    rng: Rng,
    /// When the line has done all that it took on.
    free_at: Duration,
}

impl Gate {
    pub(super) fn new(shape: Shape, seed: u64) -> Gate {
        Gate { shape, rng: Rng::new(seed), free_at: Duration::ZERO }
    }

    /// From the next packet on.
    pub(super) fn set(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// The fate of a packet of `length` bytes that comes at `now`. Times never go back.
    pub(super) fn pass(&mut self, now: Duration, length: usize) -> Fate {
        let Shape { delay, rate, queue, loss_ppm, reorder_ppm, reorder_by } = self.shape;
        let nanoseconds = (length as u64).saturating_mul(8_000_000_000).checked_div(rate);
        let mut done = now;
        if let Some(nanoseconds) = nanoseconds {
            let begin = self.free_at.max(now);
            if begin - now > queue {
                return Fate::Dropped;
            }
            done = begin + Duration::from_nanos(nanoseconds);
            self.free_at = done;
        }
        if self.rng.below(1_000_000) < u64::from(loss_ppm) {
            return Fate::Lost;
        }
        let late = self.rng.below(1_000_000) < u64::from(reorder_ppm);
        let more = if late { reorder_by } else { Duration::ZERO };
        Fate::Arrives { at: done + delay + more, late }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn arrival(fate: Fate) -> Duration {
        match fate {
            Fate::Arrives { at, .. } => at,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_takes_its_time_for_each_packet_and_then_the_distance() {
        let mut gate = Gate::new(Shape::new(12_000_000, 100 * MS), 1);
        // 1,500 bytes at 12 Mbit/s are one millisecond.
        assert_eq!(arrival(gate.pass(MS, 1500)), 102 * MS);
        assert_eq!(arrival(gate.pass(MS, 1500)), 103 * MS);
        assert_eq!(arrival(gate.pass(50 * MS, 1500)), 151 * MS);
    }

    #[test]
    fn the_queue_holds_what_it_may_and_no_more() {
        let shape = Shape::new(12_000_000, Duration::ZERO).with_queue(10 * MS);
        let mut gate = Gate::new(shape, 1);
        let fates: Vec<Fate> = (0..20).map(|_| gate.pass(Duration::ZERO, 1500)).collect();
        assert_eq!(fates.iter().filter(|fate| **fate == Fate::Dropped).count(), 9);
        assert_eq!(arrival(fates[10]), 11 * MS);
        assert_eq!(arrival(gate.pass(5 * MS, 1500)), 12 * MS, "there is room again");
    }

    #[test]
    fn what_is_offered_too_fast_leaves_at_the_rate() {
        let mut gate = Gate::new(Shape::new(100_000_000, 100 * MS), 7);
        let (mut bytes, mut last) = (0, Duration::ZERO);
        for packet in 0..200_000u32 {
            // Offered at 150 Mbit/s.
            let now = Duration::from_micros(80) * packet;
            if let Fate::Arrives { at, .. } = gate.pass(now, 1500) {
                (bytes, last) = (bytes + 1500, at);
            }
        }
        let rate = f64::from(bytes) * 8.0 / (last - 100 * MS).as_secs_f64();
        assert!((rate - 100e6).abs() < 100e3, "{rate}");
    }

    #[test]
    fn chance_takes_its_share_and_repeats_itself() {
        let shape = Shape::default().with_loss_ppm(10_000).with_reorder(20_000, 5 * MS);
        let live = |seed| {
            let mut gate = Gate::new(shape, seed);
            (0..200_000).map(|_| gate.pass(MS, 100)).collect::<Vec<Fate>>()
        };
        let fates = live(3);
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        let late = Fate::Arrives { at: 6 * MS, late: true };
        let late = fates.iter().filter(|fate| **fate == late).count();
        assert!((3_600..4_400).contains(&late), "{late}");
        assert_eq!(fates, live(3));
        assert_ne!(fates, live(4));
    }
}
