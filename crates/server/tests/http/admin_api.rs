//! Who may use the admin API, and roles and masters over it.

use serde_json::{Value, json};
use vodferry_oss::{Method, Response, Secret};

use crate::admin_keys::{admin, admin_as};
use crate::sts_assume::{assume, credential, sts};
use crate::support::{Build, Server, exchange, refused, text};

fn code(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", text(response));
    let reply: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(reply["RequestId"].as_str().unwrap().len(), 36);
    assert!(!reply["Message"].as_str().unwrap().is_empty());
    reply["Code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn nobody_without_the_token_may_do_anything() {
    let server = Server::start().await;
    let right = server.keys.admin_token.clone().unwrap();
    let shorter = Secret::from(&right.expose()[..39]);
    let longer = Secret::new(format!("{}x", right.expose()));
    let other = Secret::new(right.expose().replace(&right.expose()[20..21], "-"));
    for (method, path) in [
        (Method::Get, "keys"),
        (Method::Post, "keys"),
        (Method::Get, "roles"),
        (Method::Post, "masters/rotate"),
        (Method::Delete, "masters/k1"),
        (Method::Get, "nothing"),
    ] {
        // Not even from this machine.
        let response = admin_as(&server, None, (method, path), "").await;
        assert_eq!(code(&response, 401), "MissingToken");
        assert!(response.header("www-authenticate").is_some());
        for wrong in [&shorter, &longer, &other, &Secret::from("x"), &server.keys.app_server_token]
        {
            let response = admin_as(&server, Some(wrong), (method, path), "{}").await;
            assert_eq!(code(&response, 401), "InvalidToken");
        }
    }
    for scheme in ["Basic", "OSS4", ""] {
        let head = format!(
            "GET /admin/v1/keys HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: {scheme} {}\r\n\r\n",
            right.expose()
        );
        let response = exchange(server.addr(), Method::Get, head.as_bytes()).await;
        assert!([400, 401].contains(&response.status), "{}", text(&response));
    }
    assert_eq!(admin_as(&server, Some(&right), (Method::Get, "keys"), "").await.status, 200);
}

#[tokio::test]
async fn without_a_token_in_the_file_there_is_no_admin_api() {
    let server = Server::start().await;
    let path = server.folder.path().join("keys.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let without: Vec<&str> = text.lines().filter(|l| !l.starts_with("admin_token")).collect();
    std::fs::write(&path, without.join("\n")).unwrap();
    for token in [None, server.keys.admin_token.as_ref(), Some(&Secret::from(""))] {
        let response = admin_as(&server, token, (Method::Get, "keys"), "").await;
        assert_eq!(code(&response, 403), "AdminDisabled");
    }
    let renew = vodferry_server::keys::edit(server.folder.path(), |keys| keys.renew_admin_token());
    let token = renew.unwrap();
    let response = admin_as(&server, Some(&token), (Method::Get, "keys"), "").await;
    assert_eq!(response.status, 200);
    let response =
        admin_as(&server, server.keys.admin_token.as_ref(), (Method::Get, "keys"), "").await;
    assert_eq!(code(&response, 401), "InvalidToken", "the one before is worth nothing");
}

#[tokio::test]
async fn no_page_may_speak_to_it() {
    let server = Server::start().await;
    let token = server.keys.admin_token.as_ref().unwrap().expose();
    for (method, headers) in [
        ("OPTIONS", "Access-Control-Request-Method: POST\r\n".to_owned()),
        ("GET", format!("Authorization: Bearer {token}\r\n")),
    ] {
        let head = format!(
            "{method} /admin/v1/keys HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: http://evil.test\r\n{headers}\r\n"
        );
        let response = exchange(server.addr(), Method::Get, head.as_bytes()).await;
        let cors = response.headers.iter().any(|(n, _)| n.starts_with("access-control-allow"));
        assert!(!cors, "{}", text(&response));
    }
    // What a form of a page can send is refused.
    let head = format!(
        "POST /admin/v1/keys HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let response = exchange(server.addr(), Method::Post, head.as_bytes()).await;
    assert_eq!(code(&response, 415), "UnsupportedMediaType");
}

#[tokio::test]
async fn wrong_wishes_are_explained() {
    let server = Server::start().await;
    let token = server.keys.admin_token.as_ref();
    let root = server.operator().access_key_id;
    let (rotate, delete) = (format!("keys/{root}/rotate"), format!("keys/{root}"));
    let before = std::fs::read(server.folder.path().join("keys.toml")).unwrap();
    for (method, path, body, status, expected) in [
        (Method::Get, "", "", 404, "NotFound"),
        (Method::Get, "keys/", "", 404, "NotFound"),
        (Method::Get, "keys/x/y/z", "", 404, "NotFound"),
        (Method::Get, "../health/live", "", 404, "NotFound"),
        (Method::Get, "keys/%ff", "", 404, "NotFound"),
        (Method::Put, "keys", "{}", 405, "MethodNotAllowed"),
        (Method::Post, "keys", "", 400, "MalformedJSON"),
        (Method::Post, "keys", "[", 400, "MalformedJSON"),
        (Method::Post, "keys", "{\"Tenat\":\"a\"}", 400, "InvalidParameter"),
        (Method::Post, "keys", "{\"Tenant\":\"A b\"}", 400, "InvalidParameter"),
        (Method::Post, "keys/VFx/disable", "", 404, "NoSuchKey"),
        (Method::Post, "keys/VFx/enable", "", 404, "NoSuchKey"),
        (Method::Post, "keys/VFx/rotate", "{}", 404, "NoSuchKey"),
        (Method::Post, rotate.as_str(), "{\"GraceSeconds\":-1}", 400, "InvalidParameter"),
        (Method::Delete, "keys/VFx", "", 404, "NoSuchKey"),
        (Method::Delete, delete.as_str(), "", 409, "LastKey"),
        (Method::Post, "roles", "{\"Name\":\"a\",\"Policy\":\"{}\"}", 400, "InvalidPolicy"),
        (Method::Post, "roles", "{\"Name\":\"a\",\"Policy\":{}}", 400, "InvalidPolicy"),
        (Method::Post, "roles", "{\"Name\":\"a/b\",\"Policy\":\"{}\"}", 400, "InvalidParameter"),
        (Method::Delete, "roles/x", "", 404, "NoSuchRole"),
        (Method::Delete, "masters/k1", "", 409, "CurrentMaster"),
        (Method::Delete, "masters/k7", "", 404, "NoSuchMaster"),
    ] {
        let response = admin_as(&server, token, (method, path), body).await;
        assert_eq!(code(&response, status), expected, "{method:?} {path} {body}");
    }
    assert_eq!(std::fs::read(server.folder.path().join("keys.toml")).unwrap(), before);
}

#[tokio::test]
async fn roles_are_made_and_deleted() {
    let server = Server::start().await;
    let policy = json!({"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": "oss:PutObject", "Resource": "acs:oss:*:*:vod-media/in/*"}]});
    let wish = json!({"Name": "Inbox", "Policy": policy, "AssumedBy": ["main"]});
    let made = admin(&server, Method::Post, "roles", wish).await;
    assert_eq!((&made["Name"], &made["Tenant"]), (&json!("Inbox"), &json!("main")));
    assert_eq!(made["RoleId"].as_str().unwrap().len(), 16);
    let listed = admin(&server, Method::Get, "roles", Value::Null).await;
    let names: Vec<&Value> =
        listed["Roles"].as_array().unwrap().iter().map(|role| &role["Name"]).collect();
    assert_eq!(names, ["uploader", "Inbox"]);
    let given = [("RoleArn", "acs:ram::1:role/inbox"), ("RoleSessionName", "tests")];
    let who = credential(&sts(&server, &server.operator(), "AssumeRole", &given).await);
    let put = async |key: &str| {
        server.send_as(&who, key, server.request(Method::Put, key).body(b"x")).await
    };
    assert_eq!(put("in/a").await.status, 200);
    assert_eq!(refused(&put("out/a").await, 403), "AccessDenied");
    admin(&server, Method::Delete, "roles/INBOX", Value::Null).await;
    assert_eq!(refused(&put("in/a").await, 403), "SecurityTokenExpired");
}

#[tokio::test]
async fn masters_rotate_and_are_dropped() {
    let server = Server::start().await;
    let old = assume(&server, None).await;
    let rotated = admin(&server, Method::Post, "masters/rotate", Value::Null).await;
    let list = rotated["Masters"].as_array().unwrap();
    assert_eq!((&list[0]["Kid"], &list[1]["Kid"]), (&json!("k2"), &json!("k1")));
    assert!(list[0]["Retired"].is_null() && list[1]["Retired"].is_string());
    assert_eq!(
        admin(&server, Method::Get, "masters", Value::Null).await["Masters"],
        rotated["Masters"]
    );
    let put = async || server.send_as(&old, "k", server.request(Method::Put, "k").body(b"x")).await;
    assert_eq!(put().await.status, 200);
    admin(&server, Method::Delete, "masters/k1", Value::Null).await;
    assert_eq!(refused(&put().await, 403), "InvalidSecurityToken");
}

#[tokio::test]
async fn an_object_of_that_name_is_still_one() {
    let server = Server::start().await;
    // Signed as OSS, path and all: a bucket may be called admin.
    let mut request = server.request(Method::Get, "k");
    request.path = "/admin/v1/keys".to_owned();
    vodferry_oss::sign::sign_v1(
        &mut request,
        "admin",
        "v1/keys",
        &server.operator(),
        crate::support::now_ms(),
    );
    assert_eq!(refused(&server.send_raw(&request).await, 404), "NoSuchBucket");
}
