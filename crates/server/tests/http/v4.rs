//! The newer signature: the regions that it may name, and the body that it may cover.

use sha2::{Digest, Sha256};
use vodferry_oss::sign::{OptionsV4, sign_v4};
use vodferry_oss::{Method, Request, Response, ServiceError};

use crate::support::{BUCKET, Build, Server, Upload, files, noise, now_ms, refused, text};

fn signed(server: &Server, key: &str, region: &str, mut request: Request) -> Request {
    let options = OptionsV4 { region, additional_headers: &[] };
    sign_v4(&mut request, BUCKET, key, &server.operator(), options, now_ms());
    request
}

async fn send(server: &Server, request: Request) -> Response {
    server.send_raw(&signed(server, "k", "cn-shanghai", request)).await
}

/// The hash of `bytes`, declared for whatever the body is.
fn declaring(request: Request, bytes: &[u8]) -> Request {
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    request.with("x-oss-content-sha256", &hash)
}

#[tokio::test]
async fn regions_can_be_a_list_or_any() {
    for (accepted, good, bad) in [
        (&[][..], &["cn-shanghai"][..], &["cn-hangzhou", "*", "us-east-1"][..]),
        (&["cn-hangzhou", "us-east-1"], &["cn-shanghai", "cn-hangzhou", "us-east-1"], &["*"]),
        (&["*"], &["cn-shanghai", "cn-hangzhou", "whatever"], &[]),
    ] {
        let server = Server::with(|config| {
            config.accepted_regions = accepted.iter().map(|r| (*r).to_owned()).collect();
        })
        .await;
        for (regions, fine) in [(good, true), (bad, false)] {
            for region in regions {
                let put = server.request(Method::Put, "k").body(b"x");
                let response = server.send_raw(&signed(&server, "k", region, put)).await;
                match fine {
                    true => assert_eq!(response.status, 200, "{region} {}", text(&response)),
                    false => {
                        assert_eq!(refused(&response, 400), "InvalidArgument", "{region}");
                        assert!(text(&response).contains("Invalid signing region"));
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_signed_body_must_be_the_one_that_arrives() {
    let server = Server::start().await;
    let film = noise(700_000, 1);
    let mut other = film.clone();
    other[600_000] ^= 1;
    let put = || server.request(Method::Put, "k");
    assert_eq!(send(&server, declaring(put(), &film).body(&film)).await.status, 200);
    for body in [&other[..], &film[..699_999], b""] {
        let response = send(&server, declaring(put(), &film).body(body)).await;
        assert_eq!(refused(&response, 400), "InvalidDigest");
        assert!(ServiceError::from_response(&response).message.contains("x-oss-content-sha256"));
    }
    assert!(server.get("k").await.body == film, "what was there stays");
    assert_eq!(files(&server), 1);

    let upload = Upload::begin(&server, server.operator(), "k").await;
    let part = || upload.request(Method::Put).query("partNumber", "1");
    let response = send(&server, declaring(part(), &film).body(&other)).await;
    assert_eq!(refused(&response, 400), "InvalidDigest");
    assert!(upload.list().await.parts.is_empty());
    let chunked = format!("{:x}\r\n", other.len());
    let chunked = [chunked.as_bytes(), &other, b"\r\n0\r\n\r\n"].concat();
    let chunked = part().with("transfer-encoding", "chunked").body(&chunked);
    assert_eq!(send(&server, declaring(chunked.clone(), &other)).await.status, 200);
    assert_eq!(refused(&send(&server, declaring(chunked, &film)).await, 400), "InvalidDigest");

    let all = || upload.request(Method::Post).with("x-oss-complete-all", "yes");
    let response = send(&server, declaring(all(), b"something")).await;
    assert_eq!(refused(&response, 400), "InvalidDigest");
    assert_eq!(send(&server, declaring(all(), b"")).await.status, 200);
    assert!(server.get("k").await.body == other);
}

#[tokio::test]
async fn a_signed_body_counts_where_none_is_read_too() {
    let server = Server::start().await;
    server.put("k", b"film").await;
    for method in [Method::Get, Method::Head, Method::Delete] {
        let request = declaring(server.request(method, "k"), b"film");
        assert_eq!(refused(&send(&server, request).await, 400), "InvalidDigest", "{method:?}");
    }
    let begin = || server.request(Method::Post, "k").query("uploads", "");
    assert_eq!(refused(&send(&server, declaring(begin(), b"x")).await, 400), "InvalidDigest");
    assert_eq!(send(&server, declaring(begin(), b"")).await.status, 200);
    assert_eq!(send(&server, declaring(server.request(Method::Get, "k"), b"")).await.body, b"film");
}

#[tokio::test]
async fn what_is_no_hash_is_refused() {
    let server = Server::start().await;
    let (short, odd) = ("0".repeat(63), "é".repeat(32));
    let letters = "g".repeat(64);
    for value in ["00", &short, &odd, &letters, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "unsigned"] {
        let put = server.request(Method::Put, "k").with("x-oss-content-sha256", value).body(b"x");
        let response = send(&server, put).await;
        assert_eq!(refused(&response, 400), "InvalidArgument", "{value}");
        let error = ServiceError::from_response(&response);
        assert_eq!(error.context("ArgumentName"), Some("x-oss-content-sha256"));
    }
    let put = server.request(Method::Put, "k").with("x-oss-content-sha256", "UNSIGNED-PAYLOAD");
    assert_eq!(send(&server, put.body(b"x")).await.status, 200);
    let upper = "2D711642B726B04401627CA9FBAC32F5C8530FB1903CC4DB02258717921A4881";
    let put = server.request(Method::Put, "k").with("x-oss-content-sha256", upper).body(b"x");
    assert_eq!(send(&server, put).await.status, 200);
}
