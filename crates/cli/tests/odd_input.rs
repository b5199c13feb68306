//! What no argument, no name and no folder may do: smuggle a header, fool the terminal, get lost, or stop an upload that could go on.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use common::arguments::{Verb, verbs};
use common::recorder::Recorder;
use common::secrets::encode;
use common::{Ran, TestEnv};
use serde_json::json;

/// Ends a header, and would be another one; then clears the screen.
const EVIL: &str = "x\r\nX-Evil: 1\r\n\u{1b}[2J";

/// One clear error: whole lines of ours, and nothing that a terminal would obey.
fn is_clear(ran: &Ran) {
    assert!(matches!(ran.code, Some(2 | 3 | 8 | 9)), "{ran:#?}");
    for line in ran.stderr.lines() {
        let ours = ["error: ", "hint: ", "warning: ", "a.mp4: ", "-: ", "x\u{fffd}\u{fffd}X-Evil"];
        assert!(ours.iter().any(|ours| line.starts_with(ours)), "{ran:#?}");
    }
    assert!(!ran.stderr.contains(['\r', '\u{1b}']) && !ran.stderr.contains("panicked"), "{ran:#?}");
    assert!(!ran.stdout.contains(['\r', '\u{1b}']), "{ran:#?}");
}

fn has_no_evil_heads(recorder: &Recorder) {
    let heads = recorder.heads.lock().unwrap();
    assert!(!heads.is_empty());
    for head in heads.iter() {
        assert!(!head.to_lowercase().contains("\nx-evil"), "{head}");
        assert!(!head.contains('\u{1b}'), "{head}");
    }
}

