//! Arguments and variables: none smuggles a header or fools the terminal, and none is passed over in silence.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use crate::common::arguments::{Verb, verbs};
use crate::common::recorder::Recorder;
use crate::common::secrets::encode;
use crate::common::{Ran, TestEnv};

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
