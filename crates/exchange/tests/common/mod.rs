//! What the tests of both directions share.
#![allow(dead_code, missing_docs, unreachable_pub)]

use vodferry_engine::{Op, PartInfo, Reply};
use vodferry_exchange::{Answer, Authority, Digests, answer};
use vodferry_oss::{Credential, Response, Secret, Style, Target};

pub const AT: i64 = 1_795_168_800_000;
pub const ID: &str = "0004B9895DBBB6EC98E36";
pub const SECRET: &str = "SecretExample0123456789";

pub fn authority(endpoint: &str, key: &str, token: Option<&str>) -> Authority {
    Authority {
        credential: Credential {
            access_key_id: "AKIDEXAMPLE".into(),
            access_key_secret: Secret::from(SECRET),
            security_token: token.map(Secret::from),
        },
        target: Target { endpoint: endpoint.into(), bucket: "demo-bkt".into(), key: key.into() },
        style: Style::Auto,
    }
}

pub fn plain() -> Authority {
    authority("http://127.0.0.1:9000", "sv/a b.mp4", Some("TOKEN+/="))
}

pub fn part(number: u32, length: u64, crc64: Option<u64>) -> PartInfo {
    PartInfo { number, length, etag: "ETAG".into(), crc64 }
}

pub fn upload_part() -> Op {
    Op::UploadPart { upload_id: ID.into(), number: 7, range: 600..700, held: None }
}

pub fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    Response { status, headers, body: body.into() }
}

pub fn refuse(status: u16, code: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>It was refused.</Message>\
         <RequestId>0123456789ABCDEF01234567</RequestId></Error>"
    );
    reply(status, &[("content-type", "application/xml")], &body)
}

pub fn ask(op: &Op, response: &Response) -> Answer {
    answer(op, &plain(), response, &Digests::default())
}

pub fn got(op: &Op, response: &Response) -> Reply {
    ask(op, response).result.unwrap()
}
