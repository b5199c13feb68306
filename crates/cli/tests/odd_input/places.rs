//! Folders that are none, disks that cannot be written, files that another process holds, servers that say nothing.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::common::{PATIENCE, Process, Ran, TestEnv};

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
    let mut spoken = Process::spawn(env.command(&patient));
    let began = std::time::Instant::now();
    while !spoken.stderr_so_far().contains("waiting for another process") {
        assert!(began.elapsed() < PATIENCE, "{}", spoken.stderr_so_far());
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
