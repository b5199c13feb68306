//! Folders: which files, in which order, under which keys; several at once; the run that halts.

use std::fs;

use super::bucket::unfinished;
use crate::common::{Process, Ran, Server, TestEnv};

/// Flags for a bucket of this server, with its own key.
pub(crate) fn place(server: &Server) -> Vec<String> {
    let keys = server.keys_file().display().to_string();
    ["--endpoint", &server.url, "--bucket", "vod-media", "--keys-file", &keys]
        .map(str::to_owned)
        .to_vec()
}

pub(crate) fn upload(env: &TestEnv, server: &Server, args: &[&str]) -> Ran {
    let mut command = env.command(&["upload", "--json"]);
    command.args(args).args(place(server));
    Ran::of(&mut command)
}

fn tree(env: &TestEnv) {
    for folder in ["films/2026/raw", "films/b"] {
        fs::create_dir_all(env.path(folder)).unwrap();
    }
    for (name, length) in [
        ("films/z.mp4", 200_000),
        ("films/2026/a.mp4", 150_000),
        ("films/2026/raw/1.mov", 120_000),
        ("films/b/a.mp4", 110_000),
        ("films/b/notes.txt", 9),
    ] {
        env.file(name, length);
    }
}

fn keys(ran: &Ran) -> Vec<String> {
    let succeeded = ran.events().into_iter().filter(|line| line.event == "succeeded");
    succeeded.map(|line| line.text("key").to_owned()).collect()
}

#[test]
fn a_folder_arrives_in_order_with_its_ways_as_keys() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    tree(&env);
    upload(&env, &server, &["films"]).fails(8, "films is a folder: --recursive");
    let ran = upload(&env, &server, &["-r", "films", "--key", "v/"]).ok();
    let all = ["v/2026/a.mp4", "v/2026/raw/1.mov", "v/b/a.mp4", "v/b/notes.txt", "v/z.mp4"];
    assert_eq!(keys(&ran), all);
    assert!(
        env.get(&server, "vod-media/v/b/a.mp4") == fs::read(env.path("films/b/a.mp4")).unwrap()
    );

    let chosen = ["-r", "films", "--include", "*.mp4", "--exclude", "b", "--key", "w/"];
    assert_eq!(keys(&upload(&env, &server, &chosen).ok()), ["w/2026/a.mp4", "w/z.mp4"]);
    let none = upload(&env, &server, &["-r", "films", "--include", "*.avi"]).ok();
    assert!(none.stderr.contains("nothing to upload"), "{none:?}");
    upload(&env, &server, &["films", "--include", "*.mp4"]).fails(2, "--recursive");
    upload(&env, &server, &["-r", "films", "--include", "a["]).fails(2, "unclosed");
    // Two that would be one object.
    fs::create_dir(env.path("other")).unwrap();
    env.file("other/z.mp4", 10);
    upload(&env, &server, &["-r", "films", "other", "--key", "x/"])
        .fails(2, "would both become x/z.mp4");
}

#[test]
fn several_files_at_once_all_arrive_and_begin_in_order() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    fs::create_dir(env.path("many")).unwrap();
    for number in 0..30 {
        env.file(format!("many/{number:02}.bin"), 110_000 + number);
    }
    let ran = upload(&env, &server, &["-r", "many", "--key", "m/", "--files-at-once", "8"]).ok();
    let began: Vec<u64> = ran
        .events()
        .iter()
        .filter(|line| line.event == "started")
        .map(|line| line.number("file"))
        .collect();
    assert_eq!(began, (1..=30).collect::<Vec<_>>());
    let mut arrived = keys(&ran);
    arrived.sort();
    assert_eq!(arrived, (0..30).map(|number| format!("m/{number:02}.bin")).collect::<Vec<_>>());
    for number in ["00", "17", "29"] {
        let sent = fs::read(env.path(format!("many/{number}.bin"))).unwrap();
        assert!(env.get(&server, &format!("vod-media/m/{number}.bin")) == sent);
    }
    let most =
        ran.events().iter().fold((0i32, 0), |(open, most), line| match line.event.as_str() {
            "started" => (open + 1, most.max(open + 1)),
            "succeeded" => (open - 1, most),
            _ => (open, most),
        });
    assert!(most.1 > 1 && most.1 <= 8, "{most:?}");
}

#[test]
fn a_failure_halts_the_run_where_that_is_asked_for() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 120_000);
    env.file("c.mp4", 120_000);
    let list = ["a.mp4", "gone.mp4", "c.mp4"];
    let on = upload(&env, &server, &list).fails(8, "gone.mp4");
    assert_eq!(keys(&on), ["a.mp4", "c.mp4"]);
    let halted =
        upload(&env, &server, &[&list[..], &["--halt-on-failure"]].concat()).fails(8, "gone.mp4");
    assert_eq!(keys(&halted), ["a.mp4"]);
    assert_eq!(halted.event("ended").number("unfinished"), 1);
    assert!(halted.stderr.contains("to go on: vodferry upload"), "{halted:?}");
}

