//! CORS rules and what browsers are told by them; lifecycle rules.

use vodferry_oss::{Method, Response};

use crate::support::{Build, Server, element, elements, exchange, refused, text};

const CORS: &str = "<?xml version=\"1.0\"?><CORSConfiguration xmlns=\"http://doc.example/\">\n\
    <CORSRule><AllowedOrigin>https://app.example</AllowedOrigin><AllowedOrigin>https://*.app.example</AllowedOrigin>\
    <AllowedMethod>PUT</AllowedMethod><AllowedMethod>POST</AllowedMethod>\
    <AllowedHeader>x-oss-*</AllowedHeader><AllowedHeader>Authorization</AllowedHeader>\
    <ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-oss-request-id</ExposeHeader>\
    <MaxAgeSeconds>77</MaxAgeSeconds></CORSRule>\
    <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>\
    <ResponseVary>false</ResponseVary></CORSConfiguration>";

async fn rules(server: &Server, method: Method, name: &str, body: &str) -> Response {
    let request = server.request(method, "").query(name, "").body(body.as_bytes());
    server.send("", request).await
}

async fn preflight(server: &Server, origin: &str, method: &str, headers: &str) -> Response {
    let lines = format!(
        "OPTIONS /vod-media/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {origin}\r\n\
         Access-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: {headers}\r\n\r\n"
    );
    exchange(server.addr(), Method::Options, lines.as_bytes()).await
}

#[tokio::test]
async fn cors_rules_are_kept_and_removed() {
    let server = Server::start().await;
    let none = rules(&server, Method::Get, "cors", "").await;
    assert_eq!(refused(&none, 404), "NoSuchCORSConfiguration");
    assert_eq!(rules(&server, Method::Put, "cors", CORS).await.status, 200);
    let kept = rules(&server, Method::Get, "cors", "").await;
    assert_eq!(elements(&kept, "AllowedOrigin").len(), 3);
    assert_eq!(elements(&kept, "AllowedMethod"), ["PUT", "POST", "GET"]);
    assert_eq!(element(&kept, "MaxAgeSeconds"), "77");
    assert!(!text(&kept).contains("xmlns"));
    for (from, to, name, value) in [
        (">77<", ">-1<", "MaxAgeSeconds", "-1"),
        (">77<", ">soon<", "MaxAgeSeconds", "soon"),
        (">ETag<", ">x-*<", "ExposeHeader", "x-*"),
        (">ETag<", ">a&#13;&#10;b<", "ExposeHeader", "a&#13;\nb"),
        (">ETag<", "><", "ExposeHeader", ""),
        (">ETag<", ">a b<", "ExposeHeader", "a b"),
        (">https://app.example<", "><", "AllowedOrigin", ""),
        (">https://app.example<", ">https://a https://b<", "AllowedOrigin", "https://a https://b"),
        (">Authorization<", "><", "AllowedHeader", ""),
        (">POST<", ">PATCH<", "AllowedMethod", "PATCH"),
    ] {
        let response = rules(&server, Method::Put, "cors", &CORS.replace(from, to)).await;
        assert_eq!(refused(&response, 400), "InvalidArgument", "{to}");
        let told = ["ArgumentName", "ArgumentValue"].map(|told| element(&response, told));
        assert_eq!(told, [name, value]);
    }
    for (body, code) in [
        ("", "MalformedXML"),
        ("<CORSConfiguration></CORSConfiguration>", "MalformedXML"),
        (
            "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
            "MalformedXML",
        ),
        (
            "<CORSConfiguration><CORSRule><AllowedOrigin>*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>",
            "InvalidArgument",
        ),
        (
            "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>TRACE</AllowedMethod></CORSRule></CORSConfiguration>",
            "InvalidArgument",
        ),
        (
            "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>*</ExposeHeader></CORSRule></CORSConfiguration>",
            "InvalidArgument",
        ),
    ] {
        assert_eq!(refused(&rules(&server, Method::Put, "cors", body).await, 400), code, "{body}");
    }
    assert_eq!(elements(&rules(&server, Method::Get, "cors", "").await, "CORSRule").len(), 2);
    assert_eq!(rules(&server, Method::Delete, "cors", "").await.status, 204);
    let none = rules(&server, Method::Get, "cors", "").await;
    assert_eq!(refused(&none, 404), "NoSuchCORSConfiguration");
    assert_eq!(server.put("k", b"x").await.status, 200, "the bucket is still there");
}

