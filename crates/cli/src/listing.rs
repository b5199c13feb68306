//! One unfinished upload on one line, as `resume --list` and `resume --forget` print it.

use std::borrow::Cow;
use std::path::Path;

use serde::Serialize;
use vodferry::CheckpointInfo;

use crate::records::Now;
use crate::{json, output, units};

#[derive(Serialize)]
struct Listed<'a> {
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
    state: &'static str,
}

/// Prints it: as fields with tabs in between, or as a JSON object.
pub(crate) fn print(record: &CheckpointInfo, json: bool) {
    let target = &record.target;
    let state = Now::of(record).word();
    if json {
        let listed = Listed {
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
            state,
        };
        return output::data(&json::text(&listed));
    }
    output::data(&format!(
        "{}\t{} of {}\t{}\t{}\t{state}",
        record.path.as_deref().map_or_else(|| "-".to_owned(), output::name),
        units::size(record.bytes),
        record.length.map_or_else(|| "?".to_owned(), units::size),
        output::tame_line(record.video_id.as_deref().unwrap_or("-")),
        output::tame_line(&format!("{}/{}", target.bucket, target.key)),
    ));
}
