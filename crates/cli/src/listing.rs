//! Unfinished uploads on the screen: as `resume --list` and `resume --forget` print them, and as `checkpoints` does.

use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use vodferry::CheckpointInfo;

use crate::records::Now;
use crate::{json, output, units};

/// How much of an id a line shows: enough for a million checkpoints.
const SHORT_ID: usize = 12;

#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    path: Option<Cow<'a, str>>,
    video_id: Option<&'a str>,
    endpoint: &'a str,
    bucket: &'a str,
    key: &'a str,
    target_fixed: bool,
    length: Option<u64>,
    bytes: u64,
    part_size: u64,
    parts: u32,
    age_seconds: u64,
    state: &'static str,
}

/// Prints it as `resume` does: as fields with tabs in between, or as a JSON object.
pub(crate) fn print(record: &CheckpointInfo, json: bool) {
    let state = Now::of(record).word();
    if json {
        return object(record, state);
    }
    let (path, progress, object) = fields(record);
    let video = output::tame_line(record.video_id.as_deref().unwrap_or("-"));
    output::data(&format!("{path}\t{progress}\t{video}\t{object}\t{state}"));
}

/// Prints it as `checkpoints ls` does: with the id in front, or as a JSON object.
pub(crate) fn row(record: &CheckpointInfo, json: bool) {
    let state = Now::of(record).word();
    if json {
        return object(record, state);
    }
    let (path, progress, object) = fields(record);
    let id = record.id.get(..SHORT_ID).unwrap_or(&record.id);
    let age = units::age(age(record));
    output::data(&format!("{id}\t{age}\t{progress}\t{state}\t{object}\t{path}"));
}

/// Prints all that is known of it: a line for each thing, or a JSON object.
pub(crate) fn show(record: &CheckpointInfo, json: bool) {
    let state = Now::of(record).word();
    if json {
        return object(record, state);
    }
    let (path, progress, object) = fields(record);
    let began = match record.target_fixed {
        true => "an address, or an access key",
        false => "an application server",
    };
    for (name, value) in [
        ("id", record.id.clone()),
        ("file", path),
        ("state", state.to_owned()),
        (
            "stored",
            format!("{progress}, {} parts of {}", record.parts, units::size(record.part_size)),
        ),
        ("last part", format!("{} ago", units::age(age(record)))),
        ("object", object),
        ("endpoint", output::tame_line(&record.target.endpoint)),
        ("video", output::tame_line(record.video_id.as_deref().unwrap_or("-"))),
        ("begun with", began.to_owned()),
    ] {
        output::data(&format!("{name:<11}{value}"));
    }
}

/// Path, progress and object for people.
fn fields(record: &CheckpointInfo) -> (String, String, String) {
    let target = &record.target;
    let total = record.length.map_or_else(|| "?".to_owned(), units::size);
    (
        record.path.as_deref().map_or_else(|| "-".to_owned(), output::name),
        format!("{} of {total}", units::size(record.bytes)),
        output::tame_line(&format!("{}/{}", target.bucket, target.key)),
    )
}

/// Since when nothing was added to it.
fn age(record: &CheckpointInfo) -> Duration {
    SystemTime::now().duration_since(record.modified).unwrap_or_default()
}

fn object(record: &CheckpointInfo, state: &'static str) {
    let target = &record.target;
    output::data(&json::text(&Listed {
        id: &record.id,
        path: record.path.as_deref().map(Path::to_string_lossy),
        video_id: record.video_id.as_deref(),
        endpoint: &target.endpoint,
        bucket: &target.bucket,
        key: &target.key,
        target_fixed: record.target_fixed,
        length: record.length,
        bytes: record.bytes,
        part_size: record.part_size,
        parts: record.parts,
        age_seconds: age(record).as_secs(),
        state,
    }));
}
