//! PostObject: forms with policies of both versions, and without.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use vodferry_oss::etag::{etag_of_md5, md5, quote};
use vodferry_oss::sign::{Scope, sign_policy_v1, sign_policy_v4};
use vodferry_oss::time::{format_iso_basic, format_iso_ms};
use vodferry_oss::{Credential, Method, Response, base64};

use crate::support::{
    BUCKET, Build, Server, element, exchange, files, noise, now_ms, read_response, refused, text,
};

const BOUNDARY: &str = "----form-Boundary7MA4";

/// A form being filled in.
#[derive(Clone, Default)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    pub(crate) fn field(mut self, name: &str, value: &str) -> Form {
        self.0.extend(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .bytes(),
        );
        self
    }

    pub(crate) fn fields(self, fields: &[(&str, String)]) -> Form {
        fields.iter().fold(self, |form, (name, value)| form.field(name, value))
    }

    pub(crate) fn file(mut self, name: &str, bytes: &[u8]) -> Form {
        self.0.extend(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 Content-Type: video/mp4\r\n\r\n"
            )
            .bytes(),
        );
        self.0.extend(bytes);
        self.0.extend(b"\r\n");
        self
    }

    pub(crate) async fn post(self, server: &Server) -> Response {
        self.post_with(server, "").await
    }

    /// With more lines in the head of the request.
    pub(crate) async fn post_with(mut self, server: &Server, head: &str) -> Response {
        self.0.extend(format!("--{BOUNDARY}--\r\n").bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}\r\n{head}");
        post(server, kind.trim_end(), &self.0).await
    }
}

async fn post(server: &Server, content_type: &str, body: &[u8]) -> Response {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {BUCKET}.localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    exchange(server.addr(), Method::Post, &[head.as_bytes(), body].concat()).await
}

fn policy(conditions: &str) -> String {
    let expiration = format_iso_ms(now_ms() + 60_000);
    base64::encode(
        format!("{{\"expiration\":\"{expiration}\",\"conditions\":{conditions}}}").as_bytes(),
    )
}

pub(crate) fn v1(who: &Credential, conditions: &str) -> Vec<(&'static str, String)> {
    let policy = policy(conditions);
    let mut fields = vec![
        ("OSSAccessKeyId", who.access_key_id.clone()),
        ("Signature", sign_policy_v1(&who.access_key_secret, &policy)),
        ("policy", policy),
    ];
    if let Some(token) = &who.security_token {
        fields.push(("x-oss-security-token", token.expose().to_owned()));
    }
    fields
}

fn v4(who: &Credential, region: &str, conditions: &str) -> Vec<(&'static str, String)> {
    let policy = policy(conditions);
    let date = format_iso_basic(now_ms());
    let scope = Scope { date: date[..8].to_owned(), region: region.to_owned() };
    let credential = format!("{}/{}/{region}/oss/aliyun_v4_request", who.access_key_id, scope.date);
    vec![
        ("x-oss-signature-version", "OSS4-HMAC-SHA256".to_owned()),
        ("x-oss-credential", credential),
        ("x-oss-date", date),
        ("x-oss-signature", sign_policy_v4(&who.access_key_secret, &scope, &policy)),
        ("policy", policy),
    ]
}

pub(crate) const ANY: &str = r#"[{"bucket":"vod-media"},["starts-with","$key","up/"]]"#;

#[tokio::test]
async fn a_form_uploads_a_file() {
    let server = Server::start().await;
    // Content that looks like a delimiter, but for its end.
    let mut bytes = noise(300_000, 1);
    bytes.extend(format!("\r\n--{}\r\n\r\r\n--", &BOUNDARY[..BOUNDARY.len() - 1]).bytes());
    let who = server.operator();
    for (key, fields) in [("up/v1", v1(&who, ANY)), ("up/v4", v4(&who, "cn-shanghai", ANY))] {
        let response = Form::default()
            .fields(&fields)
            .field("key", &format!("{key}/${{filename}}"))
            .field("x-oss-meta-a", "1")
            .field("Cache-Control", "no-cache")
            .file("C:\\films\\a b.mp4", &bytes)
            .field("submit", "Upload")
            .post(&server)
            .await;
        assert_eq!(response.status, 204, "{}", text(&response));
        let etag = quote(&etag_of_md5(&md5(&bytes)));
        assert_eq!(response.header("etag"), Some(etag.as_str()));
        let get = server.get(&format!("{key}/a b.mp4")).await;
        assert!(get.body == bytes);
        for (name, value) in
            [("content-type", "video/mp4"), ("x-oss-meta-a", "1"), ("cache-control", "no-cache")]
        {
            assert_eq!(get.header(name), Some(value));
        }
    }
}