#[test]
fn no_argument_smuggles_a_header_or_fools_the_terminal() {
    let env = TestEnv::new();
    let recorder = Recorder::new();
    env.file("a.mp4", 200_000);
    let url = recorder.url.as_str();
    let evil_url = format!("{url}/{EVIL}");
    let blob = |endpoint: &str, bucket: &str, key: &str| {
        let inside = json!({"Endpoint": endpoint, "Bucket": bucket, "FileName": key});
        encode(inside.to_string().as_bytes())
    };
    let auth = |id: &str, secret: &str, token: &str| {
        let inside = json!({"SecurityToken": token, "AccessKeyId": id, "AccessKeySecret": secret,
            "Expiration": "3000", "ExpireUTCTime": "2099-01-01T00:00:00Z", "Region": EVIL});
        encode(inside.to_string().as_bytes())
    };
    let good = (blob(url, "vod-media", "k.mp4"), auth("STS.A", "hush", "token"));
    let bad_blobs =
        [blob(&evil_url, "vod-media", "k"), blob(url, EVIL, "k"), blob(url, "vod-media", EVIL)];
    let bad_auths =
        [auth(EVIL, "hush", "token"), auth("A", "hush", EVIL), auth("A", EVIL, "token")];

    let mut calls: Vec<Vec<&str>> = vec![
        vec!["--server", &evil_url],
        vec!["--server", EVIL],
        vec!["--server", url, "--token", EVIL],
        vec!["--server", url, "--title", EVIL],
        vec!["--server", url, "--region", EVIL],
        vec!["--server", url, "--limit", EVIL],
        vec!["--server", url, "--on-busy", EVIL],
        vec!["--server", url, "--log", EVIL],
        vec!["--server", url, "--config", EVIL],
        vec!["--server", url, "--keys-file", EVIL],
        vec!["--server", url, EVIL],
        vec!["--server", url, "--\u{1b}[2J"],
        vec!["--address", EVIL, "--auth", &good.1],
        vec!["--address", &good.0, "--auth", EVIL],
        vec!["--endpoint", &evil_url, "--bucket", "films"],
        vec!["--endpoint", url, "--bucket", EVIL],
        vec!["--endpoint", url, "--bucket", "films", "--key", EVIL],
    ];
    calls.extend(bad_blobs.iter().map(|bad| vec!["--address", bad, "--auth", &good.1]));
    calls.extend(bad_auths.iter().map(|bad| vec!["--address", &good.0, "--auth", bad]));
    for call in &calls {
        let mut command = env.command(&["upload", "a.mp4", "--retry-for", "1s"]);
        command.args(call);
        command.env("VODFERRY_ACCESS_KEY_ID", "AK").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
        is_clear(&Ran::of(&mut command));
    }
    for name in ["VODFERRY_ACCESS_KEY_ID", "VODFERRY_SECURITY_TOKEN", "VODFERRY_BUCKET"] {
        let mut command = env.command(&["upload", "a.mp4", "--endpoint", url]);
        command.env("VODFERRY_ACCESS_KEY_ID", "AK").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
        command.env("VODFERRY_BUCKET", "films").env(name, EVIL);
        is_clear(&Ran::of(&mut command));
    }
    for call in [["get", EVIL], ["get", &evil_url], ["url", EVIL], ["fly", EVIL], [EVIL, "x"]] {
        is_clear(&env.run(&call));
    }
    let store = ["--endpoint", url, "--bucket", "films"];
    let whole = format!("films/{EVIL}");
    let missing = env.path("none").to_str().unwrap().to_owned();
    for call in [
        &["upload", "a.mp4", "--header", EVIL][..],
        &["upload", "a.mp4", "--header", &format!("X-Kind: {EVIL}")],
        &["upload", "a.mp4", "--metadata", &format!("by={EVIL}")],
        &["upload", "a.mp4", "--content-type", EVIL],
        &["upload", "a.mp4", "--callback-url", EVIL, "--callback-body", "b=1"],
        &["upload", "a.mp4", "--proxy", EVIL],
        &["upload", "-", "--name", EVIL],
        &["upload", "a.mp4", "--list", EVIL],
        &["upload", "a.mp4", "--ca-file", EVIL],
    ] {
        let mut command = env.command(&[call, &store].concat());
        command.env("VODFERRY_ACCESS_KEY_ID", "AK").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
        is_clear(&Ran::of(command.args(["--retry-for", "1s"])));
    }
    for call in [
        &["put", "a.mp4", &whole][..],
        &["put", "a.mp4", "films/k", "--content-type", EVIL],
        &["append", "a.mp4", &whole],
        &["rm", &whole],
        &["ls", &whole],
        &["ls", "films", "--endpoint", EVIL],
        &["abort", &whole, "--upload-id", EVIL],
        &["get", &whole, "-o", EVIL],
        &["checkpoints", "show", EVIL],
        &["checkpoints", "rm", EVIL],
        &["resume", EVIL],
        &["fsck", "--data", &format!("{missing}{EVIL}")],
        &["serve", "--listen", EVIL, "--data", &missing],
        &["admin", "keys", "disable", EVIL, "--data", &missing],
        &["admin", "backup", EVIL, "--data", &missing],
        &["completions", EVIL],
    ] {
        let mut command = env.command(call);
        command.env("VODFERRY_ENDPOINT", url);
        command.env("VODFERRY_ACCESS_KEY_ID", "AK").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
        is_clear(&Ran::of(&mut command));
    }
    has_no_evil_heads(&recorder);
}

