//! Two processes and one file, and disks that are full. The other process is this very test, run once more with `VODFERRY_TEST_DIR` set.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use vodferry::{ErrorKind, Event, FileState, OnBusy, Options};

use crate::script::{Desk, PART, event, failure};

const DIR: &str = "VODFERRY_TEST_DIR";

/// Where the test is the other process: the folder of the first one.
fn other_process() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// Runs this test binary once more, with nothing but the test of this name. `wrapper` comes in front of it.
fn run_again(test: &str, dir: &Path, wrapper: &[&str]) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut command = match wrapper.split_first() {
        None => Command::new(this),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(DIR, dir);
    command
}

/// The other process: two parts of the desk's file, then it holds on until it is killed, or told to go by the end of its input.
async fn hold(desk: &Desk) {
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await.stored();
    let _held = script.expect("part 3").await;
    println!("\nholding");
    let read = || std::io::stdin().read_line(&mut String::new());
    tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    uploader.close().await;
}

/// Starts the other process and waits until it holds the checkpoint. What it prints later is to be kept open.
fn start_holding(test: &str, desk: &Desk) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = run_again(test, desk.dir(), &[]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"), "the other process holds nothing");
    (child, lines)
}

#[tokio::test]
async fn a_file_that_another_process_uploads_is_busy_until_that_dies() {
    if let Some(dir) = other_process() {
        return hold(&Desk::at(&dir)).await;
    }
    let desk = Desk::new(PART as usize * 4);
    let test = "processes::a_file_that_another_process_uploads_is_busy_until_that_dies";
    let (mut child, _lines) = start_holding(test, &desk);

    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    let id = uploader.add(desk.file()).unwrap();
    uploader.start();
    let error = failure(&mut events).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Busy, "Busy"));
    assert!(error.hint().is_some());
    script.silence().await;

    // SIGKILL, where there are signals: nobody lets go of anything.
    child.kill().unwrap();
    child.wait().unwrap();
    uploader.restore(id).unwrap();
    uploader.start();
    script.expect("list").await.listed(&desk.bytes, &[1, 2]);
    assert_eq!(script.be_good().await, [3, 4]);
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn who_is_told_to_wait_goes_on_when_the_other_process_lets_go() {
    if let Some(dir) = other_process() {
        return hold(&Desk::at(&dir)).await;
    }
    let test = "processes::who_is_told_to_wait_goes_on_when_the_other_process_lets_go";
    for kill in [true, false] {
        let desk = Desk::new(PART as usize * 4);
        let (mut child, _lines) = start_holding(test, &desk);
        let (uploader, mut script) = desk.uploader_with(waiting(&desk));
        let mut events = uploader.events();
        uploader.add(desk.file()).unwrap();
        uploader.start();
        script.silence().await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        script.silence().await;
        assert!(events.try_next().is_none(), "nothing is told meanwhile");

        if kill {
            child.kill().unwrap();
        } else {
            drop(child.stdin.take());
        }
        child.wait().unwrap();
        script.expect("list").await.listed(&desk.bytes, &[1, 2]);
        assert_eq!(script.be_good().await, [3, 4]);
        assert!(matches!(event(&mut events).await, Event::Started { .. }));
        assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    }
}

