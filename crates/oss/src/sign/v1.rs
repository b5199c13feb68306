//! V1: HMAC-SHA1 over method, MD5, type, date, `x-oss-*` headers and the resource.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};

use super::{Form, Presented, find};
use crate::credential::{Credential, Secret};
use crate::message::Request;
use crate::sign::subresource::{is_signed, is_sometimes_unsigned};
use crate::text::push_u64;
use crate::time::format_http;

/// Signs `request` for `bucket` and `key` (empty for a bucket call) as made at `at_ms` (milliseconds since 1970 on the
/// server's clock). Sets `x-oss-date`, `x-oss-security-token` and `authorization`; signing again replaces them.
///
/// The date goes into `x-oss-date` and not into `Date`, because browsers do not let a page set the latter.
pub fn sign_v1(
    request: &mut Request,
    bucket: &str,
    key: &str,
    credential: &Credential,
    at_ms: i64,
) {
    let date = format_http(at_ms);
    request.headers.retain(|(name, _)| {
        !matches!(name.as_str(), "authorization" | "x-oss-security-token" | "date")
    });
    request.set_header("x-oss-date", date.as_str());
    if let Some(token) = &credential.security_token {
        request.set_header("x-oss-security-token", token.expose());
    }
    let to_sign = string_to_sign_v1(
        request.method.as_str(),
        &request.headers,
        &request.query,
        &date,
        bucket,
        key,
    );
    let mut value = String::from("OSS ");
    value.push_str(&credential.access_key_id);
    value.push(':');
    value.push_str(&signature_v1(&credential.access_key_secret, &to_sign));
    request.set_header("authorization", value);
}

/// Signs `request` in its query, so that its URL alone gives the right to it until `expires_s` (seconds since 1970).
/// Headers that the user of the URL has to send (`content-type`, `x-oss-*`) must be in `request` already.
pub fn presign_v1(
    request: &mut Request,
    bucket: &str,
    key: &str,
    credential: &Credential,
    expires_s: u64,
) {
    request.query.retain(|(name, _)| {
        !matches!(name.as_str(), "OSSAccessKeyId" | "Expires" | "Signature" | "security-token")
    });
    if let Some(token) = &credential.security_token {
        request.query.push(("security-token".into(), token.expose().into()));
    }
    let mut expires = String::new();
    push_u64(&mut expires, expires_s);
    let to_sign = string_to_sign_v1(
        request.method.as_str(),
        &request.headers,
        &request.query,
        &expires,
        bucket,
        key,
    );
    let signature = signature_v1(&credential.access_key_secret, &to_sign);
    request.query.push(("OSSAccessKeyId".into(), credential.access_key_id.clone()));
    request.query.push(("Expires".into(), expires));
    request.query.push(("Signature".into(), signature));
}

/// What V1 signs. `headers` have lower-case names, `query` is decoded, `date` is the value of `x-oss-date`, else of
/// `Date`, else the `Expires` of a URL; `key` is decoded and empty for a bucket call.
pub fn string_to_sign_v1(
    method: &str,
    headers: &[(String, String)],
    query: &[(String, String)],
    date: &str,
    bucket: &str,
    key: &str,
) -> String {
    string_to_sign(method, headers, query, date, bucket, key, is_signed)
}

/// The base64 of the MAC.
pub fn signature_v1(secret: &Secret, string_to_sign: &str) -> String {
    STANDARD.encode(mac(secret, string_to_sign).finalize().into_bytes())
}

pub(super) fn verify(
    presented: &Presented,
    secret: &Secret,
    method: &str,
    headers: &[(String, String)],
    query: &[(String, String)],
    bucket: &str,
    key: &str,
) -> bool {
    let Ok(signature) = STANDARD.decode(presented.signature.expose()) else {
        return false;
    };
    let matches = |signed: fn(&str) -> bool| {
        let text = string_to_sign(method, headers, query, &presented.date, bucket, key, signed);
        mac(secret, &text).verify_slice(&signature).is_ok()
    };
    // A URL may be in anybody's hands: nothing is taken from it that its maker did not sign.
    let lenient = matches!(presented.form, Form::Header { .. })
        && query.iter().any(|(name, _)| is_sometimes_unsigned(name));
    matches(is_signed) || lenient && matches(|name| is_signed(name) && !is_sometimes_unsigned(name))
}

fn string_to_sign(
    method: &str,
    headers: &[(String, String)],
    query: &[(String, String)],
    date: &str,
    bucket: &str,
    key: &str,
    signed: fn(&str) -> bool,
) -> String {
    let mut out = String::from(method);
    out.push('\n');
    out.push_str(find(headers, "content-md5").unwrap_or("").trim());
    out.push('\n');
    out.push_str(find(headers, "content-type").unwrap_or("").trim());
    out.push('\n');
    out.push_str(date.trim());
    out.push('\n');
    let oss = headers.iter().filter(|(name, _)| name.starts_with("x-oss-"));
    for (name, value) in sorted(oss) {
        out.push_str(name);
        out.push(':');
        out.push_str(value.trim());
        out.push('\n');
    }
    out.push('/');
    if !bucket.is_empty() {
        out.push_str(bucket);
        out.push('/');
        out.push_str(key);
    }
    let mut separator = '?';
    for (name, value) in sorted(query.iter().filter(|(name, _)| signed(name))) {
        out.push(separator);
        out.push_str(name);
        if !value.is_empty() {
            out.push('=');
            out.push_str(value);
        }
        separator = '&';
    }
    out
}

fn sorted<'a>(pairs: impl Iterator<Item = &'a (String, String)>) -> Vec<&'a (String, String)> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs
}

/// Brings the key to the hash's block length as HMAC defines it, so that there is no length to refuse.
fn mac(secret: &Secret, text: &str) -> Hmac<Sha1> {
    let secret = secret.expose().as_bytes();
    let mut block = zeroize::Zeroizing::new([0; 64]);
    let mut pad = |bytes: &[u8]| block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    if secret.len() > 64 {
        pad(&Sha1::digest(secret))
    } else {
        pad(secret)
    }
    let mut mac = Hmac::<Sha1>::new((&*block).into());
    mac.update(text.as_bytes());
    mac
}
