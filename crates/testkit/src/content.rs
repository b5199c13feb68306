//! Content without bytes: a range of a source's version stands for its bytes.
//!
//! The synthetic CRC is a difference of two scattered numbers, so that the CRCs of adjoining ranges of one version add
//! up (wrapping) to the CRC of the whole, as real CRCs combine, and ranges of different versions do not.

use std::ops::Range;

use vodferry_engine::Source;

use crate::rng::mix;

/// One state of one source's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Which source.
    pub source: usize,
    /// Counts its changes from 0.
    pub number: u32,
    /// Its first so many bytes are those of version `older`.
    pub kept: u64,
    /// An earlier version.
    pub older: u32,
}

/// A stretch of bytes, named by where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose bytes.
    pub version: Version,
    /// Which bytes.
    pub range: Range<u64>,
}

impl Piece {
    /// The synthetic CRC of these bytes.
    pub fn crc(&self) -> u64 {
        prefix(self.version, self.range.end).wrapping_sub(prefix(self.version, self.range.start))
    }

    /// How many bytes.
    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// The ETag of content with this CRC.
pub fn etag(crc: u64) -> String {
    format!("E{:016X}", mix(crc))
}

/// The CRC of adjoining stretches, from the CRC of each.
pub fn combine(crcs: impl Iterator<Item = u64>) -> u64 {
    crcs.fold(0, u64::wrapping_add)
}

/// A source whose content may change.
#[derive(Clone, Debug)]
pub struct SourceModel {
    /// Each version with its length; the last is the present one.
    versions: Vec<(Version, u64)>,
    /// Its length is unknown as long as it is being written.
    grows: bool,
}

impl SourceModel {
    /// A source in its first version.
    pub fn new(index: usize, length: u64) -> SourceModel {
        let first = Version { source: index, number: 0, kept: 0, older: 0 };
        SourceModel { versions: vec![(first, length)], grows: false }
    }

    /// The same, of a length that is unknown as long as it is being written.
    pub fn growing(index: usize, length: u64) -> SourceModel {
        SourceModel { grows: true, ..SourceModel::new(index, length) }
    }

    /// The present version.
    pub fn version(&self) -> Version {
        self.versions[self.versions.len() - 1].0
    }

    /// Bytes of `version`.
    pub fn length_of(&self, version: Version) -> u64 {
        self.versions.get(version.number as usize).map_or(0, |(_, length)| *length)
    }

    /// Bytes of the present version.
    pub fn length(&self) -> u64 {
        self.length_of(self.version())
    }

    /// Whether its length is unknown as long as it is being written.
    pub fn grows(&self) -> bool {
        self.grows
    }

    /// All versions there were, each with its length.
    pub fn versions(&self) -> &[(Version, u64)] {
        &self.versions
    }

    /// The present version as a shell describes it.
    pub fn identity(&self) -> Source {
        let version = self.version();
        if self.grows {
            // A name: what is behind it is not known before it is read.
            let fingerprint = format!("g{}", version.source);
            return Source { length: None, modified_ms: 0, fingerprint };
        }
        Source {
            length: Some(self.length()),
            modified_ms: 1_700_000_000_000 + i64::from(version.number),
            fingerprint: format!("f{}-{}", version.source, version.number),
        }
    }

    /// Somebody writes other content of this length.
    pub fn change(&mut self, length: u64) {
        self.change_after(0, length);
    }

    /// Somebody writes other content of this length, but for the first `kept` bytes.
    pub fn change_after(&mut self, kept: u64, length: u64) {
        let before = self.version();
        let kept = kept.min(length).min(self.length());
        // What the version before has kept itself is of a still earlier one.
        let (kept, older) = match before.kept {
            0 => (kept, before.number),
            earlier => (kept.min(earlier), before.older),
        };
        let number = before.number + 1;
        self.versions.push((Version { source: before.source, number, kept, older }, length));
    }
}

fn prefix(version: Version, end: u64) -> u64 {
    let number = if end <= version.kept { version.older } else { version.number };
    mix(mix((version.source as u64) << 32 | u64::from(number)) ^ end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crcs_of_one_version_combine_and_of_two_do_not() {
        let version = |number| Version { source: 1, number, kept: 0, older: 0 };
        let piece = |number, range| Piece { version: version(number), range };
        let whole = piece(0, 0..100).crc();
        assert_eq!(combine([piece(0, 0..30).crc(), piece(0, 30..100).crc()].into_iter()), whole);
        assert_ne!(combine([piece(0, 0..30).crc(), piece(1, 30..100).crc()].into_iter()), whole);
    }

    #[test]
    fn what_is_kept_is_equal_and_what_reaches_beyond_is_not() {
        let mut source = SourceModel::growing(0, 100);
        let crc = |source: &SourceModel, range| Piece { version: source.version(), range }.crc();
        let before = [0..40, 40..60, 0..60].map(|range| crc(&source, range));
        for kept in [50, 70] {
            source.change_after(kept, 90);
            let after = [0..40, 40..60, 0..60].map(|range| crc(&source, range));
            assert_eq!(after[0], before[0]);
            assert_ne!((after[1], after[2]), (before[1], before[2]));
        }
        assert_eq!((source.length(), source.identity().length), (90, None));
    }

    #[test]
    fn a_change_of_equal_length_is_another_identity() {
        let mut source = SourceModel::new(0, 10);
        let before = source.identity();
        source.change(10);
        assert_ne!(source.identity(), before);
        assert_eq!(source.length(), 10);
    }
}