#[tokio::test]
async fn a_form_may_name_each_region_that_requests_may() {
    let server = Server::with(|config| config.accepted_regions = vec!["us-east-1".into()]).await;
    for (region, fine) in [("cn-shanghai", true), ("us-east-1", true), ("us-west-1", false)] {
        let form = Form::default().fields(&v4(&server.operator(), region, ANY));
        let response = form.field("key", "up/k").file("f", b"x").post(&server).await;
        match fine {
            true => assert_eq!(response.status, 204, "{region} {}", text(&response)),
            false => assert_eq!(refused(&response, 400), "InvalidArgument", "{region}"),
        }
    }
}

#[tokio::test]
async fn the_reply_is_what_the_form_asks_for() {
    let server = Server::start().await;
    let send = async |more: &[(&str, &str)]| {
        let mut form = Form::default().fields(&v1(&server.operator(), ANY)).field("key", "up/ä");
        for (name, value) in more {
            form = form.field(name, value);
        }
        form.file("x", b"x").post(&server).await
    };
    assert_eq!(send(&[("success_action_status", "200")]).await.status, 200);
    assert_eq!(send(&[("success_action_status", "302")]).await.status, 204);
    let created = send(&[("success_action_status", "201")]).await;
    assert_eq!(created.status, 201);
    assert!(text(&created).contains("<PostResponse>"));
    assert_eq!(element(&created, "Bucket"), BUCKET);
    assert_eq!(element(&created, "Key"), "up/ä");
    assert!(element(&created, "Location").ends_with("/vod-media/up/%C3%A4"));
    let to = "https://app.example/done?x=1";
    let moved = send(&[("success_action_redirect", to)]).await;
    assert_eq!(moved.status, 303);
    let etag = "%229DD4E461268C8034F5C8564E155C67A6%22";
    let expected = format!("{to}&bucket=vod-media&key=up%2F%C3%A4&etag={etag}");
    assert_eq!(moved.header("location"), Some(expected.as_str()));
    let script = send(&[("success_action_redirect", "javascript:alert(1)")]).await;
    assert_eq!(script.status, 204);
    assert!(script.header("location").is_none());
    let typed = send(&[("Content-Type", "a/b"), ("x-oss-content-type", "text/x")]).await;
    assert_eq!(typed.status, 204);
    assert_eq!(server.head("up/ä").await.header("content-type"), Some("text/x"));
    let kept = send(&[("x-oss-forbid-overwrite", "true")]).await;
    assert_eq!(refused(&kept, 409), "FileAlreadyExists");
    let callback = send(&[("callback", "e30=")]).await;
    assert_eq!(refused(&callback, 400), "InvalidArgument");
}

