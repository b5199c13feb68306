//! `vodferry fsck`: exit codes, lines, and the folder of a running server.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::TestEnv;

/// The blobs of a data folder.
fn blobs(data: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(data.join("blobs")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn a_folder_is_checked_when_its_server_has_stopped() {
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    let film = env.file("film.mp4", 3_000_000);
    let film = film.to_str().unwrap();
    let ran = env.run(&["upload", film, "--server", &server.url]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let data = server.data.clone();
    let check = ["fsck", "--data", data.to_str().unwrap()];
    let ran = env.run(&check).fails(8, "another server uses");
    assert!(ran.stderr.contains("hint: stop the server"), "{ran:?}");
    server.process.signal("TERM");
    server.process.end();

    let with = |flag: &'static str| env.run(&[&check[..], &[flag]].concat());
    for ran in [env.run(&check), with("--verify-hashes"), with("--repair")] {
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("1 objects") && ran.stdout.ends_with(": clean\n"), "{ran:?}");
    }
    let blob = blobs(&data).remove(0);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[17] ^= 1;
    fs::write(&blob, bytes).unwrap();
    assert_eq!(env.run(&check).code, Some(0), "the length is right");
    let ran = with("--verify-hashes");
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(
        ran.stdout.starts_with("problem: blob ") && ran.stdout.contains("1 problem"),
        "{ran:?}"
    );
    fs::remove_file(&blob).unwrap();
    let ran = with("--repair");
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stdout.contains("is missing"), "{ran:?}");
}

#[test]
fn what_is_no_data_folder_is_told() {
    let env = TestEnv::new();
    let ran = env.run(&["fsck"]).fails(8, "no data folder");
    assert!(ran.stderr.contains("--data"), "{ran:?}");
    assert!(!env.path("vodferry-data").exists(), "a look makes nothing");
}
