//! `doctor`: what it finds, what it says to do, and that nothing stays behind.

use std::fs;

use serde_json::Value;

use super::bucket::unfinished;
use crate::common::{FakeServer, Ran, Server, TestEnv, upload_auth};

/// The findings of a run, by the name of the check.
struct Found {
    ran: Ran,
    rows: Vec<Value>,
}

impl Found {
    fn by(env: &TestEnv, args: &[&str], more: impl FnOnce(&mut std::process::Command)) -> Found {
        let mut command = env.command(&["doctor", "--json", "--measure", "500ms"]);
        command.args(args);
        more(&mut command);
        let ran = Ran::of(&mut command);
        let rows = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Found { ran, rows }
    }

    fn status(&self, check: &str) -> &str {
        let row = self.rows.iter().find(|row| row["check"] == check);
        row.unwrap_or_else(|| panic!("no {check} in {:#?}", self.ran))["status"].as_str().unwrap()
    }

    fn has(&self, check: &str) -> bool {
        self.rows.iter().any(|row| row["check"] == check)
    }

    fn says(&self, check: &str, text: &str) {
        let row = self.rows.iter().find(|row| row["check"] == check).unwrap();
        assert!(row.to_string().contains(text), "no {text:?} in {row}");
    }
}

fn store(env: &TestEnv, server: &Server, bucket: &str) -> Found {
    Found::by(env, &["--endpoint", &server.url, "--bucket", bucket], |command| {
        command.arg("--keys-file").arg(server.keys_file());
    })
}

#[test]
fn a_bucket_that_works_is_well_in_every_way() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let found = store(&env, &server, "vod-media");
    assert_eq!(found.ran.code, Some(0), "{:#?}", found.ran);
    for check in [
        "record directory",
        "endpoint",
        "clock",
        "right to upload",
        "speed",
        "right to resume",
        "right to verify",
        "right to clean up",
        "right to give up",
    ] {
        assert_eq!(found.status(check), "ok", "{check}: {:#?}", found.ran);
    }
    assert!(["ok", "warn"].contains(&found.status("web pages (CORS)")));
    assert_eq!(unfinished(&env, &server).len(), 0, "nothing stays at the server");
    assert!(!env.record_dir().exists(), "nothing stays here");

    let mut lines = env.command(&["doctor", "--endpoint", &server.url, "--bucket", "vod-media"]);
    lines.args(["--measure", "0", "--keys-file"]).arg(server.keys_file());
    let ran = Ran::of(&mut lines).ok();
    assert!(
        ran.stdout.contains("ok    right to upload") && !ran.stdout.contains("speed"),
        "{ran:?}"
    );
}

#[test]
fn what_is_wrong_with_a_bucket_is_told_with_what_to_do() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let found = store(&env, &server, "no-such-bucket");
    assert_eq!(found.ran.code, Some(9), "{:#?}", found.ran);
    found.says("right to upload", "NoSuchBucket");

    let found = Found::by(&env, &["--endpoint", &server.url, "--bucket", "vod-media"], |command| {
        command.env("VODFERRY_ACCESS_KEY_ID", "nobody").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
    });
    assert_eq!(found.ran.code, Some(3), "{:#?}", found.ran);
    assert_eq!(found.status("right to upload"), "fail");
    assert!(!found.ran.stdout.contains("hush"));
    assert!(!found.has("right to give up"), "nothing was begun");
}

#[test]
fn a_network_that_does_not_reach_the_server_is_told() {
    let env = TestEnv::new();
    let keys = |command: &mut std::process::Command| {
        command.env("VODFERRY_ACCESS_KEY_ID", "id").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
    };
    let of = |url: &str| Found::by(&env, &["--endpoint", url, "--bucket", "films"], keys);
    let found = of("http://127.0.0.1:1");
    assert_eq!((found.ran.code, found.status("endpoint")), (Some(4), "fail"), "{:#?}", found.ran);
    found.says("endpoint", "firewall");
    let found = of("http://no-such-name.invalid");
    assert_eq!(found.ran.code, Some(4), "{:#?}", found.ran);
    found.says("endpoint", "is not known");
    let other = FakeServer::answering(b"SSH-2.0-OpenSSH_9.9\r\n");
    let found = of(&other.url);
    assert_eq!(found.status("endpoint"), "fail", "{:#?}", found.ran);
    let plain = FakeServer::answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let found = of(&plain.url.replace("http://", "https://"));
    assert_eq!((found.ran.code, found.status("endpoint")), (Some(4), "fail"), "{:#?}", found.ran);
    // A clock that is a year behind: the answer is from the future.
    let ahead = FakeServer::answering(
        b"HTTP/1.1 403 Forbidden\r\nDate: Fri, 20 Nov 2099 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    );
    let found = of(&ahead.url);
    assert_eq!(found.status("clock"), "warn", "{:#?}", found.ran);
    found.says("clock", "behind the server");
}

#[test]
fn an_application_server_is_asked_without_making_a_video() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let found = Found::by(&env, &["--server", &server.url], |_| {});
    assert_eq!(found.ran.code, Some(0), "{:#?}", found.ran);
    assert_eq!((found.status("authority"), found.status("rights")), ("ok", "skip"));

    let found = Found::by(&env, &["--server", &server.url, "--make-video"], |_| {});
    assert_eq!(found.ran.code, Some(0), "{:#?}", found.ran);
    for check in
        ["new video", "credential", "right to upload", "right to resume", "right to give up"]
    {
        assert_eq!(found.status(check), "ok", "{check}: {:#?}", found.ran);
    }
    // What the credential of an uploader is not good for is nothing that fails.
    assert_eq!(
        (found.status("right to verify"), found.status("right to clean up")),
        ("warn", "warn")
    );
    assert_eq!(unfinished(&env, &server).len(), 0);

    let wrong = FakeServer::answering(
        b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 44\r\n\r\n{\"Code\":\"MissingToken\",\"Message\":\"no token\"} ",
    );
    let found = Found::by(&env, &["--server", &wrong.url], |_| {});
    assert_eq!(found.status("authority"), "fail", "{:#?}", found.ran);
    found.says("authority", "VODFERRY_TOKEN");
    Found::by(&env, &["--server", &server.url, "--key", "k"], |_| {})
        .ran
        .fails(2, "--key goes with");
}

#[test]
fn an_address_and_auth_are_tried_for_what_they_are() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let (address, auth) = upload_auth(&server, "a.mp4");
    let found = Found::by(&env, &["--address", &address, "--auth", &auth], |_| {});
    assert_eq!(found.ran.code, Some(0), "{:#?}", found.ran);
    assert_eq!((found.status("credential"), found.status("right to upload")), ("ok", "ok"));
    // The upload that this grant is for still works.
    env.file("a.mp4", 150_000);
    env.run(&["upload", "a.mp4", "--address", &address, "--auth", &auth]).ok();
}

#[test]
fn a_record_directory_that_cannot_be_written_fails_alone() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    fs::write(env.path("taken"), "a file").unwrap();
    let found = Found::by(&env, &["--server", &server.url, "--record-dir", "taken"], |_| {});
    assert_eq!(found.ran.code, Some(8), "{:#?}", found.ran);
    assert_eq!((found.status("record directory"), found.status("authority")), ("fail", "ok"));
}
