//! Two uploads of one file at once.

use vodferry::{ErrorKind, Event, FileState};

use crate::script::{Desk, PART, event, failure};

#[tokio::test]
async fn the_second_entry_of_a_list_starts_without_a_checkpoint() {
    let desk = Desk::new(PART as usize * 2);
    let mut options = desk.options();
    options.files_at_once = 2;
    let (uploader, mut script) = desk.uploader_with(options);
    let mut events = uploader.events();
    let first = uploader.add(desk.file()).unwrap();
    let second = uploader.add(desk.file()).unwrap();
    uploader.start();
    let (mut opened, mut completed) = (0, 0);
    while completed < 2 {
        let asked = script.next().await;
        match asked.operation().as_str() {
            "initiate" => {
                opened += 1;
                asked.initiated(&format!("u{opened}"));
            }
            "complete" => {
                completed += 1;
                asked.completed();
            }
            _ => asked.stored(),
        }
    }
    let files = uploader.wait().await;
    assert!(files.iter().all(|file| file.state == FileState::Succeeded));
    assert_eq!(opened, 2);
    let mut warned = Vec::new();
    loop {
        match event(&mut events).await {
            Event::Warning { file, error } => warned.push((file, error.code)),
            Event::Ended { .. } => break,
            _ => {}
        }
    }
    assert_eq!(warned, [(second, "CheckpointHeld".to_owned())]);
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_checkpoint_that_another_process_holds_is_busy() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    let cut = script.expect("part 1").await;
    uploader.close().await;
    drop(cut);
    // A lock of this test, outside of any uploader: as another process would hold it.
    let journal = std::fs::read_dir(desk.records()).unwrap().next().unwrap().unwrap().path();
    let held = std::fs::File::options().read(true).write(true).open(journal).unwrap();
    held.try_lock().unwrap();

    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    let error = failure(&mut events).await;
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.hint().is_some());
    script.silence().await;

    drop(held);
    let id = uploader.files()[0].id;
    uploader.restore(id).unwrap();
    uploader.start();
    script.expect("list").await.listed(&desk.bytes, &[]);
    assert_eq!(script.be_good().await, [1, 2]);
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}
