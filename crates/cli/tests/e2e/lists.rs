//! What is said of each file alone: lists, images, files that are named twice; records of another SDK; who holds the run from outside.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vodferry_oss::{base64, etag};

use super::folders::{place, upload};
use crate::common::{Process, Ran, TestEnv, app_server};

fn list(env: &TestEnv, lines: &[Value]) -> String {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    env.text("list.jsonl", &text).display().to_string()
}

#[test]
fn each_line_of_a_list_says_what_is_of_its_file_alone() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    for name in ["a.mp4", "b.mp4", "c.mp4"] {
        env.file(name, 120_000);
    }
    let lines = [
        json!({"path": "a.mp4", "key": "x/first.mp4", "metadata": {"Who": "me"}}),
        json!({"path": "b.mp4", "start_priority": 5, "headers": {"Cache-Control": "no-cache"}}),
    ];
    let path = list(&env, &lines);
    let ran = upload(&env, &server, &["c.mp4", "--list", &path, "--key", "v/"]).ok();
    let done = ran.events().into_iter().filter(|line| line.event == "succeeded");
    let keys: Vec<String> = done.map(|line| line.text("key").to_owned()).collect();
    assert_eq!(keys, ["v/b.mp4", "v/c.mp4", "x/first.mp4"], "the highest priority starts first");
    assert!(env.get(&server, "vod-media/x/first.mp4") == fs::read(env.path("a.mp4")).unwrap());

    // From standard input, through the application server.
    let mut command = env.command(&["upload", "--json", "--list", "-", "--server", &server.url]);
    let piped = env.text("piped", "{\"path\": \"a.mp4\", \"title\": \"T\", \"tags\": [\"sea\"]}\n");
    command.stdin(fs::File::open(piped).unwrap());
    assert!(!Ran::of(&mut command).ok().event("succeeded").text("video_id").is_empty());
}

#[test]
fn a_list_that_is_wrong_is_told_before_anything_is_sent() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 120_000);
    let wrong = |line: Value, text: &str| {
        let path = list(&env, &[json!({"path": "a.mp4", "key": "k"}), line]);
        upload(&env, &server, &["--list", &path]).fails(2, text);
    };
    wrong(json!({"path": "a.mp4", "titel": "T"}), "line 2: unknown field `titel`");
    wrong(json!({"path": "a.mp4", "title": "T"}), "a.mp4: --title");
    wrong(json!({"path": "a.mp4", "key": "k"}), "would both become k");
    upload(&env, &server, &["--list", "none.jsonl"]).fails(8, "none.jsonl");
    let path = list(&env, &[json!({"path": "a.mp4", "bucket": "films"})]);
    env.run(&["upload", "--list", &path, "--server", &server.url]).fails(2, "--endpoint alone");
    let empty = list(&env, &[]);
    assert!(upload(&env, &server, &["--list", &empty]).ok().stderr.contains("nothing to upload"));
}

#[test]
fn an_image_becomes_an_image_and_says_where_it_is_seen() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("photo.png", 120_000);
    env.file("scan", 120_000);
    let through = |args: &[&str]| {
        let place = ["upload", "--json", "--server", &server.url];
        env.run(&[&place[..], args].concat()).ok().event("succeeded")
    };
    for args in [&["photo.png"][..], &["scan", "--image", "--image-type", "cover"]] {
        let done = through(args);
        let (url, key) = (done.text("image_url"), done.text("key"));
        assert!(url.starts_with("http") && url.contains(key), "{url} {key}");
    }
    env.file("film.mp4", 120_000);
    assert_eq!(through(&["film.mp4"]).value["image_url"], Value::Null);
    upload(&env, &server, &["scan", "--image"]).fails(2, "--image: an object");
}

#[test]
fn a_file_that_is_named_twice_may_be_refused() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 120_000);
    let twice = ["upload", "--json", "a.mp4", "a.mp4", "--server", &server.url, "--duplicates"];
    let refused = env.run(&[&twice[..], &["refuse"]].concat()).fails(2, "is in the list already");
    assert_eq!(refused.stdout, "");
    let ran = env.run(&[&twice[..], &["allow"]].concat()).ok();
    assert_eq!(ran.event("ended").number("succeeded"), 2);
}

#[test]
fn what_the_sdk_for_android_left_goes_on() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let film = env.file("a.mp4", 4 << 20);
    let args = ["upload", "--json", "a.mp4", "--part-size", "256KiB", "--key", "k.mp4"];
    let mut command = env.command(&[&args[..], &["--limit", "1MiB/s"]].concat());
    let mut begun = Process::spawn({
        command.args(place(&server));
        command
    });
    begun.wait_for(|line| line.event == "part");
    begun.kill();
    let stored = env.run(&["checkpoints", "ls", "--json"]).ok().stdout;
    let stored: Value = serde_json::from_str(&stored).unwrap();
    env.run(&["checkpoints", "rm", stored["id"].as_str().unwrap()]).ok();

    let hex = |bytes: &[u8]| etag::etag_of_md5(&etag::md5(bytes)).to_ascii_lowercase();
    let digest = hex(&fs::read(&film).unwrap());
    let name = hex(format!("{digest}vod-mediak.mp4{}", 256 << 10).as_bytes());
    fs::create_dir(env.path("android")).unwrap();
    let record = env.path(Path::new("android").join(name));
    fs::write(&record, stored["upload_id"].as_str().unwrap()).unwrap();
    let mut command = env.command(&[&args[..], &["--foreign-records", "android"]].concat());
    let ran = Ran::of(command.args(place(&server))).ok();
    assert!(ran.event("resumed").number("parts") >= 1);
    assert!(env.get(&server, "vod-media/k.mp4") == fs::read(&film).unwrap());
    assert!(record.exists());

    upload(&env, &server, &["a.mp4", "--foreign-records", "none"]).fails(2, "not a folder");
    env.run(&["upload", "a.mp4", "--server", &server.url, "--foreign-records", "android"])
        .fails(2, "--foreign-records goes with");
}

