//! AssumeRole and GetCallerIdentity.

use serde_json::Value;
use vodferry_oss::time::parse_iso;
use vodferry_oss::{Credential, Method, Response};
use vodferry_server::keys::{AccessKey, NewRole, edit};
use vodferry_server::{Environment, serve_in};

use crate::rpc::{get, parameters, refused, resigned_by};
use crate::support::{BUCKET, Build, Server, config, now_ms, text};

/// A role that every fresh server has.
pub(crate) const ARN: &str = "acs:ram::1000000000000001:role/uploader";

/// Calls STS with a key.
pub(crate) async fn sts(
    server: &Server,
    who: &Credential,
    action: &str,
    given: &[(&str, &str)],
) -> Response {
    let signed = resigned_by(who, parameters(who, action, given), |pairs| {
        let version = pairs.iter_mut().find(|(name, _)| name == "Version").unwrap();
        version.1 = "2015-04-01".into();
    });
    get(server, &signed).await
}

/// A credential from a reply in JSON.
pub(crate) fn credential(response: &Response) -> Credential {
    assert_eq!(response.status, 200, "{}", text(response));
    let reply: Value = serde_json::from_slice(&response.body).unwrap();
    let member = |name: &str| reply["Credentials"][name].as_str().unwrap();
    Credential {
        access_key_id: member("AccessKeyId").into(),
        access_key_secret: member("AccessKeySecret").into(),
        security_token: Some(member("SecurityToken").into()),
    }
}

/// Assumes the role of a fresh server, narrowed by a policy.
pub(crate) async fn assume(server: &Server, policy: Option<&str>) -> Credential {
    let mut given = vec![("RoleArn", ARN), ("RoleSessionName", "tests")];
    given.extend(policy.map(|policy| ("Policy", policy)));
    credential(&sts(server, &server.operator(), "AssumeRole", &given).await)
}

/// Makes a key beside the running server.
pub(crate) fn new_key(server: &Server, tenant: Option<&str>) -> (AccessKey, Credential) {
    let made = edit(server.folder.path(), |keys| keys.create_key(tenant, 0).cloned()).unwrap();
    let credential = Credential {
        access_key_id: made.id.clone(),
        access_key_secret: made.secret.clone(),
        security_token: None,
    };
    (made, credential)
}

#[tokio::test]
async fn a_role_is_assumed_and_used() {
    let server = Server::start().await;
    let operator = server.operator();
    let given = [("RoleArn", ARN), ("RoleSessionName", "up-1"), ("DurationSeconds", "900")];
    let response = sts(&server, &operator, "AssumeRole", &given).await;
    let who = credential(&response);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let reply: Value = serde_json::from_slice(&response.body).unwrap();
    let mut names: Vec<&String> = reply.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["AssumedRoleUser", "Credentials", "RequestId"]);
    assert_eq!(reply["RequestId"].as_str().unwrap().len(), 36);
    assert_eq!(reply["AssumedRoleUser"]["Arn"], format!("{ARN}/up-1"));
    let id = reply["AssumedRoleUser"]["AssumedRoleId"].as_str().unwrap();
    assert!(id.len() == 21 && id.ends_with(":up-1"), "{id}");
    let expiration = reply["Credentials"]["Expiration"].as_str().unwrap();
    assert!(expiration.len() == 20 && expiration.ends_with('Z'), "{expiration}");
    let life = parse_iso(expiration).unwrap() - now_ms();
    assert!((870_000..=900_000).contains(&life), "{life}");
    assert!(who.access_key_id.starts_with("STS.") && who.access_key_id.len() == 29);
    assert!(who.security_token.as_ref().unwrap().expose().starts_with("CAIS"));

    assert_eq!(
        server.send_as(&who, "k", server.request(Method::Put, "k").body(b"x")).await.status,
        200
    );
    assert_eq!(server.send_as(&who, "k", server.request(Method::Get, "k")).await.body, b"x");
}

#[tokio::test]
async fn replies_in_xml_have_the_same_members() {
    let server = Server::start().await;
    let who = server.operator();
    let given = [("RoleArn", ARN), ("RoleSessionName", "up-1"), ("Format", "XML")];
    let signed = resigned_by(&who, parameters(&who, "AssumeRole", &given), |pairs| {
        pairs.retain(|(name, value)| (name.as_str(), value.as_str()) != ("Format", "JSON"));
        pairs.iter_mut().find(|(name, _)| name == "Version").unwrap().1 = "2015-04-01".into();
    });
    let response = get(&server, &signed).await;
    let body = String::from_utf8(response.body.clone()).unwrap();
    assert_eq!(response.status, 200, "{body}");
    assert!(body.contains("<AssumeRoleResponse>") && body.ends_with("</AssumeRoleResponse>"));
    for element in [
        "<AssumedRoleUser><Arn>acs:ram::1000000000000001:role/uploader/up-1</Arn>",
        "<Credentials><AccessKeyId>STS.",
        "</SecurityToken></Credentials>",
        "<RequestId>",
    ] {
        assert!(body.contains(element), "{element} in {body}");
    }
}

