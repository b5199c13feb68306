//! The uploader calls the VOD API of the real server itself, and reports what it did.

use std::time::Duration;

use vodferry::{
    ApiSignature, Credential, DirectOss, ErrorKind, Event, File, FileState, Media, StsToken,
    Target, Uploader, VodApi,
};

use crate::harbour::{Harbour, http};

fn uploader(harbour: &Harbour, api: VodApi) -> Uploader {
    Uploader::builder().options(harbour.options()).authorizer(api).build().unwrap()
}

#[tokio::test]
async fn videos_and_images_arrive_by_calls_of_both_signatures() {
    let harbour = Harbour::open().await;
    for signature in [ApiSignature::V1, ApiSignature::Acs3] {
        let api = VodApi::new(harbour.server.endpoint(), harbour.operator.clone()).unwrap();
        let uploader = uploader(&harbour, api.signature(signature).http(http()));
        let (video, bytes) = harbour.write("Ü film.mp4", 300_000);
        let media = Media {
            tags: vec!["a".into(), "b c".into()],
            user_data: Some(r#"{"Extend":"+/="}"#.into()),
            priority: Some(3),
            process: Some(false),
            ..Media::default()
        };
        let video = uploader.add(File::path(video).title("题 1+1=2 & more").media(media)).unwrap();
        let (image, pixels) = harbour.write("Cover.png", 5_000);
        let image = uploader.add(image).unwrap();
        uploader.start();
        uploader.wait().await;
        let (video, image) = (uploader.file(video).unwrap(), uploader.file(image).unwrap());
        assert_eq!(video.state, FileState::Succeeded, "{:?}", video.error);
        assert_eq!(image.state, FileState::Succeeded, "{:?}", image.error);
        assert!(video.video_id.is_some() && video.image_url.is_none());
        let target = image.target.unwrap();
        assert!(target.key.starts_with("image/default/") && target.key.ends_with(".png"));
        assert!(image.image_url.unwrap().ends_with(&target.key));
        assert!(harbour.fetch(&video.target.unwrap(), bytes.len()).await == bytes);
        assert!(harbour.fetch(&target, pixels.len()).await == pixels);
    }
}

#[tokio::test]
async fn a_video_goes_on_by_refresh_after_the_process_died() {
    let harbour = Harbour::open().await;
    let (path, bytes) = harbour.write("long.mp4", 1_000_001);
    let mut options = harbour.options();
    options.part_size = 102_400;
    options.parallel = 1;
    let start = || {
        let api = VodApi::new(harbour.server.endpoint(), harbour.operator.clone()).unwrap();
        let builder = Uploader::builder().options(options.clone()).authorizer(api.http(http()));
        let uploader = builder.build().unwrap();
        let events = uploader.events();
        uploader.add(File::path(&path)).unwrap();
        uploader.start();
        (uploader, events)
    };
    let (uploader, mut events) = start();
    while !matches!(events.next().await.unwrap(), Event::PartAcknowledged { .. }) {}
    uploader.close().await;

    let (uploader, mut events) = start();
    let mut resumed = false;
    loop {
        match events.next().await.unwrap() {
            Event::Started { video_id, .. } => assert!(video_id.is_some()),
            Event::Resumed { parts, .. } => resumed = parts > 0,
            Event::Ended { .. } => break,
            Event::Failed { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
    assert!(resumed);
    let target = uploader.files()[0].target.clone().unwrap();
    assert!(harbour.fetch(&target, bytes.len()).await == bytes);
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_fails_the_file() {
    let harbour = Harbour::open().await;
    let (path, _) = harbour.write("a.mp4", 10);
    let wrong = Credential { access_key_secret: "wrong".into(), ..harbour.operator.clone() };
    let api = VodApi::new(harbour.server.endpoint(), wrong).unwrap().http(http());
    let uploader = uploader(&harbour, api);
    uploader.add(path).unwrap();
    uploader.start();
    let files = uploader.wait().await;
    let error = files[0].error.clone().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Auth, "SignatureDoesNotMatch"));
    assert!(!error.request_id.is_empty());
}

#[tokio::test]
async fn straight_into_a_bucket_by_prefix_and_by_target() {
    let harbour = Harbour::open().await;
    let (path, bytes) = harbour.write("a.mp4", 300_000);
    let key = StsToken::from(harbour.operator.clone());
    let direct = DirectOss::new(key).unwrap().bucket(harbour.server.endpoint(), "vod-media");
    let uploader = Uploader::builder()
        .options(harbour.options())
        .authorizer(direct.prefix("in/"))
        .build()
        .unwrap();
    let target = Target {
        endpoint: harbour.server.endpoint().to_owned(),
        bucket: "vod-media".into(),
        key: "elsewhere/b.mp4".into(),
    };
    uploader.add(&path).unwrap();
    uploader.add(File::path(&path).target(target)).unwrap();
    uploader.start();
    let files = uploader.wait().await;
    for (file, key) in files.iter().zip(["in/a.mp4", "elsewhere/b.mp4"]) {
        assert_eq!(file.state, FileState::Succeeded, "{:?}", file.error);
        let target = file.target.as_ref().unwrap();
        assert_eq!(target.key, key);
        assert!(harbour.fetch(target, bytes.len()).await == bytes);
    }
}

#[tokio::test]
async fn the_server_keeps_what_an_uploader_reports() {
    let harbour = Harbour::open().await;
    let (path, _) = harbour.write("a.mp4", 300_000);
    let mut options = harbour.options();
    options.part_size = 102_400;
    let uploader = Uploader::builder()
        .options(options)
        .authorizer(harbour.app.clone())
        .reporter(harbour.app.clone())
        .build()
        .unwrap();
    uploader.add(path).unwrap();
    uploader.start();
    let files = uploader.wait().await;
    let video = files[0].video_id.clone().unwrap();
    let url = format!("{}/api/upload-reports?VideoId={video}", harbour.server.endpoint());
    for _ in 0..100 {
        let told = reqwest::Client::builder().no_proxy().build().unwrap();
        let told = told.get(&url).send().await.unwrap().text().await.unwrap();
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let reports = told["Reports"].as_array().unwrap().clone();
        if reports.first().is_some_and(|newest| newest["Event"] == "Succeeded") {
            let parts = reports.iter().filter(|report| report["Event"] == "Part").count();
            assert_eq!(parts, 3, "{reports:?}");
            assert!(reports.iter().all(|report| report["FileName"] == "a.mp4"));
            assert!(reports.iter().all(|report| report["Attempt"] == reports[0]["Attempt"]));
            assert_eq!(reports[0]["FileSize"], 300_000);
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("no report of success came within 20 seconds");
}