/// A word for each positional argument of a verb, so that one of them can be another one, and the ways to call it. Every verb is
/// here: a new one has to be thought about.
fn good_calls<'a>(
    verb: &Verb,
    url: &'a str,
    [address, auth]: &'a [String; 2],
) -> (Vec<&'a str>, Vec<Vec<&'a str>>) {
    let store = vec!["--endpoint", url];
    let data = vec!["--data", "data"];
    let ways = vec![
        vec!["--server", url, "--retry-count", "1"],
        vec!["--endpoint", url, "--bucket", "films", "--retry-count", "1"],
        vec!["--vod", url, "--retry-count", "1"],
        vec!["--address", address, "--auth", auth, "--retry-count", "1"],
    ];
    match verb.name().as_str() {
        "upload" => (vec!["a.mp4"], ways),
        "resume" => (vec!["a.mp4"], ways),
        "doctor" => (vec![], ways.into_iter().map(|way| way[..way.len() - 2].to_vec()).collect()),
        "put" | "append" => (vec!["a.mp4", "films/k"], vec![store]),
        "ls" => (vec!["films"], vec![store]),
        "abort" => (vec!["films/k"], vec![[store, vec!["--yes"]].concat()]),
        "rm" => (vec!["films/k"], vec![[store, vec!["--yes"]].concat()]),
        "get" | "url" => (vec!["films/k"], vec![store]),
        // The port is taken: it ends when all else was read.
        "serve" => (vec![], vec![vec!["--listen", &url["http://".len()..], "--data", "data"]]),
        "admin keys disable" | "admin keys enable" | "admin keys delete" | "admin keys rotate"
        | "admin masters drop" | "admin roles delete" => (vec!["none"], vec![data]),
        "admin roles create" => (vec!["r"], vec![[data, vec!["--policy", "a.mp4"]].concat()]),
        "admin backup" => (vec!["copy"], vec![data]),
        "fsck"
        | "admin token"
        | "admin keys list"
        | "admin keys create"
        | "admin roles list"
        | "admin masters list"
        | "admin masters rotate" => (vec![], vec![data]),
        "checkpoints show" | "checkpoints rm" | "checkpoints export" | "checkpoints import" => {
            (vec!["a.mp4"], vec![vec![]])
        }
        "completions" => (vec!["bash"], vec![vec![]]),
        "checkpoints ls" | "man" => (vec![], vec![vec![]]),
        other => panic!("how is {other} called?"),
    }
}

/// The evil text where `kind` is expected, as the help calls it: alone, and as a part of something that is none the worse for it.
fn evil_values(kind: &str, url: &str) -> Vec<String> {
    let within = [
        ("NAME=", format!("kind={EVIL}")),
        (": ", format!("X-Kind: {EVIL}")),
        ("URL", format!("{url}/{EVIL}")),
        ("BUCKET", format!("films/{EVIL}")),
        // What a shell makes of it is the shell's to tell.
        ("COMMAND", format!(": '{EVIL}'")),
    ];
    let within = within.into_iter().filter(|(mark, _)| kind.contains(mark)).map(|(_, text)| text);
    let alone = (kind != "COMMAND").then(|| EVIL.to_owned());
    alone.into_iter().chain(within).collect()
}

/// Every call of this verb with one argument that is evil; or with a variable, which is told by its name.
fn evil_calls(verb: &Verb, url: &str, grant: &[String; 2]) -> Vec<(Vec<String>, Option<String>)> {
    let (positional, ways) = good_calls(verb, url, grant);
    assert!(positional.len() >= verb.positional.len(), "{verb:?}");
    let owned = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let mut calls = Vec::new();
    for way in &ways {
        for (at, kind) in verb.positional.iter().enumerate() {
            for evil in evil_values(kind, url) {
                let mut words = owned(&positional);
                words[at] = evil;
                calls.push(([verb.words.clone(), words, owned(way)].concat(), None));
            }
        }
        for option in &verb.options {
            // Given twice it would not be looked at.
            let mut way = owned(way);
            if let Some(at) = way.iter().position(|word| *word == option.name) {
                let next = way[at + 1..].iter().position(|word| word.starts_with("--"));
                way.drain(at..next.map_or(way.len(), |next| at + 1 + next));
            }
            let good = [verb.words.clone(), owned(&positional), way].concat();
            for evil in evil_values(&option.kind, url) {
                let said = vec![format!("{}={evil}", option.name)];
                calls.push(([good.clone(), said].concat(), None));
            }
            calls.extend(option.variable.clone().map(|variable| (good, Some(variable))));
        }
    }
    calls
}

