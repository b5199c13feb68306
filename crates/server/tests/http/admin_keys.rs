//! Access keys over the admin API, and what a server makes of keys that change under it.

use serde_json::{Value, json};
use vodferry_oss::{Credential, Method, Response, Secret};
use vodferry_server::keys::{Keys, edit};

use crate::rpc::{parameters, refused as refused_call};
use crate::sts_assume::{assume, new_key, sts};
use crate::support::{Build, Server, exchange, now_ms, refused, text};

/// Asks the admin API with a token.
pub(crate) async fn admin_as(
    server: &Server,
    token: Option<&Secret>,
    (method, path): (Method, &str),
    body: &str,
) -> Response {
    let authorization =
        token.map_or(String::new(), |t| format!("Authorization: Bearer {}\r\n", t.expose()));
    let head = format!(
        "{} /admin/v1/{path} HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        method.as_str(),
        server.addr(),
        body.len()
    );
    exchange(server.addr(), method, head.as_bytes()).await
}

/// Asks the admin API as the operator, who is answered.
pub(crate) async fn admin(server: &Server, method: Method, path: &str, body: Value) -> Value {
    let token = server.keys.admin_token.as_ref();
    let body = if method == Method::Post { body.to_string() } else { String::new() };
    let response = admin_as(server, token, (method, path), &body).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    serde_json::from_slice(&response.body).unwrap()
}

fn credential(made: &Value) -> Credential {
    Credential {
        access_key_id: made["AccessKeyId"].as_str().unwrap().into(),
        access_key_secret: made["AccessKeySecret"].as_str().unwrap().into(),
        security_token: None,
    }
}

async fn get(server: &Server, who: &Credential) -> Response {
    server.send_as(who, "k", server.request(Method::Get, "k")).await
}

