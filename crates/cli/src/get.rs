//! `vodferry get` and `vodferry url`: an object back from storage.
//!
//! What stands under the final name is whole (see [`crate::destination`]). With an access key, the same presigned URL is used that
//! `vodferry url` prints.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;
use vodferry::{Download, ErrorKind, Options, Target};

use crate::cli::{GetArgs, StoreArgs, UrlArgs};
use crate::destination::Destination;
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::place::Store;
use crate::settings::Settings;
use crate::{bars, json, output, signals, transfer, units};

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
    let to_stdout = path.as_os_str() == "-";
    if to_stdout && args.json {
        return Err(Failure::usage("the object and --json cannot both go to stdout"));
    }
    let options = transfer::plain(&args.network, settings);
    let interrupted = signals::interrupted(false);
    let destination = match to_stdout {
        true => Destination::stdout(),
        false => Destination::file(&path, args.force)?,
    };
    let shown = if to_stdout { "stdout".to_owned() } else { output::name(&path) };
    tokio::select! {
        biased;
        _ = interrupted => Ok(ExitCode::Interrupted),
        result = download(&options, &url, destination, args.quiet) => {
            tell(args, shown, result.map_err(|error| explain(error, &args.source, &url, by_url))?);
            Ok(ExitCode::Success)
        }
    }
}

/// Prints a presigned URL.
pub(crate) fn url(args: &UrlArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let life = args.expires;
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
    let Store { endpoint, key: signer } = Store::resolve(store, settings)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let target = Target { endpoint, bucket: bucket.to_owned(), key: key.to_owned() };
    let url = match transfer::region(&store.region, settings) {
        None => vodferry::presigned_url(&target, signer.credential(), (now + life).as_secs()),
        Some(region) => {
            let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
            let life = u32::try_from(life.as_secs()).unwrap_or(u32::MAX);
            vodferry::presigned_url_v4(&target, signer.credential(), &region, now, life)
        }
    };
    Ok(url?)
}

/// Why a download failed: on its way, or where it was written.
enum Trouble {
    Way(vodferry::Error),
    Written(Failure),
}

impl From<vodferry::Error> for Trouble {
    fn from(error: vodferry::Error) -> Trouble {
        Trouble::Way(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Written(failure)
    }
}

/// Gives length and CRC64; the latter is `None` where the server names none and only the length was checked.
async fn download(
    options: &Options,
    url: &str,
    mut destination: Destination,
    quiet: bool,
) -> Result<(u64, Option<u64>), Trouble> {
    let http = vodferry::http_client(options)?;
    let mut download = Download::open(http, url).await?;
    let bar = bar(download.length(), quiet);
    while let Some(piece) = download.next().await? {
        destination.write(&piece)?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    destination.publish()?;
    Ok((download.length(), download.crc64()))
}

/// Names the object and the server. The query of a URL is a secret; hints that are about uploads are replaced.
fn explain(trouble: Trouble, source: &str, url: &str, by_url: bool) -> Failure {
    let error = match trouble {
        Trouble::Written(failure) => return failure,
        Trouble::Way(error) => error,
    };
    let (place, path) = place_and_path(url);
    let object = if by_url { path } else { source };
    let message = format!("cannot download {object} from {place}: {error}");
    let failure = Failure::new(ExitCode::of(error.kind()), message);
    let hint = match (error.kind(), by_url) {
        (ErrorKind::Auth, true) => "the URL has expired or was altered; ask for a new one",
        (ErrorKind::Auth, false) => "check the access key: it must belong to this endpoint",
        // A download does not go on where it stopped.
        (ErrorKind::Network, _) => {
            let hint = error.hint().filter(|hint| !hint.contains("go on"));
            hint.unwrap_or("check the network and run it again")
        }
        (ErrorKind::Service, false) if error.code() == "NoSuchKey" => {
            "name it as `vodferry upload` printed it: BUCKET/KEY"
        }
        (ErrorKind::SourceChanged, _) => "run it again",
        _ => match error.hint() {
            Some(hint) => hint,
            None => return failure,
        },
    };
    failure.hint(hint)
}

/// The scheme and host of a URL, without user and password, and its path, without the query.
fn place_and_path(url: &str) -> (String, &str) {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    (format!("{scheme}://{host}"), path)
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

fn tell(args: &GetArgs, path: String, (bytes, crc64): (u64, Option<u64>)) {
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
    let template = "{wide_bar} {bytes:>10}/{total_bytes:<10} {pace}";
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr())
        .with_style(bars::style(template))
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
    fn what_is_told_of_a_url_is_no_secret() {
        let (place, path) = place_and_path("https://me:hush@h:1/b/a%20b.mp4?Signature=hush@x/y");
        assert_eq!((place.as_str(), path), ("https://h:1", "b/a%20b.mp4"));
        assert_eq!(place_and_path("http://h?Signature=hush"), ("http://h".to_owned(), ""));
    }
}