/// Whatever it did: it ended by itself, no line is forged, and there is nothing that a terminal would obey.
fn leaves_the_terminal_alone(ran: &Ran) -> bool {
    let clean = |output: &str| {
        !output.contains(['\r', '\u{1b}'])
            && !output.lines().any(|line| line.starts_with("X-Evil"))
            && !output.contains("panicked")
    };
    ran.code.is_some_and(|code| code < 100) && clean(&ran.stdout) && clean(&ran.stderr)
}

#[test]
fn no_argument_of_any_verb_fools_the_terminal() {
    let recorder = Recorder::new();
    let address = json!({"Endpoint": recorder.url, "Bucket": "films", "FileName": "k.mp4"});
    let auth = json!({"SecurityToken": "token", "AccessKeyId": "STS.A", "AccessKeySecret": "hush",
        "Expiration": "3000", "ExpireUTCTime": "2099-01-01T00:00:00Z"});
    let grant = [address, auth].map(|inside| encode(inside.to_string().as_bytes()));
    let verbs = verbs(&TestEnv::new());
    let option = |verb: &str, option: &str| {
        let verb = verbs.iter().find(|found| found.name() == verb);
        verb.is_some_and(|verb| verb.options.iter().any(|found| found.name == option))
    };
    assert!(option("upload", "--metadata") && option("admin roles create", "--assumed-by"));
    let calls: Vec<_> =
        verbs.iter().flat_map(|verb| evil_calls(verb, &recorder.url, &grant)).collect();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let fooled = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let fooled = &fooled;
            let calls = calls.iter().skip(thread).step_by(threads);
            scope.spawn(move || {
                let env = TestEnv::new();
                env.file("a.mp4", 1000);
                drop(env.serve(&[]));
                for (words, variable) in calls {
                    let mut command = env.command(words);
                    command.env("VODFERRY_ACCESS_KEY_ID", "AK");
                    command.env("VODFERRY_ACCESS_KEY_SECRET", "hush");
                    command.envs(variable.iter().map(|name| (name, EVIL)));
                    let ran = Ran::within(&mut command, Duration::from_secs(20));
                    if !leaves_the_terminal_alone(&ran) {
                        fooled.lock().unwrap().push((words, variable, ran));
                    }
                }
            });
        }
    });
    let fooled = fooled.into_inner().unwrap();
    assert!(fooled.is_empty(), "{} of {} calls: {fooled:#?}", fooled.len(), calls.len());
    has_no_evil_heads(&recorder);
}

#[test]
fn a_key_has_at_most_1023_bytes() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 300_000);
    let keys = server.keys_file();
    let place =
        ["--endpoint", &server.url, "--bucket", "vod-media", "--keys-file", keys.to_str().unwrap()];
    let upload =
        |key: &str| env.run(&[&["upload", "--json", "a.mp4", "--key", key][..], &place].concat());
    // The last one has 1,023 bytes and 341 characters.
    for key in ["k".repeat(1023), "影".repeat(341)] {
        assert_eq!(upload(&key).ok().event("succeeded").text("key"), key);
        assert!(env.get(&server, &format!("vod-media/{key}")) == fs::read(&file).unwrap());
    }
    for key in ["k".repeat(1024), format!("{}k", "影".repeat(341))] {
        let ran = upload(&key);
        assert!(matches!(ran.code, Some(2 | 9)), "{ran:?}");
        assert!(
            ran.stderr.contains("1,023")
                || ran.stderr.contains("InvalidObjectName")
                || ran.stderr.contains("1023"),
            "{ran:?}"
        );
    }
}