#[tokio::test]
async fn wrong_wishes_are_refused_by_name() {
    let server = Server::start().await;
    let operator = server.operator();
    let grammar = "{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Maybe\"}]}";
    let long = format!("{:2049}", "{}");
    let unfit = format!(
        "{{\"Version\":\"1\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":\"oss:*\",\"Resource\":\"acs:oss:*:*:b/{}\"}}]}}",
        "k".repeat(1900)
    );
    let role = ("RoleArn", ARN);
    let session = ("RoleSessionName", "tests");
    for (given, status, code) in [
        (vec![session], 400, "MissingRoleArn"),
        (vec![role], 400, "MissingRoleSessionName"),
        (vec![("RoleArn", "uploader"), session], 400, "InvalidParameter.RoleArn"),
        (vec![("RoleArn", "acs:ram::1:role/"), session], 400, "InvalidParameter.RoleArn"),
        (vec![("RoleArn", "acs:ram::1:role/nobody"), session], 404, "EntityNotExist.Role"),
        (vec![role, ("RoleSessionName", "x")], 400, "InvalidParameter.RoleSessionName"),
        (vec![role, ("RoleSessionName", "a b")], 400, "InvalidParameter.RoleSessionName"),
        (vec![role, session, ("DurationSeconds", "899")], 400, "InvalidParameter.DurationSeconds"),
        (vec![role, session, ("DurationSeconds", "3601")], 400, "InvalidParameter.DurationSeconds"),
        (vec![role, session, ("DurationSeconds", "-1")], 400, "InvalidParameter.DurationSeconds"),
        (vec![role, session, ("DurationSeconds", "x")], 400, "InvalidParameter.DurationSeconds"),
        (vec![role, session, ("Policy", "{}")], 400, "InvalidParameter.PolicyGrammar"),
        (vec![role, session, ("Policy", grammar)], 400, "InvalidParameter.PolicyGrammar"),
        (vec![role, session, ("Policy", &long)], 400, "InvalidParameter.PolicySize"),
        (vec![role, session, ("Policy", &unfit)], 400, "InvalidParameter.PolicySize"),
        (vec![role, role, session], 400, "InvalidParameter"),
    ] {
        let response = sts(&server, &operator, "AssumeRole", &given).await;
        assert_eq!(refused(&response, status), code, "{given:?}");
    }
    let response = sts(&server, &operator, "GetFederationToken", &[]).await;
    assert_eq!(refused(&response, 404), "InvalidAction.NotFound");
    let response = crate::rpc::call(&server, "AssumeRole", &[]).await;
    assert_eq!(refused(&response, 404), "InvalidAction.NotFound", "not of this version");
    let wrong = Credential { access_key_secret: "wrong".into(), ..operator };
    let response = sts(&server, &wrong, "AssumeRole", &[role, session]).await;
    assert_eq!(refused(&response, 400), "SignatureDoesNotMatch");
}

#[tokio::test]
async fn only_those_whom_a_role_names_may_assume_it() {
    let server = Server::start().await;
    let (_, studio) = new_key(&server, Some("studio"));
    let given = [("RoleArn", ARN), ("RoleSessionName", "tests")];
    let response = sts(&server, &studio, "AssumeRole", &given).await;
    assert_eq!(refused(&response, 403), "NoPermission");
    // One that is trusted gets the rights of the role's tenant.
    edit(server.folder.path(), |keys| {
        let policy = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:GetObject",
                         "Resource":"acs:oss:*:*:vod-media/shared/*"}]}"#;
        let (name, policy) = ("Guest".to_owned(), policy.to_owned());
        let assumed_by = vec!["studio".to_owned()];
        keys.create_role(NewRole { name, policy, tenant: None, assumed_by }).map(|_| ())
    })
    .unwrap();
    server.put("shared/a", b"x").await;
    server.put("own/a", b"x").await;
    let given = [("RoleArn", "acs:ram::7:role/guest"), ("RoleSessionName", "tests")];
    let guest = credential(&sts(&server, &studio, "AssumeRole", &given).await);
    let response =
        server.send_as(&guest, "shared/a", server.request(Method::Get, "shared/a")).await;
    assert_eq!(response.body, b"x", "{}", text(&response));
    for (method, key) in [(Method::Get, "own/a"), (Method::Delete, "shared/a")] {
        let response = server.send_as(&guest, key, server.request(method, key)).await;
        assert_eq!(crate::support::refused(&response, 403), "AccessDenied");
    }
    let response = sts(&server, &server.operator(), "AssumeRole", &given).await;
    assert_eq!(refused(&response, 403), "NoPermission", "not named");
    // A role is no way to a longer life.
    let response = sts(&server, &guest, "AssumeRole", &given).await;
    assert_eq!(refused(&response, 403), "NoPermission");
}

