//! What the end-to-end tests compare with: chance that can be repeated, a checksum of their own, files too large for memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Repeatable chance (splitmix64).
pub struct Chance(u64);

impl Chance {
    /// From the environment variable `SEED`, else from the clock; the seed is printed.
    pub fn from_env() -> Chance {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
        let seed = seed.unwrap_or_else(clock);
        println!("SEED={seed}");
        Chance(seed)
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        least + (z ^ (z >> 31)) % (most - least + 1)
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.between(0, last as u64) as usize);
        }
    }
}

/// CRC-64/XZ, written apart from the one that is tested.
pub struct Crc64 {
    table: [u64; 256],
    state: u64,
}

impl Crc64 {
    pub fn new() -> Crc64 {
        let mut table = [0; 256];
        for (byte, entry) in (0u64..).zip(&mut table) {
            *entry = byte;
            for _ in 0..8 {
                *entry = (*entry >> 1) ^ ((*entry & 1) * 0xC96C_5795_D787_0F42);
            }
        }
        Crc64 { table, state: !0 }
    }

    pub fn of(bytes: &[u8]) -> u64 {
        let mut crc = Crc64::new();
        crc.update(bytes);
        crc.value()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let place = usize::from(self.state as u8 ^ byte);
            self.state = self.table[place] ^ (self.state >> 8);
        }
    }

    pub fn value(&self) -> u64 {
        !self.state
    }
}

/// A file with holes, and with its own offset written once per `step` bytes, so that pieces in a wrong order differ.
pub fn sparse_file(path: &Path, length: u64, step: u64) {
    let mut file = File::create(path).unwrap();
    file.set_len(length).unwrap();
    for offset in (0..length.saturating_sub(8)).step_by(usize::try_from(step).unwrap()) {
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(&(offset + 1).to_be_bytes()).unwrap();
    }
}

/// Compares two files without holding either; gives their CRC64.
pub fn assert_same_bytes(one: &Path, other: &Path) -> u64 {
    let lengths = [one, other].map(|path| path.metadata().unwrap().len());
    assert_eq!(lengths[0], lengths[1], "{one:?} and {other:?} differ in length");
    let mut files = [one, other].map(|path| File::open(path).unwrap());
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    let mut crc = Crc64::new();
    let mut left = lengths[0];
    while left > 0 {
        let piece = usize::try_from(left.min(1 << 20)).unwrap();
        for (file, buffer) in files.iter_mut().zip(&mut buffers) {
            file.read_exact(&mut buffer[..piece]).unwrap();
        }
        let at = lengths[0] - left;
        assert!(
            buffers[0][..piece] == buffers[1][..piece],
            "{one:?} and {other:?} differ in the {piece} bytes from {at} on"
        );
        crc.update(&buffers[0][..piece]);
        left -= piece as u64;
    }
    crc.value()
}