#[tokio::test]
async fn the_first_rule_that_matches_decides() {
    let server = Server::start().await;
    assert_eq!(preflight(&server, "https://evil.example", "PUT", "").await.status, 200);
    assert_eq!(rules(&server, Method::Put, "cors", CORS).await.status, 200);
    for origin in ["https://app.example", "https://a.b.app.example"] {
        let asked = "Authorization, X-OSS-Date";
        let response = preflight(&server, origin, "PUT", asked).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        for (name, value) in [
            ("access-control-allow-origin", origin),
            ("access-control-allow-methods", "PUT, POST"),
            ("access-control-allow-headers", asked),
            ("access-control-expose-headers", "ETag, x-oss-request-id"),
            ("access-control-max-age", "77"),
            ("vary", "Origin"),
        ] {
            assert_eq!(response.header(name), Some(value), "{name}");
        }
        assert!(response.body.is_empty());
    }
    let any = preflight(&server, "https://evil.example", "GET", "").await;
    assert_eq!(any.header("access-control-allow-origin"), Some("*"));
    assert!(any.header("vary").is_none());
    for (origin, method, headers) in [
        ("https://evil.example", "PUT", ""),
        ("https://app.example.evil.net", "PUT", ""),
        ("https://app.example", "DELETE", ""),
        ("https://app.example", "PUT", "content-type"),
        ("https://evil.example", "GET", "x-other"),
    ] {
        let response = preflight(&server, origin, method, headers).await;
        assert_eq!(refused(&response, 403), "AccessForbidden", "{origin} {method} {headers}");
        assert!(
            element(&response, "Message")
                .starts_with("CORSResponse: This CORS request is not allowed.")
        );
        assert!(response.header("access-control-allow-origin").is_none());
    }

    let from = async |method: Method, origin: &str| {
        let request = server.request(method, "k").with("origin", origin).body(b"x");
        server.send("k", request).await
    };
    let put = from(Method::Put, "https://app.example").await;
    assert_eq!(put.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(put.header("access-control-expose-headers"), Some("ETag, x-oss-request-id"));
    assert_eq!(put.header("vary"), Some("Origin"));
    let foreign = from(Method::Put, "https://evil.example").await;
    assert_eq!(foreign.status, 200, "the signature decides what is done");
    assert!(foreign.header("access-control-allow-origin").is_none());
    // Errors, too, or the page never learns of them.
    let missing = server.request(Method::Get, "no").with("origin", "https://evil.example");
    let missing = server.send("no", missing).await;
    assert_eq!((missing.status, missing.header("access-control-allow-origin")), (404, Some("*")));
}

#[tokio::test]
async fn lifecycle_rules_are_kept_and_removed() {
    let server = Server::start().await;
    let none = rules(&server, Method::Get, "lifecycle", "").await;
    assert_eq!(refused(&none, 404), "NoSuchLifecycle");
    let rule = |inner: &str| {
        format!("<LifecycleConfiguration><Rule>{inner}</Rule></LifecycleConfiguration>")
    };
    let good = rule(
        "<Prefix>sv/</Prefix><Status>Enabled</Status><Expiration><Days>30</Days></Expiration>\
         <Transition><Days>7</Days><StorageClass>IA</StorageClass></Transition>\
         <AbortMultipartUpload><CreatedBeforeDate>2026-11-20T00:00:00.000Z</CreatedBeforeDate></AbortMultipartUpload>",
    );
    let put = rules(&server, Method::Put, "lifecycle", &good).await;
    assert_eq!(put.status, 200, "{}", text(&put));
    let kept = rules(&server, Method::Get, "lifecycle", "").await;
    assert_eq!(element(&kept, "ID"), "rule-1", "a rule gets a name");
    assert_eq!(elements(&kept, "Days"), ["30", "7"]);
    assert_eq!(element(&kept, "CreatedBeforeDate"), "2026-11-20T00:00:00.000Z");
    let expire = "<Expiration><Days>1</Days></Expiration>";
    for (inner, code) in [
        ("<Status>Enabled</Status>".to_owned(), "MalformedXML"),
        (expire.to_owned(), "MalformedXML"),
        (format!("<Status>On</Status>{expire}"), "InvalidArgument"),
        ("<Status>Enabled</Status><Expiration></Expiration>".to_owned(), "MalformedXML"),
        ("<Status>Enabled</Status><Expiration><Days>0</Days></Expiration>".to_owned(), "InvalidArgument"),
        ("<Status>Enabled</Status><Expiration><Days>-1</Days></Expiration>".to_owned(), "InvalidArgument"),
        ("<Status>Enabled</Status><Expiration><CreatedBeforeDate>2026-11-20T01:00:00.000Z</CreatedBeforeDate></Expiration>".to_owned(), "InvalidArgument"),
        (format!("<Status>Enabled</Status>{expire}<Filter><Not><Prefix>x</Prefix></Not></Filter>"), "NotImplemented"),
        (format!("<Status>Enabled</Status>{expire}<ID>{}</ID>", "x".repeat(256)), "InvalidArgument"),
    ] {
        let response = rules(&server, Method::Put, "lifecycle", &rule(&inner)).await;
        assert_eq!(refused(&response, 400), code, "{inner:.120}");
    }
    assert_eq!(element(&rules(&server, Method::Get, "lifecycle", "").await, "ID"), "rule-1");
    assert_eq!(rules(&server, Method::Delete, "lifecycle", "").await.status, 204);
    let none = rules(&server, Method::Get, "lifecycle", "").await;
    assert_eq!(refused(&none, 404), "NoSuchLifecycle");
}

#[tokio::test]
async fn an_uploader_changes_no_rules() {
    let server = Server::start().await;
    let grant = server.create("film.mp4").await;
    for name in ["cors", "lifecycle"] {
        for method in [Method::Get, Method::Put, Method::Delete] {
            let request = server.request(method, "").query(name, "").body(CORS.as_bytes());
            let response = server.send_as(&grant.credential, "", request).await;
            assert_eq!(refused(&response, 403), "AccessDenied", "{method:?} {name}");
        }
    }
}
