//! The JSON interface that hands out upload address and credential.

use vodferry_oss::{Method, Response};
use vodferry_vod::UploadAddress;

use crate::support::{Grant, Server, exchange, text};

/// Sends a request with these head lines (without Host where `lines` has one).
async fn post(server: &Server, path: &str, lines: &str, body: &str) -> Response {
    let host = match lines.to_ascii_lowercase().contains("host:") {
        true => String::new(),
        false => format!("Host: {}\r\n", server.addr()),
    };
    let request = format!(
        "POST {path} HTTP/1.1\r\n{host}{lines}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    exchange(server.addr(), Method::Post, request.as_bytes()).await
}

fn refused(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", text(response));
    assert_eq!(response.header("content-type"), Some("application/json"));
    let reply: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(reply["RequestId"].as_str().unwrap().len(), 36);
    assert!(!reply["Message"].as_str().unwrap().is_empty());
    reply["Code"].as_str().unwrap().to_owned()
}

const JSON: &str = "Content-Type: application/json\r\n";
const CREATE: &str = "/api/upload-auth/create";
const FILE: &str = r#"{"FileName":"a.mp4"}"#;

#[tokio::test]
async fn this_machine_needs_no_token() {
    let server = Server::start().await;
    for host in ["localhost", "LOCALHOST:9000", "127.0.0.1", "[::1]:9000"] {
        let lines = format!("Host: {host}\r\n{JSON}");
        Grant::of(&post(&server, CREATE, &lines, FILE).await);
    }
    let full = r#"{"FileName":"a.mp4","Title":"T","FileSize":5,"Tags":"x","UserData":{"Extend":"e"},"Later":[1]}"#;
    let response =
        post(&server, CREATE, "content-type: Application/JSON; charset=utf-8\r\n", full).await;
    assert_eq!(response.header("cache-control"), Some("no-store"));
    Grant::of(&response);
}

#[tokio::test]
async fn everybody_else_does() {
    let server = Server::start().await;
    let token = server.keys.app_server_token.expose();
    // The name of a page that was pointed at this machine; what proxies and browsers add.
    for lines in [
        "Host: evil.example\r\n",
        "Host: localhost.evil.example\r\n",
        "Host: \r\n",
        "X-Forwarded-For: 203.0.113.7\r\n",
        "Via: 1.1 proxy\r\n",
        // A page, were it one of this very server.
        "Origin: http://127.0.0.1:9000\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
    ] {
        let lines = format!("{lines}{JSON}");
        let response = post(&server, CREATE, &lines, FILE).await;
        assert_eq!(refused(&response, 401), "MissingToken", "{lines}");
        assert!(response.header("www-authenticate").is_some());
        let lines = format!("{lines}Authorization: Bearer {token}\r\n");
        Grant::of(&post(&server, CREATE, &lines, FILE).await);
    }
    let target = format!("http://evil.example{CREATE}");
    assert_eq!(refused(&post(&server, &target, JSON, FILE).await, 401), "MissingToken");
}

#[tokio::test]
async fn a_wrong_token_is_refused_from_anywhere() {
    let server = Server::start().await;
    let token = server.keys.app_server_token.expose();
    for wrong in
        ["Bearer x", "Bearer", "Basic eDp4", &format!("Bearer {token}x"), &format!("Basic {token}")]
    {
        let lines = format!("{JSON}Authorization: {wrong}\r\n");
        let response = post(&server, CREATE, &lines, FILE).await;
        assert_eq!(refused(&response, 401), "InvalidToken", "{wrong}");
        assert!(!text(&response).contains(token));
    }
}

#[tokio::test]
async fn a_foreign_page_gets_no_leave() {
    let server = Server::start().await;
    let preflight = format!(
        "OPTIONS {CREATE} HTTP/1.1\r\nHost: {}\r\nOrigin: https://evil.example\r\n\
         Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\
         Connection: close\r\n\r\n",
        server.addr()
    );
    let response = exchange(server.addr(), Method::Options, preflight.as_bytes()).await;
    assert_eq!(response.status, 401, "{}", text(&response));
    assert!(response.header("access-control-allow-origin").is_none());
    // What a page may send without leave is not JSON.
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let lines = format!("Origin: https://evil.example\r\nContent-Type: {kind}\r\n");
        let response = post(&server, CREATE, &lines, FILE).await;
        assert_eq!(refused(&response, 401), "MissingToken");
        assert!(response.header("access-control-allow-origin").is_none());
        let token = server.keys.app_server_token.expose();
        let lines = format!("{lines}Authorization: Bearer {token}\r\n");
        let response = post(&server, CREATE, &lines, FILE).await;
        assert_eq!(refused(&response, 415), "UnsupportedMediaType");
    }
    assert_eq!(refused(&post(&server, CREATE, "", FILE).await, 415), "UnsupportedMediaType");
}