#[tokio::test]
async fn who_waits_can_be_stopped_and_takes_nothing_afterwards() {
    if let Some(dir) = other_process() {
        return hold(&Desk::at(&dir)).await;
    }
    let test = "processes::who_waits_can_be_stopped_and_takes_nothing_afterwards";
    let desk = Desk::new(PART as usize * 4);
    let (mut child, _lines) = start_holding(test, &desk);
    let (waiting, mut silent) = desk.uploader_with(waiting(&desk));
    waiting.add(desk.file()).unwrap();
    waiting.start();
    tokio::time::sleep(Duration::from_millis(300)).await;
    waiting.stop();
    child.kill().unwrap();
    child.wait().unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    silent.silence().await;
    // The checkpoint is free.
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("list").await.listed(&desk.bytes, &[1, 2]);
    assert_eq!(script.be_good().await, [3, 4]);
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

fn waiting(desk: &Desk) -> Options {
    let mut options = desk.options();
    options.on_busy = OnBusy::Wait;
    options
}

/// Uploads sixty parts where there is room for the records of some only.
async fn upload_without_room(dir: &Path) {
    let desk = Desk::at(dir);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    assert_eq!(script.be_good().await, (1..=60).collect::<Vec<u32>>());
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    let mut warnings = Vec::new();
    loop {
        match event(&mut events).await {
            Event::Warning { error, .. } => warnings.push((error.kind, error.code)),
            Event::Ended { .. } => break,
            Event::Failed { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
    assert_eq!(warnings, [(ErrorKind::Storage, "CheckpointWrite".to_owned())]);
    // There was no room to say that it is over, either: what stays would be sent again.
    uploader.close().await;
    assert_eq!(std::fs::read_dir(desk.records()).unwrap().count(), 0);
}

fn without_room(test: &str, wrapper: &str) {
    let desk = Desk::new(PART as usize * 60);
    std::fs::create_dir(desk.records()).unwrap();
    let records = desk.records();
    let wrapper = ["bash", "-c", wrapper, "bash", records.to_str().unwrap()];
    let output = run_again(test, desk.dir(), &wrapper).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_costs_a_warning_and_not_the_upload() {
    if let Some(dir) = other_process() {
        return upload_without_room(&dir).await;
    }
    let mount = ["-rm", "sh", "-c", "mount -t tmpfs -o size=4k tmpfs /mnt"];
    let may = Command::new("unshare").args(mount).output();
    if !may.is_ok_and(|tried| tried.status.success()) {
        vodferry_testkit::skip::skipped(
            "a full disk",
            "no mounts here; a_full_quota_… shows the same by other means",
        );
        return;
    }
    without_room(
        "processes::a_full_disk_costs_a_warning_and_not_the_upload",
        r#"exec unshare -rm bash -c 'mount -t tmpfs -o size=4k tmpfs "$1" && shift && exec "$@"' bash "$@""#,
    );
}

/// Runs where the disk of the checkpoints is read-only: goes on from what is there, and says that nothing is added.
async fn upload_from_a_sealed_disk(dir: &Path) {
    let desk = Desk::at(dir);
    let held = std::fs::read_dir(desk.records()).unwrap().count();
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    if held == 0 {
        assert_eq!(script.be_good().await, [1, 2, 3, 4]);
    } else {
        script.expect("list").await.listed(&desk.bytes, &[1, 2]);
        assert_eq!(script.be_good().await, [3, 4]);
    }
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    let mut warnings = 0;
    loop {
        match event(&mut events).await {
            Event::Warning { error, .. } => {
                assert_eq!(error.kind, ErrorKind::Storage, "{error:?}");
                assert!(error.message.to_lowercase().contains("read-only file"), "{error:?}");
                warnings += 1;
            }
            Event::Ended { .. } => break,
            Event::Failed { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
    assert!(warnings > 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_read_only_disk_costs_a_warning_and_what_it_holds_is_used() {
    if let Some(dir) = other_process() {
        return upload_from_a_sealed_disk(&dir).await;
    }
    let mount = ["-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt && mount -o remount,ro /mnt"];
    let may = Command::new("unshare").args(mount).output();
    if !may.is_ok_and(|tried| tried.status.success()) {
        vodferry_testkit::skip::skipped(
            "a read-only disk",
            "no mounts here; a_sealed_journal_… shows a part of it",
        );
        return;
    }
    for half in [true, false] {
        let desk = Desk::new(PART as usize * 4);
        std::fs::create_dir(desk.records()).unwrap();
        if half {
            let (uploader, mut script) = desk.uploader();
            uploader.add(desk.file()).unwrap();
            uploader.start();
            script.expect("initiate").await.initiated("u1");
            script.expect("part 1").await.stored();
            script.expect("part 2").await.stored();
            script.expect("part 3").await;
            uploader.close().await;
        }
        let records = desk.records();
        let sealed = r#"exec unshare -rm bash -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"' bash "$@""#;
        let wrapper = ["bash", "-c", sealed, "bash", records.to_str().unwrap()];
        let test = "processes::a_read_only_disk_costs_a_warning_and_what_it_holds_is_used";
        let output = run_again(test, desk.dir(), &wrapper).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_quota_costs_a_warning_and_not_the_upload() {
    if let Some(dir) = other_process() {
        return upload_without_room(&dir).await;
    }
    // No file may grow beyond 2 KiB; the line that crosses the border is written in part.
    without_room(
        "processes::a_full_quota_costs_a_warning_and_not_the_upload",
        r#"shift; trap "" XFSZ; ulimit -f 2; exec "$@""#,
    );
}
