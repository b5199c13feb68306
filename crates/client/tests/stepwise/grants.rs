//! Where grants come from: pushed, pulled, garbled, swapped, expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vodferry::{
    AppServer, Error, ErrorKind, Event, File, FileState, GrantRequest, ImageType, Media, Place,
    UploadGrant, Uploader,
};

use crate::script::{Desk, PART, credential, event, failure, response, script, target};

/// Base64 of `{"Endpoint":"http://127.0.0.1:9","Bucket":"films","FileName":"k.mp4"}` and of a credential.
pub(crate) fn address() -> String {
    vodferry_vod::UploadAddress {
        endpoint: "http://127.0.0.1:9".into(),
        bucket: "films".into(),
        file_name: "k.mp4".into(),
    }
    .encode()
}

pub(crate) fn auth(token: &str) -> String {
    vodferry_vod::UploadAuth {
        access_key_id: "STS.a".into(),
        access_key_secret: "hush-secret".into(),
        security_token: token.into(),
        expire_utc_time: None,
        expiration_secs: Some(3000),
        region: None,
    }
    .encode()
}

pub(crate) fn reply(video: &str, token: &str) -> vodferry::Response {
    let body = format!(
        r#"{{"RequestId":"R","VideoId":"{video}","UploadAddress":"{}","UploadAuth":"{}"}}"#,
        address(),
        auth(token)
    );
    response(200, &[("content-type", "application/json")], body)
}

#[tokio::test]
async fn garbled_and_swapped_texts_are_named_and_not_repeated() {
    let file = || File::path("a.mp4");
    let (address, auth) = (address(), auth("hush-token"));
    let cut = &auth[..auth.len() / 2];
    for (a, b, says) in [
        (auth.as_str(), address.as_str(), "swapped"),
        (address.as_str(), cut, "upload auth"),
        ("", auth.as_str(), "upload address"),
        ("%%%", auth.as_str(), "base64"),
        (address.as_str(), address.as_str(), "swapped"),
    ] {
        let error = file().upload_auth(a, b).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        let text = format!("{error} {error:?}");
        assert!(text.contains(says) && !text.contains("hush"), "{text}");
    }
    file().upload_auth(&address, &auth).unwrap();
}

