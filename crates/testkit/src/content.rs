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
    index: usize,
    /// Length of each version; the last is the present one.
    lengths: Vec<u64>,
}

impl SourceModel {
    /// A source in its first version.
    pub fn new(index: usize, length: u64) -> SourceModel {
        SourceModel { index, lengths: vec![length] }
    }

    /// The present version.
    pub fn version(&self) -> Version {
        Version { source: self.index, number: self.lengths.len() as u32 - 1 }
    }

    /// Bytes of `version`.
    pub fn length_of(&self, version: Version) -> u64 {
        self.lengths.get(version.number as usize).copied().unwrap_or(0)
    }

    /// Bytes of the present version.
    pub fn length(&self) -> u64 {
        self.length_of(self.version())
    }

    /// The present version as a shell describes it.
    pub fn identity(&self) -> Source {
        let version = self.version();
        Source {
            length: Some(self.length()),
            modified_ms: 1_700_000_000_000 + i64::from(version.number),
            fingerprint: format!("f{}-{}", version.source, version.number),
        }
    }

    /// Somebody writes other content of this length.
    pub fn change(&mut self, length: u64) {
        self.lengths.push(length);
    }
}

fn prefix(version: Version, end: u64) -> u64 {
    mix(mix((version.source as u64) << 32 | u64::from(version.number)) ^ end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crcs_of_one_version_combine_and_of_two_do_not() {
        let piece = |number, range| Piece { version: Version { source: 1, number }, range };
        let whole = piece(0, 0..100).crc();
        assert_eq!(combine([piece(0, 0..30).crc(), piece(0, 30..100).crc()].into_iter()), whole);
        assert_ne!(combine([piece(0, 0..30).crc(), piece(1, 30..100).crc()].into_iter()), whole);
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
