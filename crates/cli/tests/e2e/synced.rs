//! A success means durable: what it rests on is synced before it is told, by the server, by the client's records and by a backup.

use std::fs;

use crate::common::strace::Step::{Named, Sent, Synced};
use crate::common::strace::Trace;
use crate::common::{Ran, TestEnv};

const LOG: &str = "meta.sqlite-wal";
const OK: &str = "HTTP/1.1 200";

#[test]
fn a_server_answers_when_all_is_synced() {
    let env = TestEnv::new();
    let command = env.serve_command("127.0.0.1:0", &[]);
    let Some((trace, command)) = Trace::of(&env, "server.trace", &command) else { return };
    let server = env.served_by(command);
    let folder = env.path("");
    let parent = folder.to_str().unwrap().trim_end_matches('/');
    trace.shows(0, &[Synced(parent), Sent("listening on")]);
    trace.shows(0, &[Synced(".new"), Named("keys.toml"), Synced("/data"), Sent("listening on")]);
    let keys = server.keys_file();
    let place =
        ["--endpoint", &server.url, "--bucket", "vod-media", "--keys-file", keys.to_str().unwrap()];
    let upload = |name: &str, key: &str| {
        let args = ["upload", name, "--key", key, "--part-size", "1MiB", "--parallel", "1"];
        env.run(&[&args[..], &place].concat()).ok();
    };

    // In a row of the database.
    env.file("small", 1_000);
    let start = trace.here();
    upload("small", "small");
    trace.shows(start, &[Synced(LOG), Sent(OK)]);

    // Initiate, one part, Complete.
    env.file("film.mp4", 1 << 20);
    let start = trace.here();
    upload("film.mp4", "film.mp4");
    let blobs = blobs(&server.data.join("blobs"));
    let [blob] = &blobs[..] else { panic!("{blobs:?}") };
    let (two, name) = blob.split_once('/').unwrap();
    let (draft, folder) = (format!("/data/tmp/{name}"), format!("/data/blobs/{two}"));
    let steps = [
        Synced(LOG),
        Sent(OK),
        Synced(&draft),
        Named(blob),
        Synced(&folder),
        Synced(LOG),
        Sent(OK),
        Synced(LOG),
        Sent(OK),
    ];
    trace.shows(start, &steps);
}

/// Killed between a commit and its sync, a server leaves in the log what the next one reads as committed.
#[test]
fn a_server_syncs_the_log_that_it_finds() {
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    server.kill();
    assert!(fs::metadata(server.data.join(LOG)).unwrap().len() > 0);
    let command = env.serve_command("127.0.0.1:0", &[]);
    let Some((trace, command)) = Trace::of(&env, "server.trace", &command) else { return };
    let _server = env.served_by(command);
    trace.shows(0, &[Synced(LOG), Synced("/data"), Sent("listening on")]);
}

/// `xx/name` of each blob.
fn blobs(folder: &std::path::Path) -> Vec<String> {
    let names = |folder: &std::path::Path| -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect()
    };
    let folders = names(folder).into_iter();
    folders
        .flat_map(|two| {
            names(&folder.join(&two)).into_iter().map(move |name| format!("{two}/{name}"))
        })
        .collect()
}

#[test]
fn a_client_s_records_are_synced_before_what_needs_them() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("film.mp4", 600_000);
    let keys = server.keys_file();
    let mut command = env.command(&["upload", "film.mp4", "--key", "film.mp4", "--parallel", "1"]);
    command.args(["--part-size", "256KiB", "--endpoint", &server.url, "--bucket", "vod-media"]);
    command.arg("--keys-file").arg(keys);
    let Some((trace, mut command)) = Trace::of(&env, "client.trace", &command) else { return };
    let records = env.record_dir();
    let above = records.parent().unwrap().to_str().unwrap().to_owned();
    Ran::of(&mut command).ok();
    // The name of a record is the hash of what it is of.
    let record = trace.synced_under(records.to_str().unwrap());
    let steps = [
        Synced(&above),
        Sent("?uploads"),
        Synced(&record),
        Synced("vodferry/uploads"),
        Sent("partNumber=1&"),
        Sent("partNumber=3&"),
        Synced(&record),
        Sent("POST /vod-media/film.mp4?uploadId="),
    ];
    trace.shows(0, &steps);
}

#[test]
fn a_backup_is_synced_when_it_says_whole() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("film.mp4", 2 << 20);
    env.run(&["upload", "--server", &server.url, "film.mp4", "--part-size", "1MiB"]).ok();
    let data = server.data.to_str().unwrap();
    for more in [&[][..], &["--copy"]] {
        let to = format!("backup{}", more.len());
        let args = [&["admin", "--data", data, "backup", to.as_str()], more].concat();
        let trace = format!("{to}.trace");
        let Some((trace, mut command)) = Trace::of(&env, &trace, &env.command(&args)) else {
            return;
        };
        Ran::of(&mut command).ok();
        for blob in blobs(&env.path(&to).join("blobs")) {
            let (path, two) = (format!("{to}/blobs/{blob}"), format!("{to}/blobs/{}", &blob[..2]));
            let named = [Named(&path), Synced(&two), Synced(&to), Sent(": whole")];
            trace.shows(0, &named);
            if !more.is_empty() {
                let draft = format!("{to}/tmp/{}", &blob[3..]);
                trace.shows(0, &[Synced(&draft), Named(&path)]);
            }
        }
        let kept = ["meta.sqlite", "keys.toml"].map(|name| format!("{to}/{name}"));
        for name in &kept {
            trace.shows(0, &[Synced(".new"), Named(name), Synced(&to), Sent(": whole")]);
        }
    }
}
