//! What an earlier run left is not sent again.

use vodferry::{Checkpoints, ErrorKind, Event, FileState};

use crate::script::{Desk, PART, credential, event};

/// Uploads parts 1 and 2 of 4, then dies.
async fn half(desk: &Desk) {
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await.stored();
    let lost = script.expect("part 3").await;
    uploader.close().await;
    drop(lost);
}

#[tokio::test]
async fn another_process_goes_on_where_the_first_stopped() {
    let desk = Desk::new(PART as usize * 4 - 7);
    half(&desk).await;
    let found = Checkpoints::open(desk.records()).list().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].parts, found[0].bytes), (2, PART * 2));
    assert_eq!(found[0].path.as_deref(), Some(desk.path().as_path()));
    assert!(found[0].target_fixed && found[0].target.key == "k.mp4");

    // A moved file resumes: it is found by its content.
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    let moved = desk.path().with_file_name("b.mp4");
    std::fs::rename(desk.path(), &moved).unwrap();
    let file = vodferry::File::path(moved);
    uploader.add(file.to(crate::script::target("k.mp4"), crate::script::credential())).unwrap();
    uploader.start();
    let asked = script.expect("list").await;
    assert_eq!(asked.query("uploadId"), Some("u1"));
    // The reply to part 3 was lost, but it did arrive.
    asked.listed(&desk.bytes, &[1, 2, 3]);
    let asked = script.expect("part 4").await;
    assert_eq!(asked.body, desk.bytes[PART as usize * 3..]);
    asked.stored();
    script.expect("complete").await.completed();
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    assert!(
        matches!(event(&mut events).await, Event::Resumed { parts: 3, bytes, .. } if bytes == PART * 3)
    );
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    uploader.close().await;
    assert!(Checkpoints::open(desk.records()).list().unwrap().is_empty());
}

#[tokio::test]
async fn stop_and_start_go_on_with_the_same_upload() {
    let desk = Desk::new(PART as usize * 2);
    let mut options = desk.options();
    options.record_dir = None; // In memory, for the life of the uploader.
    let (uploader, mut script) = desk.uploader_with(options);
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    let cut = script.expect("part 2").await;
    uploader.stop();
    assert_eq!(uploader.wait().await[0].state, FileState::Waiting);
    uploader.start();
    script.expect("list").await.listed(&desk.bytes, &[1]);
    drop(cut);
    script.expect("part 2").await.stored();
    script.expect("complete").await.completed();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn a_source_that_changed_between_the_runs_begins_anew() {
    let desk = Desk::new(PART as usize * 2);
    half(&desk_with_four_parts(&desk)).await;
    let mut other = desk.bytes.clone();
    other[0] ^= 1;
    std::fs::write(desk.path(), &other).unwrap();
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    assert_eq!(script.be_good().await, [1, 2]);
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

fn desk_with_four_parts(desk: &Desk) -> Desk {
    let four = Desk::new(PART as usize * 4);
    std::fs::copy(four.path(), desk.path()).unwrap();
    four
}

#[tokio::test]
async fn a_damaged_checkpoint_is_left_alone_and_warned_about() {
    let desk = Desk::new(PART as usize * 4);
    half(&desk).await;
    let id = Checkpoints::open(desk.records()).list().unwrap().remove(0).id;
    let journal = desk.records().join(id);
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();

    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    assert_eq!(script.be_good().await, [1, 2, 3, 4]);
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    match event(&mut events).await {
        Event::Warning { error, .. } => {
            assert_eq!(
                (error.kind, error.code.as_str()),
                (ErrorKind::Storage, "CheckpointForeign")
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(event(&mut events).await, Event::Succeeded { .. }));
    uploader.close().await;
    assert_eq!(std::fs::read(&journal).unwrap(), bytes);
}

#[tokio::test]
async fn a_torn_checkpoint_costs_what_was_torn_off() {
    let desk = Desk::new(PART as usize * 4);
    half(&desk).await;
    let id = Checkpoints::open(desk.records()).list().unwrap().remove(0).id;
    let journal = desk.records().join(id);
    let length = std::fs::metadata(&journal).unwrap().len();
    std::fs::File::options().write(true).open(&journal).unwrap().set_len(length - 3).unwrap();
    assert_eq!(Checkpoints::open(desk.records()).list().unwrap()[0].parts, 1);
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("list").await.listed(&desk.bytes, &[1, 2]);
    assert_eq!(script.be_good().await, [3, 4]);
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn no_secret_is_written_to_disk() {
    let desk = Desk::new(PART as usize * 4);
    half(&desk).await;
    for entry in std::fs::read_dir(desk.records()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(text.contains("begin 1") && !text.contains("hush"), "{text}");
    }
}

#[tokio::test]
async fn without_a_place_for_checkpoints_the_upload_goes_on_with_one_warning() {
    let desk = Desk::new(PART as usize * 3);
    std::fs::write(desk.records(), "a file where a folder should be").unwrap();
    no_place(&desk, desk.records()).await;
    no_place(&desk, desk.records().join("inside")).await;
    let unclean = desk.dir().join("records\0");
    no_place(&desk, unclean).await;
    #[cfg(target_os = "linux")]
    no_place(&desk, "/proc/vodferry".into()).await;
}

async fn no_place(desk: &Desk, records: std::path::PathBuf) {
    let mut options = desk.options();
    options.record_dir = Some(records);
    let (uploader, mut script) = desk.uploader_with(options);
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    assert_eq!(script.be_good().await, [1, 2, 3]);
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    let mut warnings = 0;
    loop {
        match event(&mut events).await {
            Event::Warning { error, .. } => {
                assert_eq!(error.kind, ErrorKind::Storage, "{error:?}");
                warnings += 1;
            }
            Event::Ended { .. } => break,
            _ => {}
        }
    }
    assert_eq!(warnings, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_whose_name_is_no_text_is_found_again() {
    use std::os::unix::ffi::OsStrExt;
    let desk = Desk::new(PART as usize * 4);
    let odd = desk.dir().join(std::ffi::OsStr::from_bytes(b"film \xff\xfe\n.mp4"));
    std::fs::rename(desk.path(), &odd).unwrap();
    let file = || vodferry::File::path(&odd).to(crate::script::target("k"), credential());
    let (uploader, mut script) = desk.uploader();
    uploader.add(file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await;
    uploader.close().await;

    let list = vodferry::Checkpoints::open(desk.records()).list().unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].path.as_deref(), Some(odd.as_path()));
    assert!(list[0].is_of(&odd).unwrap());
    let (uploader, mut script) = desk.uploader();
    uploader.add(file()).unwrap();
    uploader.start();
    script.expect("list").await.listed(&desk.bytes, &[1]);
    assert_eq!(script.be_good().await, [2, 3, 4]);
}
