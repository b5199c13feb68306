//! `vodferry upload`: the files of the command line, each to its place.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use vodferry::{File, Target};

use crate::again::Again;
use crate::cli::{Cli, ObjectArgs, UploadArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::folders::{self, Found};
use crate::place::Place;
use crate::settings::Settings;
use crate::{output, transfer, voyage};

/// Uploads, and gives the exit code of the worst failure.
pub(crate) async fn run(
    global: &Cli,
    args: &UploadArgs,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let place = Place::resolve(&args.place, settings)?;
    let options = transfer::options(&args.place, &args.transfer, settings);
    let files = files(args, &place)?;
    if files.is_empty() {
        output::say("nothing to upload: no file in the folders named is wanted");
        return Ok(ExitCode::Success);
    }
    let (exit, entries) = voyage::launch(&place, &options, &args.display, files, true).await?;
    Again { global, place: &args.place, transfer: &args.transfer }.tell(&entries, exit, &options);
    Ok(exit)
}

/// The files with their places, after the checks that make sense before anything is sent.
fn files(args: &UploadArgs, place: &Place) -> Result<Vec<(PathBuf, File)>, Failure> {
    if args.key.is_some() && !matches!(place, Place::Store { .. }) {
        return Err(Failure::usage("--key goes with --endpoint alone")
            .hint("an application server or an upload address chooses the key itself"));
    }
    if args.title.is_some() && !matches!(place, Place::Server { .. }) {
        return Err(Failure::usage("--title goes with --server alone"));
    }
    let streams = args.files.iter().filter(|path| is_stdin(path)).count();
    match (streams, &args.name) {
        (0, Some(_)) => return Err(Failure::usage("--name is for standard input, which is -")),
        (1, None) => {
            return Err(Failure::usage("standard input has no name")
                .hint("add --name NAME, for example --name live.mp4; ./- is a file"));
        }
        (2.., _) => return Err(Failure::usage("standard input can be read only once")),
        _ => {}
    }
    let found = folders::expand(&args.files, &args.select)?;
    let file = |found: &Found| {
        let file = match &args.name {
            Some(name) if is_stdin(&found.path) => File::reader(name, tokio::io::stdin()),
            _ => File::path(&found.path),
        };
        let file = match &args.title {
            Some(title) => file.title(title),
            None => file,
        };
        described(file, &args.object)
    };
    let placed: Vec<File> = match place {
        Place::Server { .. } => found.iter().map(file).collect(),
        Place::Fixed { address, auth } => match found.as_slice() {
            [] => Vec::new(),
            [found] => vec![file(found).upload_auth(address.expose(), auth.expose())?],
            _ => {
                return Err(Failure::usage(
                    "an upload address is for one file, but more were named",
                )
                .hint("run the command once per file, each with an address and auth of its own"));
            }
        },
        Place::Store { store, bucket } => {
            let bucket = bucket
                .as_deref()
                .ok_or_else(|| Failure::usage("no bucket named").hint("add --bucket NAME"))?;
            let target =
                |key| Target { endpoint: store.endpoint.clone(), bucket: bucket.to_owned(), key };
            // Standard input goes by its name, but for where its bytes are.
            let keys = keys(args.key.as_deref(), args.name.as_deref(), &found)?;
            let files = found.iter().map(file).zip(keys);
            files.map(|(file, key)| file.to(target(key), store.credential.clone())).collect()
        }
    };
    Ok(found.into_iter().map(|found| found.path).zip(placed).collect())
}

/// The file with what its object says about itself.
fn described(mut file: File, object: &ObjectArgs) -> File {
    for (name, value) in object.header.iter().chain(&object.metadata) {
        file = file.header(name, value);
    }
    match &object.content_type {
        Some(content_type) => file.content_type(content_type),
        None => file,
    }
}

/// Whether a file of the command line is standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The object key of each file. Two files under one key would leave one object.
fn keys(key: Option<&str>, name: Option<&str>, files: &[Found]) -> Result<Vec<String>, Failure> {
    let folder = match (key, files) {
        (None, _) => "",
        (Some(""), _) => return Err(Failure::usage("--key is empty")),
        (Some(folder), _) if folder.ends_with('/') => folder,
        (Some(key), [Found { below: None, .. }]) => return Ok(vec![key.to_owned()]),
        (Some(key), files) => {
            let count = files.len();
            return Err(Failure::usage(format!("{count} files cannot share the key {key}"))
                .hint("a --key that ends in / takes the file names behind it"));
        }
    };
    let mut taken: HashMap<String, &Path> = HashMap::new();
    let mut keys = Vec::with_capacity(files.len());
    for Found { path, below } in files {
        let called = match (below, path.file_name(), name) {
            (Some(below), ..) => folders::key_of(below),
            (None, _, Some(name)) if is_stdin(path) => name.to_owned(),
            (None, Some(name), _) => name.to_string_lossy().into_owned(),
            (None, None, _) => {
                let message = format!("no file name in {}", path.display());
                return Err(Failure::new(ExitCode::File, message));
            }
        };
        let key = format!("{folder}{called}");
        if let Some(other) = taken.insert(key.clone(), path) {
            let (other, path) = (other.display(), path.display());
            return Err(Failure::usage(format!("{other} and {path} would both become {key}"))
                .hint("upload them one by one, each with a --key of its own"));
        }
        keys.push(key);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(key: Option<&str>, paths: &[&str]) -> Result<Vec<String>, Failure> {
        let found = |path: &&str| Found { path: PathBuf::from(path), below: None };
        keys(key, Some("live.mp4"), &paths.iter().map(found).collect::<Vec<_>>())
    }

    #[test]
    fn keys_come_from_the_flag_or_the_name() {
        assert_eq!(keys_of(None, &["x/a b.mp4", "c%.mp4"]).unwrap(), ["a b.mp4", "c%.mp4"]);
        assert_eq!(keys_of(Some("v/"), &["a", "b"]).unwrap(), ["v/a", "v/b"]);
        assert_eq!(keys_of(Some("v/电影 🎬.mp4"), &["a"]).unwrap(), ["v/电影 🎬.mp4"]);
        assert_eq!(keys_of(Some("v/"), &["-", "a"]).unwrap(), ["v/live.mp4", "v/a"]);
    }

    #[test]
    fn what_is_below_a_folder_keeps_its_way() {
        let found = [Found { path: "x/a/b.mp4".into(), below: Some("a/b.mp4".into()) }];
        assert_eq!(keys(Some("v/"), None, &found).unwrap(), ["v/a/b.mp4"]);
        assert_eq!(keys(None, None, &found).unwrap(), ["a/b.mp4"]);
        assert_eq!(keys(Some("v"), None, &found).unwrap_err().exit, ExitCode::Usage);
    }

    #[test]
    fn no_two_files_share_a_key() {
        for (key, paths) in
            [(Some("k"), ["a", "b"]), (None, ["x/a", "y/a"]), (Some(""), ["a", "b"])]
        {
            assert_eq!(keys_of(key, &paths).unwrap_err().exit, ExitCode::Usage);
        }
        assert_eq!(keys_of(None, &[".."]).unwrap_err().exit, ExitCode::File);
    }
}
