//! `vodferry get` and `vodferry url`: an object back from storage.
//!
//! A download goes to a temporary name beside its target, is verified, synced and only then named: what stands under the final name
//! is whole. With an access key, the same presigned URL is used that `vodferry url` prints.

use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use vodferry::{Download, Options, Target};

use crate::cli::{GetArgs, StoreArgs, UrlArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::place::Store;
use crate::settings::Settings;
use crate::{json, output, signals, units};

/// How long a download with keys may take.
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// Downloads.
pub(crate) async fn get(args: &GetArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let by_url = is_url(&args.source);
    let url = match by_url {
        true => args.source.clone(),
        false => presign(&args.source, &args.store, settings, LIFE)?,
    };
    let path = match &args.output {
        Some(path) => path.clone(),
        None => default_name(&args.source, by_url)?,
    };
    if !args.force && path.symlink_metadata().is_ok() {
        let message = format!("{} is already there", path.display());
        return Err(Failure::new(ExitCode::File, message).hint("add --force to replace it"));
    }
    let interrupted = signals::interrupted();
    let draft = Draft::create(&path)?;
    tokio::select! {
        biased;
        () = interrupted => Ok(ExitCode::Interrupted),
        result = download(&url, draft, &path, args.quiet) => {
            tell(args, &path, result?);
            Ok(ExitCode::Success)
        }
    }
}

/// Prints a presigned URL.
pub(crate) fn url(args: &UrlArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let life = Duration::from_secs(args.expires.into());
    output::data(&presign(&args.object, &args.store, settings, life)?);
    Ok(ExitCode::Success)
}

fn presign(
    object: &str,
    store: &StoreArgs,
    settings: &Settings,
    life: Duration,
) -> Result<String, Failure> {
    let (bucket, key) = object
        .split_once('/')
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
        .ok_or_else(|| {
            Failure::usage(format!("neither a URL nor BUCKET/KEY: {object:?}"))
                .hint("for example vod-media/sv/film.mp4")
        })?;
    let Store { endpoint, credential } = Store::resolve(store, settings)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let target = Target { endpoint, bucket: bucket.to_owned(), key: key.to_owned() };
    Ok(vodferry::presigned_url(&target, &credential, (now + life).as_secs())?)
}

/// Gives length and CRC64; the latter is `None` where the server names none and only the length was checked.
async fn download(
    url: &str,
    mut draft: Draft,
    path: &Path,
    quiet: bool,
) -> Result<(u64, Option<u64>), Failure> {
    let http = vodferry::http_client(&Options::default())?;
    let mut download = Download::open(http, url).await?;
    let bar = bar(download.length(), quiet);
    while let Some(piece) = download.next().await? {
        draft.file.write_all(&piece).map_err(|error| Failure::file("write", path, &error))?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    draft.publish(path)?;
    Ok((download.length(), download.crc64()))
}

#[derive(Serialize)]
struct Downloaded {
    event: &'static str,
    path: String,
    bytes: u64,
    /// Decimal text, as in the events of an upload.
    crc64: Option<String>,
    verified: bool,
}

fn tell(args: &GetArgs, path: &Path, (bytes, crc64): (u64, Option<u64>)) {
    let path = path.display().to_string();
    let crc64 = crc64.map(|crc64| crc64.to_string());
    if !args.quiet {
        let checked = match &crc64 {
            Some(crc64) => format!("CRC64 {crc64} verified"),
            None => "length verified, the server names no CRC64".to_owned(),
        };
        output::say(&format!("{path}: {} ({checked})", units::size(bytes)));
    }
    if args.json {
        let verified = crc64.is_some();
        output::data(&json::text(&Downloaded {
            event: "downloaded",
            path,
            bytes,
            crc64,
            verified,
        }));
    }
}

fn bar(length: u64, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{wide_bar} {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12} ETA {eta:>4}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style)
}

/// The file under its temporary name; deleted unless it was published.
struct Draft {
    file: File,
    path: PathBuf,
    published: bool,
}

impl Draft {
    fn create(target: &Path) -> Result<Draft, Failure> {
        if target.is_dir() {
            let message = format!("{} is a folder", target.display());
            return Err(Failure::new(ExitCode::File, message).hint("name the file inside it"));
        }
        let name = target.file_name().ok_or_else(|| {
            Failure::new(ExitCode::File, format!("no file name in {}", target.display()))
        })?;
        let mut draft = std::ffi::OsString::from(".");
        draft.push(name);
        draft.push(format!(".{}.part", std::process::id()));
        let path = target.with_file_name(draft);
        let file = File::create(&path).map_err(|error| Failure::file("create", &path, &error))?;
        Ok(Draft { file, path, published: false })
    }

    fn publish(mut self, target: &Path) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| Failure::file("write", target, &error))?;
        fs::rename(&self.path, target).map_err(|error| Failure::file("name", target, &error))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_url(source: &str) -> bool {
    let scheme = source.split("://").next().unwrap_or_default().to_ascii_lowercase();
    source.contains("://") && matches!(scheme.as_str(), "http" | "https")
}

/// The last part of the key, decoded when it comes from a URL. Nothing that would leave this folder.
fn default_name(source: &str, by_url: bool) -> Result<PathBuf, Failure> {
    let path = if by_url { source.split(['?', '#']).next().unwrap_or_default() } else { source };
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = if by_url { decode(last) } else { last.to_owned() };
    let unfit = |c: char| matches!(c, '/' | '\\' | '\0');
    if name.is_empty() || name == "." || name == ".." || name.contains(unfit) {
        return Err(Failure::usage("the object has no name that a file could have")
            .hint("name a file with -o"));
    }
    Ok(PathBuf::from(name))
}

/// Percent-decodes what can be; the rest stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_key_and_stay_in_the_folder() {
        let name =
            |source: &str| default_name(source, is_url(source)).map(|p| p.display().to_string());
        assert_eq!(name("http://h/b/sv/a%20b.mp4?Signature=x/y").unwrap(), "a b.mp4");
        assert_eq!(name("b/sv/a%20b.mp4").unwrap(), "a%20b.mp4");
        for bad in ["http://h/b/", "b/..", "http://h/b/%2e%2e", "http://h/b/..%2Fetc", "b/k/"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.mp4");
        drop(Draft::create(&target).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        Draft::create(&target).unwrap().publish(&target).unwrap();
        assert!(target.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(Draft::create(folder.path()).err().unwrap().exit, ExitCode::File);
    }
}
