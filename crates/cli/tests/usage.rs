//! Wrong calls: told before anything is sent, with exit code 2 or 3 and a line that helps.

mod common;

use common::{Ran, TestEnv};

/// Nobody listens there: a test that reaches the network fails with another code.
const NOWHERE: &str = "http://127.0.0.1:1";

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for place in 0..4 {
            let six = (word >> (18 - 6 * place)) & 63;
            out.push(if place <= three.len() { char::from(ALPHABET[six as usize]) } else { '=' });
        }
    }
    out
}

fn address() -> String {
    base64(&format!(r#"{{"Endpoint":"{NOWHERE}","Bucket":"vod-media","FileName":"sv/a.mp4"}}"#))
}

fn auth() -> String {
    base64(
        r#"{"SecurityToken":"CAIShush","AccessKeyId":"STS.x","AccessKeySecret":"hush","Expiration":"3000","ExpireUTCTime":"2099-01-01T00:00:00Z","Region":"cn-shanghai"}"#,
    )
}

#[test]
fn no_verb_and_unknown_flags_are_usage_errors() {
    let env = TestEnv::new();
    assert_eq!(env.run(&[] as &[&str]).code, Some(2));
    assert_eq!(env.run(&["fly"]).code, Some(2));
    assert_eq!(env.run(&["upload"]).code, Some(2));
    assert_eq!(env.run(&["upload", "a", "--fast"]).code, Some(2));
    assert_eq!(env.run(&["upload", "", "--server", NOWHERE]).code, Some(2));
    let help = env.run(&["--help"]).ok();
    for verb in ["upload", "resume", "get", "url", "serve"] {
        assert!(help.stdout.contains(verb), "{help:?}");
    }
}

#[test]
fn an_upload_needs_exactly_one_place() {
    let env = TestEnv::new();
    env.run(&["upload", "a"]).fails(2, "no place to upload to");
    env.run(&["upload", "a", "--server", NOWHERE, "--endpoint", NOWHERE])
        .fails(2, "cannot be used");
    env.run(&["upload", "a", "--address", &address()]).fails(2, "--auth is missing");
    env.run(&["upload", "a", "--auth", &auth()]).fails(2, "--address is missing");
    env.run(&["upload", "a", "--token", "t"]).fails(2, "--server");
    let mut two = env.command(&["upload", "a"]);
    two.env("VODFERRY_SERVER", NOWHERE).env("VODFERRY_ENDPOINT", NOWHERE);
    Ran::of(&mut two).fails(2, "the environment names more than one");
}

#[test]
fn a_flag_wins_over_a_variable_that_it_excludes() {
    let env = TestEnv::new();
    env.file("f", 10);
    let upload = ["upload", "f", "--server", NOWHERE, "--retry-count", "1"];
    for (variable, value, flag) in [
        ("VODFERRY_RECORD_DIR", "records", &["--no-record"][..]),
        ("VODFERRY_RETRY_FOR", "5m", &[]),
        ("VODFERRY_PARALLEL", "4", &["--sequential"]),
    ] {
        let mut command = env.command(&[&upload[..], flag].concat());
        // A failure of the network, after one try.
        Ran::of(command.env(variable, value)).fails(4, "127.0.0.1:1");
        assert!(!env.path("records").exists(), "{variable}");
    }
    for flags in [
        &["--retry-for", "5m"][..],
        &["--parallel", "4", "--sequential"],
        &["--record-dir", "records", "--no-record"],
    ] {
        env.run(&[&upload[..], flags].concat()).fails(2, "cannot be used with");
    }
    let mut two = env.command(&["upload", "f", "--server", NOWHERE]);
    two.env("VODFERRY_RETRY_FOR", "5m").env("VODFERRY_RETRY_COUNT", "1");
    Ran::of(&mut two).fails(2, "cannot be used with");
}

#[test]
fn a_file_that_failed_is_named_though_its_name_is_in_the_message() {
    let env = TestEnv::new();
    env.file("1", 10);
    env.file("7", 10);
    let ran = env.run(&["upload", "1", "7", "--server", NOWHERE, "--retry-count", "1"]);
    let ran = ran.fails(4, "error: 1: ");
    assert!(ran.stderr.contains("error: 7: "), "{ran:?}");
}

#[test]
fn an_empty_variable_is_none_in_verbs_below_verbs_too() {
    let env = TestEnv::new();
    for verb in [&["checkpoints", "ls"][..], &["resume", "--list"]] {
        Ran::of(env.command(verb).env("VODFERRY_RECORD_DIR", "")).ok();
    }
}

#[test]
fn an_address_or_a_key_is_for_one_file() {
    let env = TestEnv::new();
    let with_address = ["upload", "a", "b", "--address", &address(), "--auth", &auth()];
    env.run(&with_address).fails(2, "for one file");
    let mut with_key =
        env.command(&["upload", "a", "b", "--endpoint", NOWHERE, "--bucket", "films"]);
    with_key.args(["--key", "k"]).env("VODFERRY_ACCESS_KEY_ID", "id");
    with_key.env("VODFERRY_ACCESS_KEY_SECRET", "hush");
    Ran::of(&mut with_key).fails(2, "cannot share the key");
    env.run(&["upload", "a", "--server", NOWHERE, "--key", "k"]).fails(2, "--key goes with");
}

#[test]
fn a_secret_is_not_taken_from_the_command_line() {
    let env = TestEnv::new();
    for flag in ["--access-key-id", "--access-key-secret", "--security-token"] {
        env.run(&["upload", "a", flag, "x"]).fails(2, "unexpected argument");
    }
    let store = ["upload", "a", "--endpoint", NOWHERE, "--bucket", "films"];
    env.run(&store).fails(3, "no access key");
    let mut half = env.command(&store);
    half.env("VODFERRY_ACCESS_KEY_SECRET", "hush");
    let ran = Ran::of(&mut half).fails(3, "half an access key");
    assert!(!ran.stderr.contains("hush"), "{ran:?}");
}

#[test]
fn a_garbled_or_swapped_address_is_told_before_anything_is_sent() {
    let env = TestEnv::new();
    env.file("a.mp4", 200_000);
    let upload = |address: &str, auth: &str| {
        env.run(&["upload", "a.mp4", "--address", address, "--auth", auth])
    };
    let (address, auth) = (address(), auth());
    for (address, auth) in [
        (auth.as_str(), address.as_str()),
        ("garbled!", auth.as_str()),
        (address.as_str(), "garbled!"),
        (&address[..address.len() / 2], auth.as_str()),
        (address.as_str(), &auth[..auth.len() / 2]),
        (&base64("{}"), auth.as_str()),
        (&base64("[[[[[["), auth.as_str()),
    ] {
        let ran = upload(address, auth).fails(2, "upload");
        assert!(!ran.stderr.contains("hush"), "{ran:?}");
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn sizes_out_of_range_are_refused() {
    let env = TestEnv::new();
    env.file("a.mp4", 200_000);
    for size in ["102399", "1", "6GiB", "-1", "8 parsec", ""] {
        let ran = env.run(&["upload", "a.mp4", "--server", NOWHERE, "--part-size", size]);
        assert_eq!(ran.code, Some(2), "{size}: {ran:?}");
    }
    for (flag, value) in
        [("--parallel", "0"), ("--limit", "0"), ("--limit", "fast"), ("--retry-for", "soon")]
    {
        let ran = env.run(&["upload", "a.mp4", "--server", NOWHERE, flag, value]);
        assert_eq!(ran.code, Some(2), "{flag} {value}: {ran:?}");
    }
    for seconds in ["0", "604801", "x"] {
        assert_eq!(env.run(&["url", "b/k", "--expires", seconds]).code, Some(2));
    }
    let ran = env.run(&["upload", "a.mp4", "--server", "not a url"]);
    ran.fails(2, "error");
}

#[test]
fn flags_win_over_the_environment_and_this_over_the_file() {
    let env = TestEnv::new();
    env.file("a.mp4", 200_000);
    // A value out of range shows which source was read, before anything is sent.
    let config = env.text("config.toml", "server = \"http://127.0.0.1:1\"\npart_size = 100\n");
    let run = |flag: Option<&str>, variable: Option<&str>| {
        let mut command = env.command(&["upload", "a.mp4", "--retry-for", "1ms", "--config"]);
        command.arg(&config);
        if let Some(value) = variable {
            command.env("VODFERRY_PART_SIZE", value);
        }
        if let Some(value) = flag {
            command.args(["--part-size", value]);
        }
        Ran::of(&mut command).code
    };
    assert_eq!(run(None, None), Some(2), "the file's value is refused");
    assert_eq!(run(None, Some("1MiB")), Some(4), "the environment's is used, and nobody listens");
    assert_eq!(run(Some("100"), Some("1MiB")), Some(2), "the flag's is refused");
    assert_eq!(run(Some("1MiB"), Some("100")), Some(4), "the flag's is used");
}

#[test]
fn the_file_at_the_default_place_is_read() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.path("home/.config/vodferry")).unwrap();
    env.text("home/.config/vodferry/config.toml", "part_sice = 1\n");
    env.run(&["upload", "a"]).fails(2, "part_sice");
    let mut elsewhere = env.command(&["upload", "a"]);
    elsewhere.env("XDG_CONFIG_HOME", env.path("nothing"));
    Ran::of(&mut elsewhere).fails(2, "no place to upload to");
    env.run(&["upload", "a", "--config", "missing.toml"]).fails(8, "missing.toml");
}

#[cfg(unix)]
#[test]
fn a_keys_file_that_is_none_is_told() {
    let env = TestEnv::new();
    let url = ["url", "films/k", "--endpoint", NOWHERE, "--keys-file"];
    let with = |path: &str| env.run(&[&url[..], &[path]].concat());
    with("missing.toml").fails(8, "missing.toml");
    let path = env.text("keys.toml", "secret = \"hush\"");
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode;
    std::fs::set_permissions(&path, mode(0o644)).unwrap();
    with("keys.toml").fails(8, "chmod 600");
    std::fs::set_permissions(&path, mode(0o600)).unwrap();
    let ran = with("keys.toml").fails(8, "keys.toml");
    assert!(!ran.stderr.contains("hush"), "{ran:?}");
}

#[test]
fn presigned_urls_are_printed_without_a_request() {
    let env = TestEnv::new();
    let mut command =
        env.command(&["url", "films/a b.mp4", "--endpoint", NOWHERE, "--expires", "60"]);
    command.env("VODFERRY_ACCESS_KEY_ID", "id").env("VODFERRY_ACCESS_KEY_SECRET", "hush");
    let ran = Ran::of(&mut command).ok();
    assert!(ran.stdout.starts_with("http://127.0.0.1:1/films/a%20b.mp4?"), "{ran:?}");
    assert!(ran.stdout.contains("Signature=") && !ran.stdout.contains("hush"), "{ran:?}");
    env.run(&["url", "films", "--endpoint", NOWHERE]).fails(2, "BUCKET/KEY");
}

#[test]
fn what_is_often_got_wrong_is_told() {
    let env = TestEnv::new();
    env.file("a.mp4", 200_000);
    env.run(&["upload", "a.mp4", "--server", "127.0.0.1:1"]).fails(2, "http:// or https://");
    env.run(&["upload", "-", "--server", NOWHERE]).fails(2, "--name");
    env.run(&["upload", "a.mp4", "--server", NOWHERE, "--name", "b"]).fails(2, "--name");
    let twice = ["upload", "-", "-", "--server", NOWHERE, "--name", "b"];
    env.run(&twice).fails(2, "only once");
    env.run(&["upload", ".", "--server", NOWHERE]).fails(2, "directory");
    env.run(&["upload", "a.mp4", "--server", NOWHERE, "--on-busy", "later"]).fails(2, "wait");
    for help in [&["upload", "--help"][..], &["resume", "-h"], &["help", "upload"]] {
        let help = env.run(help).ok().stdout;
        assert!(help.contains("--on-busy <fail|wait>") && help.contains("--region"), "{help}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_counts_as_not_set() {
    let env = TestEnv::new();
    env.file("a.mp4", 200_000);
    for verb in ["upload", "resume"] {
        let mut command = env.command(&[verb, "a.mp4"]);
        for name in [
            "CONFIG",
            "LOG",
            "SERVER",
            "TOKEN",
            "ADDRESS",
            "AUTH",
            "ENDPOINT",
            "BUCKET",
            "KEYS_FILE",
            "REGION",
            "PART_SIZE",
            "PARALLEL",
            "LIMIT",
            "RECORD_DIR",
            "RETRY_FOR",
            "ON_BUSY",
            "CONNECT_TIMEOUT",
            "IDLE_TIMEOUT",
        ] {
            command.env(format!("VODFERRY_{name}"), "");
        }
        Ran::of(&mut command).fails(2, "no place to upload to");
    }
    let mut command = env.command(&["fsck"]);
    Ran::of(command.env("VODFERRY_DATA", "")).fails(8, "vodferry-data");
}
