//! `vodferry resume`: what the record directory holds goes on.
//!
//! An upload goes on in the way it was begun: one whose place an application server chose needs `--server`, one whose place was fixed
//! needs `--endpoint` (or `--address` and `--auth`). Its place is in the record, so that no key needs to be named again.

use std::path::{Path, PathBuf};

use vodferry::{CheckpointInfo, File, Options, Target, UploadGrant};

use crate::again::Again;
use crate::cli::{Cli, ResumeArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::place::Place;
use crate::records::Now;
use crate::settings::Settings;
use crate::{listing, output, records, transfer, voyage};

/// Goes on with what is unfinished, and gives the exit code of the worst failure.
pub(crate) async fn run(
    global: &Cli,
    args: &ResumeArgs,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    if args.transfer.no_record {
        return Err(Failure::usage("--no-record leaves nothing to resume from"));
    }
    let mut options = transfer::options(&args.place, &args.transfer, settings);
    let records = records::unfinished(&options)?;
    if args.list {
        records.iter().for_each(|record| listing::print(record, args.display.json));
        return Ok(ExitCode::Success);
    }
    if args.forget {
        return forget(args, &records, &options);
    }
    if args.files.is_empty() && records.is_empty() {
        output::say("nothing is unfinished");
        return Ok(ExitCode::Success);
    }
    let place = Place::resolve(&args.place, settings)?;
    let way = Way::of(&place)?;
    let mut worst = ExitCode::Success;
    let mut files = Vec::new();
    let (open_ended, whole): (Vec<_>, Vec<_>) =
        records.into_iter().partition(CheckpointInfo::is_open_ended);
    if args.files.is_empty() {
        open_ended.iter().for_each(|record| output::say(&passed_over(record)));
    }
    for path in &args.files {
        if records::of_file(path, &whole).is_empty()
            && let [record, ..] = records::of_file(path, &open_ended)[..]
        {
            return Err(Failure::usage(passed_over(record)));
        }
    }
    for found in wanted(&args.files, &whole, &options, &way)? {
        if found.records.iter().any(|record| record.sequential) {
            options.parallel = 1;
        }
        match way.file(&found) {
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
    let (exit, entries) = voyage::launch(&place, &options, &args.display, files, false).await?;
    let again = Again { global, place: &args.place, transfer: &args.transfer, as_typed: false };
    again.tell(&entries, exit, &options);
    Ok(worst.worse(exit))
}

/// Why an upload that was begun of something without a length is not gone on with here.
fn passed_over(record: &CheckpointInfo) -> String {
    let Target { bucket, key, .. } = &record.target;
    let object = output::tame_line(&format!("{bucket}/{key}"));
    match &record.path {
        Some(path) => format!(
            "{} was sent while it was written: the same `vodferry upload --growing` goes on with {object}",
            output::name(path)
        ),
        None => format!(
            "{object} came on standard input: the same `vodferry upload -`, fed from the beginning, goes on with it"
        ),
    }
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
    way: &Way<'_>,
) -> Result<Vec<Found<'a>>, Failure> {
    match files {
        [] => all(records, way),
        files => files
            .iter()
            .map(|path| named(path, records::to_resume(path, records), options))
            .collect(),
    }
}

/// The file with its uploads; an error where it has none.
fn named<'a>(
    path: &Path,
    of: Vec<&'a CheckpointInfo>,
    options: &Options,
) -> Result<Found<'a>, Failure> {
    if of.is_empty() {
        let folder = options.record_dir.as_deref().unwrap_or(Path::new("memory")).display();
        let message = format!("no unfinished upload of {} in {folder}", path.display());
        return Err(Failure::new(ExitCode::File, message)
            .hint("`vodferry upload` begins one; `vodferry resume --list` shows those there are"));
    }
    Ok(Found { path: path.to_owned(), records: of })
}

/// One per file and place: a file that changed has records of what it was and of what it is.
fn all<'a>(records: &'a [CheckpointInfo], way: &Way<'_>) -> Result<Vec<Found<'a>>, Failure> {
    let mut all: Vec<Found<'a>> = Vec::new();
    for record in records {
        // An address says itself which of them is meant.
        let Some(path) = record.path.as_ref().filter(|_| way.grant.is_none() || way.leads(record))
        else {
            continue;
        };
        let place = |record: &CheckpointInfo| record.target_fixed.then(|| record.target.clone());
        let same = |found: &&mut Found<'_>| {
            found.path == *path && found.records.iter().all(|one| place(one) == place(record))
        };
        match all.iter_mut().find(same) {
            Some(found) => found.records.push(record),
            None => all.push(Found { path: path.clone(), records: vec![record] }),
        }
    }
    match &way.grant {
        Some(UploadGrant { target: Target { bucket, key, .. }, .. }) if all.is_empty() => {
            Err(Failure::usage(format!("no unfinished upload was begun for {bucket}/{key}"))
                .hint("`vodferry resume --list` shows them"))
        }
        _ => Ok(all),
    }
}

