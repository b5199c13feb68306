//! `vodferry resume`: what the record directory holds goes on.
//!
//! An upload goes on in the way it was begun: one whose place an application server chose needs `--server`, one whose place was fixed
//! needs `--endpoint` (or `--address` and `--auth`). Its place is in the record, so that no key needs to be named again.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vodferry::{CheckpointInfo, File, Options};

use crate::again::Again;
use crate::cli::{Cli, ResumeArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::place::Place;
use crate::settings::Settings;
use crate::{json, output, records, transfer, units, voyage};

/// Goes on with what is unfinished, and gives the exit code of the worst failure.
pub(crate) async fn run(
    global: &Cli,
    args: &ResumeArgs,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    if args.transfer.no_record {
        return Err(Failure::usage("--no-record leaves nothing to resume from"));
    }
    let options = transfer::options(&args.transfer, settings);
    let records = records::unfinished(&options)?;
    if args.list {
        list(&records, args.display.json);
        return Ok(ExitCode::Success);
    }
    if args.files.is_empty() && records.is_empty() {
        output::say("nothing is unfinished");
        return Ok(ExitCode::Success);
    }
    let place = Place::resolve(&args.place, settings)?;
    let mut worst = ExitCode::Success;
    let mut files = Vec::new();
    for found in wanted(&args.files, &records, &options)? {
        match file(&found.path, found.records.as_slice(), &place) {
            Ok(file) => files.push((found.path, file)),
            Err(failure) => {
                failure.print();
                worst = worst.worse(failure.exit);
            }
        }
    }
    if matches!(place, Place::Fixed { .. }) && files.len() > 1 {
        return Err(Failure::usage("an upload address is for one file, but more are unfinished")
            .hint("name the FILE; `vodferry resume --list` shows them"));
    }
    if files.is_empty() {
        return Ok(worst);
    }
    let (exit, entries) = voyage::launch(&place, &options, &args.display, files).await?;
    if exit == ExitCode::Interrupted {
        Again { global, place: &args.place, transfer: &args.transfer }.tell(&entries, &options);
    }
    Ok(worst.worse(exit))
}

/// A file and the uploads that were begun from it, the latest first.
struct Found<'a> {
    path: PathBuf,
    records: Vec<&'a CheckpointInfo>,
}

/// The files of the command line; without any, all that have a record.
fn wanted<'a>(
    files: &[PathBuf],
    records: &'a [CheckpointInfo],
    options: &Options,
) -> Result<Vec<Found<'a>>, Failure> {
    if files.is_empty() {
        return Ok(all(records));
    }
    let found = |path: &PathBuf| {
        let of: Vec<_> = records.iter().filter(|record| records::is_of(record, path)).collect();
        if of.is_empty() {
            let folder = options.record_dir.as_deref().unwrap_or(Path::new("memory")).display();
            let message = format!("no unfinished upload of {} in {folder}", path.display());
            return Err(Failure::new(ExitCode::File, message)
                .hint("`vodferry upload` begins one, and finds a moved file by its content"));
        }
        Ok(Found { path: path.clone(), records: of })
    };
    files.iter().map(found).collect()
}

fn all(records: &[CheckpointInfo]) -> Vec<Found<'_>> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for record in records {
        let Some(path) = &record.path else { continue };
        let target = record.target_fixed.then_some(&record.target);
        if seen.insert((path, target)) {
            all.push(Found { path: path.clone(), records: vec![record] });
        }
    }
    all
}

/// The file with the place it was begun for, when `place` permits that.
fn file(path: &Path, records: &[&CheckpointInfo], place: &Place) -> Result<File, Failure> {
    if !path.exists() {
        let message = format!("{} is no longer there", path.display());
        return Err(Failure::new(ExitCode::File, message).hint(
            "when it was moved, `vodferry upload` with its new path finds it by its content",
        ));
    }
    let fixed = |record: &&&CheckpointInfo| record.target_fixed;
    match place {
        Place::Server { .. } => match records.iter().find(|record| !record.target_fixed) {
            Some(_) => Ok(File::path(path)),
            None => Err(other_way(path, "add --endpoint, or --address and --auth")),
        },
        Place::Fixed { address, auth } => match records.iter().find(fixed) {
            Some(_) => Ok(File::path(path).upload_auth(address.expose(), auth.expose())?),
            None => Err(other_way(path, "add --server")),
        },
        Place::Store { store, bucket } => {
            let here = |record: &&&CheckpointInfo| {
                bucket.as_ref().is_none_or(|bucket| *bucket == record.target.bucket)
                    && record.target.endpoint.trim_end_matches('/') == store.endpoint
            };
            match records.iter().filter(fixed).find(here) {
                Some(record) => {
                    Ok(File::path(path).to(record.target.clone(), store.credential.clone()))
                }
                None if records.iter().any(|record| record.target_fixed) => {
                    Err(other_way(path, "`vodferry resume --list` shows where it goes"))
                }
                None => Err(other_way(path, "add --server")),
            }
        }
    }
}

fn other_way(path: &Path, hint: &str) -> Failure {
    let message = format!("the upload of {} was begun for another place", path.display());
    Failure::usage(message).hint(hint)
}

#[derive(Serialize)]
struct Listed<'a> {
    path: Option<Cow<'a, str>>,
    video_id: Option<&'a str>,
    endpoint: &'a str,
    bucket: &'a str,
    key: &'a str,
    target_fixed: bool,
    length: u64,
    bytes: u64,
    part_size: u64,
    parts: u32,
}

fn list(records: &[CheckpointInfo], json: bool) {
    for record in records {
        let target = &record.target;
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
            };
            output::data(&json::text(&listed));
        } else {
            output::data(&format!(
                "{}\t{} of {}\t{}\t{}/{}",
                record.path.as_deref().map_or_else(|| "-".to_owned(), output::name),
                units::size(record.bytes),
                units::size(record.length),
                record.video_id.as_deref().unwrap_or("-"),
                target.bucket,
                target.key,
            ));
        }
    }
}
