//! `vodferry admin backup`: taken under a running server, and a server started on it.

mod common;

use std::fs;

use common::TestEnv;
use serde_json::Value;

#[test]
fn a_backup_is_a_data_folder() {
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    let film = env.file("film.mp4", 3_000_000);
    let ran = env.run(&["upload", film.to_str().unwrap(), "--server", &server.url]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let object = ran.stdout.trim_end().rsplit('\t').next().unwrap().to_owned();
    let data = server.data.to_str().unwrap().to_owned();
    let (to, next) = (env.path("backups/one"), env.path("backups/two"));
    let (to, next) = (to.to_str().unwrap(), next.to_str().unwrap());
    let backup = |args: &[&str]| env.run(&[&["admin", "--data", &data, "backup"], args].concat());
    let ran = backup(&[to]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("1 objects, 1 videos, 0 unfinished uploads, "), "{ran:?}");
    assert!(ran.stdout.ends_with(" 3000000 bytes: whole\n"), "{ran:?}");
    let ran = backup(&[to]).fails(8, "is not empty");
    assert!(ran.stderr.contains("hint: each backup has a folder of its own"), "{ran:?}");
    let ran = backup(&[next, "--previous", to, "--copy", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&told["objects"], &told["copied"]), (&1.into(), &0.into()), "{told}");

    // The machine is lost; a server on the backup has the film, and its keys open it.
    server.process.signal("KILL");
    server.process.end();
    fs::remove_dir_all(&data).unwrap();
    for folder in [to, next] {
        let ran = env.run(&["fsck", "--verify-hashes", "--data", folder]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let ran = env.run(&["admin", "backup", &data, "--data", to]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let server = env.serve(&[]);
    assert_eq!(env.get(&server, &object), fs::read(&film).unwrap());
    let ran = env.run(&["upload", film.to_str().unwrap(), "--server", &server.url]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // What became of it there is nothing to the backup.
    let ran = env.run(&["fsck", "--data", to]);
    assert!(ran.stdout.contains("\n1 objects, 1 videos, "), "{ran:?}");
}

#[test]
fn what_cannot_be_saved_is_told() {
    let env = TestEnv::new();
    let to = env.path("backup");
    let to = to.to_str().unwrap();
    let ran = env.run(&["admin", "backup", to]).fails(8, "no data folder");
    assert!(ran.stderr.contains("hint: --data"), "{ran:?}");
    assert!(!env.path("backup").exists());
    let server = env.serve(&[]);
    let film = env.file("film.mp4", 300_000);
    let ran = env.run(&["upload", film.to_str().unwrap(), "--server", &server.url]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for folder in fs::read_dir(server.data.join("blobs")).unwrap() {
        fs::remove_dir_all(folder.unwrap().path()).unwrap();
    }
    let ran = env.run(&["admin", "--data", server.data.to_str().unwrap(), "backup", to]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stdout.starts_with("problem: blob ") && ran.stdout.contains("is missing\n"));
}
