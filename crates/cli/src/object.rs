//! `vodferry put` and `append`: an object by one request, without parts and without a checkpoint.

use std::fs::File as Opened;
use std::io::Read;
use std::path::Path;

use serde::Serialize;
use vodferry::{AppendResult, File, PutOptions};

use crate::bucket::{object_of, open_with};
use crate::cli::{AppendArgs, PutArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::settings::Settings;
use crate::upload::is_stdin;
use crate::{described, json, output, transfer};

/// So many bytes are appended at most: they are in memory.
const MOST_APPENDED: u64 = 1 << 30;

/// Puts a file.
pub(crate) async fn put(args: &PutArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let (name, key) = object_of(&args.object)?;
    let mut options = transfer::plain(&args.network, settings);
    options.limit = args.limit.or(settings.limit).unwrap_or(0);
    options.content_md5 = settings.md5.unwrap_or(true);
    let bucket = open_with(name, &args.store, options, settings)?;
    if is_stdin(&args.file) {
        return Err(Failure::usage("standard input has no length that is known beforehand")
            .hint("`vodferry upload - --name NAME` sends it in parts; ./- is a file"));
    }
    let file = described::object(File::path(&args.file), &args.about, &args.callback);
    let done = bucket.put_object(key, file, PutOptions::default()).await?;
    match args.json {
        true => output::data(&json::text(&Put {
            bucket: name,
            key,
            bytes: done.length,
            etag: &done.etag,
            crc64: done.crc64.map(|crc| crc.to_string()),
            verified: done.verified,
            callback_body: done.callback_body.as_deref(),
        })),
        false => output::data(&output::tame_line(&args.object)),
    }
    Ok(ExitCode::Success)
}

/// Appends the bytes of a file.
pub(crate) async fn append(args: &AppendArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let (name, key) = object_of(&args.object)?;
    let bucket = open_with(name, &args.store, transfer::plain(&args.network, settings), settings)?;
    let bytes = read(&args.file)?;
    let after = match args.position {
        Some(next_position) => AppendResult { next_position, crc64: None },
        None => {
            let head = bucket.head_object(key).await?.unwrap_or_default();
            AppendResult { next_position: head.length, crc64: head.crc64 }
        }
    };
    let done = bucket.append_object(key, after, bytes).await?;
    let position = done.next_position;
    match args.json {
        true => {
            let crc64 = done.crc64.map(|crc| crc.to_string());
            output::data(&json::text(&Appended { bucket: name, key, position, crc64 }));
        }
        false => output::data(&format!("{position}\t{}", output::tame_line(&args.object))),
    }
    Ok(ExitCode::Success)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: &std::io::Error| Failure::file("read", path, error);
    let mut bytes = Vec::new();
    let read = match is_stdin(path) {
        true => std::io::stdin().lock().take(MOST_APPENDED + 1).read_to_end(&mut bytes),
        false => {
            Opened::open(path).and_then(|file| file.take(MOST_APPENDED + 1).read_to_end(&mut bytes))
        }
    };
    match read.map_err(|error| unreadable(&error))? as u64 {
        0..=MOST_APPENDED => Ok(bytes),
        _ => Err(Failure::usage("more than 1 GiB cannot be appended at once")
            .hint("cut it into pieces, or use `vodferry upload`")),
    }
}

#[derive(Serialize)]
struct Put<'a> {
    bucket: &'a str,
    key: &'a str,
    bytes: Option<u64>,
    etag: &'a str,
    crc64: Option<String>,
    verified: bool,
    callback_body: Option<&'a str>,
}

#[derive(Serialize)]
struct Appended<'a> {
    bucket: &'a str,
    key: &'a str,
    position: u64,
    crc64: Option<String>,
}