/// The way to resume that the command line names.
struct Way<'a> {
    place: &'a Place,
    /// What an address and auth say.
    grant: Option<UploadGrant>,
}

impl Way<'_> {
    fn of(place: &Place) -> Result<Way<'_>, Failure> {
        let grant = match place {
            Place::Fixed { address, auth } => {
                Some(UploadGrant::from_upload_auth(address.expose(), auth.expose())?)
            }
            Place::Server { .. } | Place::Store { .. } | Place::Vod { .. } => None,
        };
        Ok(Way { place, grant })
    }

    /// Whether it leads to where the upload was begun for.
    fn leads(&self, record: &CheckpointInfo) -> bool {
        let Target { endpoint, bucket, key } = &record.target;
        let at = |other: &str| other.trim_end_matches('/') == endpoint.trim_end_matches('/');
        match (self.place, &self.grant) {
            (Place::Server { .. } | Place::Vod { .. }, _) => !record.target_fixed,
            (Place::Store { store, bucket: named }, _) => {
                record.target_fixed
                    && named.as_ref().is_none_or(|named| named == bucket)
                    && at(&store.endpoint)
            }
            (Place::Fixed { .. }, Some(UploadGrant { target, .. })) => {
                record.target_fixed
                    && at(&target.endpoint)
                    && (&target.bucket, &target.key) == (bucket, key)
            }
            (Place::Fixed { .. }, None) => false,
        }
    }

    /// The file with the place it was begun for, when it is still the same file and this way leads there.
    fn file(&self, Found { path, records }: &Found<'_>) -> Result<File, Failure> {
        let here: Vec<_> = records.iter().copied().filter(|record| self.leads(record)).collect();
        if here.is_empty() {
            return Err(self.elsewhere(path, records));
        }
        let begun = as_begun(path, &here)?;
        let target = begun.target.clone();
        let file = File::path(path);
        let file = if begun.sequential { file.sequential() } else { file };
        Ok(match (self.place, &self.grant) {
            (Place::Store { store, .. }, _) => store.place(file, target),
            // The address may be spelt in another way; the record is found by the spelling it was begun with.
            (_, Some(grant)) => file.grant(UploadGrant { target, ..grant.clone() }),
            _ => file,
        })
    }

    fn elsewhere(&self, path: &Path, records: &[&CheckpointInfo]) -> Failure {
        let path = path.display();
        let hint = match (self.place, records.iter().any(|record| record.target_fixed)) {
            (Place::Server { .. } | Place::Vod { .. }, _) => {
                "add --endpoint, or --address and --auth"
            }
            (_, true) => "`vodferry resume --list` shows where it goes",
            (_, false) => "add --server, or --vod",
        };
        Failure::usage(format!("the upload of {path} was begun for another place")).hint(hint)
    }
}

/// The record of what the file is now. Without one the upload would silently begin anew, as that of another video.
fn as_begun<'a>(
    path: &Path,
    records: &[&'a CheckpointInfo],
) -> Result<&'a CheckpointInfo, Failure> {
    for record in records {
        match record.is_of(path) {
            Ok(true) => return Ok(record),
            Ok(false) => {}
            Err(error) if error.code() == records::NOT_FOUND => {
                let message = format!("{} is no longer there", path.display());
                return Err(Failure::new(ExitCode::File, message).hint(
                    "when it was moved, name it by its new path: it is found by its content",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let message = format!("{} is not what it was when its upload began", path.display());
    Err(Failure::new(ExitCode::SourceChanged, message).hint(
        "`vodferry upload` sends it as a new file, `vodferry resume --forget` drops the record of the old one",
    ))
}

/// Drops the records of the files of the command line; without any, of those that cannot go on.
fn forget(
    args: &ResumeArgs,
    records: &[CheckpointInfo],
    options: &Options,
) -> Result<ExitCode, Failure> {
    let Some(folder) = &options.record_dir else { return Ok(ExitCode::Success) };
    let mut doomed: Vec<&CheckpointInfo> = Vec::new();
    if args.files.is_empty() {
        let hopeless =
            |record: &&CheckpointInfo| matches!(Now::of(record), Now::Changed | Now::Missing);
        doomed.extend(records.iter().filter(hopeless));
    }
    for path in &args.files {
        doomed.extend(named(path, records::of_file(path, records), options)?.records);
    }
    doomed.sort_by(|a, b| a.id.cmp(&b.id));
    doomed.dedup_by(|a, b| a.id == b.id);
    Ok(records::remove(folder, &doomed, |record| listing::print(record, args.display.json)))
}
