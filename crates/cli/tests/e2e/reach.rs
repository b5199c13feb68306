//! What the crate can do is within reach of a command line: put, append, files that grow, rules of a bucket, reports, and the knobs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Line, Process, Ran, Server, TestEnv, bytes};

/// Runs a verb with the server's own key.
fn run(env: &TestEnv, server: &Server, args: &[&str]) -> Ran {
    let mut command = env.command(args);
    command.args(["--endpoint", &server.url, "--keys-file"]).arg(server.keys_file());
    Ran::of(&mut command)
}

fn row(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn an_object_is_put_by_one_request() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let content = fs::read(env.file("a b.mp4", 700_000)).unwrap();
    let about = ["--content-type", "video/x-test", "--metadata", "author=me", "--json"];
    let put = ["put", "a b.mp4", "vod-media/v/ä b.mp4"];
    let done = row(&run(&env, &server, &[&put[..], &about].concat()).ok());
    assert_eq!((&done["bucket"], &done["key"]), (&json!("vod-media"), &json!("v/ä b.mp4")));
    assert_eq!(done["verified"], true, "{done}");
    assert!(env.get(&server, "vod-media/v/ä b.mp4") == content);
    let shown = run(&env, &server, &put).ok();
    assert_eq!(shown.stdout, "vod-media/v/ä b.mp4\n");

    run(&env, &server, &["put", "none.mp4", "vod-media/k"]).fails(8, "none.mp4");
    run(&env, &server, &["put", "a b.mp4", "vod-media"]).fails(2, "no BUCKET/KEY");
    run(&env, &server, &["put", "-", "vod-media/k"]).fails(2, "standard input");
    run(&env, &server, &["put", "a b.mp4", "no-such-bucket/k"]).fails(9, "NoSuchBucket");
}

#[test]
fn what_is_appended_stands_behind_what_was_there() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let (first, second) = (bytes(1, 150_000), bytes(2, 7));
    fs::write(env.path("1"), &first).unwrap();
    fs::write(env.path("2"), &second).unwrap();
    let append = |args: &[&str]| run(&env, &server, &[&["append"], args].concat());
    assert_eq!(append(&["1", "vod-media/log"]).ok().stdout, "150000\tvod-media/log\n");
    let done = row(&append(&["2", "vod-media/log", "--json"]).ok());
    assert_eq!(done["position"], 150_007);
    assert!(done["crc64"].as_str().is_some_and(|crc| crc.parse::<u64>().is_ok()), "{done}");
    assert!(env.get(&server, "vod-media/log") == [first, second].concat());

    let wrong = append(&["2", "vod-media/log", "--position", "7"]);
    wrong.fails(9, "PositionNotEqualToLength");
    append(&["2", "vod-media/log", "--position", "150007"]).ok();
    run(&env, &server, &["put", "1", "vod-media/put"]).ok();
    append(&["2", "vod-media/put"]).fails(9, "ObjectNotAppendable");
    append(&["none", "vod-media/log"]).fails(8, "none");
}

#[test]
fn the_service_is_told_to_give_up_what_nobody_finishes() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let rule = ["abort", "vod-media/sv/", "--after-days", "7"];
    run(&env, &server, &rule).fails(2, "7 days old");
    let told = run(&env, &server, &[&rule[..], &["--yes"]].concat()).ok();
    assert!(told.stderr.contains("below vod-media/sv/ that are 7 days old"), "{told:?}");
    run(&env, &server, &["abort", "vod-media", "--after-days", "0", "-y"]).fails(2, "0");
    run(&env, &server, &["abort", "vod-media", "--after-days", "7", "--dry-run"])
        .fails(2, "cannot be used");
    run(&env, &server, &["abort", "no-such-bucket", "--after-days", "7", "-y"])
        .fails(9, "NoSuchBucket");
}

fn object_of(done: &Line) -> String {
    format!("{}/{}", done.text("bucket"), done.text("key"))
}

#[test]
fn a_file_that_grows_is_sent_as_it_is_announced() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let content = bytes(5, 350_000);
    let upload = ["upload", "--json", "--growing", "g.mp4", "--server", &server.url];
    let mut command = env.command(&[&upload[..], &["--part-size", "102400"]].concat());
    let (out, mut into) = std::io::pipe().unwrap();
    command.stdin(Stdio::from(out));
    let mut growing = Process::spawn(command);
    // The first bytes are written last, as those of an MP4 are.
    let mut written = vec![0; 350_000];
    written[102_400..].copy_from_slice(&content[102_400..]);
    fs::write(env.path("g.mp4"), &written).unwrap();
    into.write_all(b"{\"ready\": [102400, 320000]}\n").unwrap();
    let early = growing.wait_for(|line| line.event == "part" && line.number("number") == 3);
    assert!(!early.iter().any(|line| line.event == "part" && line.number("number") == 1));
    fs::write(env.path("g.mp4"), &content).unwrap();
    into.write_all(b"{\"ready\": [0, 102400]}\n{\"finished\": 350000}\n").unwrap();
    let done = growing.wait_for(|line| line.event == "succeeded");
    assert_eq!(growing.end().0, Some(0));
    assert!(env.get(&server, &object_of(done.last().unwrap())) == content);
}

