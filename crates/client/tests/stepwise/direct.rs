//! Straight into a bucket: keys by name, targets by file, temporary credentials pushed and pulled, and the faces' names for it.

use vodferry::{
    Credential, DirectOss, ErrorKind, Event, Events, File, FileState, Place, StsToken, Uploader,
};

use crate::script::{Desk, PART, Script, event, script, target};

fn token(mark: &str) -> StsToken {
    StsToken::new(format!("STS.{mark}"), "hush-secret", format!("hush-{mark}").as_str())
}

fn stage(desk: &Desk, direct: DirectOss) -> (Uploader, Events, Script) {
    let (http, storage) = script();
    let builder = Uploader::builder().options(desk.options()).authorizer(direct).http(http);
    let uploader = builder.build().unwrap();
    let events = uploader.events();
    (uploader, events, storage)
}

fn films(direct: DirectOss) -> DirectOss {
    direct.bucket("http://127.0.0.1:9", "films")
}

#[tokio::test]
async fn keys_come_from_names_prefixes_functions_and_targets() {
    let desk = Desk::new(10);
    let plain = Credential {
        access_key_id: "ak".into(),
        access_key_secret: "hush".into(),
        security_token: None,
    };
    let direct = films(DirectOss::new(plain).unwrap());
    let file = || File::path(desk.path());
    let place = Place { bucket: Some("other".into()), ..Place::default() };
    for (direct, file, path) in [
        (direct.clone(), file(), "/films/a.mp4"),
        (direct.clone().prefix("2026/"), file(), "/films/2026/a.mp4"),
        (direct.clone().key(|name| name.to_uppercase()), file(), "/films/A.MP4"),
        (direct.clone(), file().target(place), "/other/a.mp4"),
        (direct.clone(), file().target(target("x/y.mp4")), "/films/x/y.mp4"),
        (DirectOss::new(token("a")).unwrap(), file().target(target("z.mp4")), "/films/z.mp4"),
    ] {
        let (uploader, _, mut storage) = stage(&desk, direct);
        uploader.add(file).unwrap();
        uploader.start();
        let asked = storage.expect("put").await;
        assert_eq!(asked.request.path, path);
        asked.stored();
        assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    }
}

#[tokio::test]
async fn a_file_without_a_place_fails_alone() {
    let desk = Desk::new(10);
    let (uploader, mut events, mut storage) = stage(&desk, DirectOss::new(token("a")).unwrap());
    uploader.add(desk.path()).unwrap();
    uploader.add(File::path(desk.path()).target(target("k.mp4"))).unwrap();
    uploader.start();
    assert_eq!(crate::script::failure(&mut events).await.kind(), ErrorKind::Misuse);
    storage.expect("put").await.stored();
    assert_eq!(uploader.wait().await[1].state, FileState::Succeeded);
}

#[tokio::test]
async fn a_dead_token_is_told_once_and_the_next_one_goes_on_with_the_same_upload() {
    let desk = Desk::new(PART as usize * 2);
    let direct = films(DirectOss::new(token("a")).unwrap());
    let (uploader, mut events, mut storage) = stage(&desk, direct.clone());
    uploader.add(desk.path()).unwrap();
    uploader.start();
    storage.expect("initiate").await.initiated("u1");
    storage.expect("part 1").await.stored();
    storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    while !matches!(event(&mut events).await, Event::TokenExpired { .. }) {}
    storage.silence().await;
    direct.set_token(token("b")).unwrap();
    let asked = storage.expect("part 2").await;
    assert_eq!(asked.header("x-oss-security-token"), Some("hush-b"));
    asked.stored();
    storage.expect("complete").await.completed();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, Event::TokenExpired { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn a_token_found_dead_in_one_file_is_not_tried_for_the_next() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut events, mut storage) =
        stage(&desk, films(DirectOss::new(token("a")).unwrap()));
    let first = uploader.add(desk.path()).unwrap();
    uploader.add(File::path(desk.path()).target(target("second.mp4"))).unwrap();
    uploader.start();
    storage.expect("initiate").await.initiated("u1");
    storage.expect("part 1").await.stored();
    storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    while !matches!(event(&mut events).await, Event::TokenExpired { .. }) {}
    uploader.cancel(first).unwrap();
    while !matches!(event(&mut events).await, Event::TokenExpired { .. }) {}
    storage.silence().await;
    uploader.set_token(token("b")).unwrap();
    assert_eq!(storage.be_good().await, [1, 2]);
    assert_eq!(uploader.wait().await[1].state, FileState::Succeeded);
}

