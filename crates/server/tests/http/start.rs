//! A first start that was cut at any step, folders of another release, and folders that may not be
//! written: the next start works, or says why not.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;
use vodferry_oss::Method;
use vodferry_server::keys::Keys;
use vodferry_server::store::{FsckOptions, fsck};
use vodferry_server::{ServeError, serve};

use crate::support::{Server, config, log_is_gone};

/// Starts on `data` and uses what has started.
async fn works(data: &Path, what: &str) {
    let running = serve(config(data)).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let keys = Keys::load(&data.join("keys.toml")).unwrap();
    let server = Server { running, folder: TempDir::new().unwrap(), keys };
    assert_eq!(server.put("k", b"film").await.status, 200, "{what}");
    assert_eq!(server.get("k").await.body, b"film", "{what}");
    server.running.shutdown().await;
    let names = fs::read_dir(data).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.ends_with(".new")).collect();
    assert!(left.is_empty(), "{what}: secrets are left in {left:?}");
}

#[tokio::test]
async fn a_first_start_may_be_cut_at_any_step() {
    let whole = TempDir::new().unwrap();
    serve(config(whole.path())).await.unwrap().shutdown().await;
    let keys = fs::read(whole.path().join("keys.toml")).unwrap();
    let private = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).unwrap();
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    // Each step is done on top of those before it, and the start is tried on a copy.
    let data = TempDir::new().unwrap();
    let data = data.path();
    type Step<'a> = (&'a str, Box<dyn Fn(&Path) + 'a>);
    let steps: Vec<Step<'_>> = vec![
        ("the folder", Box::new(|_| ())),
        ("the lock", Box::new(|at| fs::write(at.join("lock"), b"").unwrap())),
        ("tmp", Box::new(|at| fs::create_dir(at.join("tmp")).unwrap())),
        ("blobs", Box::new(|at| fs::create_dir(at.join("blobs")).unwrap())),
        ("half the keys", Box::new(|at| private(&at.join("keys.Ab1.new"), &keys[..100]))),
        ("the keys without their name", Box::new(|at| private(&at.join("keys.Ab1.new"), &keys))),
        ("the keys with two names", Box::new(|at| private(&at.join("keys.toml"), &keys))),
        ("the keys", Box::new(|at| fs::remove_file(at.join("keys.Ab1.new")).unwrap())),
        ("an empty database", Box::new(|at| fs::write(at.join("meta.sqlite"), b"").unwrap())),
        (
            "a database without tables",
            Box::new(|at| {
                let db = Connection::open(at.join("meta.sqlite")).unwrap();
                db.pragma_update(None, "journal_mode", "WAL").unwrap();
            }),
        ),
        (
            "a database without its bucket",
            Box::new(|at| {
                fs::copy(whole.path().join("meta.sqlite"), at.join("meta.sqlite")).unwrap();
                let db = Connection::open(at.join("meta.sqlite")).unwrap();
                db.execute("DELETE FROM bucket", []).unwrap();
            }),
        ),
    ];
    for (what, step) in steps {
        step(data);
        let copy = TempDir::new().unwrap();
        copy_tree(data, copy.path());
        works(copy.path(), what).await;
        let report = fsck(copy.path(), FsckOptions { verify_hashes: true, ..Default::default() });
        assert!(report.unwrap().is_clean(), "{what}");
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// A new database would know none of the blobs, and its janitor would delete them.
#[tokio::test]
async fn a_database_that_is_lost_is_not_replaced() {
    let data = TempDir::new().unwrap();
    let data = data.path();
    let server = Server::with(|config| config.data = data.to_owned()).await;
    let film = crate::support::noise(20_000, 1);
    assert_eq!(server.put("film", &film).await.status, 200);
    server.running.shutdown().await;
    let path = data.join("meta.sqlite");
    log_is_gone(data).await;
    let kept = TempDir::new().unwrap();
    for name in ["meta.sqlite", "keys.toml"] {
        fs::copy(data.join(name), kept.path().join(name)).unwrap();
    }
    let refused = async |what: &str| {
        let error = serve(config(data)).await.unwrap_err().to_string();
        assert!(error.contains("restore") && error.contains("meta.sqlite"), "{what}: {error}");
        let error = fsck(data, FsckOptions { repair: true, ..Default::default() }).unwrap_err();
        assert!(error.to_string().contains("restore"), "{what}: {error}");
    };
    fs::remove_file(&path).unwrap();
    refused("without a database").await;
    assert!(!path.exists());
    fs::write(&path, b"").unwrap();
    refused("with an empty file").await;
    fs::remove_file(&path).unwrap();
    fs::remove_file(data.join("keys.toml")).unwrap();
    refused("without keys and database").await;
    assert!(!data.join("keys.toml").exists(), "no new keys either");

    copy_tree(kept.path(), data);
    let server = Server::with(|config| config.data = data.to_owned()).await;
    assert!(server.get("film").await.body == film);
}

/// Here a new database would be one that has nothing of what was saved or committed.
#[tokio::test]
async fn no_server_starts_on_half_a_backup_or_on_a_log_alone() {
    let (half, log) = ("meta.sqlite.new", "meta.sqlite-wal");
    for (files, said) in [
        (vec![(half, "")], "backup that was interrupted"),
        (vec![(half, "SQLite format 3")], "backup that was interrupted"),
        (vec![(half, "SQLite"), ("meta.sqlite", "")], "backup that was interrupted"),
        (vec![(log, "commits")], "meta.sqlite-wal holds what was committed"),
        (vec![(log, "commits"), ("meta.sqlite", "")], "meta.sqlite-wal holds what was committed"),
    ] {
        let data = TempDir::new().unwrap();
        let data = data.path();
        for (name, text) in &files {
            fs::write(data.join(name), text).unwrap();
        }
        for folders in [&[][..], &["tmp"], &["blobs"]] {
            folders.iter().for_each(|name| {
                let _ = fs::create_dir(data.join(name));
            });
            let error = serve(config(data)).await.err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|e| e.contains(said)), "{files:?}: {error:?}");
            assert!(!data.join("keys.toml").exists(), "{files:?}: no new keys");
            for (name, text) in &files {
                assert_eq!(fs::read_to_string(data.join(name)).unwrap(), *text, "{files:?}");
            }
        }
    }
    // An empty log is what a first start may leave.
    let data = TempDir::new().unwrap();
    fs::write(data.path().join(log), "").unwrap();
    works(data.path(), "an empty log").await;
}