#[test]
fn a_line_that_announces_nothing_fails_the_file_and_the_next_run_goes_on() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let content = fs::read(env.file("g.mp4", 350_000)).unwrap();
    let upload = ["upload", "--json", "--growing", "g.mp4", "--server", &server.url];
    let upload = [&upload[..], &["--part-size", "102400"]].concat();
    let announce = || {
        let (out, into) = std::io::pipe().unwrap();
        let mut command = env.command(&upload);
        command.stdin(Stdio::from(out));
        (Process::spawn(command), into)
    };
    let (mut first, mut into) = announce();
    into.write_all(b"{\"ready\": [0, 204800]}\n").unwrap();
    let mut parts = 0;
    first.wait_for(|line| {
        parts += u32::from(line.event == "part");
        parts == 2
    });
    into.write_all(b"{\"redy\": [0, 300000]}\n").unwrap();
    let failed = first.wait_for(|line| line.event == "failed");
    let message = failed.last().unwrap().text("message");
    assert!(message.contains("line 2 of standard input"), "{message}");
    assert_eq!(first.end().0, Some(8));

    let (mut second, mut into) = announce();
    into.write_all(b"{\"finished\": 350000}\n").unwrap();
    drop(into);
    let told = second.rest();
    assert_eq!(second.end().0, Some(0), "{told:?}");
    let resumed = told.iter().find(|line| line.event == "resumed").expect("it goes on");
    assert_eq!(resumed.number("parts"), 2);
    let done = told.iter().find(|line| line.event == "succeeded").unwrap();
    assert!(env.get(&server, &object_of(done)) == content);

    env.run(&["upload", "--growing", "a", "b", "--server", &server.url]).fails(2, "about one file");
    env.run(&["upload", "--until-idle", "1s", "a", "--server", &server.url]).fails(2, "--growing");
}

#[test]
fn a_file_that_is_written_from_front_to_back_is_sent_until_nothing_is_added() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let content = bytes(6, 300_000);
    let path = env.path("g.mp4");
    let upload = ["upload", "--json", "--growing", "g.mp4", "--until-idle", "3s"];
    let more = ["--part-size", "102400", "--server", &server.url];
    let mut growing = Process::spawn(env.command(&[&upload[..], &more].concat()));
    fs::write(&path, &content[..210_000]).unwrap();
    growing.wait_for(|line| line.event == "part");
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&content[210_000..]).unwrap();
    let done = growing.wait_for(|line| line.event == "succeeded");
    assert_eq!(growing.end().0, Some(0));
    assert!(env.get(&server, &object_of(done.last().unwrap())) == content);

    let absent = ["upload", "--growing", "none.mp4", "--until-idle", "300ms"];
    env.run(&[&absent[..], &["--server", &server.url]].concat()).fails(8, "did not appear");
}

#[test]
fn reports_reach_the_application_server_where_it_is_asked_for() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 300_000);
    let upload = ["upload", "--quiet", "a.mp4", "--server", &server.url];
    env.run(&upload).ok();
    assert_eq!(reports(&server), [] as [Value; 0]);
    env.run(&[&upload[..], &["--report"]].concat()).ok();
    let told = reports(&server);
    let events: Vec<&str> = told.iter().filter_map(|report| report["Event"].as_str()).collect();
    assert_eq!((events.last(), events.first()), (Some(&"Started"), Some(&"Succeeded")), "{told:?}");
    assert!(told.iter().all(|report| report["FileName"] == "a.mp4"), "{told:?}");
    run(&env, &server, &["upload", "a.mp4", "--bucket", "vod-media", "--report"])
        .fails(2, "--report goes with --server alone");
}

/// The newest first.
fn reports(server: &Server) -> Vec<Value> {
    let address = server.address();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /api/upload-reports HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let body = reply.split_once("\r\n\r\n").unwrap().1;
    let answer: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {reply}"));
    answer["Reports"].as_array().unwrap().clone()
}

