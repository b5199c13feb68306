//! Ctrl-C keeps what was sent and says how to go on; so does a second process; `resume` goes on.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Process, Server, TestEnv};

/// Uploads slowly until two parts are acknowledged, then interrupts; gives stderr and the events.
fn interrupted(
    env: &TestEnv,
    server: &Server,
    signal: &str,
) -> (Option<i32>, String, Vec<common::Line>) {
    let mut upload = env.spawn_upload(server, &["a.mp4", "--limit", "1MiB/s", "--parallel", "2"]);
    let mut parts = 0;
    let mut events = upload.wait_for(|line| {
        parts += u32::from(line.event == "part");
        parts == 2
    });
    upload.signal(signal);
    events.extend(upload.rest());
    let (code, stderr) = upload.end();
    (code, stderr, events)
}

fn sent(events: &[common::Line]) -> Vec<u64> {
    events.iter().filter(|line| line.event == "part").map(|line| line.number("number")).collect()
}

#[test]
fn ctrl_c_prints_the_command_that_goes_on_and_it_does() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 8 << 20);
    let (code, stderr, events) = interrupted(&env, &server, "INT");
    assert_eq!(code, Some(130), "{stderr}");
    let ended = events.last().unwrap();
    assert_eq!((ended.event.as_str(), ended.number("unfinished")), ("ended", 1));
    assert_eq!(ended.value["interrupted"], true);
    let line = stderr.lines().find_map(|line| line.split_once("to go on: ")).expect(&stderr);
    let goes_on =
        format!("vodferry resume --server {} --parallel 2 --limit 1048576 a.mp4", server.url);
    assert_eq!(line.1, goes_on);

    let listed = env.run(&["resume", "--list"]).ok();
    assert!(listed.stdout.contains("a.mp4\t"), "{listed:?}");
    let words: Vec<_> = line.1.split(' ').skip(1).chain(["--json"]).collect();
    let ran = env.run(&words).ok();
    let again = ran.events();
    assert!(sent(&again).iter().all(|part| !sent(&events).contains(part)), "{ran:?}");
    assert!(ran.event("resumed").number("parts") >= 2, "{ran:?}");
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(file).unwrap());
    assert_eq!(env.run(&["resume", "--list"]).ok().stdout, "");
    let ran = env.run(&["resume", "--server", &server.url]).ok();
    assert!(ran.stderr.contains("nothing is unfinished"), "{ran:?}");
}

#[test]
fn what_no_checkpoint_keeps_is_said_again_and_what_is_done_is_not() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("done.mp4", 200_000);
    env.file("a.mp4", 8 << 20);
    let keys = server.keys_file();
    let place =
        ["--endpoint", &server.url, "--bucket", "vod-media", "--keys-file", keys.to_str().unwrap()];
    let args =
        ["upload", "--json", "done.mp4", "a.mp4", "--limit", "1MiB/s", "--metadata", "by=me"];
    let mut upload = Process::spawn(env.command(&[&args[..], &place].concat()));
    upload.wait_for(|line| line.event == "part" && line.number("file") == 2);
    upload.signal("INT");
    upload.rest();
    let (_, stderr) = upload.end();
    let line = stderr.lines().find_map(|line| line.split_once("to go on: ")).expect(&stderr).1;
    assert!(line.contains("upload --json a.mp4 ") && line.contains("--metadata by=me"), "{line}");
    let words: Vec<_> = line.split(' ').skip(1).collect();
    let ran = env.run(&words).ok();
    assert_eq!(ran.event("ended").number("succeeded"), 1, "{ran:?}");
    assert!(ran.event("resumed").number("parts") >= 1, "{ran:?}");
    assert_eq!(ran.event("succeeded").text("key"), "a.mp4");
}

#[test]
fn sigterm_does_the_same_and_upload_goes_on_too() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 6 << 20);
    let (code, _, events) = interrupted(&env, &server, "TERM");
    assert_eq!(code, Some(130));
    fs::rename(env.path("a.mp4"), env.path("moved.mp4")).unwrap();
    env.run(&["resume", "--server", &server.url]).fails(8, "no longer there");
    // By its new path it is found, whichever verb is used.
    let resume = ["resume", "--json", "--server", &server.url, "moved.mp4", "--limit", "500KiB/s"];
    let mut resume = Process::spawn(env.command(&resume));
    let mut parts = sent(&resume.wait_for(|line| line.event == "part"));
    resume.kill();
    let ran = env.run(&["upload", "--json", "--server", &server.url, "moved.mp4"]).ok();
    parts.extend(sent(&ran.events()));
    assert!(parts.iter().all(|part| !sent(&events).contains(part)), "{ran:?}");
}

