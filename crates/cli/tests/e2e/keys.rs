//! Keys on a real terminal: what they do, and that the terminal is given back however the process ends.

use std::fs;

use crate::common::pty::Pty;
use crate::common::{Server, TestEnv, signal};

/// An upload of these files through the application server, slow enough to be steered.
fn upload(env: &TestEnv, server: &Server, args: &[&str]) -> Option<Pty> {
    for name in ["a.mp4", "b.mp4"] {
        env.file(name, 8 << 20);
    }
    let mut command = env.command(&["upload", "--server", &server.url, "--limit", "512KiB/s"]);
    command.args(["--part-size", "256KiB"]).args(args);
    let pty = Pty::run(&command)?;
    if !args.contains(&"--no-keys") {
        pty.sees("p pause");
        pty.until("the keyboard", || pty.is_taken());
    }
    Some(pty)
}

/// Bytes that the checkpoints say are stored.
fn stored(env: &TestEnv) -> u64 {
    let list = env.run(&["checkpoints", "ls", "--json"]).ok().stdout;
    let bytes =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["bytes"].as_u64();
    list.lines().map(|line| bytes(line).unwrap()).sum()
}

#[test]
fn a_pause_holds_and_is_undone() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let Some(mut pty) = upload(&env, &server, &["a.mp4"]) else { return };
    pty.until("a part", || stored(&env) > 0);
    pty.press("p");
    pty.sees("paused: r goes on");
    let before = stored(&env);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(stored(&env), before, "at the limit three seconds are six parts");
    pty.press("-");
    pty.sees("at most 256.0 KiB/s");
    pty.press("++");
    pty.sees("at most 1.0 MiB/s");
    pty.press("0 ");
    assert_eq!(pty.code(), 0, "{}", pty.screen());
    assert!(!pty.is_taken());
    assert!(pty.screen().contains("a.mp4: done"), "{}", pty.screen());
}

#[test]
fn a_file_is_skipped_and_the_next_one_goes() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let Some(mut pty) = upload(&env, &server, &["a.mp4", "b.mp4", "--delete-on-cancel"]) else {
        return;
    };
    pty.until("a part", || stored(&env) > 0);
    pty.press("\x1b[c");
    pty.press("c");
    pty.sees("a.mp4: skipped");
    pty.press("0");
    assert_eq!(pty.code(), 0, "{}", pty.screen());
    let screen = pty.screen();
    assert!(screen.contains("b.mp4: done") && !screen.contains("b.mp4: skipped"), "{screen}");
    assert_eq!(env.run(&["checkpoints", "ls"]).ok().stdout, "", "what was cancelled was given up");
}

#[test]
fn stopping_by_key_keeps_the_checkpoint_whatever_was_asked_for() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let Some(mut pty) = upload(&env, &server, &["a.mp4", "--delete-on-cancel"]) else { return };
    pty.until("a part", || stored(&env) > 0);
    pty.press("q");
    assert_eq!(pty.code(), 130, "{}", pty.screen());
    assert!(!pty.is_taken());
    assert!(pty.screen().contains("to go on: vodferry resume"), "{}", pty.screen());
    assert!(stored(&env) > 0);
}

#[test]
fn the_terminal_is_given_back_however_the_process_ends() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    // Ctrl-C and Ctrl-\ as the terminal makes them, and signals from elsewhere.
    for (typed, sent) in [("\u{3}", ""), ("\u{1c}", ""), ("", "TERM"), ("", "HUP")] {
        let Some(mut pty) = upload(&env, &server, &["a.mp4"]) else { return };
        match sent {
            "" => pty.press(typed),
            name => assert!(signal(name, pty.command_id())),
        }
        assert_eq!(pty.code(), 130, "{typed:?} {sent}: {}", pty.screen());
        assert!(!pty.is_taken(), "{typed:?} {sent}");
    }
}

#[test]
fn a_stopped_process_leaves_the_terminal_to_the_shell() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let Some(mut pty) = upload(&env, &server, &["a.mp4"]) else { return };
    let process = pty.command_id();
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().chars().next().unwrap()
    };
    pty.press("\u{1a}");
    pty.until("the stop", || state() == 'T');
    assert!(!pty.is_taken());
    assert!(signal("CONT", process));
    pty.until("the keyboard again", || pty.is_taken());
    pty.press("q");
    assert_eq!(pty.code(), 130, "{}", pty.screen());
    assert!(!pty.is_taken());
}

#[test]
fn the_keyboard_is_left_alone_where_it_is_not_ours() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let Some(mut pty) = upload(&env, &server, &["a.mp4", "--no-keys"]) else { return };
    pty.until("a part", || stored(&env) > 0);
    assert!(!pty.is_taken() && !pty.screen().contains("p pause"));
    pty.press("\u{3}");
    assert_eq!(pty.code(), 130);

    // What is typed is the file here: its end is Ctrl-D.
    let upload = ["upload", "-", "--name", "typed.mp4", "--server", &server.url];
    let Some(mut pty) = Pty::run(&env.command(&upload)) else { return };
    pty.press("p and q are letters\n");
    pty.sees("in flight");
    assert!(!pty.is_taken());
    pty.press("\u{4}");
    assert_eq!(pty.code(), 0, "{}", pty.screen());
}
