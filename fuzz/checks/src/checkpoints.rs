//! Checkpoint files: the client's lines with their checksums, and the engine's records in them.

use std::fmt::Write as _;

use crc_fast::{CrcAlgorithm, checksum};
use vodferry_engine::{Checkpoint, Record};

use crate::journal::Contents;

/// The bytes as a file, and their lines as records of a file whose checksums are right.
pub fn checkpoints(data: &[u8]) {
    file(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.split('\n').collect();
    let records: Option<Vec<Record>> = lines
        .iter()
        .map(|line| {
            let record = Record::parse(line).ok()?;
            assert_eq!(Record::parse(&record.to_line()).as_ref(), Ok(&record));
            Some(record)
        })
        .collect();
    let sealed = seal(&lines);
    file(sealed.as_bytes());
    let Some(records) = records else { return };
    let begun = matches!(records.first(), Some(Record::Begin(_)));
    let read = Contents::read(sealed.as_bytes());
    assert_eq!(read.is_some(), begun, "records without a Begin are nobody's");
    if let Some(contents) = read {
        assert_eq!(Checkpoint::replay(contents.records), Checkpoint::replay(records));
    }
}

/// What is read of a file is read again when only that is written, whatever is torn off behind it.
fn file(bytes: &[u8]) {
    let Some(contents) = Contents::read(bytes) else { return };
    if let Some(first) = contents.records.first() {
        assert!(matches!(first, Record::Begin(_)));
    }
    let lines: Vec<String> = contents.records.iter().map(Record::to_line).collect();
    let mut again = seal(&lines);
    let read = Contents::read(again.as_bytes()).expect("written just now");
    assert_eq!(read.records, contents.records);
    again.push_str("0123456789abcdef begin 1 leng");
    let torn = Contents::read(again.as_bytes()).expect("torn while it was written");
    assert_eq!(torn.records, contents.records);

    if let Some(checkpoint) = Checkpoint::replay(contents.records) {
        let numbers = checkpoint.parts.iter().map(|part| part.number);
        assert!(numbers.clone().is_sorted_by(|a, b| a < b));
        assert!(numbers.into_iter().all(|number| (1..=10_000).contains(&number)));
    }
}

fn seal<S: AsRef<str>>(lines: &[S]) -> String {
    let mut out = String::new();
    for line in lines {
        let line = line.as_ref();
        let sum = checksum(CrcAlgorithm::Crc64Xz, line.as_bytes());
        writeln!(out, "{sum:016x} {line}").expect("a string takes it");
    }
    out
}
