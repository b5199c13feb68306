//! Standard input: uploaded while it comes, and resumed when it is fed again.

mod common;

use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::{fs, io};

use crate::common::observer::Observer;
use crate::common::{Line, Process, Ran, TestEnv, bytes};

const UPLOAD: &[&str] = &["upload", "-", "--name", "live.mp4", "--json"];
const PART: u64 = 102_400;

fn object_of(done: &Line) -> String {
    format!("{}/{}", done.text("bucket"), done.text("key"))
}

#[test]
fn what_is_fed_arrives_whole() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    for length in [0, 1_000, 102_400, 3_000_001] {
        let content = fs::read(env.file("fed", length)).unwrap();
        let mut upload = env.command(&[UPLOAD, &["--server", &server.url]].concat());
        let ran = Ran::of(upload.stdin(File::open(env.path("fed")).unwrap())).ok();
        let done = ran.event("succeeded");
        assert_eq!(done.number("bytes"), length as u64);
        assert_eq!(done.value["verified"], true);
        assert!(env.get(&server, &object_of(&done)) == content, "{length}");
    }
}

#[test]
fn a_key_is_name_enough() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let keys = server.data.join("keys.toml");
    let place =
        ["--endpoint", &server.url, "--bucket", "vod-media", "--keys-file", keys.to_str().unwrap()];
    let content = fs::read(env.file("fed", 300_000)).unwrap();
    for (key, path) in [("live/a.mp4", "vod-media/live/a.mp4"), ("a.mp4", "vod-media/a.mp4")] {
        let mut upload = env.command(&[&["upload", "-", "--key", key], &place[..]].concat());
        Ran::of(upload.stdin(File::open(env.path("fed")).unwrap())).ok();
        assert!(env.get(&server, path) == content, "{key}");
    }
    env.run(&[&["upload", "-", "--key", "live/"], &place[..]].concat()).fails(2, "--name");
}

#[test]
fn parts_leave_before_the_end_is_known() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let (out, mut into) = io::pipe().unwrap();
    let more = ["--server", &server.url, "--part-size", "102400"];
    let mut upload = env.command(&[UPLOAD, &more].concat());
    upload.stdin(Stdio::from(out));
    let mut upload = Process::spawn(upload);
    let content = bytes(7, 500_000);
    into.write_all(&content[..400_000]).unwrap();
    let mut parts = 0;
    upload.wait_for(|line| {
        parts += usize::from(line.event == "part");
        parts == 3
    });
    into.write_all(&content[400_000..]).unwrap();
    drop(into);
    let rest = upload.rest();
    assert_eq!(upload.end().0, Some(0));
    let done = rest.iter().find(|line| line.event == "succeeded").unwrap();
    assert!(env.get(&server, &object_of(done)) == content);
}

#[test]
fn killed_and_fed_again_it_sends_only_what_is_missing() {
    let env = TestEnv::new();
    let observer = Observer::new();
    let server = env.serve(&["--public-endpoint", &observer.url]);
    observer.forward_to(server.address());
    let content = fs::read(env.file("fed", 20 * PART as usize)).unwrap();
    let more = ["--server", &server.url, "--part-size", "102400", "--parallel", "2"];
    let with = |limit: &[&str]| {
        let mut upload = env.command(&[UPLOAD, &more, limit].concat());
        upload.stdin(File::open(env.path("fed")).unwrap());
        upload
    };
    let mut first = Process::spawn(with(&["--limit", "500KiB/s"]));
    let mut told = 0;
    first.wait_for(|line| {
        told += usize::from(line.event == "part");
        told == 5
    });
    first.kill();
    let again = observer.next_run();
    let ran = Ran::of(&mut with(&[])).ok();
    let found = ran.event("resumed").number("parts");
    assert!(found >= told as u64, "{ran:#?}");
    let sent = observer.exchanges().iter().filter(|one| one.run == again && one.is_part()).count();
    assert_eq!(found + sent as u64, 20, "{ran:#?}");
    assert!(env.get(&server, &object_of(&ran.event("succeeded"))) == content);
}

#[test]
fn an_interruption_does_not_wait_for_a_silent_writer() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let (out, into) = io::pipe().unwrap();
    let mut upload = env.command(&[UPLOAD, &["--server", &server.url]].concat());
    upload.stdin(Stdio::from(out));
    let mut upload = Process::spawn(upload);
    upload.wait_for(|line| line.event == "started");
    upload.signal("INT");
    let (code, said) = upload.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("vodferry upload - --name live.mp4"), "{said}");
    drop(into);
}
