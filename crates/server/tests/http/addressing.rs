//! Where a bucket hides: in the path, in the host, in a target of absolute form, or nowhere.

use vodferry_oss::sign::{presign_v1, sign_v1};
use vodferry_oss::{Method, Response};

use crate::sts_assume::assume;
use crate::support::{BUCKET, Build, Server, exchange, now_ms, text};

/// Sends a signed PUT and GET of `key` with this target (`{}` is the path of the key) and Host;
/// what GET answers.
async fn there_and_back(server: &Server, target: &str, host: &str) -> Response {
    let key = "dir/a b.mp4";
    let mut got = None;
    for method in [Method::Put, Method::Get] {
        let mut request = server.request(method, key);
        if method == Method::Put {
            request = request.body(b"film");
        }
        sign_v1(&mut request, BUCKET, key, &server.operator(), now_ms());
        let headers: String =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            method.as_str(),
            request.body.len()
        );
        let bytes = [head.as_bytes(), &request.body].concat();
        got = Some(exchange(server.addr(), method, &bytes).await);
    }
    got.unwrap()
}

#[tokio::test]
async fn every_style_finds_the_bucket() {
    let server = Server::with(|config| config.base_domains = vec!["oss.example.com".into()]).await;
    let bare = "/dir/a%20b.mp4";
    let full = "/vod-media/dir/a%20b.mp4";
    for (target, host) in [
        (full, "127.0.0.1:9000"),
        (full, "localhost"),
        (full, "oss.example.com"),
        (full, "whatever.example.net"),
        (full, ""),
        ("/vod-media/dir%2Fa%20b.mp4", "127.0.0.1"),
        (bare, "vod-media.oss.example.com"),
        (bare, "VOD-MEDIA.OSS.example.com:9000"),
        (bare, "vod-media.localhost:9000"),
        // An SDK with an IP endpoint forces the vendor's own name.
        (bare, "vod-media.oss-cn-hangzhou.aliyuncs.com"),
        (bare, "vod-media.oss-cn-shanghai-internal.aliyuncs.com"),
        (bare, "vod-media.oss-accelerate.aliyuncs.com"),
        // A client behind a proxy setting.
        ("http://vod-media.oss-cn-hangzhou.aliyuncs.com/dir/a%20b.mp4", "127.0.0.1:9000"),
        ("http://127.0.0.1:1/vod-media/dir/a%20b.mp4", "other"),
    ] {
        let response = there_and_back(&server, target, host).await;
        assert_eq!(
            (response.status, &response.body[..]),
            (200, &b"film"[..]),
            "{target} {host} {}",
            text(&response)
        );
    }
}

#[tokio::test]
async fn a_bound_domain_leaves_the_bucket_to_the_credential() {
    let server = Server::start().await;
    let grant = server.create("a.mp4").await;
    let key = &grant.target.key;
    let mut request = server.request(Method::Put, key).body(b"film");
    request.path = format!("/{key}");
    request.authority = "upload.example.com".into();
    let response = server.send_as(&grant.credential, key, request).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    assert_eq!(server.get(key).await.body, b"film");
}

/// Without a setting, the credential tells: also one that is good for all of a bucket.
#[tokio::test]
async fn a_bound_domain_leaves_the_bucket_to_a_credential_of_one_bucket() {
    let server = Server::start().await;
    let policy = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*",
        "Resource":["acs:oss:*:*:vod-media","acs:oss:*:*:vod-media/*"]}]}"#;
    let who = assume(&server, Some(policy)).await;
    for (method, key, path) in
        [(Method::Put, "dir/k", "/dir/k"), (Method::Get, "dir/k", "/dir/k"), (Method::Get, "", "/")]
    {
        let mut request = server.request(method, key);
        request.path = path.into();
        request.authority = "media.example.com".into();
        let response = server.send_as(&who, key, request).await;
        assert_eq!(response.status, 200, "{}", text(&response));
    }
}