#[tokio::test]
async fn images_get_a_place_and_an_address_of_their_own() {
    let server = Server::start().await;
    let image = "/api/upload-auth/image";
    let of = |response: &Response| -> serde_json::Value {
        assert_eq!(response.status, 200, "{}", text(response));
        serde_json::from_slice(&response.body).unwrap()
    };
    let body = r#"{"OriginalFileName":"c/Cover.JPG","ImageType":"cover","Title":"T","Tags":"a,b","CateId":"3","AppId":"app-1"}"#;
    let made = of(&post(&server, image, JSON, body).await);
    let id = made["ImageId"].as_str().unwrap();
    assert!(made.get("VideoId").is_none());
    let url = format!("http://{}/vod-media/image/cover/{id}.jpg", server.addr());
    assert_eq!(made["ImageURL"], url.as_str());
    let address = UploadAddress::decode(made["UploadAddress"].as_str().unwrap()).unwrap();
    assert_eq!(address.file_name, format!("image/cover/{id}.jpg"));
    // Its right is renewed as that of a video, for the same place.
    let body = format!(r#"{{"VideoId":"{id}"}}"#);
    let again = of(&post(&server, "/api/upload-auth/refresh", JSON, &body).await);
    assert_eq!((&again["ImageId"], &again["ImageURL"]), (&made["ImageId"], &made["ImageURL"]));
    assert_eq!(again["UploadAddress"], made["UploadAddress"]);
    let plain = of(&post(&server, image, JSON, "{}").await);
    assert!(plain["ImageURL"].as_str().unwrap().contains("/image/default/"));
    for (body, code) in [
        (r#"{"ImageType":"poster"}"#, "InvalidParameter.ImageType"),
        (r#"{"ImageExt":"exe"}"#, "InvalidParameter.ImageExt"),
        (r#"{"ImageType":7}"#, "InvalidParameter"),
    ] {
        assert_eq!(refused(&post(&server, image, JSON, body).await, 400), code, "{body}");
    }
}

#[tokio::test]
async fn what_is_said_of_a_video_is_kept_and_shown_by_the_api() {
    let server = Server::start().await;
    let body = r#"{"FileName":"a.mp4","Title":"T","TemplateGroupId":"tg","WorkflowId":"wf","AppId":"app-1",
        "TransCodeMode":"NoTranscode","StorageLocation":"vod-media.oss.test","Tags":"a","CateId":3}"#;
    let grant = Grant::of(&post(&server, CREATE, JSON, body).await);
    let shown = crate::rpc::call(&server, "GetVideoInfo", &[("VideoId", &grant.video_id)]).await;
    let shown: serde_json::Value = serde_json::from_slice(&shown.body).unwrap();
    assert_eq!(shown["Video"]["TemplateGroupId"], "tg");
    assert_eq!(shown["Video"]["AppId"], "app-1");
    for (body, status, code) in [
        (r#"{"FileName":"a.mp4","StorageLocation":"other"}"#, 404, "InvalidStorage.NotFound"),
        (r#"{"FileName":"a.mp4","TransCodeMode":"x"}"#, 400, "InvalidParameter.TransCodeMode"),
    ] {
        assert_eq!(refused(&post(&server, CREATE, JSON, body).await, status), code, "{body}");
    }
}

#[tokio::test]
async fn wrong_requests_are_explained() {
    let server = Server::with(|config| config.limits.control_body = 2000).await;
    for (path, body, status, code) in [
        (CREATE, "", 400, "MalformedJSON"),
        (CREATE, "{", 400, "MalformedJSON"),
        (CREATE, "<html>", 400, "MalformedJSON"),
        (CREATE, "{}", 400, "InvalidParameter"),
        (CREATE, "[]", 400, "InvalidParameter"),
        (CREATE, r#"{"FileName":7}"#, 400, "InvalidParameter"),
        (CREATE, r#"{"FileName":"a.mp4","FileSize":-1}"#, 400, "InvalidParameter"),
        (CREATE, r#"{"FileName":"a.txt"}"#, 400, "InvalidFileName.Extension"),
        (
            CREATE,
            &format!(r#"{{"FileName":"a.mp4","Title":"{}"}}"#, "t".repeat(200)),
            400,
            "LengthExceededMax",
        ),
        (CREATE, &"x".repeat(2001), 400, "InvalidParameter"),
        ("/api/upload-auth/refresh", "{}", 400, "InvalidParameter"),
        ("/api/upload-auth/refresh", r#"{"VideoId":"no"}"#, 404, "InvalidVideo.NotFound"),
        ("/api/upload-auth/destroy", "{}", 404, "NotFound"),
        ("/api/upload-auth/", "{}", 404, "NotFound"),
    ] {
        let response = post(&server, path, JSON, body).await;
        assert_eq!(refused(&response, status), code, "{path} {body}");
    }
    let get = format!("GET {CREATE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let response = exchange(server.addr(), Method::Get, get.as_bytes()).await;
    assert_eq!(refused(&response, 405), "MethodNotAllowed");
}

/// Whoever reads the message knows what to write, and nothing of how the server is built.
#[tokio::test]
async fn wrong_json_is_told_by_member_and_kind() {
    let server = Server::start().await;
    let refresh = "/api/upload-auth/refresh";
    for (path, body, says) in [
        (
            CREATE,
            "[]",
            "the body must be a JSON object, as {\"FileName\":\"film.mp4\"}, and is a list",
        ),
        (CREATE, "7", "the body must be a JSON object"),
        (CREATE, "null", "the body must be a JSON object"),
        (CREATE, "\"a.mp4\"", "the body must be a JSON object"),
        (CREATE, "{}", "FileName is missing: a text is needed"),
        (CREATE, r#"{"filename":"a.mp4"}"#, "FileName is missing: a text is needed"),
        (CREATE, r#"{"FileName":null}"#, "FileName is missing: a text is needed"),
        (CREATE, r#"{"FileName":7}"#, "FileName must be a text, and is 7"),
        (CREATE, r#"{"FileName":["a.mp4"]}"#, "FileName must be a text, and is a list"),
        (CREATE, r#"{"FileName":"a.mp4","Title":true}"#, "Title must be a text, and is true"),
        (CREATE, r#"{"FileName":"a.mp4","Tags":["a"]}"#, "Tags must be a text, and is a list"),
        (
            CREATE,
            r#"{"FileName":"a.mp4","CoverURL":{}}"#,
            "CoverURL must be a text, and is an object",
        ),
        (CREATE, r#"{"FileName":"a.mp4","FileSize":-1}"#, "FileSize must be a whole number"),
        (CREATE, r#"{"FileName":"a.mp4","FileSize":1.5}"#, "FileSize must be a whole number"),
        (CREATE, r#"{"FileName":"a.mp4","FileSize":1e99}"#, "FileSize must be a whole number"),
        (CREATE, r#"{"FileName":"a.mp4","FileSize":"7 MB"}"#, "FileSize must be a whole number"),
        (CREATE, r#"{"FileName":"a.mp4","CateId":"x"}"#, "CateId must be a whole number"),
        (CREATE, r#"{"FileName":"a.mp4","CateId":18446744073709551615}"#, "CateId must be a whole"),
        (refresh, "{}", "VideoId is missing: a text is needed"),
        (refresh, r#"{"VideoId":1}"#, "VideoId must be a text, and is 1"),
        (refresh, "[]", "the body must be a JSON object"),
    ] {
        let response = post(&server, path, JSON, body).await;
        assert_eq!(refused(&response, 400), "InvalidParameter", "{body}");
        let reply: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let message = reply["Message"].as_str().unwrap();
        assert!(message.starts_with(says), "{body}: {message}");
    }
    let deep = format!("{{\"FileName\":{}", "[".repeat(100_000));
    for body in ["", "{", "{'FileName':1}", "\u{feff}{}", &deep] {
        let response = post(&server, CREATE, JSON, body).await;
        assert_eq!(refused(&response, 400), "MalformedJSON");
        assert!(text(&response).contains("the body is not JSON"), "{}", text(&response));
    }
    let lax =
        r#"{"FileName":"a.mp4","Title":null,"FileSize":"7","CateId":"3","UserData":[1],"X":0}"#;
    Grant::of(&post(&server, CREATE, JSON, lax).await);
}

#[tokio::test]
async fn the_configured_endpoint_and_life_are_handed_out() {
    let server = Server::with(|config| {
        config.public_endpoint = Some("https://upload.example.com".into());
        config.region = "eu-central-1".into();
        config.credential_life = std::time::Duration::from_secs(5);
    })
    .await;
    let grant = server.create("a.mp4").await;
    assert_eq!(grant.target.endpoint, "https://upload.example.com");
    assert_eq!(grant.auth.region.as_deref(), Some("eu-central-1"));
    assert_eq!(grant.auth.expiration_secs, Some(5));
}

/// The network's doing must not look like the caller's: an uploader gives up on a 400 and asks again after a 408.
#[tokio::test]
async fn a_body_that_never_ends_may_be_sent_again() {
    let server =
        Server::with(|config| config.limits.idle_body = std::time::Duration::from_millis(200))
            .await;
    let request = format!(
        "POST {CREATE} HTTP/1.1\r\nHost: {}\r\n{JSON}Content-Length: 100\r\nConnection: close\r\n\r\n{{",
        server.addr()
    );
    let response = exchange(server.addr(), Method::Post, request.as_bytes()).await;
    assert_eq!(refused(&response, 408), "RequestTimeout");
}