#[test]
fn an_object_says_about_itself_what_it_was_told_to() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 120_000);
    let described = [
        "a.mp4",
        "--content-type",
        "video/x-own",
        "--header",
        "Cache-Control: no-cache",
        "--metadata",
        "Author=me=you",
    ];
    upload(&env, &server, &described).ok();
    let mut url = env.command(&["url", "vod-media/a.mp4", "--endpoint", &server.url]);
    url.arg("--keys-file").arg(server.keys_file());
    let url = Ran::of(&mut url).ok().stdout;
    let head = head(&server, url.trim());
    for line in
        ["content-type: video/x-own", "cache-control: no-cache", "x-oss-meta-author: me=you"]
    {
        assert!(head.contains(line), "no {line} in {head}");
    }
    upload(&env, &server, &["a.mp4", "--header", "no colon"]).fails(2, "NAME: VALUE");
    upload(&env, &server, &["a.mp4", "--header", "a b: c"]).fails(2, "header");
}

/// The head of the answer to a GET, in lower case.
fn head(server: &Server, url: &str) -> String {
    use std::io::{Read, Write};
    let way = url.strip_prefix(&server.url).unwrap();
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    write!(stream, "GET {way} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address())
        .unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    let text = String::from_utf8_lossy(&reply).to_ascii_lowercase();
    text.split("\r\n\r\n").next().unwrap().to_owned()
}

#[test]
fn cancelling_gives_up_at_the_server_where_that_is_asked_for() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 8 << 20);
    env.file("b.mp4", 8 << 20);
    let run = |delete: bool, signal: &str| {
        let mut args = vec!["a.mp4", "b.mp4", "--limit", "1MiB/s"];
        args.extend(delete.then_some("--delete-on-cancel"));
        let mut upload = env.spawn_upload(&server, &args);
        upload.wait_for(|line| line.event == "part");
        upload.signal(signal);
        let events = upload.rest();
        let (code, stderr) = upload.end();
        assert_eq!(code, Some(130), "{stderr}");
        (events, stderr)
    };
    // A machine that goes down is nobody's wish to give up.
    let (events, stderr) = run(true, "TERM");
    assert_eq!(events.last().unwrap().number("unfinished"), 2, "{events:?}");
    assert!(stderr.contains("to go on: vodferry"), "{stderr}");
    let found = env.run(&["resume", "--list"]).ok().stdout;
    assert_eq!(found.lines().count(), 1, "{found}");

    let (events, stderr) = run(true, "INT");
    let canceled = events.iter().filter(|line| line.event == "canceled").count();
    assert_eq!(canceled, 2, "{events:?}");
    assert!(!stderr.contains("to go on"), "{stderr}");
    assert_eq!(env.run(&["resume", "--list"]).ok().stdout, "");
    assert_eq!(unfinished(&env, &server).len(), 0, "the server was told");

    run(false, "INT");
    assert_eq!(env.run(&["resume", "--list"]).ok().stdout.lines().count(), 1);
    assert_eq!(unfinished(&env, &server).len(), 1, "kept to go on later");
}

#[test]
fn checkpoints_are_listed_shown_and_dropped() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    for name in ["a.mp4", "b.mp4"] {
        env.file(name, 6 << 20);
        let mut upload = env.spawn_upload(&server, &[name, "--limit", "1MiB/s"]);
        upload.wait_for(|line| line.event == "part");
        upload.kill();
    }
    let list = env.run(&["checkpoints", "ls"]).ok().stdout;
    assert_eq!(list.lines().count(), 2, "{list}");
    let id = list.lines().next().unwrap().split('\t').next().unwrap().to_owned();
    assert!(list.lines().next().unwrap().ends_with("b.mp4"), "the latest first: {list}");
    let shown = env.run(&["checkpoints", "show", &id]).ok().stdout;
    assert!(shown.contains("unchanged") && shown.contains("b.mp4"), "{shown}");
    let json = env.run(&["checkpoints", "show", "a.mp4", "--json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["length"].as_u64(), json["state"].as_str()),
        (Some(6 << 20), Some("unchanged"))
    );
    env.run(&["checkpoints", "show", "c.mp4"]).fails(8, "no checkpoint of c.mp4");
    env.run(&["checkpoints", "rm"]).fails(2, "no checkpoint named");
    assert_eq!(env.run(&["checkpoints", "rm", "--older-than", "1h"]).ok().stdout, "");

    let mut holding = env.spawn_upload(&server, &["a.mp4", "--limit", "200KiB/s"]);
    holding.wait_for(|line| line.event == "resumed");
    env.run(&["checkpoints", "rm", "a.mp4"]).fails(7, "holds the checkpoint");
    holding.kill();
    let gone = env.run(&["checkpoints", "rm", &id, "a.mp4"]).ok().stdout;
    assert_eq!(gone.lines().count(), 2, "{gone}");
    assert_eq!(env.run(&["checkpoints", "ls"]).ok().stdout, "");
}

