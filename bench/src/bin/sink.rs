//! A store that keeps nothing: takes PUTs as fast as the socket gives them and answers like OSS, so that only the
//! client's work is measured. The ETag of a part is its Content-MD5 where one was sent; no CRC is given.

use std::convert::Infallible;
use std::fmt::Write as _;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A client that hangs up is no concern of a sink.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    let query = head.uri.query().unwrap_or_default();
    let etag = head.headers.get("content-md5").and_then(|v| v.to_str().ok()).map(hex_of_base64);
    let initiates = query.split('&').any(|pair| matches!(pair, "uploads" | "uploads="));
    let xml = if head.method == Method::POST && initiates {
        "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>\
         <UploadId>0004B9894A22E5B1888A1E29F8236E2D</UploadId></InitiateMultipartUploadResult>"
    } else if head.method == Method::POST {
        "<CompleteMultipartUploadResult><Location>-</Location><Bucket>b</Bucket><Key>k</Key>\
         <ETag>\"16F2D8490DA86AC7AA4B726C3553BAC8-2\"</ETag></CompleteMultipartUploadResult>"
    } else if head.method == Method::GET {
        "<ListPartsResult><Bucket>b</Bucket><Key>k</Key><UploadId>0004B9894A22E5B1888A1E29F8236E2D</UploadId>\
         <NextPartNumberMarker>0</NextPartNumberMarker><MaxParts>1000</MaxParts>\
         <IsTruncated>false</IsTruncated></ListPartsResult>"
    } else {
        ""
    };
    Ok(Response::builder()
        .header("x-oss-request-id", "000000000000000000000000")
        .header("content-type", "application/xml")
        .header("etag", etag.unwrap_or_else(|| "\"D41D8CD98F00B204E9800998ECF8427E\"".into()))
        .body(Full::new(Bytes::from_static(xml.as_bytes())))
        .unwrap_or_default())
}

/// `"HEX"` of a base64 text; anything else gives whatever its characters give.
fn hex_of_base64(text: &str) -> String {
    let (mut out, mut bits, mut held) = (String::from("\""), 0u32, 0);
    for c in text.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            let _ = write!(out, "{:02X}", bits >> held & 0xff);
        }
    }
    out + "\""
}
