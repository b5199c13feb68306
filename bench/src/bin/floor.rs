//! The floor under any uploader that checks CRC64, and sends Content-MD5: so many MiB (default 1,024) through both, or with `crc64` behind
//! the number through that alone, in parts of 1 MiB that stay in the cache as they do right after a read.

use std::hint::black_box;

use md5::{Digest, Md5};

fn main() {
    let parts = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1024);
    let alone = std::env::args().nth(2).is_some_and(|text| text == "crc64");
    let part = vec![0x5a_u8; 1 << 20];
    for _ in 0..parts {
        if !alone {
            black_box(Md5::digest(black_box(&part)));
        }
        black_box(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Xz, black_box(&part)));
    }
}