#[test]
fn keys_and_titles_with_control_characters_arrive_as_they_are() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 1_300_000);
    let keys = server.keys_file();
    let place =
        ["--endpoint", &server.url, "--bucket", "vod-media", "--keys-file", keys.to_str().unwrap()];
    for key in ["v/a\r\nX-Evil: 1.mp4", "v/\u{1b}[2J.mp4", "v/\u{202e}4pm.exe", "v/\t\u{7f}"] {
        let upload = ["upload", "--json", "a.mp4", "--key", key];
        let done = env.run(&[&upload[..], &place].concat()).ok().event("succeeded");
        assert_eq!(done.text("key"), key);
        let object = format!("vod-media/{key}");
        assert!(env.get(&server, &object) == fs::read(&file).unwrap(), "{key:?}");
        let plain = env.run(&[&["upload", "a.mp4", "--key", key][..], &place].concat()).ok();
        assert_eq!(plain.stdout.trim_end_matches('\n').split('\t').count(), 3, "{plain:?}");
        assert!(!plain.stdout.contains(['\r', '\u{1b}', '\u{202e}']), "{plain:?}");
    }
    let title = "a\r\nb\u{1b}[2J";
    let ran = env.run(&["upload", "--server", &server.url, "a.mp4", "--title", title]);
    assert!(ran.code == Some(0) || ran.stderr.contains("error: "), "{ran:?}");
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_survives_an_interruption() {
    use std::os::unix::ffi::OsStrExt;
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let name = OsStr::from_bytes(b"film \xff\xfe it's\n\x1b[2J.mp4");
    let file = env.file(name.to_str().map_or_else(|| PathBuf::from(name), PathBuf::from), 6 << 20);
    let begin = || {
        let mut upload =
            env.spawn_upload(&server, &[name, OsStr::new("--limit"), OsStr::new("1MiB/s")]);
        upload.wait_for(|line| line.event == "part");
        upload
    };
    let mut upload = begin();
    upload.signal("INT");
    upload.rest();
    let (code, stderr) = upload.end();
    assert_eq!(code, Some(130), "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
    let listed = env.run(&["resume", "--list", "--json"]).ok();
    let listed: serde_json::Value = serde_json::from_str(listed.stdout.trim_end()).unwrap();
    assert_eq!(listed["state"], "unchanged");
    let plain = env.run(&["resume", "--list"]).ok().stdout;
    assert_eq!((plain.lines().count(), plain.contains('\u{1b}')), (1, false), "{plain:?}");

    // The command that it printed goes on, typed into a shell; without `--limit` it need not take seconds.
    let line = stderr.lines().find_map(|line| line.split_once("to go on: ")).expect(&stderr).1;
    let shell = Command::new("bash").arg("--version").output();
    let line = line.replace("vodferry resume", "\"$VODFERRY\" resume --json");
    let line = line.replace("--limit 1048576", "--limit 100MiB/s");
    let mut command = env.command(&[] as &[&str]);
    if shell.is_ok_and(|shell| shell.status.success()) {
        let binary = command.get_program().to_owned();
        let mut pasted = Command::new("bash");
        pasted
            .env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        pasted.env("VODFERRY", binary).current_dir(env.path("")).args(["-c", &line]);
        command = pasted;
    } else {
        println!("no bash here: resumed without pasting");
        command.args(["resume", "--json", "--server", &server.url]);
    }
    let ran = Ran::of(&mut command).ok();
    assert!(ran.event("resumed").number("parts") >= 1, "{ran:?}");
    let done = ran.event("succeeded");
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(&file).unwrap());

    // Without naming it.
    begin().kill();
    let ran = env.run(&["resume", "--json", "--server", &server.url]).ok();
    assert!(ran.event("resumed").number("parts") >= 1, "{ran:?}");
}