#[tokio::test]
async fn a_bound_domain_names_its_bucket() {
    let server = Server::with(|config| {
        config.cnames = [("Media.example.com".into(), BUCKET.into())].into();
    })
    .await;
    let bound = |method, key: &str| {
        let mut request = server.request(method, key);
        request.path = format!("/{key}");
        request.authority = "media.example.com:9000".into();
        request
    };
    let tried = there_and_back(&server, "/dir/a%20b.mp4", "media.example.com").await;
    assert_eq!((tried.status, &tried.body[..]), (200, &b"film"[..]), "{}", text(&tried));
    // Every path there is a key, and by path every bucket is still found.
    let put = server.send("health/live", bound(Method::Put, "health/live").body(b"x")).await;
    assert_eq!(put.status, 200, "{}", text(&put));
    let by_path = there_and_back(&server, "/vod-media/dir/a%20b.mp4", "media.example.com").await;
    assert_eq!(by_path.status, 200, "{}", text(&by_path));
    // A bucket's own rules and what an ACL opens are found without a signature.
    let public = bound(Method::Put, "open").with("x-oss-object-acl", "public-read").body(b"x");
    assert_eq!(server.send("open", public).await.status, 200);
    assert_eq!(server.send_raw(&bound(Method::Get, "open")).await.body, b"x");
    let rules = "<CORSConfiguration><CORSRule><AllowedOrigin>https://a</AllowedOrigin>\
                 <AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
    let request = bound(Method::Put, "").query("cors", "").body(rules.as_bytes());
    assert_eq!(server.send("", request).await.status, 200);
    for (origin, allowed) in [("https://a", Some("https://a")), ("https://b", None)] {
        let seen = server.send_raw(&bound(Method::Get, "open").with("origin", origin)).await;
        assert_eq!(seen.header("access-control-allow-origin"), allowed, "{}", text(&seen));
    }
}

#[tokio::test]
async fn the_signature_decides_between_two_readings() {
    let server = Server::start().await;
    // `vod-media/k` as a key of the bucket in the host, or `k` in the bucket of the path.
    let host = "vod-media.localhost";
    for (key, body) in [("vod-media/k", b"long"), ("k", b"tiny")] {
        let mut request = server.request(Method::Put, "k").body(body);
        request.authority = host.into();
        sign_v1(&mut request, BUCKET, key, &server.operator(), now_ms());
        let response = server.send_raw(&request).await;
        assert_eq!(response.status, 200, "{}", text(&response));
    }
    assert_eq!(server.get("vod-media/k").await.body, b"long");
    assert_eq!(server.get("k").await.body, b"tiny");
}

#[tokio::test]
async fn a_link_works_in_every_style() {
    let server = Server::start().await;
    server.put("k", b"film").await;
    let mut request = server.request(Method::Get, "k");
    presign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms() as u64 / 1000 + 60);
    assert_eq!(server.send_raw(&request).await.body, b"film");
    request.path = "/k".into();
    request.authority = "vod-media.localhost".into();
    assert_eq!(server.send_raw(&request).await.body, b"film");
}

#[tokio::test]
async fn buckets_and_the_service_have_addresses_of_their_own() {
    let server = Server::start().await;
    let who = server.operator();
    for (host, path, bucket, root) in [
        ("", "/vod-media/", BUCKET, "<ListBucketResult>"),
        ("", "/vod-media", BUCKET, "<ListBucketResult>"),
        ("vod-media.localhost", "/", BUCKET, "<ListBucketResult>"),
        ("vod-media.oss-cn-shanghai.aliyuncs.com", "/", BUCKET, "<ListBucketResult>"),
        ("", "/", "", "<ListAllMyBucketsResult>"),
    ] {
        let mut request = server.request(Method::Get, "");
        request.path = path.into();
        if !host.is_empty() {
            request.authority = host.into();
        }
        sign_v1(&mut request, bucket, "", &who, now_ms());
        let response = server.send_raw(&request).await;
        assert_eq!(response.status, 200, "{host}{path}");
        assert!(text(&response).contains(root), "{host}{path}");
    }
}

#[tokio::test]
async fn health_needs_no_signature_and_hides_no_object() {
    let server = Server::start().await;
    for (path, status) in [("/health/live", 200), ("/health/ready", 200), ("/health/other", 404)] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let response = exchange(server.addr(), Method::Get, head.as_bytes()).await;
        assert_eq!(response.status, status, "{path}");
        assert!(response.header("x-oss-request-id").is_some());
    }
    for key in ["live", "ready"] {
        let key = format!("health/{key}");
        let mut request = server.request(Method::Put, &key).body(b"an object");
        request.path = format!("/{key}");
        request.authority = "vod-media.localhost".into();
        sign_v1(&mut request, BUCKET, &key, &server.operator(), now_ms());
        assert_eq!(server.send_raw(&request).await.status, 200);
        assert_eq!(server.get(&key).await.body, b"an object");
    }
}
