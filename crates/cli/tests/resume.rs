//! `vodferry resume` goes on with the file and the place an upload was begun with, or sends nothing.

mod common;

use std::fs;
use std::io::Write;

use common::{Process, Ran, Server, TestEnv};

const LENGTH: usize = 6 << 20;

/// Begins to upload `name` through the application server, and dies.
fn begin(env: &TestEnv, server: &Server, name: &str) {
    let mut upload = env.spawn_upload(server, &[name, "--limit", "1MiB/s"]);
    upload.wait_for(|line| line.event == "part");
    upload.kill();
}

fn listed(env: &TestEnv) -> Vec<serde_json::Value> {
    let ran = env.run(&["resume", "--list", "--json"]).ok();
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_file_that_changed_is_not_sent_as_a_new_one() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", LENGTH);
    begin(&env, &server, "a.mp4");
    assert_eq!(listed(&env)[0]["state"], "unchanged");
    let long = fs::read(&file).unwrap();
    for changed in [&long[..LENGTH - 1], &[&long[..], b"more"].concat(), &[0; LENGTH][..]] {
        fs::write(&file, changed).unwrap();
        for files in [&["a.mp4"][..], &[]] {
            let ran = env.run(&[&["resume", "--json", "--server", &server.url], files].concat());
            let ran = ran.fails(6, "a.mp4");
            assert!(ran.stderr.contains("hint: `vodferry upload`"), "{ran:?}");
            assert_eq!(ran.stdout, "", "nothing was sent");
        }
    }
    assert_eq!(listed(&env)[0]["state"], "changed");
    assert!(env.run(&["resume", "--list"]).ok().stdout.contains("\tchanged\n"));

    // What it is now has an upload of its own, which goes on beside the record of what it was.
    begin(&env, &server, "a.mp4");
    assert_eq!(listed(&env).len(), 2);
    let ran = env.run(&["resume", "--json", "--server", &server.url]).ok();
    assert!(ran.event("resumed").number("parts") >= 1, "{ran:?}");
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(&file).unwrap());
}

#[test]
fn a_file_that_was_moved_into_the_place_of_another_goes_on() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    for name in ["a.mp4", "b.mp4"] {
        env.file(name, LENGTH);
        begin(&env, &server, name);
    }
    fs::rename(env.path("b.mp4"), env.path("a.mp4")).unwrap();
    let ran = env.run(&["resume", "a.mp4", "--json", "--server", &server.url]).ok();
    assert!(ran.event("resumed").number("parts") >= 1, "{ran:?}");
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(env.path("a.mp4")).unwrap());
    // What was begun of the other waits for it.
    assert_eq!(listed(&env)[0]["state"], "changed");
    env.run(&["resume", "a.mp4", "--server", &server.url]).fails(6, "a.mp4");
}

#[test]
fn what_cannot_go_on_is_forgotten_on_demand() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    for name in ["changed.mp4", "gone.mp4", "good.mp4"] {
        env.file(name, LENGTH);
        begin(&env, &server, name);
    }
    fs::write(env.path("changed.mp4"), "x").unwrap();
    fs::remove_file(env.path("gone.mp4")).unwrap();
    let mut states: Vec<_> =
        listed(&env).iter().map(|line| line["state"].as_str().unwrap().to_owned()).collect();
    states.sort();
    assert_eq!(states, ["changed", "missing", "unchanged"]);
    env.run(&["resume", "gone.mp4", "--server", &server.url]).fails(8, "no longer there");

    let ran = env.run(&["resume", "--forget"]).ok();
    assert!(ran.stdout.contains("changed.mp4\t") && ran.stdout.contains("gone.mp4\t"), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 2, "{ran:?}");
    assert_eq!(listed(&env).len(), 1);
    env.run(&["resume", "--forget", "other.mp4"]).fails(8, "no unfinished upload of other.mp4");
    env.run(&["resume", "--forget", "--list"]).fails(2, "--list");

    let mut upload = env.spawn_resume(&server, &["--limit", "100KiB/s"]);
    upload.wait_for(|line| line.event == "resumed");
    env.run(&["resume", "--forget", "good.mp4"]).fails(7, "holds the checkpoint");
    upload.kill();
    env.run(&["resume", "--forget", "good.mp4"]).ok();
    assert!(listed(&env).is_empty());
}

