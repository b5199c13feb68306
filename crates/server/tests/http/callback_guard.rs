//! Where no callback goes, however an uploader writes it; and TLS towards those that are called.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use vodferry_oss::{Method, Response};

use crate::callback::{OK, application, argument, is_answered, is_failed, put, serve, trusting};
use crate::callback_uploads::is_not_called;
use crate::support::{Build, Server, refused, text};
use crate::tls::Authority;

const CLOSED: &str = "not known, or not allowed";

#[tokio::test]
async fn inner_addresses_are_not_called_however_they_are_written() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "100.100.100.200",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ] {
        let request = put(&server, &format!("http://{host}:{port}/"));
        let response = server.send("film.mp4", request).await;
        assert_eq!(refused(&response, 203), "CallbackFailed", "{host}");
        assert!(text(&response).contains(CLOSED), "{host}: {}", text(&response));
        let request = put(&server, &format!("https://{host}:{port}/"));
        is_failed(&server, &server.send("film.mp4", request).await, CLOSED).await;
    }
    assert!(is_not_called(&listener).await);
}

#[tokio::test]
async fn what_is_allowed_opens_nothing_else() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port();
    let server = Server::with(|config| config.callback.allow = vec!["127.0.0.2".into()]).await;
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let request = put(&server, &format!("http://{host}:{port}/"));
        is_failed(&server, &server.send("film.mp4", request).await, CLOSED).await;
    }
    assert!(is_not_called(&other).await);
    // A name opens itself and no other name of the same place; a callbackHost is no name of a place.
    let server = Server::with(|config| config.callback.allow = vec!["localhost".into()]).await;
    let hidden = argument(&format!("127.0.0.1:{port}"), "b", json!({"callbackHost": "localhost"}));
    let request = server.request(Method::Put, "film.mp4").with("x-oss-callback", &hidden);
    let response = server.send("film.mp4", request.body(b"film")).await;
    is_failed(&server, &response, CLOSED).await;
    assert!(is_not_called(&other).await);
    let (addr, _asked) = application(OK).await;
    let request = put(&server, &format!("http://LocalHost:{}/", addr.port()));
    is_answered(&server.send("film.mp4", request).await);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = trusting(|_| ()).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = target.local_addr().unwrap();
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Go\r\nLocation: http://{there}/\r\nContent-Length: 13\r\n\r\n{{\"seen\":true}}"
        );
        let (addr, _asked) = application(answer).await;
        let request = put(&server, &format!("http://{addr}/"));
        let words = format!("Error status : {status}.");
        is_failed(&server, &server.send("film.mp4", request).await, &words).await;
    }
    assert!(is_not_called(&target).await);
}

/// The application server trusts programs on this machine, and a callback would be one.
#[tokio::test]
async fn a_server_does_not_answer_its_own_callbacks() {
    let server = trusting(|config| config.callback.allow.push("localhost".into())).await;
    let port = server.addr().port();
    for path in
        ["/api/upload-auth/create", "/health/ready", "/admin/v1/keys", "/vod-media/film.mp4"]
    {
        for host in ["127.0.0.1", "localhost"] {
            let argument = argument(
                &format!("http://{host}:{port}{path}"),
                r#"{"FileName":"mine.mp4"}"#,
                json!({ "callbackBodyType": "application/json" }),
            );
            let request = server.request(Method::Put, "film.mp4").with("x-oss-callback", &argument);
            let response = server.send("film.mp4", request.body(b"film")).await;
            is_failed(&server, &response, "Error status : 400.").await;
            assert!(!text(&response).contains("UploadAuth"));
        }
    }
}

/// An application behind TLS, with the certificate of `authority`; which name it was asked for.
async fn behind_tls(authority: &Authority) -> (SocketAddr, JoinHandle<Option<String>>) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let files = authority.files();
    let chain = vec![CertificateDer::from_pem_file(files.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(files.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
        let name = stream.get_ref().1.server_name().map(str::to_owned);
        serve(stream, OK.as_bytes()).await;
        Some(name.unwrap_or_else(|| "none".to_owned()))
    });
    (addr, task)
}

async fn ask(server: &Server, url: &str, sni: Option<bool>) -> Response {
    let more = sni.map_or(json!({}), |sni| json!({ "callbackSNI": sni }));
    let argument = argument(url, "object=${object}", more);
    let request = server.request(Method::Put, "film.mp4").with("x-oss-callback", &argument);
    server.send("film.mp4", request.body(b"film")).await
}

#[tokio::test]
async fn an_application_behind_tls_is_called_and_told_its_name_on_request() {
    let authority = Authority::new();
    authority.issue(&["localhost"]);
    std::fs::write(authority.path("ca.pem"), pem(&authority)).unwrap();
    let server = trusting(|config| {
        config.callback.allow.push("localhost".into());
        config.callback.ca = Some(authority.path("ca.pem"));
    })
    .await;
    for (host, sni, name) in [
        ("localhost", Some(true), "localhost"),
        ("localhost", Some(false), "none"),
        ("localhost", None, "none"),
        // An address is no name.
        ("127.0.0.1", Some(true), "none"),
    ] {
        let (addr, named) = behind_tls(&authority).await;
        is_answered(&ask(&server, &format!("https://{host}:{}/cb", addr.port()), sni).await);
        assert_eq!(named.await.unwrap().as_deref(), Some(name), "{host} {sni:?}");
    }
}

#[tokio::test]
async fn an_application_must_prove_who_it_is() {
    let authority = Authority::new();
    std::fs::write(authority.path("ca.pem"), pem(&authority)).unwrap();
    let server = trusting(|config| {
        config.callback.allow.push("localhost".into());
        config.callback.ca = Some(authority.path("ca.pem"));
    })
    .await;
    // Its certificate is for another name.
    let (addr, named) = behind_tls(&authority).await;
    let url = format!("https://localhost:{}/", addr.port());
    is_failed(&server, &ask(&server, &url, Some(true)).await, "TLS with the application").await;
    assert_eq!(named.await.unwrap(), None);
    // Nobody vouches for it.
    let (addr, named) = behind_tls(&Authority::new()).await;
    let url = format!("https://{addr}/");
    is_failed(&server, &ask(&server, &url, None).await, "TLS with the application").await;
    assert_eq!(named.await.unwrap(), None);
    // It does not speak TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let plain = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(OK.as_bytes()).await.unwrap();
    });
    is_failed(&server, &ask(&server, &url, None).await, "TLS with the application").await;
    plain.await.unwrap();
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let mut config = crate::support::config(&folder.path().join("data"));
    config.callback.ca = Some(path.clone());
    let error = vodferry_server::serve(config.clone()).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot read") && error.contains("ca.pem"), "{error}");
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&path, text).unwrap();
        let error = vodferry_server::serve(config.clone()).await.unwrap_err().to_string();
        assert!(error.contains("ca.pem holds no certificate"), "{error}");
    }
}

fn pem(authority: &Authority) -> String {
    let text = vodferry_oss::base64::encode(&authority.root);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