#[tokio::test]
async fn leftovers_of_a_life_that_was_cut_are_removed() {
    let data = TempDir::new().unwrap();
    works(data.path(), "a new folder").await;
    let half = data.path().join("tmp/0123456789abcdef0123456789abcdef");
    fs::write(&half, b"half").unwrap();
    works(data.path(), "a half-written blob").await;
    assert!(!half.exists());
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let data = TempDir::new().unwrap();
    works(data.path(), "a new folder").await;
    let path = data.path().join("meta.sqlite");
    let set = |pragma: &str, value: i64| {
        Connection::open(&path).unwrap().pragma_update(None, pragma, value).unwrap();
    };
    let own: i64 = Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    set("user_version", 99);
    let error = serve(config(data.path())).await.unwrap_err();
    assert!(matches!(error, ServeError::Database(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("version 99") && said.contains("up to "), "{said}");
    assert!(said.contains("meta.sqlite") && said.contains("newer"), "{said}");
    let version: i64 = Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
    set("user_version", own);
    works(data.path(), "the release that made it").await;
    set("application_id", 7);
    let error = serve(config(data.path())).await.unwrap_err();
    assert!(error.to_string().contains("is not a database of this server"), "{error}");
    fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let error = serve(config(data.path())).await.unwrap_err();
    assert!(error.to_string().contains("meta.sqlite"), "{error}");
}

#[tokio::test]
async fn a_request_for_nothing_answers_after_every_start() {
    let data = TempDir::new().unwrap();
    for _ in 0..3 {
        let running = serve(config(data.path())).await.unwrap();
        let head = b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let response = crate::support::exchange(running.addr(), Method::Get, head).await;
        assert_eq!(response.status, 200);
        running.shutdown().await;
    }
}
