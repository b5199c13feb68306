//! Files that cannot be uploaded, and files that change meanwhile.

use std::io::Write;
use std::path::PathBuf;

use vodferry::{ErrorKind, File, FileState};

use crate::script::{Desk, PART, credential, failure, target};

#[tokio::test]
async fn what_is_wrong_whatever_the_disk_holds_is_refused_at_once() {
    let desk = Desk::new(1);
    let (uploader, _script) = desk.uploader();
    for file in
        [File::path(""), File::path("/"), desk.file().name(""), desk.file().part_size(102_399)]
    {
        assert_eq!(uploader.add(file).unwrap_err().kind(), ErrorKind::Misuse);
    }
    let above = (5u64 << 30) + 1;
    assert_eq!(uploader.add(desk.file().part_size(above)).unwrap_err().kind(), ErrorKind::Misuse);
    for fits in [0, 102_400, above - 1] {
        uploader.add(desk.file().part_size(fits)).unwrap();
    }
    assert_eq!(uploader.files().len(), 3);
}

#[tokio::test]
async fn a_part_size_out_of_range_makes_no_uploader() {
    let desk = Desk::new(1);
    for wrong in [1, 102_399, (5u64 << 30) + 1] {
        let (http, _script) = crate::script::script();
        let built = vodferry::Uploader::builder().http(http).part_size(wrong).build();
        assert_eq!(built.unwrap_err().kind(), ErrorKind::Misuse);
    }
    drop(desk);
}

#[tokio::test]
async fn what_the_disk_does_not_hold_fails_and_the_list_goes_on() {
    let desk = Desk::new(10);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    let missing = desk.path().with_file_name("none.mp4");
    let folder = desk.path().parent().unwrap().to_owned();
    let to = |path: PathBuf| File::path(path).name("n.mp4").to(target("k"), credential());
    uploader.add(to(missing)).unwrap();
    uploader.add(to(folder)).unwrap();
    uploader.add(to("/dev/null".into())).unwrap();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    for code in ["FileNotFound", "IsADirectory", "NotAFile"] {
        let error = failure(&mut events).await;
        assert_eq!((error.kind(), error.code()), (ErrorKind::Io, code));
        assert!(!error.to_string().contains('\n') && !error.to_string().ends_with('.'));
    }
    script.expect("put").await.stored();
    assert_eq!(uploader.wait().await[3].state, FileState::Succeeded);
}

#[cfg(unix)]
#[tokio::test]
async fn an_unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new(10);
    std::fs::set_permissions(desk.path(), std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(desk.path()).is_ok() {
        // Root reads everything: a symbolic link to itself is what even root cannot read.
        std::fs::remove_file(desk.path()).unwrap();
        std::os::unix::fs::symlink(desk.path(), desk.path()).unwrap();
    }
    let (uploader, _script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    let error = failure(&mut events).await;
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("a.mp4"), "{error}");
}

/// What somebody does to the file while it is uploaded.
type Harm = fn(&Desk);

const HARMS: [(&str, Harm); 4] = [
    ("grows", |desk| {
        std::fs::File::options().append(true).open(desk.path()).unwrap().write_all(b"x").unwrap();
    }),
    ("shrinks", |desk| {
        let file = std::fs::File::options().write(true).open(desk.path()).unwrap();
        file.set_len(desk.bytes.len() as u64 - 1).unwrap();
    }),
    ("is written to", |desk| {
        let mut bytes = desk.bytes.clone();
        bytes[7] ^= 1;
        std::fs::write(desk.path(), bytes).unwrap();
    }),
    ("is swapped", |desk| {
        // The same length and date: only the file is another.
        let other = desk.path().with_file_name("other");
        std::fs::write(&other, vec![7; desk.bytes.len()]).unwrap();
        let date = std::fs::metadata(desk.path()).unwrap().modified().unwrap();
        std::fs::File::options().write(true).open(&other).unwrap().set_modified(date).unwrap();
        std::fs::rename(other, desk.path()).unwrap();
    }),
];

/// The part whose answer waits until the harm is done; 0 stands for Initiate.
async fn harmed_after(answered: u32) {
    for (what, harm) in HARMS {
        let desk = Desk::new(PART as usize * 3);
        let (uploader, mut script) = desk.uploader();
        let mut events = uploader.events();
        uploader.add(desk.file()).unwrap();
        uploader.start();
        let mut asked = script.expect("initiate").await;
        for number in 1..=answered {
            if number == 1 {
                asked.initiated("u1");
            } else {
                asked.stored();
            }
            asked = script.expect(&format!("part {number}")).await;
        }
        harm(&desk);
        if answered == 0 {
            asked.initiated("u1");
        } else {
            asked.stored();
        }
        let error = failure(&mut events).await;
        assert_eq!(error.kind(), ErrorKind::SourceChanged, "{what}: {error}");
        assert!(error.hint().is_some() && error.message().contains("a.mp4"), "{error}");
        script.silence().await;
        assert_eq!(uploader.files()[0].state, FileState::Failed, "{what}");
    }
}

#[tokio::test]
async fn a_file_that_changes_before_the_first_part_sends_none() {
    harmed_after(0).await;
}

#[tokio::test]
async fn a_file_that_changes_between_parts_is_never_completed() {
    harmed_after(1).await;
}

#[tokio::test]
async fn a_file_that_changes_before_complete_is_never_completed() {
    harmed_after(3).await;
}

#[tokio::test]
async fn a_file_that_changes_while_a_part_is_on_its_way_is_no_failure_of_the_network() {
    for (what, harm) in HARMS {
        let desk = Desk::new(PART as usize * 30);
        let mut options = desk.options();
        // One part, read a second time window by window as it leaves, slowly.
        options.part_size = PART * 30;
        options.max_buffered = 0;
        options.limit = 1_000_000;
        let (uploader, mut script) = desk.uploader_with(options);
        let mut events = uploader.events();
        uploader.add(desk.file()).unwrap();
        uploader.start();
        script.expect("initiate").await.initiated("u1");
        loop {
            let next = tokio::time::timeout(std::time::Duration::from_secs(20), events.next());
            match next.await.unwrap().unwrap() {
                vodferry::Event::Progress { in_flight, .. } if in_flight > 0 => break,
                vodferry::Event::Failed { error, .. } => panic!("{error:?}"),
                _ => {}
            }
        }
        harm(&desk);
        let error = tokio::select! {
            error = failure(&mut events) => error,
            // Bytes that are what they were may arrive; the file is not completed all the same.
            asked = script.next() => {
                assert!(asked.operation() == "part 1" && asked.body == desk.bytes, "{what}");
                asked.stored();
                failure(&mut events).await
            }
        };
        assert_eq!(error.kind(), ErrorKind::SourceChanged, "{what}: {error}");
        script.silence().await;
    }
}

#[tokio::test]
async fn a_file_that_is_moved_or_deleted_under_way_is_uploaded_all_the_same() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    let asked = script.expect("part 1").await;
    std::fs::remove_file(desk.path()).unwrap();
    asked.stored();
    let asked = script.expect("part 2").await;
    assert_eq!(asked.body, desk.bytes[PART as usize..]);
    asked.stored();
    script.expect("complete").await.completed();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}