#[test]
fn a_record_directory_that_is_none_costs_a_warning_and_resume_says_so() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 2_500_000);
    env.text("taken", "a file where a folder should be");
    let mut places = vec!["taken", "taken/inside"];
    if cfg!(target_os = "linux") {
        places.push("/proc/vodferry");
        places.push("/dev/null");
    }
    for place in places {
        let args = ["upload", "--server", &server.url, "a.mp4", "--record-dir", place];
        let ran = env.run(&[&args[..], &["--json"]].concat()).ok();
        let warning = ran.event("warning");
        assert_eq!(warning.text("kind"), "storage", "{ran:?}");
        assert!(warning.text("message").contains(place), "{ran:?}");
        assert!(warning.text("hint").contains("record directory"), "{ran:?}");
        let done = ran.event("succeeded");
        let object = format!("{}/{}", done.text("bucket"), done.text("key"));
        assert!(env.get(&server, &object) == fs::read(&file).unwrap());
        let told = env.run(&args).ok().stderr;
        assert_eq!(told.lines().filter(|line| line.starts_with("warning: ")).count(), 1, "{told}");
        let list = env.run(&["resume", "--list", "--record-dir", place]);
        match place {
            "/proc/vodferry" => assert_eq!(list.ok().stdout, ""),
            _ => assert!(list.fails(8, place).stderr.contains("hint: ")),
        }
    }
}

/// Runs a command with `folder` read-only; `None` where no such thing is possible.
fn sealed(folder: &std::path::Path, command: &Command) -> Option<Command> {
    let script = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@""#;
    let wrap = || {
        let mut wrapped = Command::new("unshare");
        wrapped.args(["-rm", "bash", "-c", script, "bash"]).arg(folder);
        wrapped
    };
    let may = wrap().arg("true").output().is_ok_and(|tried| tried.status.success());
    if !may {
        vodferry_testkit::skip::skipped("a read-only disk", "nothing can be mounted here");
        return None;
    }
    let mut wrapped = wrap();
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped.current_dir(command.get_current_dir().unwrap());
    Some(wrapped)
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_read_only_disk_what_was_sent_is_not_sent_again() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 6 << 20);
    let mut upload = env.spawn_upload(&server, &["a.mp4", "--limit", "1MiB/s"]);
    upload.wait_for(|line| line.event == "part");
    upload.kill();
    for (verb, read_only) in [("resume", env.record_dir()), ("upload", env.path("home"))] {
        let command = env.command(&[verb, "--json", "--server", &server.url, "a.mp4"]);
        let Some(mut command) = sealed(&read_only, &command) else { return };
        let ran = Ran::of(&mut command).ok();
        assert!(ran.events().iter().any(|line| line.event == "warning"), "{ran:?}");
        let done = ran.event("succeeded");
        let object = format!("{}/{}", done.text("bucket"), done.text("key"));
        assert!(env.get(&server, &object) == fs::read(&file).unwrap());
        if verb == "resume" {
            assert!(ran.event("resumed").number("parts") >= 1, "{ran:?}");
        }
    }
    // What cannot be dropped is told.
    let Some(mut forget) =
        sealed(&env.record_dir(), &env.command(&["resume", "--forget", "a.mp4"]))
    else {
        return;
    };
    Ran::of(&mut forget).fails(8, "cannot delete");
}