#[tokio::test]
async fn a_key_is_made_used_disabled_enabled_and_deleted() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    let made = admin(&server, Method::Post, "keys", json!({"Tenant": "main"})).await;
    assert_eq!((&made["Tenant"], &made["Status"]), (&json!("main"), &json!("Active")));
    assert_eq!(made["RequestId"].as_str().unwrap().len(), 36);
    let who = credential(&made);
    assert_eq!(get(&server, &who).await.body, b"x", "the running server knows it");

    let listed = admin(&server, Method::Get, "keys", Value::Null).await;
    let list = listed["AccessKeys"].as_array().unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(list[1]["AccessKeyId"], made["AccessKeyId"]);
    let all = listed.to_string();
    for secret in [&who.access_key_secret, &server.operator().access_key_secret] {
        assert!(!all.contains(secret.expose()), "a secret is told once");
    }

    let id = &who.access_key_id;
    let off = admin(&server, Method::Post, &format!("keys/{id}/disable"), Value::Null).await;
    assert_eq!(off["Status"], "Disabled");
    let refusal = get(&server, &who).await;
    assert_eq!(refused(&refusal, 403), "InvalidAccessKeyId");
    assert!(text(&refusal).contains("disabled"));
    let response = crate::rpc::get(&server, &parameters(&who, "GetVideoInfo", &[])).await;
    assert_eq!(refused_call(&response, 400), "InvalidAccessKeyId.Inactive");
    admin(&server, Method::Post, &format!("keys/{id}/enable"), Value::Null).await;
    assert_eq!(get(&server, &who).await.status, 200);
    admin(&server, Method::Delete, &format!("keys/{id}"), Value::Null).await;
    assert_eq!(refused(&get(&server, &who).await, 403), "InvalidAccessKeyId");
    let response = crate::rpc::get(&server, &parameters(&who, "GetVideoInfo", &[])).await;
    assert_eq!(refused_call(&response, 404), "InvalidAccessKeyId.NotFound");

    // What is in the file is what was asked for, and nobody else may read it.
    let path = server.folder.path().join("keys.toml");
    assert_eq!(Keys::load(&path).unwrap().access_keys().len(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn what_a_disabled_key_asked_for_ends_with_it() {
    let server = Server::start().await;
    let (key, who) = new_key(&server, Some("main"));
    server.put("k", b"x").await;
    let given = [("RoleArn", crate::sts_assume::ARN), ("RoleSessionName", "tests")];
    let session = crate::sts_assume::credential(&sts(&server, &who, "AssumeRole", &given).await);
    let call = parameters(&who, "CreateUploadVideo", &[("Title", "t"), ("FileName", "a.mp4")]);
    let grant = crate::support::Grant::of(&crate::rpc::get(&server, &call).await);
    let upload = async || {
        let key = &grant.target.key;
        let request = server.request(Method::Put, key).body(b"x");
        server.send_as(&grant.credential, key, request).await
    };
    assert_eq!(get(&server, &session).await.status, 200);
    assert_eq!(upload().await.status, 200);
    edit(server.folder.path(), |keys| keys.disable_key(&key.id)).unwrap();
    assert_eq!(refused(&get(&server, &session).await, 403), "SecurityTokenExpired");
    assert_eq!(refused(&upload().await, 403), "SecurityTokenExpired");
    edit(server.folder.path(), |keys| keys.enable_key(&key.id)).unwrap();
    assert_eq!(get(&server, &session).await.status, 200);
    // That of others is not touched by it.
    let other = assume(&server, None).await;
    edit(server.folder.path(), |keys| keys.delete_key(&key.id)).unwrap();
    assert_eq!(refused(&get(&server, &session).await, 403), "SecurityTokenExpired");
    assert_eq!(get(&server, &other).await.status, 200);
    assert_eq!(server.create("b.mp4").await.target.bucket, crate::support::BUCKET);
}

#[tokio::test]
async fn a_rotated_key_has_a_successor_and_an_end() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    let (_, old) = new_key(&server, Some("main"));
    let path = format!("keys/{}/rotate", old.access_key_id);
    let new = credential(&admin(&server, Method::Post, &path, json!({"GraceSeconds": 3000})).await);
    assert_ne!(new.access_key_id, old.access_key_id);
    for who in [&old, &new] {
        assert_eq!(get(&server, who).await.status, 200);
    }
    let listed = admin(&server, Method::Get, "keys", Value::Null).await;
    let list = listed["AccessKeys"].as_array().unwrap();
    let of =
        |who: &Credential| list.iter().find(|k| k["AccessKeyId"] == who.access_key_id.as_str());
    assert!(of(&old).unwrap()["Expires"].is_string() && of(&new).unwrap()["Expires"].is_null());
    admin(&server, Method::Post, &path, json!({"GraceSeconds": 0})).await;
    assert_eq!(refused(&get(&server, &old).await, 403), "InvalidAccessKeyId");
    assert_eq!(get(&server, &new).await.status, 200);
}

#[tokio::test]
async fn changes_from_both_sides_lose_nothing() {
    let server = Server::start().await;
    let folder = server.folder.path().to_owned();
    let beside = tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            edit(&folder, |keys| keys.create_key(None, 0).map(|_| ())).unwrap();
        }
    });
    for _ in 0..20 {
        admin(&server, Method::Post, "keys", json!({})).await;
        assert_eq!(server.get("missing").await.status, 404, "served on meanwhile");
    }
    beside.await.unwrap();
    let keys = Keys::load(&server.folder.path().join("keys.toml")).unwrap();
    assert_eq!(keys.access_keys().len(), 41);
}

#[tokio::test]
async fn a_damaged_file_changes_nothing() {
    let server = Server::start().await;
    let path = server.folder.path().join("keys.toml");
    server.put("k", b"x").await;
    std::fs::write(&path, "garbage").unwrap();
    assert_eq!(server.get("k").await.body, b"x", "the keys from before stay");
    let token = server.keys.admin_token.as_ref();
    let response = admin_as(&server, token, (Method::Post, "keys"), "{}").await;
    assert_eq!(response.status, 500, "{}", text(&response));
    assert!(!text(&response).contains("garbage"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "garbage", "and it is not replaced");
    assert!(now_ms() > 0);
}
