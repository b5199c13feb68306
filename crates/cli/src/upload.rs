//! `vodferry upload`: the files of the command line, each to its place.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use vodferry::{File, Target};

use crate::again::Again;
use crate::cli::{Cli, UploadArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::place::Place;
use crate::settings::Settings;
use crate::{transfer, voyage};

/// Uploads, and gives the exit code of the worst failure.
pub(crate) async fn run(
    global: &Cli,
    args: &UploadArgs,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let place = Place::resolve(&args.place, settings)?;
    let options = transfer::options(&args.place, &args.transfer, settings);
    let files = files(args, &place)?;
    let (exit, entries) = voyage::launch(&place, &options, &args.display, files, true).await?;
    if exit == ExitCode::Interrupted {
        Again { global, place: &args.place, transfer: &args.transfer }.tell(&entries, &options);
    }
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
    // Standard input goes by its name, but for where its bytes are.
    let called = |path: &PathBuf| match &args.name {
        Some(name) if is_stdin(path) => PathBuf::from(name),
        _ => path.clone(),
    };
    let named: Vec<PathBuf> = args.files.iter().map(called).collect();
    let file = |path: &PathBuf| match &args.name {
        Some(name) if is_stdin(path) => File::reader(name, tokio::io::stdin()),
        _ => File::path(path),
    };
    let paths = args.files.iter();
    match place {
        Place::Server { .. } => Ok(paths
            .map(|path| {
                let file = file(path);
                let file = match &args.title {
                    Some(title) => file.title(title),
                    None => file,
                };
                (path.clone(), file)
            })
            .collect()),
        Place::Fixed { address, auth } => match args.files.as_slice() {
            [path] => {
                let file = file(path).upload_auth(address.expose(), auth.expose());
                Ok(vec![(path.clone(), file?)])
            }
            _ => Err(Failure::usage("an upload address is for one file, but more were named")
                .hint("run the command once per file, each with an address and auth of its own")),
        },
        Place::Store { store, bucket } => {
            let bucket = bucket
                .as_deref()
                .ok_or_else(|| Failure::usage("no bucket named").hint("add --bucket NAME"))?;
            let keys = keys(args.key.as_deref(), &named)?;
            let target =
                |key| Target { endpoint: store.endpoint.clone(), bucket: bucket.to_owned(), key };
            Ok(paths
                .zip(keys)
                .map(|(path, key)| {
                    let file = file(path).to(target(key), store.credential.clone());
                    (path.clone(), file)
                })
                .collect())
        }
    }
}

/// Whether a file of the command line is standard input.
fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The object key of each file. Two files under one key would leave one object.
fn keys(key: Option<&str>, paths: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let folder = match key {
        None => "",
        Some("") => return Err(Failure::usage("--key is empty")),
        Some(folder) if folder.ends_with('/') => folder,
        Some(key) if paths.len() == 1 => return Ok(vec![key.to_owned()]),
        Some(key) => {
            return Err(Failure::usage(format!(
                "{} files cannot share the key {key}",
                paths.len()
            ))
            .hint("a --key that ends in / takes the file names behind it"));
        }
    };
    let mut taken: HashMap<String, &Path> = HashMap::new();
    let mut keys = Vec::with_capacity(paths.len());
    for path in paths {
        let name = path.file_name().ok_or_else(|| {
            Failure::new(ExitCode::File, format!("no file name in {}", path.display()))
        })?;
        let key = format!("{folder}{}", name.to_string_lossy());
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
        keys(key, &paths.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn keys_come_from_the_flag_or_the_name() {
        assert_eq!(keys_of(None, &["x/a b.mp4", "c%.mp4"]).unwrap(), ["a b.mp4", "c%.mp4"]);
        assert_eq!(keys_of(Some("v/"), &["a", "b"]).unwrap(), ["v/a", "v/b"]);
        assert_eq!(keys_of(Some("v/电影 🎬.mp4"), &["a"]).unwrap(), ["v/电影 🎬.mp4"]);
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