#[test]
fn who_is_told_to_wait_finishes_what_the_other_process_left() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let file = env.file("a.mp4", 8 << 20);
    let slow = ["a.mp4", "--limit", "500KiB/s", "--parallel", "1", "--part-size", "1MiB"];
    let mut first = env.spawn_upload(&server, &slow);
    let seen = first.wait_for(|line| line.event == "part");
    let fail = env.run(&["upload", "--server", &server.url, "a.mp4", "--on-busy", "fail"]);
    fail.fails(7, "another process");
    // In front of a person it says why nothing happens.
    let patient = ["upload", "--server", &server.url, "a.mp4", "--on-busy", "wait"];
    let mut spoken = common::Process::spawn(env.command(&patient));
    let began = std::time::Instant::now();
    while !spoken.stderr_so_far().contains("waiting for another process") {
        assert!(began.elapsed() < common::PATIENCE, "{}", spoken.stderr_so_far());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    spoken.kill();
    let mut second = env.spawn_upload(&server, &["a.mp4", "--on-busy", "wait"]);
    assert!(matches!(second.event_within(std::time::Duration::from_millis(700)), Ok(None)));
    // It dies; whatever it sent until then stays sent.
    first.kill();
    let held = seen.iter().filter(|line| line.event == "part").count();
    let events = second.rest();
    assert_eq!(second.end().0, Some(0));
    let of = |name: &str| events.iter().find(|line| line.event == name);
    let resumed = of("resumed").unwrap_or_else(|| panic!("{events:#?}"));
    assert!(resumed.number("parts") >= held as u64);
    let sent = events.iter().filter(|line| line.event == "part").count() as u64;
    assert_eq!(sent + resumed.number("parts"), 8, "each part once: {events:#?}");
    let done = of("succeeded").unwrap();
    let object = format!("{}/{}", done.text("bucket"), done.text("key"));
    assert!(env.get(&server, &object) == fs::read(file).unwrap());
}

#[test]
fn time_outs_are_kept() {
    let env = TestEnv::new();
    env.file("a.mp4", 200_000);
    // Takes everything and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let _held = std::thread::spawn(move || {
        let held: Vec<_> = listener.incoming().flatten().collect();
        drop(held);
    });
    let mut command = env.command(&["upload", "--json", "a.mp4", "--endpoint", &url]);
    command.args(["--bucket", "films", "--idle-timeout", "300ms", "--retry-for", "1s"]);
    command.env("VODFERRY_ACCESS_KEY_ID", "AK").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
    let began = std::time::Instant::now();
    let ran = Ran::of(&mut command).fails(4, "no reply");
    assert!(began.elapsed().as_secs() < 25, "the default of 30 s was not taken: {ran:?}");
    assert!(ran.event("retry").text("message").contains("no reply"), "{ran:?}");
    // Each is the only one that is short; TLS is part of connecting.
    let tls = url.replace("http://", "https://");
    let (idle, connect, request) = ("--idle-timeout", "--connect-timeout", "--request-timeout");
    for (url, short, long) in [(&tls, connect, [idle, request]), (&url, request, [idle, connect])] {
        let mut command = env.command(&["upload", "a.mp4", "--endpoint", url, "--bucket", "films"]);
        command.args([short, "300ms", long[0], "60s", long[1], "60s", "--slowest", "10MiB/s"]);
        command.args(["--retry-for", "1s"]);
        command.env("VODFERRY_ACCESS_KEY_ID", "AK").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
        let began = std::time::Instant::now();
        let ran = Ran::of(&mut command).fails(4, "127.0.0.1");
        assert!(began.elapsed().as_secs() < 25, "{short}: {ran:?}");
    }
    for flag in ["--idle-timeout", "--connect-timeout"] {
        for value in ["0", "soon", "-1", ""] {
            let args = ["upload", "a.mp4", "--server", "http://127.0.0.1:1", flag, value];
            assert_eq!(env.run(&args).code, Some(2), "{flag} {value}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_not_left_out_in_silence() {
    use std::os::unix::ffi::OsStrExt;

    let env = TestEnv::new();
    env.file("a.mp4", 1000);
    let odd = std::ffi::OsStr::from_bytes(b"tok\xff");
    let args = ["upload", "a.mp4", "--endpoint", "http://127.0.0.1:1", "--bucket", "b"];
    let mut command = env.command(&args);
    command.env("VODFERRY_ACCESS_KEY_ID", "id").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
    command.env("VODFERRY_SECURITY_TOKEN", odd);
    let ran = Ran::of(&mut command).fails(2, "VODFERRY_SECURITY_TOKEN");
    assert!(!ran.stderr.contains("tok"), "{ran:?}");
}