#[tokio::test]
async fn an_application_server_is_asked_and_refreshed() {
    let desk = Desk::new(PART as usize * 2);
    let (http, mut server) = script();
    let (oss, mut storage) = script();
    let app = AppServer::new("http://app.test:81/x/").unwrap().bearer("hush-bearer").http(http);
    let uploader =
        Uploader::builder().options(desk.options()).authorizer(app).http(oss).build().unwrap();
    let mut events = uploader.events();
    uploader.add(File::path(desk.path()).name("Ü 1.mp4").title("T \"q\"")).unwrap();
    uploader.start();

    let asked = server.expect("POST /x/api/upload-auth/create").await;
    assert_eq!(asked.request.authority, "app.test:81");
    assert_eq!(asked.header("authorization"), Some("Bearer hush-bearer"));
    let json: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(json["Title"], "T \"q\"");
    assert_eq!(json["FileName"], "Ü 1.mp4");
    assert_eq!(json["FileSize"], PART * 2);
    asked.reply(reply("v1", "t1"));

    storage.expect("initiate").await.initiated("u1");
    let asked = storage.expect("part 1").await;
    assert_eq!(asked.header("x-oss-security-token"), Some("t1"));
    asked.stored();
    storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    let asked = server.expect("POST /x/api/upload-auth/refresh").await;
    assert_eq!(asked.body, br#"{"VideoId":"v1"}"#);
    asked.reply(reply("v1", "t2"));
    let asked = storage.expect("part 2").await;
    assert_eq!(asked.header("x-oss-security-token"), Some("t2"));
    asked.stored();
    storage.expect("complete").await.completed();
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    let files = uploader.wait().await;
    assert_eq!((files[0].state, files[0].video_id.as_deref()), (FileState::Succeeded, Some("v1")));
}

#[tokio::test]
async fn a_refusal_of_the_application_server_is_told() {
    let desk = Desk::new(10);
    let refusal =
        r#"{"RequestId":"R7","Code":"InvalidFileName.Extension","Message":"no such kind."}"#;
    let cases = [
        (response(400, &[], refusal), ErrorKind::Service, "InvalidFileName.Extension"),
        (response(401, &[], ""), ErrorKind::Auth, "Http401"),
        (response(404, &[], "<html>"), ErrorKind::Service, "Http404"),
        (response(302, &[("location", "http://x")], ""), ErrorKind::Protocol, "Http302"),
    ];
    for (response, kind, code) in cases {
        let (http, mut server) = script();
        let app = AppServer::new("http://app.test").unwrap().http(http.clone());
        let uploader =
            Uploader::builder().options(desk.options()).authorizer(app).http(http).build().unwrap();
        let mut events = uploader.events();
        uploader.add(desk.path()).unwrap();
        uploader.start();
        server.next().await.reply(response);
        let error = failure(&mut events).await;
        assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
    }
}

#[tokio::test]
async fn an_application_server_that_is_ill_is_asked_again() {
    let desk = Desk::new(10);
    let (http, mut server) = script();
    let app = AppServer::new("http://app.test").unwrap().http(http.clone());
    let uploader =
        Uploader::builder().options(desk.options()).authorizer(app).http(http).build().unwrap();
    uploader.add(desk.path()).unwrap();
    uploader.start();
    for ill in [response(500, &[], ""), response(200, &[], "<html>"), response(200, &[], "{}")] {
        server.expect("POST /api/upload-auth/create").await.reply(ill);
    }
    server.expect("POST /api/upload-auth/create").await.reply(reply("v1", "t1"));
    server.expect("put").await.stored();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn without_an_authorizer_grants_are_pushed() {
    let desk = Desk::new(PART as usize + 1);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    let id = uploader.add(desk.path()).unwrap();
    uploader.start();
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    script.silence().await;
    let grant = || UploadGrant::new(target("k"), credential()).video_id("v9");
    uploader.authorize(id, grant()).unwrap();
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    match event(&mut events).await {
        Event::TokenExpired { file, video_id } => {
            assert_eq!((file, video_id.as_deref()), (id, Some("v9")));
            // Inside of a handler, as applications do.
            uploader.authorize(file, grant()).unwrap();
        }
        other => panic!("{other:?}"),
    }
    script.expect("part 2").await.stored();
    script.expect("complete").await.completed();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    assert_eq!(uploader.authorize(id, grant()).unwrap_err().kind(), ErrorKind::Misuse);
}

#[tokio::test]
async fn an_authorizer_that_panics_fails_the_file_and_hangs_nothing() {
    let desk = Desk::new(10);
    let (http, mut server) = script();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let authorizer = move |_: GrantRequest| {
        let call = count.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(call > 0, "the first call panics");
            Ok::<_, Error>(UploadGrant::new(target("k"), credential()))
        }
    };
    let uploader = Uploader::builder()
        .options(desk.options())
        .authorizer(authorizer)
        .http(http)
        .build()
        .unwrap();
    let mut events = uploader.events();
    uploader.add(desk.path()).unwrap();
    uploader.add(desk.path()).unwrap();
    uploader.start();
    assert_eq!(failure(&mut events).await.code(), "Panicked");
    server.expect("put").await.stored();
    assert_eq!(uploader.wait().await[1].state, FileState::Succeeded);
}

#[tokio::test]
async fn a_video_that_is_gone_is_created_anew() {
    let desk = Desk::new(PART as usize * 2);
    let (http, mut server) = script();
    let (oss, mut storage) = script();
    let app = AppServer::new("http://app.test").unwrap().http(http);
    let start = |app: AppServer, oss: Arc<dyn vodferry::Http>| {
        let builder = Uploader::builder().options(desk.options()).authorizer(app).http(oss);
        let uploader = builder.build().unwrap();
        uploader.add(desk.path()).unwrap();
        uploader.start();
        uploader
    };
    let uploader = start(app.clone(), oss.clone());
    server.expect("POST /api/upload-auth/create").await.reply(reply("v1", "t1"));
    storage.expect("initiate").await.initiated("u1");
    let cut = storage.expect("part 1").await;
    uploader.close().await;
    drop(cut);

    let uploader = start(app, oss);
    let gone = r#"{"RequestId":"R","Code":"InvalidVideo.NotFound","Message":"no such video"}"#;
    server.expect("POST /api/upload-auth/refresh").await.reply(response(404, &[], gone));
    server.expect("POST /api/upload-auth/create").await.reply(reply("v2", "t2"));
    assert_eq!(storage.be_good().await, [1, 2]);
    let files = uploader.wait().await;
    assert_eq!((files[0].state, files[0].video_id.as_deref()), (FileState::Succeeded, Some("v2")));
}

#[tokio::test]
async fn an_application_server_is_told_all_media_information() {
    let desk = Desk::new(10);
    let (http, mut server) = script();
    let (oss, mut storage) = script();
    let app = AppServer::new("http://app.test").unwrap().http(http);
    let builder = Uploader::builder().options(desk.options()).authorizer(app).http(oss);
    let uploader = builder.build().unwrap();
    let mut events = uploader.events();
    let media = Media {
        tags: vec!["a".into(), "b".into()],
        description: Some("D".into()),
        category_id: Some(3),
        cover_url: Some("http://c".into()),
        template_group_id: Some("tg".into()),
        storage_location: Some("sl".into()),
        workflow_id: Some("wf".into()),
        app_id: Some("app".into()),
        user_data: Some("{}".into()),
        process: Some(false),
        image_type: ImageType::Cover,
        ..Media::default()
    };
    uploader.add(File::path(desk.path()).title("T").media(media.clone())).unwrap();
    let plain = Media { template_group_id: None, ..media.clone() };
    uploader.add(File::path(desk.path()).title("T").media(plain)).unwrap();
    let image = uploader.add(File::path(desk.path()).name("x.PNG").media(media)).unwrap();
    uploader.start();
    let video = |mode: Option<&str>, group: Option<&str>| {
        let mut json = serde_json::json!({
            "Title": "T", "FileName": "a.mp4", "FileSize": 10, "Tags": "a,b", "Description": "D", "CateId": 3,
            "CoverURL": "http://c", "StorageLocation": "sl", "WorkflowId": "wf", "AppId": "app", "UserData": "{}",
        });
        for (name, value) in [("TransCodeMode", mode), ("TemplateGroupId", group)] {
            if let Some(value) = value {
                json[name] = value.into();
            }
        }
        json
    };
    for expected in [video(None, Some("tg")), video(Some("NoTranscode"), None)] {
        let asked = server.expect("POST /api/upload-auth/create").await;
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&asked.body).unwrap(), expected);
        asked.reply(reply("v1", "t1"));
        storage.expect("put").await.stored();
    }
    let asked = server.expect("POST /api/upload-auth/image").await;
    let expected = serde_json::json!({
        "Title": "x", "OriginalFileName": "x.PNG", "ImageType": "cover", "ImageExt": "png", "Tags": "a,b",
        "Description": "D", "CateId": 3, "StorageLocation": "sl", "AppId": "app", "UserData": "{}",
    });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&asked.body).unwrap(), expected);
    let body = String::from_utf8(reply("x", "t1").body).unwrap();
    let body = body.replace(r#""VideoId":"x""#, r#""ImageId":"i1","ImageURL":"https://i/1.png""#);
    asked.reply(response(200, &[], body));
    storage.expect("put").await.stored();
    uploader.wait().await;
    assert_eq!(uploader.file(image).unwrap().image_url.as_deref(), Some("https://i/1.png"));
    let told = std::iter::from_fn(|| events.try_next()).find_map(|event| match event {
        Event::Succeeded { file, object, .. } if file == image => Some(object.image_url),
        _ => None,
    });
    assert_eq!(told.unwrap().as_deref(), Some("https://i/1.png"));
}

#[tokio::test]
async fn what_a_file_says_of_its_place_wins_over_the_upload_address() {
    let desk = Desk::new(PART as usize * 2);
    let (http, mut server) = script();
    let (oss, mut storage) = script();
    let app = AppServer::new("http://app.test").unwrap().http(http);
    let builder = Uploader::builder().options(desk.options()).authorizer(app).http(oss);
    let uploader = builder.build().unwrap();
    let place =
        Place { bucket: Some("other".into()), key: Some("own/k.mp4".into()), ..Place::default() };
    uploader.add(File::path(desk.path()).target(place)).unwrap();
    uploader.start();
    server.expect("POST /api/upload-auth/create").await.reply(reply("v1", "t1"));
    let asked = storage.expect("initiate").await;
    assert_eq!(asked.request.path, "/other/own/k.mp4");
    asked.initiated("u1");
    storage.expect("part 1").await.stored();
    storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    // After a refresh it is the same place still, so that the upload goes on.
    server.expect("POST /api/upload-auth/refresh").await.reply(reply("v1", "t2"));
    let asked = storage.expect("part 2").await;
    assert_eq!(asked.request.path, "/other/own/k.mp4");
    asked.stored();
    storage.expect("complete").await.completed();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}