#[test]
fn so_many_failures_in_a_row_give_a_file_up() {
    let env = TestEnv::new();
    env.file("a.mp4", 300_000);
    // Nobody listens there.
    let place =
        ["upload", "--json", "a.mp4", "--endpoint", "http://127.0.0.1:1", "--bucket", "films"];
    let with = |more: &[&str]| {
        let mut command = env.command(&[&place[..], more].concat());
        command.env("VODFERRY_ACCESS_KEY_ID", "a").env("VODFERRY_ACCESS_KEY_SECRET", "s");
        Ran::within(&mut command, Duration::from_secs(60))
    };
    let ran = with(&["--retry-count", "3", "--retry-duration", "20ms"]).fails(4, "a.mp4");
    let retries: Vec<u64> = ran
        .events()
        .iter()
        .filter(|line| line.event == "retry")
        .map(|line| line.number("delay_ms"))
        .collect();
    assert_eq!(retries, [20]);
    with(&["--retry-count", "3", "--retry-for", "1s"]).fails(2, "cannot be used");
    with(&["--retry-count", "0"]).fails(2, "0");
    let config = env.text("c.toml", "retry_count = 1\n");
    let ran = with(&["--config", config.to_str().unwrap()]).fails(4, "a.mp4");
    assert!(ran.events().iter().all(|line| line.event != "retry"), "{ran:?}");
    // What is typed undoes what the file says of the other.
    let config = ["--config", config.to_str().unwrap(), "--retry-for", "1ms"];
    with(&config).fails(4, "a.mp4").event("retry");
}

#[test]
fn parts_go_in_their_order_and_resume_keeps_to_it() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let content = fs::read(env.file("a.mp4", 8 << 20)).unwrap();
    let place = ["--endpoint", &server.url, "--bucket", "vod-media"];
    let keys = server.keys_file();
    let how = ["upload", "--json", "a.mp4", "--sequential", "--part-size", "256KiB"];
    let mut command = env.command(&[&how[..], &["--limit", "1MiB/s"], &place].concat());
    command.arg("--keys-file").arg(&keys);
    let mut upload = Process::spawn(command);
    let mut numbers = Vec::new();
    upload.wait_for(|line| {
        if line.event == "part" {
            numbers.push(line.number("number"));
        }
        numbers.len() == 3
    });
    assert_eq!(numbers, [1, 2, 3]);
    upload.kill();
    let listed = env.run(&["checkpoints", "ls", "--json"]).ok();
    assert!(row(&listed)["id"].as_str().unwrap().ends_with("-sequential"), "{listed:?}");

    let mut command = env.command(&[&["resume", "--json", "a.mp4"], &place[..]].concat());
    let ran = Ran::of(command.arg("--keys-file").arg(&keys)).ok();
    assert!(ran.event("resumed").number("parts") >= 3);
    let rest: Vec<u64> = ran
        .events()
        .iter()
        .filter(|line| line.event == "part")
        .map(|line| line.number("number"))
        .collect();
    assert!(rest.is_sorted() && rest.last() == Some(&32), "{rest:?}");
    assert!(env.get(&server, "vod-media/a.mp4") == content);
    env.run(&["upload", "a.mp4", "--sequential", "--parallel", "2", "--server", &server.url])
        .fails(2, "cannot be used");
}

#[test]
fn the_knobs_turn() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    env.file("a.mp4", 1_024_000);
    let upload = ["upload", "--json", "a.mp4", "--server", &server.url, "--part-size", "102400"];
    let figures = |more: &[&str]| {
        let ran = env.run(&[&upload[..], more].concat()).ok();
        let figures = ran.events().into_iter().filter(|line| line.event == "progress");
        figures.map(|line| line.number("acknowledged")).collect::<Vec<u64>>()
    };
    let mut each = figures(&["--progress-interval", "0", "--parallel", "1"]);
    each.dedup();
    assert_eq!(each, (1..=10).map(|part| part * 102_400).collect::<Vec<_>>());
    // What comes within a day of the first figure waits for the last.
    let mut few = figures(&["--progress-interval", "1d", "--parallel", "1"]);
    few.dedup();
    assert!(few.len() <= 2 && few.last() == Some(&1_024_000), "{few:?}");
    let all = ["--max-buffered", "1MiB", "--find-orphans", "--on-part-failure", "finish"];
    let slow = ["--request-timeout", "90s", "--slowest", "1KiB/s"];
    assert_eq!(figures(&[&all[..], &slow].concat()).last(), Some(&1_024_000));
    for (flag, value) in [
        ("--on-part-failure", "maybe"),
        ("--request-timeout", "0"),
        ("--slowest", "0"),
        ("--max-buffered", "much"),
        ("--progress-interval", "soon"),
    ] {
        env.run(&[&upload[..], &[flag, value]].concat()).fails(2, flag);
    }
    let config = "on_part_failure = \"finish\"\nmax_buffered = \"1MiB\"\nfind_orphans = true\nsequential = true\n\
                  progress_interval = \"1s\"\nrequest_timeout = \"90s\"\nslowest = \"1KiB/s\"\nretry_duration = 1\n";
    let config = env.text("c.toml", config);
    figures(&["--config", config.to_str().unwrap()]);
}
