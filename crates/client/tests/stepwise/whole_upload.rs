//! From add to Ended, nothing goes wrong.

use vodferry::{Event, FileState};

use crate::script::{Desk, PART, event};

#[tokio::test]
async fn a_file_goes_up_in_parts() {
    let desk = Desk::new(PART as usize * 2 + 5);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    let id = uploader.add(desk.file()).unwrap();
    uploader.start();

    let asked = script.expect("initiate").await;
    assert_eq!(asked.header("content-type"), Some("video/mp4"));
    assert!(asked.header("authorization").unwrap().starts_with("OSS ak:"));
    assert_eq!(asked.header("x-oss-security-token"), Some("hush-token"));
    asked.initiated("u1");
    let mut arrived = Vec::new();
    for number in 1..=3 {
        let asked = script.expect(&format!("part {number}")).await;
        assert_eq!(asked.query("uploadId"), Some("u1"));
        assert!(asked.header("content-md5").is_some());
        arrived.extend_from_slice(&asked.body);
        asked.stored();
    }
    assert_eq!(arrived, desk.bytes);
    let asked = script.expect("complete").await;
    let xml = String::from_utf8(asked.body.clone()).unwrap();
    assert_eq!(xml.matches("<PartNumber>").count(), 3, "{xml}");
    asked.completed();

    assert!(matches!(event(&mut events).await, Event::Started { file, .. } if file == id));
    match event(&mut events).await {
        Event::Succeeded { file, target, object, .. } => {
            assert_eq!((file, target.key.as_str(), object.etag.as_str()), (id, "k.mp4", "FF-2"));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(event(&mut events).await, Event::Ended { last } if last == Some(id)));

    let files = uploader.wait().await;
    assert_eq!(
        (files[0].state, files[0].acknowledged),
        (FileState::Succeeded, desk.bytes.len() as u64)
    );
    assert!(files[0].object.is_some() && files[0].error.is_none());
    uploader.close().await;
    let left = std::fs::read_dir(desk.records()).unwrap().count();
    assert_eq!(left, 0, "a finished upload leaves no checkpoint");
}

#[tokio::test]
async fn a_small_file_is_one_put() {
    for length in [0, 1, PART as usize - 1] {
        let desk = Desk::new(length);
        let (uploader, mut script) = desk.uploader();
        uploader.add(desk.file()).unwrap();
        uploader.start();
        let asked = script.expect("put").await;
        assert_eq!(asked.body, desk.bytes);
        let kept = vodferry::Checkpoints::open(desk.records()).list().unwrap();
        assert!(kept.is_empty(), "there is nothing that could be resumed: {kept:?}");
        asked.stored();
        let files = uploader.wait().await;
        assert_eq!(files[0].state, FileState::Succeeded);
        assert!(files[0].object.as_ref().unwrap().verified);
    }
}

#[tokio::test]
async fn parts_larger_than_the_budget_go_up_as_well() {
    let desk = Desk::new(PART as usize * 7 + 1);
    let mut options = desk.options();
    options.part_size = PART * 4;
    options.parallel = 3;
    options.max_buffered = PART;
    options.content_md5 = false;
    let (uploader, mut script) = desk.uploader_with(options);
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    let mut arrived = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        let asked = script.next().await;
        assert_eq!(asked.header("content-md5"), None);
        arrived[asked.number() as usize - 1] = asked.body.clone();
        asked.stored();
    }
    script.expect("complete").await.completed();
    assert_eq!(arrived.concat(), desk.bytes);
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn keys_of_any_script_reach_the_server() {
    for key in ["a b.mp4", "100%.mp4", "夏天/假日.mp4", "🎬 & co?.mp4", "a+b=c#d.mp4"] {
        let desk = Desk::new(10);
        let (uploader, mut script) = desk.uploader();
        let to = crate::script::target(key);
        uploader.add(desk.file().to(to, crate::script::credential())).unwrap();
        uploader.start();
        let asked = script.expect("put").await;
        assert_eq!(
            vodferry_oss::encode::decode_path(&asked.request.path).unwrap(),
            format!("/films/{key}")
        );
        asked.stored();
        assert_eq!(uploader.wait().await[0].state, FileState::Succeeded, "{key}");
    }
}

#[tokio::test]
async fn the_limit_is_kept_and_can_be_lifted() {
    let desk = Desk::new(90_000);
    let mut options = desk.options();
    options.limit = 300_000;
    let (uploader, mut script) = desk.uploader_with(options);
    let begun = std::time::Instant::now();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("put").await.stored();
    uploader.wait().await;
    // Three pieces of 30,000 bytes: the first at once, the others a tenth of a second apart.
    assert!(begun.elapsed().as_millis() >= 200, "{:?}", begun.elapsed());
    uploader.set_limit(0);
    let id = uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("put").await.stored();
    let files = uploader.wait().await;
    assert!(files.iter().any(|file| file.id == id && file.state == FileState::Succeeded));
}
