//! The whole way of one video: from an empty folder to a link that plays it.

use vodferry_oss::Method;
use vodferry_oss::crc64::crc64;
use vodferry_oss::sign::presign_v1;

use crate::rpc::call;
use crate::support::{BUCKET, Build, Server, Upload, noise, now_ms, refused, text};

#[tokio::test]
async fn a_video_travels_in_parts() {
    let server = Server::with(|config| config.min_part_size = 102_400).await;
    let grant = server.create("holiday/Film.MP4").await;
    assert_eq!(grant.target.endpoint, server.running.endpoint());
    assert_eq!(grant.target.bucket, BUCKET);
    assert_eq!(grant.target.key, format!("sv/{0}/{0}.mp4", grant.video_id));
    assert_eq!(grant.auth.expiration_secs, Some(3000));
    assert_eq!(grant.auth.region.as_deref(), Some("cn-shanghai"));
    let life = grant.auth.expires_at_ms(0).unwrap() - now_ms();
    assert!((2_990_000..=3_000_000).contains(&life), "{life}");
    assert_eq!(status(&server, &grant.video_id).await, "Uploading");

    let film = noise(102_400 * 2 + 77, 1);
    let key = grant.target.key.clone();
    let upload = Upload::begin(&server, grant.credential.clone(), &key).await;
    let mut parts = Vec::new();
    for (number, bytes) in (1u32..).zip(film.chunks(102_400)) {
        parts.push((number, upload.part(number, bytes).await));
    }
    let listed = upload.list().await;
    assert_eq!(listed.parts.len(), 3);
    assert_eq!(listed.parts[2].crc64, Some(crc64(&film[204_800..])));
    assert_eq!(status(&server, &grant.video_id).await, "Uploading");

    let list: Vec<(u32, &str)> = parts.iter().map(|(n, etag)| (*n, etag.as_str())).collect();
    let done = upload.complete(&list).await;
    assert_eq!(done.status, 200, "{}", text(&done));
    assert_eq!(done.crc64(), Some(crc64(&film)));
    assert_eq!(status(&server, &grant.video_id).await, "Normal");
    let info = video(&server, &grant.video_id).await;
    assert_eq!(info["Video"]["Size"], film.len());
    assert_eq!(info["Video"]["Title"], "Film");

    // The uploader may not read; the operator may, and may give a link away.
    let denied = server.send_as(&grant.credential, &key, server.request(Method::Get, &key)).await;
    assert_eq!(refused(&denied, 403), "AccessDenied");
    let whole = server.get(&key).await;
    assert!(whole.body == film, "{}", whole.status);
    let mut link = server.request(Method::Get, &key).with("range", "bytes=204790-204809");
    presign_v1(&mut link, BUCKET, &key, &server.operator(), now_ms() as u64 / 1000 + 60);
    let piece = server.send_raw(&link).await;
    assert_eq!((piece.status, &piece.body[..]), (206, &film[204_790..204_810]));
}

#[tokio::test]
async fn a_small_video_travels_at_once() {
    let server = Server::start().await;
    let grant = server.create("a.mp4").await;
    let key = &grant.target.key;
    let request = server
        .request(Method::Put, key)
        .with("content-type", "video/mp4")
        // Sent by upload SDKs, sometimes empty; signed, not understood.
        .with("x-oss-notification", "")
        .body(b"moving pictures");
    assert_eq!(server.send_as(&grant.credential, key, request).await.status, 200);
    assert_eq!(status(&server, &grant.video_id).await, "Normal");
    assert_eq!(server.get(key).await.header("content-type"), Some("video/mp4"));
}

#[tokio::test]
async fn a_refreshed_credential_goes_on_at_the_same_place() {
    let server = Server::start().await;
    let first = server.create("a.mp4").await;
    let upload = Upload::begin(&server, first.credential.clone(), &first.target.key).await;
    let one = upload.part(1, b"first ").await;

    let body = format!("{{\"VideoId\":\"{}\"}}", first.video_id);
    let second = crate::support::Grant::of(&server.api("refresh", &body).await);
    assert_eq!(second.target, first.target);
    assert_ne!(second.credential.access_key_id, first.credential.access_key_id);
    assert_ne!(second.credential.security_token, first.credential.security_token);
    let upload = Upload { who: second.credential, ..upload };
    let two = upload.part(2, b"second").await;
    assert_eq!(upload.complete(&[(1, &one), (2, &two)]).await.status, 200);
    assert_eq!(server.get(&first.target.key).await.body, b"first second");
}

async fn video(server: &Server, id: &str) -> serde_json::Value {
    let response = call(server, "GetVideoInfo", &[("VideoId", id)]).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    serde_json::from_slice(&response.body).unwrap()
}

async fn status(server: &Server, id: &str) -> String {
    video(server, id).await["Video"]["Status"].as_str().unwrap().to_owned()
}