#[tokio::test]
async fn a_policy_is_the_right_to_post() {
    let server = Server::start().await;
    let who = server.operator();
    let before = files(&server);
    let send = async |fields: &[(&str, String)], key: &str, bytes: &[u8]| {
        Form::default().fields(fields).field("key", key).file("f", bytes).post(&server).await
    };
    let without = |fields: Vec<(&'static str, String)>, name: &str| {
        fields.into_iter().filter(|(n, _)| *n != name).collect::<Vec<_>>()
    };
    let with = |fields: Vec<(&'static str, String)>, name: &'static str, value: &str| {
        let mut fields = without(fields, name);
        fields.push((name, value.to_owned()));
        fields
    };
    let range = r#"[["content-length-range",2,5]]"#;
    let late = base64::encode(br#"{"expiration":"2020-01-01T00:00:00.000Z","conditions":[]}"#);
    let late = vec![
        ("OSSAccessKeyId", who.access_key_id.clone()),
        ("Signature", sign_policy_v1(&who.access_key_secret, &late)),
        ("policy", late),
    ];
    for (fields, key, bytes, status, code) in [
        (vec![], "up/a", &b"xyz"[..], 403, "AccessDenied"),
        (v1(&who, ANY), "down/a", b"xyz", 403, "AccessDenied"),
        (v1(&who, r#"[{"bucket":"other"}]"#), "up/a", b"xyz", 403, "AccessDenied"),
        (late, "up/a", b"xyz", 403, "AccessDenied"),
        (with(v1(&who, ANY), "Signature", "AAAA"), "up/a", b"xyz", 403, "SignatureDoesNotMatch"),
        (
            with(v1(&who, ANY), "policy", &policy("[]")),
            "up/a",
            b"xyz",
            403,
            "SignatureDoesNotMatch",
        ),
        (
            with(v1(&who, ANY), "OSSAccessKeyId", "nobody"),
            "up/a",
            b"xyz",
            403,
            "InvalidAccessKeyId",
        ),
        (without(v1(&who, ANY), "Signature"), "up/a", b"xyz", 400, "InvalidArgument"),
        (without(v1(&who, ANY), "OSSAccessKeyId"), "up/a", b"xyz", 400, "InvalidArgument"),
        (without(v1(&who, ANY), "policy"), "up/a", b"xyz", 400, "InvalidArgument"),
        (
            without(v4(&who, "cn-shanghai", ANY), "x-oss-date"),
            "up/a",
            b"xyz",
            400,
            "InvalidArgument",
        ),
        (v4(&who, "cn-beijing", ANY), "up/a", b"xyz", 400, "InvalidArgument"),
        (v1(&who, r#"{"x":1}"#), "up/a", b"xyz", 400, "InvalidPolicyDocument"),
        (v1(&who, r#"[["like","$key","a"]]"#), "up/a", b"xyz", 400, "InvalidPolicyDocument"),
        (v1(&who, range), "up/a", b"x", 400, "EntityTooSmall"),
        (v1(&who, range), "up/a", b"xxxxxx", 400, "EntityTooLarge"),
        (v1(&who, "[]"), "/a", b"xyz", 400, "InvalidObjectName"),
        (v1(&who, "[]"), "", b"xyz", 400, "InvalidObjectName"),
    ] {
        let response = send(&fields, key, bytes).await;
        assert_eq!(refused(&response, status), code, "{key}: {}", text(&response));
    }
    assert_eq!(files(&server), before, "nothing is left behind");
    assert_eq!(send(&v1(&who, range), "up/a", b"xxxxx").await.status, 204);

    // The type that a policy speaks of is the one that the object has.
    let image = r#"[["eq","$Content-Type","image/png"]]"#;
    for (kinds, status) in [
        (&[("content-type", "image/png")][..], 204),
        (&[("x-oss-content-type", "image/png")], 204),
        (&[("content-type", "text/html"), ("x-oss-content-type", "image/png")], 204),
        (&[("content-type", "image/png"), ("x-oss-content-type", "text/html")], 403),
        (&[("content-type", "image/png"), ("x-oss-content-type", "\u{1}")], 403),
        // That of the file is video/mp4.
        (&[], 403),
    ] {
        let mut fields = v1(&who, image);
        fields.extend(kinds.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let response = send(&fields, "up/png", b"x").await;
        assert_eq!(response.status, status, "{kinds:?}: {}", text(&response));
        assert_eq!(server.head("up/png").await.header("content-type"), Some("image/png"));
    }

    // A temporary credential signs for what it may do itself, and no more.
    let grant = server.create("film.mp4").await;
    let any = v1(&grant.credential, "[]");
    assert_eq!(refused(&send(&any, "up/b", b"x").await, 403), "AccessDenied");
    assert_eq!(send(&any, &grant.target.key, b"x").await.status, 204);
    let public = with(v1(&grant.credential, "[]"), "x-oss-object-acl", "public-read");
    assert_eq!(refused(&send(&public, &grant.target.key, b"x").await, 403), "AccessDenied");
}

#[tokio::test]
async fn a_form_may_come_in_pieces() {
    let server = Server::start().await;
    let bytes = b"\r\n--\r\n----form-\r\r\n--".to_vec();
    let mut form =
        Form::default().fields(&v1(&server.operator(), ANY)).field("key", "up/a").file("f", &bytes);
    form.0.extend(format!("--{BOUNDARY}--\r\n").bytes());
    for size in [1, 7, 40] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {BUCKET}.localhost\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
            form.0.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for piece in form.0.chunks(size) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let response = read_response(&mut stream, false).await.unwrap();
        assert_eq!(response.status, 204, "{size}: {}", text(&response));
        assert_eq!(server.get("up/a").await.body, bytes, "{size}");
    }
}

#[tokio::test]
async fn a_public_bucket_takes_forms_of_everybody() {
    let server = Server::start().await;
    let open =
        server.request(Method::Put, "").query("acl", "").with("x-oss-acl", "public-read-write");
    assert_eq!(server.send("", open).await.status, 200);
    let form = Form::default().field("key", "a").file("f", b"x");
    assert_eq!(form.post(&server).await.status, 204);
    let publish =
        Form::default().field("key", "a").field("x-oss-object-acl", "private").file("f", b"x");
    assert_eq!(refused(&publish.post(&server).await, 403), "AccessDenied");
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let server = Server::start().await;
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let key = "Content-Disposition: form-data; name=\"key\"\r\n\r\nup/a\r\n";
    let long = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n{}\r\n",
        "y".repeat(70_000)
    );
    for (content_type, body, code) in [
        ("text/plain", "x".to_owned(), "RequestIsNotMultiPartContent"),
        ("multipart/form-data", "x".to_owned(), "RequestIsNotMultiPartContent"),
        (&kind, String::new(), "MalformedPOSTRequest"),
        (&kind, "no delimiter".to_owned(), "MalformedPOSTRequest"),
        (&kind, format!("--{BOUNDARY}\r\n{key}"), "MalformedPOSTRequest"),
        (&kind, format!("--{BOUNDARY}x\r\n{key}--{BOUNDARY}--"), "MalformedPOSTRequest"),
        (
            &kind,
            format!("--{BOUNDARY}\r\nContent-Type: a/b\r\n\r\nx\r\n--{BOUNDARY}--"),
            "MalformedPOSTRequest",
        ),
        (
            &kind,
            format!("--{BOUNDARY}\r\n{key}--{BOUNDARY}\r\n{key}--{BOUNDARY}--"),
            "MalformedPOSTRequest",
        ),
        (
            &kind,
            format!("--{BOUNDARY}\r\n{key}--{BOUNDARY}--\r\n"),
            "IncorrectNumberOfFilesInPOSTRequest",
        ),
        (&kind, long, "FieldItemTooLong"),
    ] {
        let response = post(&server, content_type, body.as_bytes()).await;
        assert_eq!(refused(&response, 400), code, "{content_type} {body:.200}");
    }
    let many = (0..5).fold(Form::default(), |form, n| {
        form.field(&format!("x-oss-meta-{n}"), &"y".repeat(60_000))
    });
    assert_eq!(refused(&many.file("f", b"x").post(&server).await, 400), "FieldItemTooLong");
    for first in [noise(1, 1), noise(20_000, 1)] {
        let two = Form::default()
            .fields(&v1(&server.operator(), ANY))
            .field("key", "up/a")
            .file("one", &first)
            .file("two", b"2");
        let response = two.post(&server).await;
        assert_eq!(refused(&response, 400), "IncorrectNumberOfFilesInPOSTRequest");
    }
    assert_eq!(refused(&server.get("up/a").await, 404), "NoSuchKey");
    assert_eq!(files(&server), 0);
}
