//! The calls of the VOD API that make a place for an upload, CreateUploadVideo, CreateUploadImage and RefreshUploadVideo: one call to
//! a signed request, one reply to what it grants or why it refuses.
//!
//! Version 1 goes as a form, so that neither token nor signature stand in an address that proxies write down; version 3 as the newer
//! SDKs send it: parameters in the query, everything secret in headers. Both are POST.

use alloc::string::String;
use alloc::vec::Vec;

use vodferry_oss::encode::encode_query;
use vodferry_oss::time::format_iso;
use vodferry_oss::{Credential, Method, Request, Secret};

use crate::json::Object;
use crate::{acs3, rpc};

/// Version of the API.
pub const VERSION: &str = "2017-03-21";
/// The region of those who name none.
pub const DEFAULT_REGION: &str = "cn-shanghai";

/// How a call is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiSignature {
    /// HMAC-SHA1 over the parameters ([`rpc`]): every gateway takes it.
    #[default]
    V1,
    /// `ACS3-HMAC-SHA256` over the headers ([`acs3`]).
    Acs3,
}

/// One call, before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct ApiCall<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host, with the port where it is not the scheme's own.
    pub authority: &'a str,
    /// For example `CreateUploadVideo`.
    pub action: &'a str,
    /// Of the action, not percent-encoded.
    pub parameters: &'a [(String, String)],
    /// Never used twice: a random text.
    pub nonce: &'a str,
    /// When, milliseconds since 1970 in the server's time.
    pub at_ms: i64,
}

/// The host of the API in a region.
pub fn host_of(region: &str) -> String {
    let mut host = String::from("vod.");
    host.push_str(region);
    host.push_str(".aliyuncs.com");
    host
}

/// The request for `call`. Its body, if any, is text.
pub fn request(call: &ApiCall<'_>, signature: ApiSignature, credential: &Credential) -> Request {
    let time = format_iso(call.at_ms);
    let (query, headers, body) = match signature {
        ApiSignature::V1 => {
            let parameters: Vec<(&str, &str)> =
                call.parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let unsigned = rpc::Call {
                action: call.action,
                version: VERSION,
                parameters: &parameters,
                nonce: call.nonce,
                timestamp: &time,
            };
            let pairs = rpc::signed_parameters(Method::Post, &unsigned, credential);
            let kind = "application/x-www-form-urlencoded";
            let headers = Vec::from([(String::from("content-type"), String::from(kind))]);
            (Vec::new(), headers, encode_query(&pairs).into_bytes())
        }
        ApiSignature::Acs3 => {
            let unsigned = acs3::Call {
                host: call.authority,
                action: call.action,
                version: VERSION,
                parameters: call.parameters,
                nonce: call.nonce,
                date: &time,
            };
            let headers = acs3::signed_headers(Method::Post, &unsigned, credential);
            (call.parameters.to_vec(), headers, Vec::new())
        }
    };
    let mut request = Request {
        method: Method::Post,
        scheme: String::from(call.scheme),
        authority: String::from(call.authority),
        path: String::from("/"),
        query,
        headers,
        body,
    };
    request.set_header("accept", "application/json");
    request
}

/// What a call grants; an application server answers the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Of this call; empty when nobody said.
    pub request_id: String,
    /// `VideoId` or `ImageId`; a refresh may leave it out.
    pub media_id: Option<String>,
    /// Where an image will be.
    pub image_url: Option<String>,
    /// Base64 of where the object goes.
    pub upload_address: String,
    /// Base64 of the credential.
    pub upload_auth: Secret,
}

impl Granted {
    /// Reads a reply; `None` when it is none of these calls.
    pub fn read(body: &[u8]) -> Option<Granted> {
        let object = parse(body)?;
        let text =
            |name: &str| object.get(name).filter(|value| !value.is_empty()).map(String::from);
        Some(Granted {
            request_id: text("RequestId").unwrap_or_default(),
            media_id: text("VideoId").or_else(|| text("ImageId")),
            image_url: text("ImageURL"),
            upload_address: text("UploadAddress")?,
            upload_auth: Secret::new(text("UploadAuth")?),
        })
    }
}

/// Why a call was refused. All empty when the reply says nothing of the kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// For example `InvalidVideo.NotFound`.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// Of this call.
    pub request_id: String,
}

