//! `vodferry ls`, `abort` and `rm`: what a bucket holds, and what of it goes.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use vodferry::{Bucket, ListObjects, Listed, ListedUpload, Options};

use crate::cli::{AbortArgs, LsArgs, NetworkArgs, RmArgs, StoreArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::place::Store;
use crate::settings::Settings;
use crate::{calendar, json, output, transfer, units};

/// Lists objects, or unfinished uploads.
pub(crate) async fn ls(args: &LsArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let (bucket, prefix) = match args.place.split_once('/') {
        Some((bucket, prefix)) => (bucket, prefix),
        None => (args.place.as_str(), ""),
    };
    let bucket = open(bucket, &args.store, &args.network, settings)?;
    if args.uploads {
        let mut uploads = bucket.list_uploads(prefix);
        while let Some(upload) = uploads.next().await? {
            print_upload(bucket.name(), &upload, args.json);
        }
        return Ok(ExitCode::Success);
    }
    let what = ListObjects::prefix(prefix);
    let what = if args.recursive { what } else { what.delimiter("/") };
    let mut objects = bucket.list_objects(what);
    while let Some(listed) = objects.next().await? {
        print_object(bucket.name(), &listed, args);
    }
    Ok(ExitCode::Success)
}

/// Gives uploads up: their parts go, and nobody can go on with them.
pub(crate) async fn abort(args: &AbortArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let (name, prefix) = args.place.split_once('/').unwrap_or((&args.place, ""));
    let bucket = open(name, &args.store, &args.network, settings)?;
    if let Some(days) = args.after_days {
        return abort_after(&bucket, prefix, days, args.yes).await;
    }
    let doomed = match args.older_than {
        Some(age) => {
            let before = calendar::now_ms() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let mut found = bucket.list_uploads(prefix).all().await?;
            // One of which nobody knows when it was begun is old only where every one is.
            found.retain(|upload| {
                age.is_zero() || (upload.initiated_ms != 0 && upload.initiated_ms <= before)
            });
            found
        }
        None => by_id(&bucket, prefix, &args.upload_id).await?,
    };
    if doomed.is_empty() {
        output::say("there is nothing to give up");
        return Ok(ExitCode::Success);
    }
    let question = format!("give up {}", counted(doomed.len(), "unfinished upload"));
    if !args.dry_run && args.older_than.is_some() {
        confirm(&question, args.yes)?;
    }
    let mut worst = ExitCode::Success;
    for upload in &doomed {
        if !args.dry_run
            && let Err(error) = bucket.abort_multipart_upload(&upload.key, &upload.upload_id).await
        {
            let failure = Failure::from(error);
            failure.print();
            worst = worst.worse(failure.exit);
            continue;
        }
        print_upload(bucket.name(), upload, args.json);
    }
    Ok(worst)
}

/// Has the service do it, with what is there and what will come.
async fn abort_after(
    bucket: &Bucket,
    prefix: &str,
    days: u32,
    yes: bool,
) -> Result<ExitCode, Failure> {
    let below = output::tame_line(&format!("{}/{prefix}", bucket.name()));
    let age = counted(usize::try_from(days).unwrap_or(usize::MAX), "day");
    let what = format!("unfinished uploads below {below} that are {age} old");
    confirm(&format!("have the service give up {what}, now and from now on"), yes)?;
    bucket.abort_after_days(prefix, days).await?;
    output::say(&format!("the service gives up {what}"));
    Ok(ExitCode::Success)
}

/// Deletes objects.
pub(crate) async fn rm(args: &RmArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let mut doomed = Vec::with_capacity(args.objects.len());
    for object in &args.objects {
        let (bucket, key) = object_of(object)?;
        doomed.push((open(bucket, &args.store, &args.network, settings)?, key));
    }
    confirm(&format!("delete {}", counted(doomed.len(), "object")), args.yes)?;
    let mut worst = ExitCode::Success;
    for (bucket, key) in doomed {
        let shown = output::tame_line(&format!("{}/{key}", bucket.name()));
        let gone = match bucket.head_object(key).await {
            Ok(None) => Err(Failure::new(ExitCode::Service, format!("there is no object {shown}"))),
            Ok(Some(_)) => bucket.delete_object(key).await.map_err(Failure::from),
            Err(error) => Err(Failure::from(error)),
        };
        match gone {
            Ok(()) if args.json => {
                output::data(&json::text(&Deleted { bucket: bucket.name(), key }));
            }
            Ok(()) => output::data(&shown),
            Err(failure) => {
                failure.print();
                worst = worst.worse(failure.exit);
            }
        }
    }
    Ok(worst)
}

/// BUCKET/KEY, apart.
pub(crate) fn object_of(text: &str) -> Result<(&str, &str), Failure> {
    text.split_once('/')
        .filter(|(_, key)| !key.is_empty())
        .ok_or_else(|| Failure::usage(format!("no BUCKET/KEY: {text:?}")))
}

/// The bucket, with whose key it is read.
fn open(
    name: &str,
    store: &StoreArgs,
    network: &NetworkArgs,
    settings: &Settings,
) -> Result<Bucket, Failure> {
    open_with(name, store, transfer::plain(network, settings), settings)
}

/// The same with options of its own, but for the region.
pub(crate) fn open_with(
    name: &str,
    store: &StoreArgs,
    mut options: Options,
    settings: &Settings,
) -> Result<Bucket, Failure> {
    if name.is_empty() {
        return Err(Failure::usage("no bucket named").hint("for example vod-media/sv/"));
    }
    let Store { endpoint, key } = Store::resolve(store, settings)?;
    options.region = transfer::region(&store.region, settings);
    let mut builder = Bucket::builder(endpoint, name, key.token.clone()).options(options);
    if let Some(supplier) = key.supplier() {
        builder = builder.supplier(supplier);
    }
    Ok(builder.build()?)
}

/// Those of this key and these ids; one that is not there is an error before any is given up.
async fn by_id(bucket: &Bucket, key: &str, ids: &[String]) -> Result<Vec<ListedUpload>, Failure> {
    if key.is_empty() {
        return Err(Failure::usage("--upload-id goes with BUCKET/KEY")
            .hint("`vodferry ls --uploads` shows both"));
    }
    let found = bucket.list_uploads(key).all().await?;
    let one = |id: &String| {
        let of = found.iter().find(|upload| upload.key == key && upload.upload_id == *id);
        of.cloned().ok_or_else(|| {
            let message = format!("no unfinished upload {id} of {}/{key}", bucket.name());
            Failure::new(ExitCode::Service, message)
                .hint("`vodferry ls --uploads` shows those there are")
        })
    };
    ids.iter().map(one).collect()
}

/// Asks the person at the terminal. Where there is none, only `--yes` is an answer.
fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !terminal {
        return Err(
            Failure::usage(format!("nobody is there to be asked: {what}?")).hint("add --yes")
        );
    }
    eprint!("{what}? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match (read, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(Failure::new(ExitCode::Other, "nothing was done: the answer was not yes")),
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

#[derive(Serialize)]
struct Object<'a> {
    bucket: &'a str,
    key: &'a str,
    bytes: u64,
    etag: &'a str,
    modified: Option<String>,
    kind: &'a str,
    storage_class: &'a str,
}

#[derive(Serialize)]
struct Deleted<'a> {
    bucket: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct Prefix<'a> {
    bucket: &'a str,
    prefix: &'a str,
}

