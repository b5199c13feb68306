//! `vodferry upload`: the files of the command line, each to its place.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use vodferry::{File, Target};

use crate::again::Again;
use crate::cli::{Cli, DisplayArgs, Duplicates, UploadArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::folders::{self, Found};
use crate::list::{self, Line};
use crate::place::Place;
use crate::settings::Settings;
use crate::{described, growing, output, transfer, voyage};

/// Why nobody says the place where another chooses it.
const CHOOSES_ITSELF: &str =
    "an application server, the VOD API or an upload address chooses the place itself";

/// Uploads, and gives the exit code of the worst failure.
pub(crate) async fn run(
    global: &Cli,
    args: &UploadArgs,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let place = Place::resolve(&args.place, settings)?;
    let mut options = transfer::options(&args.place, &args.transfer, settings);
    if args.duplicates == Some(Duplicates::Refuse) {
        options.duplicates = vodferry::Duplicates::Refuse;
    }
    let files = files(args, &place, settings)?;
    if files.is_empty() {
        output::say(
            "nothing to upload: no file in the folders named is wanted, or the list is empty",
        );
        return Ok(ExitCode::Success);
    }
    let announced = args.growing && args.until_idle.is_none();
    let display = DisplayArgs { no_keys: args.display.no_keys || announced, ..args.display };
    let (exit, entries) = voyage::launch(&place, &options, &display, files, true).await?;
    // `resume` knows nothing of who writes a file, and not what was said of the object.
    let said = described::travels_with_object(&args.media, &args.object, &args.callback);
    let as_typed = args.growing || said;
    let again = Again { global, place: &args.place, transfer: &args.transfer, as_typed };
    again.tell(&entries, exit, &options);
    Ok(exit)
}

/// The files with their places, after the checks that make sense before anything is sent.
fn files(
    args: &UploadArgs,
    place: &Place,
    settings: &Settings,
) -> Result<Vec<(PathBuf, File)>, Failure> {
    check(args, place)?;
    let mut wanted: Vec<Wanted> = folders::expand(&args.files, &args.select)?
        .into_iter()
        .map(|found| Wanted { found, line: None })
        .collect();
    if let Some(list) = &args.list {
        let lines = list::read(list)?.into_iter().map(|line| Wanted {
            found: Found { path: line.path.clone(), below: None },
            line: Some(line),
        });
        wanted.extend(lines);
    }
    let files = wanted.iter().map(|wanted| described(wanted, args, place));
    let files = files.collect::<Result<Vec<File>, Failure>>()?;
    let files = placed(files, args, place, &wanted)?;
    let files = match &args.foreign_records {
        Some(dir) => {
            let with = |file: File| file.foreign_records(dir).map_err(Failure::from);
            files.into_iter().map(with).collect::<Result<Vec<File>, Failure>>()?
        }
        None => files,
    };
    // What grows is sent as it becomes final.
    let files = match !args.growing && transfer::sequential(&args.transfer, settings) {
        true => files.into_iter().map(File::sequential).collect(),
        false => files,
    };
    Ok(wanted.into_iter().map(|wanted| wanted.found.path).zip(files).collect())
}

/// A file to upload, and the line of a list that names it, where one does.
struct Wanted {
    found: Found,
    line: Option<Line>,
}

/// What is wrong with the flags whatever the files are.
fn check(args: &UploadArgs, place: &Place) -> Result<(), Failure> {
    if args.key.is_some() && !matches!(place, Place::Store { .. }) {
        return Err(Failure::usage("--key goes with --endpoint alone").hint(CHOOSES_ITSELF));
    }
    if args.foreign_records.is_some() && matches!(place, Place::Server { .. } | Place::Vod { .. }) {
        return Err(Failure::usage(
            "--foreign-records goes with --endpoint, or --address and --auth",
        )
        .hint("such a record is found by the place, which is not known beforehand here"));
    }
    described::check(&args.media, place)?;
    let streams = args.files.iter().filter(|path| is_stdin(path)).count();
    if streams > 0 && args.list.as_deref().is_some_and(is_stdin) {
        return Err(Failure::usage("standard input is the list, or a file, but not both"));
    }
    if args.growing && (streams > 0 || args.files.len() != 1) {
        return Err(Failure::usage("--growing is about one file").hint(
            "run the command once per file; what comes on standard input needs no --growing",
        ));
    }
    match (streams, name_of_stream(args)) {
        (0, _) if args.name.is_some() => {
            Err(Failure::usage("--name is for standard input, which is -"))
        }
        (1, None) => Err(Failure::usage("standard input has no name")
            .hint("add --name NAME, for example --name live.mp4, or --key; ./- is a file")),
        (2.., _) => Err(Failure::usage("standard input can be read only once")),
        _ => Ok(()),
    }
}

/// What standard input is called: where nothing else is said, as the object.
fn name_of_stream(args: &UploadArgs) -> Option<&str> {
    let of_key = || args.key.as_deref()?.rsplit('/').next();
    args.name.as_deref().or_else(of_key).filter(|name| !name.is_empty())
}

/// The file with what is said about it.
fn described(
    Wanted { found, line }: &Wanted,
    args: &UploadArgs,
    place: &Place,
) -> Result<File, Failure> {
    let file = match name_of_stream(args) {
        Some(name) if is_stdin(&found.path) => File::reader(name, tokio::io::stdin()),
        _ if args.growing => growing::file(&found.path, args.until_idle),
        _ => File::path(&found.path),
    };
    let Some(line) = line else {
        return Ok(described::file(file, &args.media, &args.object, &args.callback));
    };
    let about = |mut failure: Failure| {
        failure.message = format!("{}: {}", found.path.display(), failure.message);
        failure
    };
    if line.has_place() && !matches!(place, Place::Store { .. }) {
        let failure = Failure::usage("endpoint, bucket and key go with --endpoint alone");
        return Err(about(failure.hint(CHOOSES_ITSELF)));
    }
    let media = line.media(&args.media);
    described::check(&media, place).map_err(about)?;
    let file = described::file(file, &media, &line.object(&args.object), &args.callback);
    Ok(file.priority(line.start_priority))
}

/// The files with what is known of where they go.
fn placed(
    files: Vec<File>,
    args: &UploadArgs,
    place: &Place,
    wanted: &[Wanted],
) -> Result<Vec<File>, Failure> {
    let (store, bucket) = match place {
        Place::Server { .. } | Place::Vod { .. } => return Ok(files),
        Place::Fixed { address, auth } if files.len() <= 1 => {
            let placed = |file: File| file.upload_auth(address.expose(), auth.expose());
            return files.into_iter().map(placed).collect::<Result<_, _>>().map_err(Failure::from);
        }
        Place::Fixed { .. } => {
            return Err(Failure::usage("an upload address is for one file, but more were named")
                .hint("run the command once per file, each with an address and auth of its own"));
        }
        Place::Store { store, bucket } => (store, bucket),
    };
    // Standard input goes by its name, but for where its bytes are.
    let keys = keys(args.key.as_deref(), args.name.as_deref(), wanted)?;
    let mut targets = Vec::with_capacity(files.len());
    for (key, Wanted { line, .. }) in keys.into_iter().zip(wanted) {
        let own =
            |part: fn(&Line) -> &Option<String>| line.as_ref().and_then(|line| part(line).clone());
        let bucket = own(|line| &line.bucket).or_else(|| bucket.clone());
        let bucket =
            bucket.ok_or_else(|| Failure::usage("no bucket named").hint("add --bucket NAME"))?;
        let endpoint = own(|line| &line.endpoint).unwrap_or_else(|| store.endpoint.clone());
        targets.push(Target { endpoint, bucket, key });
    }
    check_shared(&targets, wanted)?;
    Ok(files.into_iter().zip(targets).map(|(file, target)| store.place(file, target)).collect())
}

/// Two files under one key would leave one object.
fn check_shared(targets: &[Target], wanted: &[Wanted]) -> Result<(), Failure> {
    let mut taken = HashMap::new();
    for (target, Wanted { found, .. }) in targets.iter().zip(wanted) {
        if let Some(other) = taken.insert(target, &found.path) {
            let (other, path, key) = (other.display(), found.path.display(), &target.key);
            return Err(Failure::usage(format!("{other} and {path} would both become {key}"))
                .hint("upload them one by one, each with a --key of its own"));
        }
    }
    Ok(())
}

/// Whether a file of the command line is standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The object key of each file.
fn keys(key: Option<&str>, name: Option<&str>, files: &[Wanted]) -> Result<Vec<String>, Failure> {
    let folder = match (key, files) {
        (None, _) => "",
        (Some(""), _) => return Err(Failure::usage("--key is empty")),
        (Some(folder), _) if folder.ends_with('/') => folder,
        (Some(key), [Wanted { found: Found { below: None, .. }, line }]) => {
            let own = line.as_ref().and_then(|line| line.key.as_deref());
            return Ok(vec![own.unwrap_or(key).to_owned()]);
        }
        (Some(key), files) => {
            let count = files.len();
            return Err(Failure::usage(format!("{count} files cannot share the key {key}"))
                .hint("a --key that ends in / takes the file names behind it"));
        }
    };
    let key_of = |Wanted { found: Found { path, below }, line }: &Wanted| {
        if let Some(own) = line.as_ref().and_then(|line| line.key.clone()) {
            return Ok(own);
        }
        let called = match (below, path.file_name(), name) {
            (Some(below), ..) => folders::key_of(below),
            (None, _, Some(name)) if is_stdin(path) => name.to_owned(),
            (None, Some(name), _) => name.to_string_lossy().into_owned(),
            (None, None, _) => {
                let message = format!("no file name in {}", path.display());
                return Err(Failure::new(ExitCode::File, message));
            }
        };
        Ok(format!("{folder}{called}"))
    };
    files.iter().map(key_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(paths: &[&str]) -> Vec<Wanted> {
        let found = |path: &&str| Found { path: PathBuf::from(path), below: None };
        paths.iter().map(|path| Wanted { found: found(path), line: None }).collect()
    }

    fn keys_of(key: Option<&str>, paths: &[&str]) -> Result<Vec<String>, Failure> {
        keys(key, Some("live.mp4"), &wanted(paths))
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
        let mut found = wanted(&["x/a/b.mp4"]);
        found[0].found.below = Some("a/b.mp4".into());
        assert_eq!(keys(Some("v/"), None, &found).unwrap(), ["v/a/b.mp4"]);
        assert_eq!(keys(None, None, &found).unwrap(), ["a/b.mp4"]);
        assert_eq!(keys(Some("v"), None, &found).unwrap_err().exit, ExitCode::Usage);
    }

    #[test]
    fn no_two_files_share_a_key() {
        for key in [Some("k"), Some("")] {
            assert_eq!(keys_of(key, &["a", "b"]).unwrap_err().exit, ExitCode::Usage);
        }
        assert_eq!(keys_of(None, &[".."]).unwrap_err().exit, ExitCode::File);
        let shared = |paths: &[&str], buckets: [&str; 2]| {
            let keys = keys_of(None, paths).unwrap().into_iter().zip(buckets);
            let target = |(key, bucket): (String, &str)| Target {
                endpoint: "http://h".to_owned(),
                bucket: bucket.to_owned(),
                key,
            };
            check_shared(&keys.map(target).collect::<Vec<_>>(), &wanted(paths))
        };
        assert_eq!(shared(&["x/a", "y/a"], ["b", "b"]).unwrap_err().exit, ExitCode::Usage);
        assert!(shared(&["x/a", "y/a"], ["b", "c"]).is_ok());
        assert!(shared(&["x/a", "y/b"], ["b", "b"]).is_ok());
    }
}
