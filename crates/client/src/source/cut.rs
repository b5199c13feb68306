//! How long the parts of a stream are that goes on with an earlier upload: those of that upload, whatever this run would choose.

use vodferry_engine::Begin;

/// Parts are twice as long after so many, as [`Begin::grows_to`] says.
const STEP: u64 = 1_000;

/// The parts of an upload whose length was not known when it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    part_size: u64,
    grows_to: u64,
}

impl Cut {
    /// That of an earlier upload.
    pub(super) fn of(begin: &Begin) -> Cut {
        let part_size = begin.part_size.max(1);
        Cut { part_size, grows_to: begin.grows_to.unwrap_or(part_size) }
    }

    /// The length of the part that holds the byte at `place`.
    pub(super) fn length_at(self, place: u64) -> u64 {
        let (mut size, mut end) = (self.part_size, 0_u64);
        while size < self.grows_to {
            end = end.saturating_add(size.saturating_mul(STEP));
            if place < end {
                break;
            }
            size = size.saturating_mul(2).min(self.grows_to);
        }
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_twice_as_long_every_thousand_until_they_grow_no_more() {
        let cut = Cut { part_size: 10, grows_to: 25 };
        for (place, length) in
            [(0, 10), (9_999, 10), (10_000, 20), (29_999, 20), (30_000, 25), (u64::MAX, 25)]
        {
            assert_eq!(cut.length_at(place), length, "{place}");
        }
        let cut = Cut { part_size: 10, grows_to: 10 };
        assert_eq!((cut.length_at(0), cut.length_at(u64::MAX)), (10, 10));
        // A record may say anything.
        let cut = Cut { part_size: 1, grows_to: u64::MAX };
        assert_eq!((cut.length_at(u64::MAX - 1), cut.length_at(u64::MAX)), (1 << 54, u64::MAX));
    }
}
