//! CRC-64/XZ (ECMA-182 polynomial, reflected, all ones in and out), the checksum of `x-oss-hash-crc64ecma`.
//!
//! The table implementation is for shells without a faster one, and for tests. [`combine`] serves everyone: the
//! checksum of an object follows from those of its parts without reading the data again.

/// A running checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc64(u64);

impl Crc64 {
    /// Of nothing yet.
    pub fn new() -> Crc64 {
        Crc64(!0)
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let index = (self.0 as u8 ^ byte) as usize;
            self.0 = TABLE[index] ^ (self.0 >> 8);
        }
    }

    /// The checksum of what was added so far; 0 of nothing.
    pub fn finish(self) -> u64 {
        !self.0
    }
}

impl Default for Crc64 {
    fn default() -> Crc64 {
        Crc64::new()
    }
}

/// The checksum of `bytes`.
pub fn crc64(bytes: &[u8]) -> u64 {
    let mut crc = Crc64::new();
    crc.update(bytes);
    crc.finish()
}

/// The checksum of A followed by B, from `a` of A, `b` of B and B's length in bytes.
pub fn combine(a: u64, b: u64, len_b: u64) -> u64 {
    // Appending n bytes multiplies A's remainder by x^8n; squaring reaches any n in 64 steps.
    let mut shift = ONE;
    let mut power = ONE >> 8;
    let mut rest = len_b;
    while rest != 0 {
        if rest & 1 == 1 {
            shift = multiply(power, shift);
        }
        power = multiply(power, power);
        rest >>= 1;
    }
    multiply(shift, a) ^ b
}

const POLYNOMIAL: u64 = 0xC96C_5795_D787_0F42;
/// The polynomial 1: bits are reflected, so the highest one is x^0.
const ONE: u64 = 1 << 63;
const TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u64;
        let mut bit = 0;
        while bit < 8 {
            value = times_x(value);
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

const fn times_x(value: u64) -> u64 {
    if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 }
}

fn multiply(a: u64, mut b: u64) -> u64 {
    let mut product = 0;
    let mut bit = ONE;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = times_x(b);
        bit >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn vectors() {
        assert_eq!(crc64(b""), 0);
        assert_eq!(crc64(b"123456789"), 11_051_210_869_376_104_954);
        assert_eq!(crc64(b"hello "), 1_796_661_072_844_795_914);
        assert_eq!(crc64(b"world"), 4_472_352_582_074_980_600);
        assert_eq!(crc64(b"hello world"), 5_981_764_153_023_615_706);
        assert_eq!(combine(crc64(b"hello "), crc64(b"world"), 5), 5_981_764_153_023_615_706);
    }

    #[test]
    fn a_gigabyte_of_zeros_by_doubling() {
        let mut whole = crc64(&[0]);
        for power in 0..30 {
            whole = combine(whole, whole, 1 << power);
        }
        // The same length in another split.
        let mib = crc64(&vec![0; 1 << 20]);
        let mut other = 0;
        for _ in 0..1024 {
            other = combine(other, mib, 1 << 20);
        }
        assert_eq!(whole, other);
    }

    proptest! {
        #[test]
        fn combine_is_concatenation(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            let whole = crc64(&[a.as_slice(), b.as_slice()].concat());
            prop_assert_eq!(combine(crc64(&a), crc64(&b), b.len() as u64), whole);
        }

        #[test]
        fn combine_is_associative(
            [a, b, c] in any::<[u64; 3]>(),
            len_b in 0..=u64::MAX / 2,
            len_c in 0..=u64::MAX / 2,
        ) {
            let left = combine(combine(a, b, len_b), c, len_c);
            let right = combine(a, combine(b, c, len_c), len_b + len_c);
            prop_assert_eq!(left, right);
        }

        #[test]
        fn nothing_is_neutral(crc in any::<u64>(), length in any::<u64>()) {
            prop_assert_eq!(combine(crc, 0, 0), crc);
            prop_assert_eq!(combine(0, crc, length), crc);
        }

        #[test]
        fn parts_combine_in_any_grouping(
            parts in proptest::collection::vec(any::<Vec<u8>>(), 1..6),
            at in any::<prop::sample::Index>(),
        ) {
            let fold = |parts: &[Vec<u8>]| {
                parts.iter().fold((0, 0), |(crc, length), part| {
                    let more = part.len() as u64;
                    (combine(crc, crc64(part), more), length + more)
                })
            };
            let (head, tail) = parts.split_at(at.index(parts.len() + 1));
            let ((head, _), (tail, length)) = (fold(head), fold(tail));
            prop_assert_eq!(combine(head, tail, length), crc64(&parts.concat()));
        }

        #[test]
        fn updates_may_be_split_anywhere(data in any::<Vec<u8>>(), at in any::<prop::sample::Index>()) {
            let (head, tail) = data.split_at(at.index(data.len() + 1));
            let mut crc = Crc64::new();
            crc.update(head);
            crc.update(tail);
            prop_assert_eq!(crc.finish(), crc64(&data));
        }
    }
}