/// Bytes that the checkpoints say are stored.
#[cfg(unix)]
fn stored(env: &TestEnv) -> u64 {
    let list = env.run(&["checkpoints", "ls", "--json"]).ok().stdout;
    let bytes = |line: &str| serde_json::from_str::<Value>(line).unwrap()["bytes"].as_u64();
    list.lines().map(|line| bytes(line).unwrap()).sum()
}

#[cfg(unix)]
#[test]
fn a_run_is_held_from_outside_and_let_go() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 6 << 20);
    let args = ["upload", "a.mp4", "--part-size", "256KiB", "--limit", "512KiB/s", "--server"];
    let mut upload = Process::spawn(env.command(&[&args[..], &[&server.url]].concat()));
    let mut until = |what: &str, done: &dyn Fn(&mut Process) -> bool| {
        for _ in 0..2_000 {
            if done(&mut upload) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("no {what}: {}", upload.stderr_so_far());
    };
    until("part", &|_| stored(&env) > 0);
    until("hold", &|upload| {
        upload.signal("USR1");
        upload.stderr_so_far().contains("held by SIGUSR1")
    });
    let before = stored(&env);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(stored(&env), before, "at the limit three seconds are six parts");
    upload.signal("USR2");
    let (code, stderr) = upload.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("goes on by SIGUSR2") && stderr.contains("a.mp4: done"), "{stderr}");
}

/// The credential that an upload address comes with, as AssumeRole would answer it, good for six seconds.
fn triple(auth: &str) -> String {
    let auth: Value = serde_json::from_slice(&base64::decode(auth).unwrap()).unwrap();
    json!({
        "AccessKeyId": auth["AccessKeyId"],
        "AccessKeySecret": auth["AccessKeySecret"],
        "SecurityToken": auth["SecurityToken"],
        "Expiration": auth["ExpireUTCTime"],
    })
    .to_string()
}

#[cfg(unix)]
#[test]
fn a_command_gives_one_credential_after_the_other() {
    let env = TestEnv::new();
    let server = env.serve(&["--credential-life", "6"]);
    env.file("a.mp4", 4 << 20);
    let grant = app_server(&server, "create", &json!({"Title": "t", "FileName": "a.mp4"}));
    let text = |name: &str| grant[name].as_str().unwrap().to_owned();
    let address = base64::decode(&text("UploadAddress")).unwrap();
    let address: Value = serde_json::from_slice(&address).unwrap();
    env.text("triple", &triple(&text("UploadAuth")));
    let command = "echo run >> runs; cat triple";
    let mut upload = env.command(&["upload", "--json", "a.mp4", "--limit", "256KiB/s"]);
    upload.args(["--part-size", "256KiB", "--endpoint", &server.url]);
    upload.args(["--bucket", address["Bucket"].as_str().unwrap()]);
    upload.args(["--key", address["FileName"].as_str().unwrap()]);
    upload.args(["--credentials-command", command]);
    let mut upload = Process::spawn(upload);
    // Sixteen seconds at least, that is more than two lives.
    let mut seen = Vec::new();
    while let Ok(line) = upload.event_within(std::time::Duration::from_secs(1)) {
        seen.extend(line);
        let fresh = app_server(&server, "refresh", &json!({"VideoId": text("VideoId")}));
        // Whole at every moment: the command may read it now.
        env.text("triple.new", &triple(fresh["UploadAuth"].as_str().unwrap()));
        fs::rename(env.path("triple.new"), env.path("triple")).unwrap();
    }
    let (code, stderr) = upload.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(seen.iter().any(|line| line.event == "succeeded"));
    assert!(!seen.iter().any(|line| line.event == "token_expired"), "{seen:#?}");
    let runs = fs::read_to_string(env.path("runs")).unwrap().lines().count();
    assert!(runs >= 3, "{runs} runs");
}

#[cfg(unix)]
#[test]
fn a_command_that_gives_none_is_told_without_what_it_printed() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 120_000);
    let with = |command: &str| {
        let place = ["--endpoint", &server.url, "--bucket", "vod-media"];
        let args = ["upload", "a.mp4", "--credentials-command", command];
        env.run(&[&args[..], &place].concat())
    };
    for command in ["echo hush", "echo '{\"AccessKeyId\": \"hush\"}'", "exit 3", "no-such-program"]
    {
        let ran = with(command).fails(3, "the credentials command");
        assert!(!ran.stderr.contains("hush") && ran.stderr.contains("hint: "), "{ran:?}");
    }
    let both = ["upload", "a.mp4", "--credentials-command", "x", "--keys-file", "y"];
    env.run(&both).fails(2, "cannot be used");
}
