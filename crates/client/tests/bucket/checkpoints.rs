//! What is stored of an upload: looked at, carried elsewhere, and gone on from there.

use vodferry::{Bucket, Checkpoints, ErrorKind, ResumableUpload, UploadTask};

use crate::script::{Desk, PART, Script, credential, script};

fn task(desk: &Desk, dir: &std::path::Path) -> (UploadTask, Script) {
    let (http, script) = script();
    let bucket = Bucket::builder("http://127.0.0.1:9", "films", credential());
    let bucket = bucket.options(desk.options()).http(http).build().unwrap();
    let mut upload = ResumableUpload::new("k.mp4", desk.path());
    (upload.part_size, upload.threads) = (PART, 1);
    let upload = upload.record_directory(dir).unwrap();
    (bucket.resumable_upload(upload).unwrap(), script)
}

async fn two_of_three(desk: &Desk) {
    let (task, mut script) = task(desk, desk.dir());
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await.stored();
    script.expect("part 3").await;
    // What is recorded is written beside the upload.
    let here = Checkpoints::open(desk.dir());
    while here.list().unwrap().first().is_none_or(|info| info.parts < 2) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(task);
}

async fn goes_on(desk: &Desk, dir: &std::path::Path) {
    let (task, mut script) = task(desk, dir);
    script.expect("list").await.listed(&desk.bytes, &[1, 2]);
    script.expect("part 3").await.stored();
    script.expect("complete").await.completed();
    task.await.unwrap();
}

#[tokio::test]
async fn what_is_stored_is_told_and_holds_no_secret() {
    let desk = Desk::new(3 * PART as usize);
    two_of_three(&desk).await;
    let here = Checkpoints::open(desk.dir());
    let info = here.of(desk.path()).unwrap().remove(0);
    assert_eq!((info.upload_id.as_str(), info.parts, info.bytes), ("u1", 2, 2 * PART));
    assert_eq!(info.done().iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((info.length, info.part_size), (Some(3 * PART), PART));
    assert_eq!((info.target.key.as_str(), info.video_id.as_deref()), ("k.mp4", None));
    assert!(info.target_fixed && !info.sequential && info.age().as_secs() < 60);
    assert_eq!(here.get(&info.id).unwrap(), Some(info.clone()));
    for none in ["", "..", "../x", &"0".repeat(64)] {
        assert_eq!(here.get(none).unwrap(), None, "{none}");
        assert_eq!(here.export(none).unwrap(), None, "{none}");
    }
    let json = here.export(&info.id).unwrap().unwrap();
    assert!(json.contains("\"upload_id\": \"u1\"") && !json.contains("hush"), "{json}");
    let gone = here.of(desk.dir().join("none")).unwrap_err();
    assert_eq!(gone.code(), "FileNotFound");
}

#[tokio::test]
async fn it_survives_a_move_of_its_folder() {
    let desk = Desk::new(3 * PART as usize);
    two_of_three(&desk).await;
    let id = Checkpoints::open(desk.dir()).of(desk.path()).unwrap().remove(0).id;
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::rename(desk.dir().join(&id), elsewhere.path().join(&id)).unwrap();
    goes_on(&desk, elsewhere.path()).await;
}

#[tokio::test]
async fn it_is_exported_and_goes_on_where_it_is_imported() {
    let desk = Desk::new(3 * PART as usize);
    two_of_three(&desk).await;
    let here = Checkpoints::open(desk.dir());
    let id = here.of(desk.path()).unwrap().remove(0).id;
    let json = here.export(&id).unwrap().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let there = Checkpoints::open(elsewhere.path().join("made"));
    assert_eq!(there.import(&json).unwrap(), id);
    assert_eq!(there.export(&id).unwrap().unwrap(), json);
    assert_eq!(there.import(&json).unwrap_err().kind(), ErrorKind::Misuse, "it is there");
    // Its owner was dropped, and lets go a moment later.
    while let Err(error) = here.remove(&id) {
        assert_eq!(error.kind(), ErrorKind::Busy);
        tokio::task::yield_now().await;
    }
    assert!(here.list().unwrap().is_empty());
    goes_on(&desk, &elsewhere.path().join("made")).await;
    assert!(there.list().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_exported_checkpoint_is_not_imported() {
    let desk = Desk::new(3 * PART as usize);
    two_of_three(&desk).await;
    let here = Checkpoints::open(desk.dir());
    let id = here.list().unwrap().remove(0).id;
    let json = here.export(&id).unwrap().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let there = Checkpoints::open(elsewhere.path());
    for (from, to) in [
        ("\"version\": 1", "\"version\": 2"),
        ("\"number\": 2", "\"number\": 0"),
        ("\"number\": 2", "\"number\": 10001"),
        ("\"crc64\": \"", "\"crc64\": \"x"),
        ("\"upload_id\"", "\"upload\""),
        ("{", ""),
    ] {
        let wrong = json.replacen(from, to, 1);
        assert_ne!(wrong, json);
        assert_eq!(there.import(&wrong).unwrap_err().kind(), ErrorKind::Misuse, "{to}");
    }
    assert!(there.list().unwrap().is_empty());
    let (held, mut script) = task(&desk, desk.dir());
    script.expect("list").await;
    assert_eq!(here.import(&json).unwrap_err().kind(), ErrorKind::Busy);
    drop(held);
}