impl Refusal {
    /// Reads a reply.
    pub fn read(body: &[u8]) -> Refusal {
        let Some(object) = parse(body) else { return Refusal::default() };
        let text = |name: &str| String::from(object.get(name).unwrap_or_default());
        Refusal { code: text("Code"), message: text("Message"), request_id: text("RequestId") }
    }
}

fn parse(body: &[u8]) -> Option<Object> {
    Object::parse(core::str::from_utf8(body).ok()?)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use vodferry_oss::encode::decode_query;

    use super::*;

    const SECRET: &str = "SecretExample0123456789";

    fn made(signature: ApiSignature, token: Option<&str>) -> Request {
        let parameters = [
            ("Title".to_string(), "测试 a+b*~".to_string()),
            ("FileName".to_string(), "a.mp4".to_string()),
        ];
        let call = ApiCall {
            scheme: "https",
            authority: "vod.example.com",
            action: "CreateUploadVideo",
            parameters: &parameters,
            nonce: "n-1",
            at_ms: 1_795_168_800_000,
        };
        let credential = Credential {
            access_key_id: "AKIDEXAMPLE".to_string(),
            access_key_secret: Secret::from(SECRET),
            security_token: token.map(Secret::from),
        };
        request(&call, signature, &credential)
    }

    #[test]
    fn a_form_verifies_and_nothing_secret_stands_in_the_address() {
        let request = made(ApiSignature::V1, Some("CAIS+/="));
        assert!(request.query.is_empty() && request.path == "/");
        let form = String::from_utf8(request.body.clone()).unwrap();
        let pairs = decode_query(&form).unwrap();
        assert!(rpc::verify(Method::Post, &pairs, SECRET));
        for (name, value) in [
            ("Action", "CreateUploadVideo"),
            ("Title", "测试 a+b*~"),
            ("SecurityToken", "CAIS+/="),
            ("Timestamp", "2026-11-20T10:00:00Z"),
            ("Version", VERSION),
            ("Format", "JSON"),
        ] {
            assert!(pairs.iter().any(|(n, v)| n == name && v == value), "{name}");
        }
    }

    #[test]
    fn the_newer_signature_is_the_published_vector() {
        let request = made(ApiSignature::Acs3, None);
        assert_eq!(request.header("host"), Some("vod.example.com"));
        let authorization = request.header("authorization").unwrap();
        let presented = acs3::Presented::of(authorization).unwrap();
        assert_eq!(
            presented.signature,
            "c8db6f2de225b279b8eed545c4961006c5572de2c578d6f60093f4cf9b57c7a2"
        );
        assert!(request.body.is_empty() && request.query.len() == 2);
        assert!(!made(ApiSignature::Acs3, Some("CAIS")).url().contains("CAIS"));
    }

    #[test]
    fn replies_are_read_whatever_else_they_hold() {
        let body = br#"{"RequestId":"R","VideoId":"v","UploadAddress":"A","UploadAuth":"hush","New":{"a":[1]}}"#;
        let granted = Granted::read(body).unwrap();
        assert_eq!((granted.request_id.as_str(), granted.media_id.as_deref()), ("R", Some("v")));
        assert!(!format!("{granted:?}").contains("hush"));
        let body =
            br#"{"ImageId":"i","ImageURL":"http://x/i.png","UploadAddress":"A","UploadAuth":"B"}"#;
        let granted = Granted::read(body).unwrap();
        assert_eq!(granted.media_id.as_deref(), Some("i"));
        assert_eq!(granted.image_url.as_deref(), Some("http://x/i.png"));
        for none in
            [&b"<html>"[..], b"{}", b"", b"\xff", br#"{"UploadAddress":"A","UploadAuth":""}"#]
        {
            assert_eq!(Granted::read(none), None);
        }
    }

    #[test]
    fn refusals_are_read_as_far_as_they_go() {
        let body = br#"{"RequestId":"R","HostId":"h","Code":"Throttling","Message":"slow down","Recommend":null}"#;
        let refusal = Refusal::read(body);
        assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("Throttling", "slow down"));
        assert_eq!(Refusal::read(b"<Error/>"), Refusal::default());
        assert_eq!(host_of(DEFAULT_REGION), "vod.cn-shanghai.aliyuncs.com");
    }
}
