//! Every file of the corpus through its check, and cheap mutations of each, without a fuzzer.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use vodferry_fuzz_checks::TARGETS;

/// Of each file of the corpus.
const MUTATIONS: u64 = 400;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz_folder().join("corpus").join(target);
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| name.to_string()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        fs::read_dir(fuzz_folder().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(stems("corpus"), names);
    assert_eq!(stems("fuzz_targets"), names);
    let files: Vec<Vec<u8>> =
        names.iter().flat_map(|name| corpus(name)).map(|(_, bytes)| bytes).collect();
    let bytes: usize = files.iter().map(Vec::len).sum();
    assert!(files.len() <= 200 && bytes <= 300 << 10, "{} files, {bytes} bytes", files.len());
}

#[test]
fn the_corpus_and_its_mutations_pass() {
    for (target, check) in TARGETS {
        let files = corpus(target);
        assert!(files.len() >= 3, "{target}: too little to begin with");
        for (name, bytes) in &files {
            run(target, *check, bytes, &format!("fuzz/corpus/{target}/{name}"));
            for seed in 0..MUTATIONS {
                let other = &files[seed as usize % files.len()].1;
                let what = format!("mutation {seed} of fuzz/corpus/{target}/{name}");
                run(target, *check, &mutated(bytes, other, seed), &what);
            }
        }
    }
}

fn run(target: &str, check: fn(&[u8]), bytes: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| check(bytes))).is_err() {
        panic!("{target} fails on {what}: {:?}", String::from_utf8_lossy(bytes));
    }
}

/// One to four small damages, the same for the same seed.
fn mutated(bytes: &[u8], other: &[u8], seed: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ bytes.len() as u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % limit.max(1)
    };
    const ODD: [&[u8]; 14] = [
        b"\0",
        b"\xff",
        b"\r\n",
        b"%",
        b"%00",
        b"+",
        b"=",
        b"&",
        b"<",
        b"&#1;",
        b"\"",
        b"-1",
        b"18446744073709551616",
        "é".as_bytes(),
    ];
    for _ in 0..=below(4) {
        let at = below(bytes.len() + 1);
        let end = (at + 1 + below(8)).min(bytes.len());
        match below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << below(8),
            1 => drop(bytes.drain(at.min(end)..end)),
            2 => bytes.truncate(at),
            3 => {
                let again = bytes[at.min(end)..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            4 => {
                let from = below(other.len() + 1);
                let to = (from + below(64)).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            _ => drop(bytes.splice(at..at, ODD[below(ODD.len())].iter().copied())),
        }
    }
    bytes
}

#[test]
fn mutations_differ_and_repeat() {
    let (bytes, other) = (b"0123456789".as_slice(), b"abcdefghij".as_slice());
    let all: BTreeSet<Vec<u8>> = (0..100).map(|seed| mutated(bytes, other, seed)).collect();
    assert!(all.len() > 80, "{}", all.len());
    assert_eq!(mutated(bytes, other, 7), mutated(bytes, other, 7));
}