#[test]
fn checkpoints_move_to_another_folder_and_go_on_there() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 6 << 20);
    let mut upload = env.spawn_upload(&server, &["a.mp4", "--limit", "1MiB/s"]);
    upload.wait_for(|line| line.event == "part");
    upload.kill();

    let exported = env.run(&["checkpoints", "export"]).ok().stdout;
    assert_eq!(exported.lines().count(), 1, "{exported}");
    let row: serde_json::Value = serde_json::from_str(&exported).unwrap();
    let id = row["id"].as_str().unwrap();
    let parts = row["parts"].as_array().unwrap().len();
    assert_eq!(row["version"], 1, "{row}");
    assert!(!exported.to_lowercase().contains("secret"), "{exported}");
    assert_eq!(env.run(&["checkpoints", "export", &id[..8]]).ok().stdout, exported);
    assert_eq!(env.run(&["checkpoints", "export", "a.mp4"]).ok().stdout, exported);
    env.run(&["checkpoints", "export", "none.mp4"]).fails(8, "no checkpoint of none.mp4");

    env.text("moved.jsonl", &format!("\n{exported}\n"));
    let import = ["checkpoints", "import", "moved.jsonl", "--record-dir", "elsewhere"];
    assert_eq!(env.run(&import).ok().stdout, format!("{id}\n"));
    env.run(&import).fails(2, "already");
    env.text("none.jsonl", "{\"version\": 2}\n");
    env.run(&["checkpoints", "import", "none.jsonl"]).fails(2, "error");
    env.run(&["checkpoints", "import", "absent.jsonl"]).fails(8, "absent.jsonl");

    // The folder it came from is empty, and the upload goes on from the other.
    assert!(env.run(&["checkpoints", "rm", &id[..8]]).ok().stdout.contains("a.mp4"));
    env.run(&["checkpoints", "rm", &id[..8]]).fails(8, "no checkpoint");
    assert_eq!(env.run(&["checkpoints", "ls"]).ok().stdout, "");
    let resume = ["resume", "--json", "a.mp4", "--record-dir", "elsewhere"];
    let ran = env.run(&[&resume[..], &["--server", &server.url]].concat()).ok();
    assert!(ran.event("resumed").number("parts") >= parts as u64);
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == std::fs::read(env.path("a.mp4")).unwrap());
}

#[test]
fn a_proxy_is_used_and_told_of_without_its_password() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 120_000);
    // Nobody listens there: what went through it does not arrive.
    let proxy = "http://me:hush@127.0.0.1:1";
    let args = ["a.mp4", "--proxy", proxy, "--retry-for", "1s"];
    let ran = upload(&env, &server, &args).fails(4, "a.mp4");
    assert!(!ran.stderr.contains("hush") && !ran.stdout.contains("hush"), "{ran:?}");
    let mut direct = env.command(&["upload", "a.mp4", "--proxy", "none"]);
    direct.args(place(&server)).env("HTTP_PROXY", proxy);
    Ran::of(&mut direct).ok();
    upload(&env, &server, &["a.mp4", "--ca-file", "gone.pem"]).fails(8, "gone.pem");
    let mut interrupted = env.command(&["upload", "--json", "a.mp4", "--proxy", proxy]);
    interrupted.args(place(&server));
    let mut interrupted = Process::spawn(interrupted);
    interrupted.wait_for(|line| line.event == "retry");
    interrupted.signal("INT");
    let (code, stderr) = interrupted.end();
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("--proxy \"$VODFERRY_PROXY\"") && !stderr.contains("hush"), "{stderr}");
}

#[test]
fn completions_and_manual_pages_know_every_verb() {
    let env = TestEnv::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = env.run(&["completions", shell]).ok().stdout;
        for word in ["upload", "checkpoints", "files-at-once"] {
            assert!(script.contains(word), "no {word} for {shell}");
        }
    }
    env.run(&["completions", "tcl"]).fails(2, "tcl");
    let script = env.text("vodferry.bash", &env.run(&["completions", "bash"]).ok().stdout);
    let try_it = format!(
        ". {}; COMP_WORDS=(vodferry upl); COMP_CWORD=1; _vodferry vodferry upl vodferry; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    match std::process::Command::new("bash").args(["-c", &try_it]).output() {
        Ok(ran) => assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "upload", "{ran:?}"),
        Err(_) => println!("skipped: no bash here"),
    }
    assert!(env.run(&["man"]).ok().stdout.contains(".TH vodferry 1"));
    env.run(&["man", "--dir", "pages/man1"]).ok();
    let names: Vec<_> = fs::read_dir(env.path("pages/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for page in ["vodferry.1", "vodferry-upload.1", "vodferry-checkpoints-rm.1"] {
        assert!(names.iter().any(|name| name == page), "no {page} in {names:?}");
    }
    let page = fs::read_to_string(env.path("pages/man1/vodferry-upload.1")).unwrap();
    assert!(page.contains("files\\-at\\-once"), "{page}");
}