#[test]
fn resume_with_keys_needs_no_key_named_again() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 6 << 20);
    let keys = server.keys_file();
    let place =
        ["--endpoint", &server.url, "--bucket", "vod-media", "--keys-file", keys.to_str().unwrap()];
    let upload = ["upload", "--json", "a.mp4", "--key", "v/电影.mp4", "--limit", "1MiB/s"];
    let mut upload = Process::spawn(env.command(&[&upload[..], &place].concat()));
    upload.wait_for(|line| line.event == "part");
    upload.kill();
    env.run(&["resume", "--server", &server.url]).fails(2, "for another place");
    let ran = env.run(&[&["resume", "--json", "a.mp4"][..], &place].concat()).ok();
    let done = ran.event("succeeded");
    assert_eq!(done.text("key"), "v/电影.mp4");
    assert!(ran.event("resumed").number("parts") >= 1);
    assert!(env.get(&server, "vod-media/v/电影.mp4") == fs::read(file).unwrap());
}

#[test]
fn resume_of_what_was_never_begun_says_so() {
    let env = TestEnv::new();
    env.file("a.mp4", 10);
    let ran = env.run(&["resume", "a.mp4", "--server", "http://127.0.0.1:1"]);
    ran.fails(8, "no unfinished upload of a.mp4");
}

#[test]
fn two_uploads_of_one_file_at_once_do_not_disturb_each_other() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 5 << 20);
    let mut first = env.spawn_upload(&server, &["a.mp4", "--limit", "2MiB/s"]);
    first.wait_for(|line| line.event == "part");
    let ran = env.run(&["upload", "--json", "--server", &server.url, "a.mp4"]).fails(7, "a.mp4");
    assert_eq!(ran.event("failed").text("kind"), "busy");
    let done = first.rest().into_iter().find(|line| line.event == "succeeded").unwrap();
    assert_eq!(first.end().0, Some(0));
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(file).unwrap());
}

#[test]
fn checkpoints_hold_no_secret_and_damaged_ones_do_no_harm() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 4 << 20);
    interrupted(&env, &server, "INT");
    let records = files_of(&env.record_dir());
    assert_eq!(records.len(), 1, "{records:?}");
    let text = fs::read_to_string(&records[0]).unwrap();
    assert!(!text.contains("CAIS") && !text.contains("STS."), "{text}");

    // A torn tail is cut: the upload goes on.
    fs::write(&records[0], &text[..text.len() - 5]).unwrap();
    let mut upload = env.spawn_upload(&server, &["a.mp4", "--limit", "1MiB/s"]);
    upload.wait_for(|line| line.event == "resumed");
    upload.kill();

    // A foreign file is left alone: the upload begins anew, with a warning.
    fs::write(&records[0], b"\x00\xff this is somebody else's\n").unwrap();
    let ran = env.run(&["upload", "--json", "--server", &server.url, "a.mp4"]).ok();
    assert!(ran.events().iter().any(|line| line.event == "warning"), "{ran:?}");
    assert!(ran.events().iter().all(|line| line.event != "resumed"), "{ran:?}");
    assert_eq!(fs::read(&records[0]).unwrap(), b"\x00\xff this is somebody else's\n");
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(file).unwrap());
}

#[test]
fn without_records_the_command_is_the_one_typed_but_for_secrets() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 8 << 20);
    let keys = fs::read_to_string(server.keys_file()).unwrap();
    let token = keys.lines().find_map(|line| line.strip_prefix("app_server_token = "));
    let token = token.unwrap().trim_matches('"');
    let args = ["a.mp4", "--limit", "1MiB/s", "--no-record", "--token", token];
    let mut upload = env.spawn_upload(&server, &args);
    upload.wait_for(|line| line.event == "part");
    upload.signal("INT");
    let (code, stderr) = upload.end();
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("to go on: vodferry upload --json"), "{stderr}");
    assert!(stderr.contains("--token \"$VODFERRY_TOKEN\"") && !stderr.contains(token), "{stderr}");
}

#[test]
fn an_interruption_does_not_wait_for_a_silent_server() {
    let env = TestEnv::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    env.file("a.mp4", 200_000);
    let mut upload = Process::spawn(env.command(&["upload", "--json", "--server", &url, "a.mp4"]));
    upload.wait_for(|line| line.event == "started");
    let began = Instant::now();
    upload.signal("INT");
    let (code, stderr) = upload.end();
    assert_eq!(code, Some(130), "{stderr}");
    assert!(began.elapsed() < Duration::from_secs(8), "the time-outs are longer");
    assert!(
        stderr.contains("to go on: vodferry upload --json"),
        "not begun, so nothing to resume: {stderr}"
    );
}

fn files_of(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
