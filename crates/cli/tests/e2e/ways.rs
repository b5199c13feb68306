//! The ways to be permitted, and what is said of videos and objects, on a server that runs.

use serde_json::Value;

use crate::common::{FakeServer, Process, Ran, Server, TestEnv, upload_auth};

/// Runs an upload with the server's own key.
fn upload(env: &TestEnv, server: &Server, args: &[&str]) -> Ran {
    let mut command = env.command(&["upload", "--json"]);
    command.args(args).arg("--keys-file").arg(server.keys_file());
    Ran::of(&mut command)
}

#[test]
fn the_vod_api_makes_videos_for_whoever_has_a_key() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 3 << 20);
    let described = [
        "a.mp4",
        "--vod",
        &server.url,
        "--title",
        "The sea",
        "--tags",
        "sea,summer",
        "--description",
        "waves",
        "--priority",
        "3",
    ];
    let done = upload(&env, &server, &described).ok().event("succeeded");
    assert!(!done.text("video_id").is_empty());
    assert!(
        env.get(&server, &format!("{}/{}", done.text("bucket"), done.text("key"))).len() == 3 << 20
    );

    // One that was interrupted goes on, with the same video.
    env.file("b.mp4", 8 << 20);
    let mut command =
        env.command(&["upload", "--json", "b.mp4", "--limit", "1MiB/s", "--vod", &server.url]);
    command.arg("--keys-file").arg(server.keys_file());
    let mut begun = Process::spawn(command);
    begun.wait_for(|line| line.event == "part");
    begun.kill();
    let mut again = env.command(&["resume", "--json", "--vod", &server.url]);
    let ran = Ran::of(again.arg("--keys-file").arg(server.keys_file())).ok();
    assert_eq!(ran.event("started").value["video_id"], ran.event("succeeded").value["video_id"]);
    assert!(ran.event("resumed").number("parts") >= 1);

    upload(&env, &server, &["a.mp4", "--vod", "not a region"])
        .fails(2, "neither a region nor an endpoint");
    env.run(&["upload", "a.mp4", "--vod", &server.url]).fails(3, "no access key");
}

#[test]
fn what_does_not_go_together_is_told_before_anything_is_sent() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 120_000);
    let store = ["a.mp4", "--endpoint", &server.url, "--bucket", "vod-media"];
    let with = |more: &[&str]| upload(&env, &server, &[&store[..], more].concat());
    with(&["--mode", "sts"]).fails(2, "needs a temporary access key");
    with(&["--mode", "server"]).fails(2, "--mode server does not go with --endpoint");
    with(&["--title", "T"]).fails(2, "--title");
    with(&["--priority", "11"]).fails(2, "11");
    with(&["--vod", "cn-shanghai"]).fails(2, "cannot be used");
    with(&["--callback-url", "http://127.0.0.1:1/"]).fails(2, "--callback-body");
    with(&["--mode", "ak"]).ok();

    let (address, auth) = upload_auth(&server, "a.mp4");
    let with = |more: &[&str]| {
        let place = ["upload", "a.mp4", "--address", &address, "--auth", &auth];
        env.run(&[&place[..], more].concat())
    };
    with(&["--description", "D"]).fails(2, "--description goes with --server and --vod alone");
    with(&["--mode", "address", "--watermark", "false"]).ok();
}

#[test]
fn an_application_that_is_called_back_is_heard() {
    let env = TestEnv::new();
    let config = env.text("callback.toml", "[serve.callback]\nallow = [\"127.0.0.1\"]\n");
    let server = env.serve(&["--config", config.to_str().unwrap()]);
    env.file("a.mp4", 120_000);
    let place = ["a.mp4", "--endpoint", &server.url, "--bucket", "vod-media"];
    let called = |url: &str| {
        let back = [
            "--callback-url",
            url,
            "--callback-body",
            "object=${object}&who=${x:who}",
            "--callback-var",
            "who=me",
        ];
        upload(&env, &server, &[&place[..], &back].concat())
    };
    let application = FakeServer::answering(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"heard\":\"yes\"}",
    );
    let done = called(&application.url).ok().event("succeeded");
    let answer: Value = serde_json::from_str(done.text("callback_body")).unwrap();
    assert_eq!(answer["heard"], "yes");
    let deaf = FakeServer::answering(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    called(&deaf.url).fails(9, "CallbackFailed");
}
