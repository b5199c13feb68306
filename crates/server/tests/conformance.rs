//! This server and the conformance suite: every case, by each kind of signature and credential.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use tempfile::TempDir;
use vodferry_oss::encode::encode_query;
use vodferry_oss::time::format_iso;
use vodferry_oss::{Credential, Method, Style};
use vodferry_server::keys::Keys;
use vodferry_server::{Config, Running, serve};
use vodferry_testkit::conformance::{Signing, Target, cases, run};
use vodferry_vod::rpc::{Call, signed_parameters};

#[test]
fn the_suite_is_large_and_its_names_are_unique() {
    let mut names: Vec<String> = cases().map(|case| format!("{case:?}")).collect();
    assert!(names.len() >= 100, "{}", names.len());
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases().count());
}

#[tokio::test]
async fn a_key_and_v4() {
    let server = Server::start().await;
    server
        .conforms(Signing::V4, server.operator(), &["signatures::a_token_must_be_the_right_one"])
        .await;
}

#[tokio::test]
async fn a_key_and_v1() {
    let server = Server::start().await;
    server
        .conforms(Signing::V1, server.operator(), &["signatures::a_token_must_be_the_right_one"])
        .await;
}

#[tokio::test]
async fn a_temporary_credential() {
    let server = Server::start().await;
    let addr = server.running.addr();
    let operator = server.operator();
    let assumed = tokio::task::spawn_blocking(move || assume(addr, &operator)).await.unwrap();
    let skipped = ["signatures::a_key_that_has_no_token_takes_none"];
    server.conforms(Signing::V4, assumed, &skipped).await;
}

/// Nothing in the requests names the bucket.
#[tokio::test]
async fn a_bound_domain() {
    let server = Server::bound(&["127.0.0.1"]).await;
    let target = Target { style: Style::Cname, ..server.target(Signing::V4, server.operator()) };
    let report = run(&target, "").await.unwrap();
    assert_eq!(report.failed().count(), 0, "{report}");
    // Those about buckets of their own, which are elsewhere.
    let skipped = report.skipped().count();
    assert!(report.runs.len() > skipped + 100, "{report}");
}

/// A suite that could not fail would say nothing.
#[tokio::test]
async fn another_server_does_not_conform() {
    let server = Server::start().await;
    let mut target = server.target(Signing::V4, server.operator());
    target.credential.access_key_secret = "another".into();
    let report = run(&target, "objects::").await.unwrap();
    assert!(report.runs.len() > 20);
    assert_eq!(report.failed().count(), report.runs.len(), "{report}");
    let told = report.to_string();
    assert!(told.contains("expected status 200, got 403 SignatureDoesNotMatch"), "{told}");
    assert!(!told.contains("StringToSign"), "a string to sign holds the token: {told}");
    assert!(run(&Target { endpoint: "ftp://x".into(), ..target }, "").await.is_err());
}

struct Server {
    running: Running,
    keys: Keys,
    _folder: TempDir,
}

impl Server {
    async fn start() -> Server {
        Server::bound(&[]).await
    }

    /// With domains that are bound to the bucket.
    async fn bound(domains: &[&str]) -> Server {
        let folder = TempDir::new().unwrap();
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: folder.path().to_owned(),
            durable: false,
            cnames: domains.iter().map(|it| (it.to_string(), "vod-media".to_owned())).collect(),
            ..Config::default()
        };
        let running = serve(config).await.unwrap();
        let keys = Keys::load(&folder.path().join("keys.toml")).unwrap();
        Server { running, keys, _folder: folder }
    }

    fn operator(&self) -> Credential {
        let key = self.keys.root().unwrap();
        Credential {
            access_key_id: key.id.clone(),
            access_key_secret: key.secret.clone(),
            security_token: None,
        }
    }

    fn target(&self, signing: Signing, credential: Credential) -> Target {
        Target {
            endpoint: format!("http://{}", self.running.addr()),
            bucket: "vod-media".into(),
            credential,
            style: Style::Path,
            signing,
            region: "cn-shanghai".into(),
        }
    }

    async fn conforms(&self, signing: Signing, credential: Credential, skipped: &[&str]) {
        let report = run(&self.target(signing, credential), "").await.unwrap();
        assert_eq!(report.failed().count(), 0, "{report}");
        let told: Vec<String> = report.skipped().map(|run| format!("{:?}", run.case)).collect();
        assert_eq!(told, skipped, "{report}");
    }
}

/// A credential of the role that a fresh server has.
fn assume(addr: SocketAddr, who: &Credential) -> Credential {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let call = Call {
        action: "AssumeRole",
        version: "2015-04-01",
        parameters: &[
            ("RoleArn", "acs:ram::1000000000000001:role/uploader"),
            ("RoleSessionName", "conformance"),
        ],
        nonce: &now.as_nanos().to_string(),
        timestamp: &format_iso(now.as_millis() as i64),
    };
    let query = encode_query(&signed_parameters(Method::Get, &call, who));
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET /?{query} HTTP/1.1\r\nHost: sts.test\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let body = reply.split_once("\r\n\r\n").unwrap().1;
    let reply: serde_json::Value = serde_json::from_str(body).unwrap();
    let member = |name: &str| reply["Credentials"][name].as_str().unwrap();
    Credential {
        access_key_id: member("AccessKeyId").into(),
        access_key_secret: member("AccessKeySecret").into(),
        security_token: Some(member("SecurityToken").into()),
    }
}
