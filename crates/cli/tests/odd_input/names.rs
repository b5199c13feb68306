//! Names of files and keys of objects.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Ran, TestEnv};

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