#[tokio::test]
async fn a_supplier_is_asked_instead() {
    let desk = Desk::new(PART as usize * 2);
    let direct = films(DirectOss::new(token("a")).unwrap()).supplier(|| async { Ok(token("b")) });
    let (uploader, mut events, mut storage) = stage(&desk, direct);
    uploader.add(desk.path()).unwrap();
    uploader.start();
    storage.expect("initiate").await.initiated("u1");
    storage.expect("part 1").await.stored();
    storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    let asked = storage.expect("part 2").await;
    assert_eq!(asked.header("x-oss-security-token"), Some("hush-b"));
    asked.stored();
    storage.expect("complete").await.completed();
    uploader.wait().await;
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, Event::TokenExpired { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn stop_and_pause_do_not_wear_a_token_out() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut events, mut storage) =
        stage(&desk, films(DirectOss::new(token("a")).unwrap()));
    let id = uploader.add(desk.path()).unwrap();
    uploader.start();
    storage.expect("initiate").await.initiated("u1");
    storage.expect("part 1").await.stored();
    drop(storage.expect("part 2").await);
    uploader.stop();
    uploader.start();
    storage.expect("list").await.listed(&desk.bytes, &[1]);
    drop(storage.expect("part 2").await);
    uploader.pause(Some(id)).unwrap();
    uploader.resume(Some(id)).unwrap();
    storage.expect("list").await.listed(&desk.bytes, &[1]);
    storage.expect("part 2").await.stored();
    storage.expect("complete").await.completed();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, Event::TokenExpired { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn the_faces_names_work_without_an_authorizer() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut storage) = desk.uploader();
    let mut events = uploader.events();
    let wrong = |result: Result<(), vodferry::Error>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Misuse);
    };
    let soon = "2099-01-01T00:00:00Z";
    let id = uploader.add(File::path(desk.path()).target(target("k.mp4"))).unwrap();
    let other = uploader.add(desk.path()).unwrap();
    // At the wrong time, and with wrong things.
    wrong(uploader.resume_upload_with_token("a", "s", "t", soon));
    wrong(uploader.resume_upload_with_auth("garbage"));
    wrong(uploader.set_token(token("a")));
    wrong(uploader.set_sts_token(id, "a", "s", "t"));
    wrong(uploader.set_sts_token_directly_upload(other, "a", "s", "t", soon));
    wrong(uploader.set_sts_token_directly_upload(id, "a", "s", "", soon));
    wrong(uploader.set_sts_token_directly_upload(id, "a", "s", "t", ""));
    let (auth, address) = (crate::grants::auth("t0"), crate::grants::address());
    wrong(uploader.set_upload_auth_and_address(id, &address, &auth, None));
    uploader.start();
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    uploader.set_sts_token_directly_upload(id, "STS.a", "s", "hush-a", soon).unwrap();
    storage.expect("initiate").await.initiated("u1");
    storage.expect("part 1").await.stored();
    storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    while !matches!(event(&mut events).await, Event::TokenExpired { .. }) {}
    wrong(uploader.resume_upload_with_token("STS.b", "s", "", soon));
    uploader.resume_upload_with_token("STS.b", "s", "hush-b", soon).unwrap();
    storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    let next = event(&mut events).await;
    // The first request of a fresh credential: another would fare no better.
    assert!(matches!(next, Event::Failed { .. }), "{next:?}");
    uploader.restore(id).unwrap();
    uploader.remove(other).unwrap();
    while !matches!(event(&mut events).await, Event::Started { file, .. } if file == id) {}
    let auth = crate::grants::auth("t1");
    uploader.set_upload_auth_and_address(id, &auth, &address, None).unwrap();
    storage.expect("list").await.listed(&desk.bytes, &[1]);
    storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    while !matches!(event(&mut events).await, Event::TokenExpired { .. }) {}
    uploader.resume_upload_with_auth(&crate::grants::auth("t2")).unwrap();
    let asked = storage.expect("part 2").await;
    assert_eq!(asked.header("x-oss-security-token"), Some("t2"));
    asked.stored();
    storage.expect("complete").await.completed();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn a_credential_without_a_name_is_not_given_to_several_files() {
    let desk = Desk::new(PART as usize * 2);
    let mut options = desk.options();
    (options.files_at_once, options.parallel) = (2, 1);
    let (uploader, mut storage) = desk.uploader_with(options);
    let mut events = uploader.events();
    let soon = "2099-01-01T00:00:00Z";
    let files = ["a.mp4", "b.mp4"]
        .map(|key| uploader.add(File::path(desk.path()).target(target(key))).unwrap());
    uploader.start();
    for _ in files {
        let Event::Started { file, .. } = event(&mut events).await else { panic!() };
        uploader.set_sts_token_directly_upload(file, "STS.a", "s", "hush-a", soon).unwrap();
    }
    let both = [storage.expect("initiate").await, storage.expect("initiate").await];
    for (at, initiate) in both.into_iter().enumerate() {
        initiate.initiated(&format!("u{at}"));
    }
    let both = [storage.expect("part 1").await, storage.expect("part 1").await];
    both.into_iter().for_each(|part| part.refuse(403, "SecurityTokenExpired"));
    let mut expired = 0;
    while expired < 2 {
        let next = event(&mut events).await;
        assert!(!matches!(next, Event::Failed { .. }), "{next:?}");
        expired += usize::from(matches!(next, Event::TokenExpired { .. }));
    }
    // Each of these is of one place, and does not say which.
    let [auth, one] = ["t1", "t2"].map(crate::grants::auth);
    for refused in [
        uploader.resume_upload_with_auth(&auth),
        uploader.resume_upload_with_token("STS.b", "s", "hush-b", soon),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("several files"), "{error}");
    }
    assert!(uploader.files().iter().all(|file| file.state == FileState::Expired));
    let grant = |key: &str| {
        let address = vodferry::UploadGrant::new(target(key), crate::script::credential());
        vodferry::UploadGrant { expires_at_ms: None, ..address }
    };
    uploader.authorize(files[0], grant("a.mp4")).unwrap();
    // One waits now, and it is clear whose this is.
    uploader.resume_upload_with_auth(&one).unwrap();
    let sent = storage.be_good().await.len() + storage.be_good().await.len();
    assert_eq!(sent, 4);
    assert!(uploader.wait().await.iter().all(|file| file.state == FileState::Succeeded));
}
