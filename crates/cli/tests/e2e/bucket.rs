//! `ls`, `abort` and `rm` against a server that runs.

use std::fs;

use serde_json::Value;

use crate::common::{Process, Ran, Server, TestEnv};

/// Runs a verb with the server's own key.
fn run(env: &TestEnv, server: &Server, args: &[&str]) -> Ran {
    let mut command = env.command(args);
    command.args(["--endpoint", &server.url, "--keys-file"]).arg(server.keys_file());
    Ran::of(&mut command)
}

fn rows(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Uploads that the server keeps parts of.
pub(super) fn unfinished(env: &TestEnv, server: &Server) -> Vec<Value> {
    rows(&run(env, server, &["ls", "vod-media", "--uploads", "--json"]).ok())
}

/// Leaves an upload half-way.
fn leave(env: &TestEnv, server: &Server, name: &str, key: &str) {
    env.file(name, 4 << 20);
    let mut command = env.command(&["upload", "--json", name, "--key", key, "--limit", "1MiB/s"]);
    command.args(["--endpoint", &server.url, "--bucket", "vod-media", "--keys-file"]);
    command.arg(server.keys_file());
    let mut upload = Process::spawn(command);
    upload.wait_for(|line| line.event == "part");
    upload.kill();
}

#[test]
fn a_bucket_is_listed_folder_by_folder_or_whole() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    fs::create_dir_all(env.path("films/b c")).unwrap();
    for (name, length) in [("films/a.mp4", 1536), ("films/b c/电影.mp4", 10), ("films/z.txt", 0)]
    {
        env.file(name, length);
    }
    let place = ["--bucket", "vod-media", "--key", "v/", "-r", "films"];
    run(&env, &server, &[&["upload"][..], &place].concat()).ok();

    let top = run(&env, &server, &["ls", "vod-media"]).ok().stdout;
    assert_eq!(top, "-\t-\tvod-media/v/\n");
    let folder = run(&env, &server, &["ls", "vod-media/v/", "-H"]).ok().stdout;
    let lines: Vec<&str> = folder.lines().collect();
    assert_eq!(lines.len(), 3, "{folder}");
    assert!(
        lines[0].starts_with("1.5 KiB\t20") && lines[0].ends_with("Z\tvod-media/v/a.mp4"),
        "{folder}"
    );
    assert!(lines.contains(&"-\t-\tvod-media/v/b c/"), "{folder}");
    let all = rows(&run(&env, &server, &["ls", "vod-media", "-r", "--json"]).ok());
    let keys: Vec<&str> = all.iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["v/a.mp4", "v/b c/电影.mp4", "v/z.txt"]);
    assert_eq!(all[0]["bytes"], 1536);

    run(&env, &server, &["ls", "no-such-bucket"]).fails(9, "NoSuchBucket");
    run(&env, &server, &["ls", "/v"]).fails(2, "no bucket named");

    run(&env, &server, &["rm", "vod-media/v/a.mp4"]).fails(2, "nobody is there to be asked");
    let gone = run(&env, &server, &["rm", "-y", "vod-media/v/a.mp4", "vod-media/v/none"]);
    let gone = gone.fails(9, "there is no object vod-media/v/none");
    assert_eq!(gone.stdout, "vod-media/v/a.mp4\n");
    assert_eq!(rows(&run(&env, &server, &["ls", "vod-media", "-r", "--json"]).ok()).len(), 2);
    let gone = rows(&run(&env, &server, &["rm", "-y", "--json", "vod-media/v/z.txt"]).ok());
    assert_eq!(gone, [serde_json::json!({"bucket": "vod-media", "key": "v/z.txt"})]);
    run(&env, &server, &["rm", "-y", "vod-media/"]).fails(2, "BUCKET/KEY");
}

#[test]
fn what_nobody_finishes_is_given_up() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    leave(&env, &server, "a.mp4", "v/a.mp4");
    leave(&env, &server, "b.mp4", "v/b.mp4");
    leave(&env, &server, "c.mp4", "w/c.mp4");
    let all = unfinished(&env, &server);
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(all[0]["key"], "v/a.mp4");
    let id = all[0]["upload_id"].as_str().unwrap();

    run(&env, &server, &["abort", "vod-media/v/a.mp4"]).fails(2, "--upload-id");
    run(&env, &server, &["abort", "vod-media", "--upload-id", id]).fails(2, "goes with BUCKET/KEY");
    let other = ["abort", "vod-media/v/b.mp4", "--upload-id", id];
    run(&env, &server, &other).fails(9, "no unfinished upload");
    assert_eq!(unfinished(&env, &server).len(), 3);
    let one = run(&env, &server, &["abort", "vod-media/v/a.mp4", "--upload-id", id]).ok();
    assert!(one.stdout.starts_with(id), "{one:?}");
    assert_eq!(unfinished(&env, &server).len(), 2);

    let young = run(&env, &server, &["abort", "vod-media", "--older-than", "1d", "-y"]).ok();
    assert!(young.stderr.contains("nothing to give up"), "{young:?}");
    let dry = ["abort", "vod-media", "--older-than", "0", "--dry-run"];
    assert_eq!(run(&env, &server, &dry).ok().stdout.lines().count(), 2);
    run(&env, &server, &["abort", "vod-media", "--older-than", "0"])
        .fails(2, "give up 2 unfinished");
    assert_eq!(unfinished(&env, &server).len(), 2);
    let below = ["abort", "vod-media/w/", "--older-than", "0", "--yes", "--json"];
    let gone = rows(&run(&env, &server, &below).ok());
    assert_eq!(gone[0]["key"], "w/c.mp4");
    let left = unfinished(&env, &server);
    assert_eq!((left.len(), &left[0]["key"]), (1, &Value::from("v/b.mp4")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_person_is_asked_before_much_goes() {
    use crate::common::pty::Pty;
    let env = TestEnv::new();
    let server = env.serve(&[]);
    leave(&env, &server, "a.mp4", "v/a.mp4");
    for (answer, code, left) in [("\n", 1, 1), ("y\n", 0, 0)] {
        let mut command = env.command(&["abort", "vod-media", "--older-than", "0"]);
        command.args(["--endpoint", &server.url, "--keys-file"]).arg(server.keys_file());
        let Some(mut pty) = Pty::run(&command) else { return };
        pty.sees("give up 1 unfinished upload? [y/N]");
        pty.press(answer);
        assert_eq!(pty.code(), code, "{}", pty.screen());
        assert_eq!(unfinished(&env, &server).len(), left);
    }
}