#[derive(Serialize)]
struct Upload<'a> {
    bucket: &'a str,
    key: &'a str,
    upload_id: &'a str,
    initiated: Option<String>,
}

fn print_object(bucket: &str, listed: &Listed, args: &LsArgs) {
    let line = match (listed, args.json) {
        (Listed::Object(object), true) => json::text(&Object {
            bucket,
            key: &object.key,
            bytes: object.size,
            etag: &object.etag,
            modified: calendar::text(object.last_modified_ms),
            kind: &object.kind,
            storage_class: &object.storage_class,
        }),
        (Listed::Prefix(prefix), true) => json::text(&Prefix { bucket, prefix }),
        (Listed::Object(object), false) => {
            let size = match args.human {
                true => units::size(object.size),
                false => object.size.to_string(),
            };
            let time = calendar::text(object.last_modified_ms).unwrap_or_else(|| "-".to_owned());
            format!("{size}\t{time}\t{}", output::tame_line(&format!("{bucket}/{}", object.key)))
        }
        (Listed::Prefix(prefix), false) => {
            format!("-\t-\t{}", output::tame_line(&format!("{bucket}/{prefix}")))
        }
        _ => return,
    };
    output::data(&line);
}

fn print_upload(bucket: &str, upload: &ListedUpload, as_json: bool) {
    let initiated = calendar::text(upload.initiated_ms);
    let (key, upload_id) = (upload.key.as_str(), upload.upload_id.as_str());
    if as_json {
        return output::data(&json::text(&Upload { bucket, key, upload_id, initiated }));
    }
    let time = initiated.unwrap_or_else(|| "-".to_owned());
    let object = output::tame_line(&format!("{bucket}/{key}"));
    output::data(&format!("{}\t{time}\t{object}", output::tame_line(upload_id)));
}