#[tokio::test]
async fn callers_are_told_who_they_are() {
    let server = Server::start().await;
    let operator = server.operator();
    let ask = async |who: &Credential| {
        let response = sts(&server, who, "GetCallerIdentity", &[]).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        serde_json::from_slice::<Value>(&response.body).unwrap()
    };
    let own = ask(&operator).await;
    let account = own["AccountId"].as_str().unwrap();
    assert_eq!(own["IdentityType"], "Account");
    assert_eq!(own["Arn"], format!("acs:ram::{account}:root"));
    let nothing = r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
    let role = ask(&assume(&server, Some(nothing)).await).await;
    assert_eq!(role["IdentityType"], "AssumedRoleUser");
    assert_eq!(role["AccountId"], account);
    assert_eq!(role["Arn"], format!("acs:ram::{account}:assumed-role/uploader/tests"));
    let grant = server.create("a.mp4").await;
    let response = sts(&server, &grant.credential, "GetCallerIdentity", &[]).await;
    assert_eq!(refused(&response, 403), "NoPermission");
}

#[tokio::test]
async fn any_node_with_the_keys_knows_the_token() {
    let one = Server::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::copy(one.folder.path().join("keys.toml"), folder.path().join("keys.toml")).unwrap();
    let running = serve_in(config(folder.path()), Environment::default()).await.unwrap();
    let other = Server { running, folder, keys: one.keys.clone() };
    let stranger = Server::start().await;
    let who = assume(&one, None).await;
    let put = other.send_as(&who, "k", other.request(Method::Put, "k").body(b"x")).await;
    assert_eq!(put.status, 200, "{}", text(&put));
    let put = stranger.send_as(&who, "k", stranger.request(Method::Put, "k").body(b"x")).await;
    assert_eq!(crate::support::refused(&put, 403), "InvalidSecurityToken");
}

#[tokio::test]
async fn masters_rotate_under_a_running_server() {
    let server = Server::start().await;
    let folder = server.folder.path();
    let put = async |who: &Credential| {
        server.send_as(who, "k", server.request(Method::Put, "k").body(b"x")).await
    };
    let old = assume(&server, None).await;
    let now = now_ms() as u64;
    edit(folder, |keys| keys.rotate_masters(now).map(|_| ())).unwrap();
    let new = assume(&server, None).await;
    assert_eq!(put(&old).await.status, 200, "the one before verifies on");
    assert_eq!(put(&new).await.status, 200);
    edit(folder, |keys| keys.drop_master("k1")).unwrap();
    assert_eq!(crate::support::refused(&put(&old).await, 403), "InvalidSecurityToken");
    assert_eq!(put(&new).await.status, 200);
    let response = sts(&server, &old, "GetCallerIdentity", &[]).await;
    assert_eq!(refused(&response, 400), "InvalidSecurityToken.Malformed");
}

#[tokio::test]
async fn a_deleted_role_ends_its_credentials() {
    let server = Server::start().await;
    let folder = server.folder.path();
    let who = assume(&server, None).await;
    let put = async || server.send_as(&who, "k", server.request(Method::Put, "k").body(b"x")).await;
    assert_eq!(put().await.status, 200);
    edit(folder, |keys| keys.delete_role("uploader")).unwrap();
    let refusal = put().await;
    assert_eq!(crate::support::refused(&refusal, 403), "SecurityTokenExpired");
    assert!(text(&refusal).contains("revoked"));
    // A new role of the old name is another one.
    edit(folder, |keys| {
        let policy =
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        let (name, policy) = ("uploader".to_owned(), policy.to_owned());
        keys.create_role(NewRole { name, policy, ..NewRole::default() }).map(|_| ())
    })
    .unwrap();
    assert_eq!(crate::support::refused(&put().await, 403), "SecurityTokenExpired");
    let response = sts(&server, &who, "GetCallerIdentity", &[]).await;
    assert_eq!(refused(&response, 400), "InvalidSecurityToken.Expired");
    assert_eq!(server.get("k").await.status, 200, "{BUCKET} is as it was");
}
