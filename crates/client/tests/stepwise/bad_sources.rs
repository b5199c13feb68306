//! Files that cannot be uploaded, and files that change meanwhile.

use std::path::PathBuf;

use vodferry::{ErrorKind, Event, File, FileState};

use crate::script::{Desk, PART, credential, event, failure, target};

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

#[tokio::test]
async fn a_file_that_changes_under_way_is_never_completed() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    let asked = script.expect("part 1").await;
    let mut longer = desk.bytes.clone();
    longer.push(0);
    std::fs::write(desk.path(), longer).unwrap();
    asked.stored();
    assert_eq!(failure(&mut events).await.kind(), ErrorKind::SourceChanged);
    script.silence().await;
}

#[tokio::test]
async fn a_file_that_changes_before_complete_is_never_completed() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    let asked = script.expect("part 2").await;
    std::fs::File::options().write(true).open(desk.path()).unwrap().set_len(PART * 2 - 1).unwrap();
    asked.stored();
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    assert_eq!(failure(&mut events).await.kind(), ErrorKind::SourceChanged);
    script.silence().await;
}
