//! STS mode: the uploader calls the VOD API itself, and the service says whatever services say.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use vodferry::{
    ApiSignature, Credential, Error, ErrorKind, Event, Events, File, FileState, ImageType, Media,
    Response, StsToken, Uploader, VodApi,
};
use vodferry_oss::encode::decode_query;
use vodferry_vod::{acs3, rpc};

use crate::grants::reply;
use crate::script::{Asked, Desk, PART, Script, event, failure, response, script};

const SECRET: &str = "hush-secret";

fn token(mark: &str) -> StsToken {
    StsToken::new(format!("STS.{mark}"), SECRET, format!("hush-{mark}").as_str())
}

fn refusal(status: u16, code: &str) -> Response {
    let body =
        format!(r#"{{"RequestId":"R-9","HostId":"h","Code":"{code}","Message":"as it is."}}"#);
    response(status, &[], body)
}

/// The parameters of a call by version 1, its signature verified.
fn form(asked: &Asked) -> Vec<(String, String)> {
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(asked.request.query.is_empty());
    let pairs = decode_query(std::str::from_utf8(&asked.body).unwrap()).unwrap();
    assert!(rpc::verify(vodferry::Method::Post, &pairs, SECRET), "{pairs:?}");
    pairs
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// The next call, which must be `action` with the key `STS.<mark>`.
async fn call(server: &mut Script, action: &str, mark: &str) -> (Asked, Vec<(String, String)>) {
    let asked = server.expect("POST /").await;
    let pairs = form(&asked);
    assert_eq!(value(&pairs, "Action"), Some(action));
    assert_eq!(value(&pairs, "AccessKeyId"), Some(format!("STS.{mark}").as_str()));
    assert_eq!(value(&pairs, "SecurityToken"), Some(format!("hush-{mark}").as_str()));
    (asked, pairs)
}

/// An uploader over a scripted VOD API and a scripted storage.
struct Stage {
    desk: Desk,
    uploader: Uploader,
    events: Events,
    server: Script,
    storage: Script,
}

fn stage(length: usize, make: impl FnOnce(VodApi) -> VodApi, first: Option<StsToken>) -> Stage {
    let desk = Desk::new(length);
    let (http, server) = script();
    let (oss, storage) = script();
    let api = match first {
        Some(token) => VodApi::new("cn-shanghai", token).unwrap(),
        None => VodApi::waiting("cn-shanghai").unwrap(),
    };
    let uploader = Uploader::builder()
        .options(desk.options())
        .authorizer(make(api.http(http)))
        .http(oss)
        .build()
        .unwrap();
    let events = uploader.events();
    Stage { desk, uploader, events, server, storage }
}

fn full_media() -> Media {
    Media {
        title: Some("题 & title".into()),
        tags: vec!["sea".into(), "sun set".into()],
        description: Some("d=1&e".into()),
        category_id: Some(12),
        cover_url: Some("https://c/x.png?a=b".into()),
        template_group_id: Some("tg".into()),
        storage_location: Some("outin-1.oss-cn-shanghai.aliyuncs.com".into()),
        workflow_id: Some("wf".into()),
        app_id: Some("app-1000001".into()),
        user_data: Some(r#"{"Extend":{"a":"+/="}}"#.into()),
        watermark: Some(false),
        priority: Some(6),
        process: Some(true),
        kind: None,
        image_type: ImageType::Cover,
    }
}

#[tokio::test]
async fn every_media_field_is_a_signed_parameter_in_both_forms() {
    for signature in [ApiSignature::V1, ApiSignature::Acs3] {
        let mut on = stage(10, |api| api.signature(signature), Some(token("a")));
        let file = File::path(on.desk.path()).name("Ü 1.mp4").media(full_media());
        on.uploader.add(file).unwrap();
        on.uploader.start();
        let asked = on.server.expect("POST /").await;
        assert_eq!(asked.request.scheme, "https");
        assert_eq!(asked.request.authority, "vod.cn-shanghai.aliyuncs.com");
        let pairs = match signature {
            ApiSignature::V1 => {
                let pairs = form(&asked);
                assert_eq!(value(&pairs, "Action"), Some("CreateUploadVideo"));
                assert_eq!(value(&pairs, "Version"), Some("2017-03-21"));
                assert_eq!(value(&pairs, "SecurityToken"), Some("hush-a"));
                pairs
            }
            ApiSignature::Acs3 => {
                assert!(asked.body.is_empty());
                assert_eq!(asked.header("x-acs-action"), Some("CreateUploadVideo"));
                assert_eq!(asked.header("x-acs-security-token"), Some("hush-a"));
                let shown = acs3::Presented::of(asked.header("authorization").unwrap()).unwrap();
                assert!(shown.covers("x-acs-security-token") && shown.covers("host"));
                let signed = acs3::Signed {
                    names: shown.signed_headers,
                    headers: &asked.request.headers,
                    query: &asked.request.query,
                    body: &acs3::body_hash(b""),
                };
                assert!(signed.verify(vodferry::Method::Post, SECRET, shown.signature));
                asked.request.query.clone()
            }
        };
        for (name, expected) in [
            ("Title", "题 & title"),
            ("FileName", "Ü 1.mp4"),
            ("FileSize", "10"),
            ("Tags", "sea,sun set"),
            ("Description", "d=1&e"),
            ("CateId", "12"),
            ("CoverURL", "https://c/x.png?a=b"),
            ("TemplateGroupId", "tg"),
            ("StorageLocation", "outin-1.oss-cn-shanghai.aliyuncs.com"),
            ("WorkflowId", "wf"),
            ("AppId", "app-1000001"),
            ("UserData", r#"{"Extend":{"a":"+/="}}"#),
        ] {
            assert_eq!(value(&pairs, name), Some(expected), "{signature:?}");
        }
        // A template group decides about transcoding.
        assert_eq!(value(&pairs, "TransCodeMode"), None);
        asked.reply(reply("v1", "t1"));
        let put = on.storage.expect("put").await;
        let told = vodferry_oss::base64::decode(put.header("x-oss-notification").unwrap()).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["Vod"]["UserData"]["IsShowWaterMark"], "false");
        assert_eq!(told["Vod"]["UserData"]["Priority"], "6");
        assert_eq!(told["Vod"]["IsProcess"], "true");
        put.stored();
        let files = on.uploader.wait().await;
        assert_eq!(files[0].video_id.as_deref(), Some("v1"));
    }
}

#[tokio::test]
async fn an_image_is_created_as_one_and_shows_its_address() {
    let mut on = stage(10, |api| api, Some(token("a")));
    let media = Media { process: Some(false), ..full_media() };
    let id = on.uploader.add(File::path(on.desk.path()).name("Cover.JPEG").media(media)).unwrap();
    on.uploader.start();
    let (asked, pairs) = call(&mut on.server, "CreateUploadImage", "a").await;
    for (name, expected) in [
        ("ImageType", Some("cover")),
        ("ImageExt", Some("jpeg")),
        ("Title", Some("题 & title")),
        ("OriginalFileName", Some("Cover.JPEG")),
        ("Tags", Some("sea,sun set")),
        ("CateId", Some("12")),
        ("FileName", None),
        ("CoverURL", None),
        ("WorkflowId", None),
    ] {
        assert_eq!(value(&pairs, name), expected, "{name}");
    }
    let body = String::from_utf8(reply("x", "t1").body).unwrap();
    let body = body.replace(r#""VideoId":"x""#, r#""ImageId":"i1","ImageURL":"https://i/1.jpeg""#);
    asked.reply(response(200, &[], body));
    let put = on.storage.expect("put").await;
    assert_eq!(put.header("content-type"), Some("image/jpeg"));
    put.stored();
    on.uploader.wait().await;
    let file = on.uploader.file(id).unwrap();
    assert_eq!(file.video_id.as_deref(), Some("i1"));
    assert_eq!(file.image_url.as_deref(), Some("https://i/1.jpeg"));
}

#[tokio::test]
async fn an_image_whose_credential_died_begins_anew_as_another_image() {
    let mut on = stage(PART as usize * 2, |api| api, Some(token("a")));
    on.uploader.add(File::path(on.desk.path()).name("big.png")).unwrap();
    on.uploader.start();
    call(&mut on.server, "CreateUploadImage", "a").await.0.reply(reply("i1", "t1"));
    on.storage.expect("initiate").await.initiated("u1");
    on.storage.expect("part 1").await.stored();
    on.storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    call(&mut on.server, "CreateUploadImage", "a").await.0.reply(reply("i2", "t2"));
    assert_eq!(on.storage.be_good().await, [1, 2]);
    let files = on.uploader.wait().await;
    assert_eq!((files[0].state, files[0].video_id.as_deref()), (FileState::Succeeded, Some("i2")));
}

#[tokio::test]
async fn a_video_is_refreshed_by_its_id_and_nothing_is_sent_twice() {
    let mut on = stage(PART as usize * 2, |api| api, Some(token("a")));
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    call(&mut on.server, "CreateUploadVideo", "a").await.0.reply(reply("v1", "t1"));
    on.storage.expect("initiate").await.initiated("u1");
    on.storage.expect("part 1").await.stored();
    on.storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    let (asked, pairs) = call(&mut on.server, "RefreshUploadVideo", "a").await;
    assert_eq!(value(&pairs, "VideoId"), Some("v1"));
    asked.reply(reply("v1", "t2"));
    let part = on.storage.expect("part 2").await;
    assert_eq!(part.header("x-oss-security-token"), Some("t2"));
    part.stored();
    on.storage.expect("complete").await.completed();
    assert_eq!(on.uploader.wait().await[0].state, FileState::Succeeded);
    while let Some(event) = on.events.try_next() {
        assert!(!matches!(event, Event::TokenExpired { .. } | Event::Failed { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn a_token_that_ran_out_without_a_supplier_is_told_once_and_set_token_goes_on() {
    let mut on = stage(10, |api| api, Some(token("a")));
    let id = on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    let (asked, _) = call(&mut on.server, "CreateUploadVideo", "a").await;
    asked.reply(refusal(400, "InvalidSecurityToken.Expired"));
    assert!(matches!(event(&mut on.events).await, Event::Started { .. }));
    match event(&mut on.events).await {
        Event::TokenExpired { file, video_id: None } => assert_eq!(file, id),
        other => panic!("{other:?}"),
    }
    assert_eq!(on.uploader.file(id).unwrap().state, FileState::Expired);
    on.server.silence().await;
    // Inside of a handler, as applications do, and twice.
    let go_on = || on.uploader.resume_upload_with_sts_token("STS.b", SECRET, "hush-b", None);
    go_on().unwrap();
    go_on().unwrap();
    call(&mut on.server, "CreateUploadVideo", "b").await.0.reply(reply("v1", "t1"));
    on.storage.expect("put").await.stored();
    assert_eq!(on.uploader.wait().await[0].state, FileState::Succeeded);
    go_on().unwrap();
    assert!(matches!(event(&mut on.events).await, Event::Succeeded { .. }));
}

#[tokio::test]
async fn in_the_midst_of_an_upload_the_refresh_waits_for_the_token_and_keeps_the_upload() {
    let mut on = stage(PART as usize * 2, |api| api, Some(token("a")));
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    call(&mut on.server, "CreateUploadVideo", "a").await.0.reply(reply("v1", "t1"));
    on.storage.expect("initiate").await.initiated("u1");
    on.storage.expect("part 1").await.stored();
    on.storage.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    let (asked, _) = call(&mut on.server, "RefreshUploadVideo", "a").await;
    asked.reply(refusal(400, "InvalidSecurityToken.Expired"));
    loop {
        if let Event::TokenExpired { video_id, .. } = event(&mut on.events).await {
            assert_eq!(video_id.as_deref(), Some("v1"));
            break;
        }
    }
    on.uploader.set_token(token("b")).unwrap();
    call(&mut on.server, "RefreshUploadVideo", "b").await.0.reply(reply("v1", "t2"));
    on.storage.expect("part 2").await.stored();
    on.storage.expect("complete").await.completed();
    assert_eq!(on.uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn after_token_expired_authorize_goes_on_as_well() {
    let mut on = stage(10, |api| api, Some(token("a")));
    let id = on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    let (asked, _) = call(&mut on.server, "CreateUploadVideo", "a").await;
    asked.reply(refusal(400, "InvalidSecurityToken.Expired"));
    while !matches!(event(&mut on.events).await, Event::TokenExpired { .. }) {}
    let (auth, address) = (crate::grants::auth("t9"), crate::grants::address());
    on.uploader.set_upload_auth_and_address(id, &auth, &address, Some("v9")).unwrap();
    on.storage.expect("put").await.stored();
    assert_eq!(on.uploader.wait().await[0].video_id.as_deref(), Some("v9"));
}

#[tokio::test]
async fn a_supplier_is_asked_when_the_token_ran_out_and_nobody_hears_of_it() {
    let asked_for = Arc::new(AtomicUsize::new(0));
    let count = asked_for.clone();
    let supplier = move || {
        let n = count.fetch_add(1, Ordering::SeqCst);
        async move { Ok(token(["b", "c"][n])) }
    };
    // By its date, and by the service's word.
    let mut on = stage(
        10,
        |api| api.supplier(supplier),
        Some(StsToken { expires_at_ms: Some(1_000), ..token("a") }),
    );
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    let (asked, _) = call(&mut on.server, "CreateUploadVideo", "b").await;
    // Fresh from the supplier and refused: the next question comes after a pause.
    asked.reply(refusal(400, "InvalidSecurityToken.Expired"));
    let (asked, _) = call(&mut on.server, "CreateUploadVideo", "c").await;
    asked.reply(reply("v1", "t1"));
    on.storage.expect("put").await.stored();
    assert_eq!(on.uploader.wait().await[0].state, FileState::Succeeded);
    assert_eq!(asked_for.load(Ordering::SeqCst), 2);
    while let Some(event) = on.events.try_next() {
        assert!(!matches!(event, Event::TokenExpired { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn a_supplier_that_refuses_fails_the_file_with_its_words() {
    let supplier = || async {
        Err(Error::new(ErrorKind::Auth, "NoLogin", "nobody is logged in").with_request_id("Q"))
    };
    let mut on = stage(10, |api| api.supplier(supplier), None);
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    let error = failure(&mut on.events).await;
    assert_eq!((error.code(), error.request_id()), ("NoLogin", Some("Q")));
}

#[tokio::test]
async fn without_a_first_token_the_file_waits_and_nothing_is_told_expired() {
    let mut on = stage(10, |api| api, None);
    let id = on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    assert!(matches!(event(&mut on.events).await, Event::Started { .. }));
    on.server.silence().await;
    on.uploader.set_sts_token(id, "STS.a", SECRET, "hush-a").unwrap();
    call(&mut on.server, "CreateUploadVideo", "a").await.0.reply(reply("v1", "t1"));
    on.storage.expect("put").await.stored();
    assert!(matches!(event(&mut on.events).await, Event::Succeeded { .. }));
    assert_eq!(
        on.uploader.set_sts_token(id, "STS.a", SECRET, "t").unwrap_err().kind(),
        ErrorKind::Misuse
    );
}

#[tokio::test]
async fn a_refused_key_fails_the_file_and_names_the_call() {
    for (status, code) in [
        (400, "SignatureDoesNotMatch"),
        (403, "Forbidden.RAM"),
        (400, "InvalidSecurityToken.Malformed"),
        (400, "InvalidFileName.Extension"),
    ] {
        let mut on = stage(10, |api| api, Some(token("a")));
        on.uploader.add(on.desk.path()).unwrap();
        on.uploader.start();
        let (asked, _) = call(&mut on.server, "CreateUploadVideo", "a").await;
        asked.reply(refusal(status, code));
        let error = failure(&mut on.events).await;
        assert_eq!((error.code(), error.request_id()), (code, Some("R-9")));
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("refused CreateUploadVideo: as it is (") && !text.contains("hush"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_unknown_plain_key_is_no_expiry() {
    let credential = Credential {
        access_key_id: "AK".into(),
        access_key_secret: SECRET.into(),
        security_token: None,
    };
    let mut on = stage(10, |api| api, Some(credential.into()));
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    let asked = on.server.expect("POST /").await;
    assert_eq!(value(&form(&asked), "SecurityToken"), None);
    asked.reply(refusal(404, "InvalidAccessKeyId.NotFound"));
    assert_eq!(failure(&mut on.events).await.kind(), ErrorKind::Auth);
}

#[tokio::test]
async fn a_video_that_is_gone_is_created_anew() {
    let mut on = stage(PART as usize * 2, |api| api, Some(token("a")));
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    call(&mut on.server, "CreateUploadVideo", "a").await.0.reply(reply("v1", "t1"));
    on.storage.expect("initiate").await.initiated("u1");
    on.storage.expect("part 1").await.refuse(403, "SecurityTokenExpired");
    let (asked, _) = call(&mut on.server, "RefreshUploadVideo", "a").await;
    asked.reply(refusal(404, "InvalidVideo.NotFound"));
    call(&mut on.server, "CreateUploadVideo", "a").await.0.reply(reply("v2", "t2"));
    assert_eq!(on.storage.be_good().await, [1, 2]);
    assert_eq!(on.uploader.wait().await[0].video_id.as_deref(), Some("v2"));
}

#[tokio::test]
async fn a_wrong_clock_is_learned_from_the_service_and_kept() {
    let mut on = stage(10, |api| api, Some(token("a")));
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    let (asked, pairs) = call(&mut on.server, "CreateUploadVideo", "a").await;
    let first = value(&pairs, "SignatureNonce").unwrap().to_owned();
    let mut late = refusal(400, "InvalidTimeStamp.Expired");
    late.headers.push(("date".into(), "Fri, 20 Nov 2026 10:00:00 GMT".into()));
    asked.reply(late);
    for n in 0..2 {
        let (asked, pairs) = call(&mut on.server, "CreateUploadVideo", "a").await;
        let time = value(&pairs, "Timestamp").unwrap();
        assert!(time.starts_with("2026-11-20T10:00:"), "call {n} was signed at {time}");
        assert_ne!(value(&pairs, "SignatureNonce"), Some(first.as_str()));
        asked.reply(reply("v1", "t1"));
        on.storage.expect("put").await.stored();
    }
    assert!(on.uploader.wait().await.iter().all(|file| file.state == FileState::Succeeded));
}

#[tokio::test]
async fn throttling_garbage_and_failures_are_asked_again() {
    let mut on = stage(10, |api| api, Some(token("a")));
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    let mut patience = refusal(400, "Throttling.User");
    patience.headers.push(("retry-after".into(), "1".into()));
    for ill in [
        patience,
        refusal(500, "InternalError"),
        refusal(400, "SignatureNonceUsed"),
        response(502, &[], "<html>"),
        response(200, &[], "<html>"),
        response(200, &[], "{}"),
        response(200, &[], r#"{"UploadAddress":"*","UploadAuth":"*"}"#),
        response(200, &[], vec![0xff; 9]),
    ] {
        call(&mut on.server, "CreateUploadVideo", "a").await.0.reply(ill);
    }
    call(&mut on.server, "CreateUploadVideo", "a").await.0.reply(reply("v1", "t1"));
    on.storage.expect("put").await.stored();
    assert_eq!(on.uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn later_calls_go_to_the_region_of_the_upload_auth_but_an_endpoint_stays() {
    for (place, then) in
        [("cn-shanghai", "vod.cn-beijing.aliyuncs.com"), ("http://vod.test:81/", "vod.test:81")]
    {
        let desk = Desk::new(10);
        let (http, mut server) = script();
        let (oss, mut storage) = script();
        let api = VodApi::new(place, token("a")).unwrap().http(http);
        let builder = Uploader::builder().options(desk.options()).authorizer(api).http(oss);
        let uploader = builder.build().unwrap();
        uploader.add(desk.path()).unwrap();
        uploader.add(desk.path()).unwrap();
        uploader.start();
        let auth = vodferry_vod::UploadAuth {
            access_key_id: "STS.x".into(),
            access_key_secret: "s".into(),
            security_token: "t".into(),
            expire_utc_time: None,
            expiration_secs: Some(3000),
            region: Some("cn-beijing".into()),
        };
        let body = format!(
            r#"{{"VideoId":"v","UploadAddress":"{}","UploadAuth":"{}"}}"#,
            crate::grants::address(),
            auth.encode()
        );
        for _ in 0..2 {
            let asked = server.expect("POST /").await;
            let last = asked.request.authority.clone();
            asked.reply(response(200, &[], body.clone()));
            storage.expect("put").await.stored();
            if last == then {
                continue;
            }
            assert_eq!(last, "vod.cn-shanghai.aliyuncs.com");
        }
        uploader.add(desk.path()).unwrap();
        uploader.start();
        let asked = server.expect("POST /").await;
        assert_eq!(asked.request.authority, then);
    }
}

#[tokio::test]
async fn a_token_that_every_handler_pushes_at_once_harms_nobody() {
    let mut on = stage(10, |api| api, Some(token("a")));
    let pushed = Arc::new(Mutex::new(0));
    for _ in 0..4 {
        let (uploader, mut events, pushed) =
            (on.uploader.clone(), on.uploader.events(), pushed.clone());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                uploader.set_token(token("b")).unwrap();
                *pushed.lock().unwrap() += 1;
                if matches!(event, Event::Ended { .. }) {
                    return;
                }
            }
        });
    }
    on.uploader.add(on.desk.path()).unwrap();
    on.uploader.start();
    let asked = on.server.expect("POST /").await;
    asked.reply(reply("v1", "t1"));
    on.storage.expect("put").await.stored();
    while !matches!(event(&mut on.events).await, Event::Ended { .. }) {}
    assert_eq!(on.uploader.wait().await[0].state, FileState::Succeeded);
}