#[test]
fn what_has_no_length_is_neither_changed_nor_missing() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let content = fs::read(env.file("fed", LENGTH)).unwrap();
    fs::write(env.path("g.mp4"), &content).unwrap();
    let slow = ["--server", &server.url, "--part-size", "102400", "--limit", "1MiB/s", "--json"];
    let feed = |args: &[&str]| {
        let (out, into) = std::io::pipe().unwrap();
        let mut command = env.command(&[args, &slow].concat());
        command.stdin(std::process::Stdio::from(out));
        (Process::spawn(command), into)
    };
    let (mut growing, mut announced) = feed(&["upload", "--growing", "g.mp4"]);
    announced.write_all(b"{\"ready\": [0, 4000000]}\n").unwrap();
    let (mut stream, mut fed) = feed(&["upload", "-", "--name", "live.mp4"]);
    fed.write_all(&content[..400_000]).unwrap();
    for upload in [&mut growing, &mut stream] {
        upload.wait_for(|line| line.event == "part");
        upload.kill();
    }
    let states = |env: &TestEnv| {
        let mut states: Vec<_> =
            listed(env).iter().map(|line| line["state"].as_str().unwrap().to_owned()).collect();
        states.sort();
        states
    };
    assert_eq!(states(&env), ["growing", "stream"]);
    let ran = env.run(&["resume", "--server", &server.url]).ok();
    assert!(ran.stderr.contains("the same `vodferry upload --growing` goes on"), "{ran:?}");
    assert!(ran.stderr.contains("came on standard input"), "{ran:?}");
    env.run(&["resume", "g.mp4", "--server", &server.url]).fails(2, "while it was written");
    assert_eq!(env.run(&["resume", "--forget"]).ok().stdout, "");
    assert_eq!(states(&env), ["growing", "stream"]);
    let ran = env.run(&["resume", "--forget", "g.mp4"]).ok();
    assert!(ran.stdout.contains("g.mp4\t"), "{ran:?}");
    assert_eq!(states(&env), ["stream"]);
}

#[test]
fn an_address_of_another_place_is_refused() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", LENGTH);
    let with = |args: &[&str], (address, auth): &(String, String)| {
        let mut command = env.command(args);
        command.env("VODFERRY_ADDRESS", address).env("VODFERRY_AUTH", auth);
        command
    };
    let first = common::upload_auth(&server, "a.mp4");
    let second = common::upload_auth(&server, "a.mp4");
    let mut upload =
        Process::spawn(with(&["upload", "--json", "a.mp4", "--limit", "1MiB/s"], &first));
    upload.wait_for(|line| line.event == "part");
    upload.kill();
    for args in [&["resume", "--json", "a.mp4"][..], &["resume", "--json"]] {
        let ran = Ran::of(&mut with(args, &second)).fails(2, "begun for");
        assert!(ran.stderr.contains("hint: "), "{ran:?}");
        assert_eq!(ran.stdout, "", "nothing was sent");
    }
    // Among several unfinished ones an address finds its own.
    env.file("b.mp4", LENGTH);
    begin(&env, &server, "b.mp4");
    let ran = Ran::of(&mut with(&["resume", "--json"], &first)).ok();
    assert!(ran.event("resumed").number("parts") >= 1, "{ran:?}");
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(&file).unwrap());
}

#[test]
fn an_application_server_that_does_not_know_the_video_is_told() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", LENGTH);
    begin(&env, &server, "a.mp4");
    let video = listed(&env)[0]["video_id"].as_str().unwrap().to_owned();
    let elsewhere = TestEnv::new();
    let other = elsewhere.serve(&[]);
    let ran = env.run(&["resume", "--json", "--server", &other.url]).fails(9, &video);
    assert!(ran.stderr.contains("hint: name the application server where it was begun"), "{ran:?}");
    assert!(ran.events().iter().all(|line| line.event != "part"), "{ran:?}");
    assert_eq!(listed(&env)[0]["video_id"], video.as_str(), "what was begun stays");

    // Where it was begun it still goes on; `upload` begins anew elsewhere, and says so.
    let upload = ["upload", "--json", "--server", &other.url, "a.mp4"];
    let ran = env.run(&upload).ok();
    let warning = ran.event("warning");
    assert!(warning.text("message").contains(&video), "{ran:?}");
    assert!(warning.text("message").contains("begins anew"), "{ran:?}");
    let done = ran.event("succeeded");
    assert_ne!(done.text("video_id"), video);
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(elsewhere.get(&other, &object) == fs::read(&file).unwrap());
}

#[test]
fn a_server_that_moved_to_another_address_goes_on() {
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    let file = env.file("a.mp4", LENGTH);
    begin(&env, &server, "a.mp4");
    server.kill();
    let moved = env.serve(&[]);
    assert_ne!(moved.url, server.url);
    let ran = env.run(&["resume", "--json", "--server", &moved.url]).ok();
    assert!(ran.event("resumed").number("parts") >= 1, "{ran:?}");
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&moved, &object) == fs::read(&file).unwrap());
}
