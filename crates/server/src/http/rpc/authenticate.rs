//! Who calls: the signature of a call, in either version, checked in the order of the original
//! gateway: the key, the time, the signature, the nonce.

use bytes::Bytes;
use vodferry_oss::time::{format_iso, parse_iso};
use vodferry_oss::{Method, Secret};
use vodferry_vod::{acs3, rpc};

use super::nonces::NonceError;
use super::parameters::{Parameters, missing};
use crate::http::App;
use crate::http::call::Call;
use crate::http::caller::{Caller, Circumstances, KeyError};
use crate::http::video::{ApiError, as_i64};
use crate::token::TokenError;

/// The caller of a call that is signed by its parameters (version 1).
pub(super) fn by_parameters(
    app: &App,
    call: &Call,
    method: Method,
    parameters: &Parameters,
) -> Result<Caller, ApiError> {
    let id = parameters.required("AccessKeyId")?;
    parameters.required(rpc::SIGNATURE)?;
    if parameters.get("SignatureMethod").is_some_and(|m| !m.eq_ignore_ascii_case("HMAC-SHA1")) {
        return Err(ApiError::bad("InvalidSignatureMethod", "only HMAC-SHA1 is served here"));
    }
    if parameters.get("SignatureVersion").is_some_and(|version| version != "1.0") {
        return Err(ApiError::bad("InvalidParameter.SignatureVersion", "only 1.0 is served here"));
    }
    let now = app.now_ms();
    let (secret, caller) = find(app, call, id, parameters.get("SecurityToken"), now)?;
    let until = until(parameters.get("Timestamp"), &caller, now)?;
    if !rpc::verify(method, parameters.pairs(), secret.expose()) {
        return Err(mismatch(&rpc::string_to_sign(method, parameters.pairs())));
    }
    accept(app, &caller, parameters.required("SignatureNonce")?, until, now)?;
    Ok(caller)
}

/// The caller of a call that is signed by its headers (version 3).
pub(super) fn by_headers(
    app: &App,
    call: &Call,
    method: Method,
    body: &Bytes,
) -> Result<Caller, ApiError> {
    let authorization = call.header("authorization").unwrap_or_default();
    let presented = acs3::Presented::of(&authorization).ok_or_else(|| {
        let message = "Authorization must hold Credential, SignedHeaders and Signature";
        ApiError::bad("IncompleteSignature", message)
    })?;
    let header = |name: &str| call.header(name).map(|v| v.into_owned()).filter(|v| !v.is_empty());
    let now = app.now_ms();
    let token = header("x-acs-security-token");
    let (secret, caller) = find(app, call, presented.access_key_id, token.as_deref(), now)?;
    let until = until(header("x-acs-date").as_deref(), &caller, now)?;

    let headers = headers(call);
    // What is not signed may have been put there by anybody.
    let unsigned = headers.iter().map(|(name, _)| name.as_str()).find(|name| {
        let matters = name.starts_with("x-acs-") || matters(name, body);
        matters && !presented.covers(name)
    });
    if let Some(name) = unsigned.or((!presented.covers("host")).then_some("host")) {
        let message = format!("the header {name} must be signed");
        return Err(ApiError::bad("IncompleteSignature", message));
    }
    let hash = acs3::body_hash(body);
    let claimed = header("x-acs-content-sha256").ok_or_else(|| missing("ContentSha256"))?;
    if !claimed.eq_ignore_ascii_case(&hash) {
        let message = "x-acs-content-sha256 is not the SHA-256 of the body";
        return Err(ApiError::bad("SignatureDoesNotMatch", message));
    }
    let names = presented.signed_headers;
    let signed =
        acs3::Signed { names, headers: &headers, query: &call.query, body: claimed.as_str() };
    if !signed.verify(method, secret.expose(), presented.signature) {
        return Err(match signed.canonical_request(method) {
            Some(request) => mismatch(&acs3::string_to_sign(&request)),
            None => {
                let message = "a signed header is missing, or comes twice";
                ApiError::bad("SignatureDoesNotMatch", message)
            }
        });
    }
    let nonce = header("x-acs-signature-nonce").ok_or_else(|| missing("SignatureNonce"))?;
    accept(app, &caller, &nonce, until, now)?;
    Ok(caller)
}

/// Whether a header that is no `x-acs-*` decides what becomes of the call.
fn matters(name: &str, body: &Bytes) -> bool {
    name == "content-type" && !body.is_empty()
}

/// All headers; the host is that of the target where there is one.
fn headers(call: &Call) -> Vec<(String, String)> {
    let mut headers = call.header_list();
    headers.retain(|(name, _)| name != "host");
    headers.push(("host".to_owned(), call.authority.clone()));
    headers
}

fn find(
    app: &App,
    call: &Call,
    id: &str,
    token: Option<&str>,
    now: u64,
) -> Result<(Secret, Caller), ApiError> {
    let found = Caller::find(&app.keys.current(), id, token, Circumstances::of(call, now));
    if found.is_ok() {
        call.notes.access_key_id(id);
    }
    found.map_err(|error| match error {
        KeyError::Unknown => {
            ApiError::new(404, "InvalidAccessKeyId.NotFound", "this access key id is not known")
        }
        KeyError::Inactive => {
            ApiError::bad("InvalidAccessKeyId.Inactive", "this access key is disabled")
        }
        KeyError::TokenMissing => {
            ApiError::bad("MissingSecurityToken", "a temporary access key needs its SecurityToken")
        }
        KeyError::TokenUnwanted => ApiError::bad(
            "InvalidSecurityToken.MismatchWithAccessKey",
            "a long-lived access key takes no SecurityToken",
        ),
        KeyError::Token(error) => {
            let code = match error {
                TokenError::Invalid => "InvalidSecurityToken.Malformed",
                TokenError::KeyMismatch => "InvalidSecurityToken.MismatchWithAccessKey",
                TokenError::Expired => "InvalidSecurityToken.Expired",
            };
            ApiError::bad(code, error.to_string())
        }
        // A client that is able to asks for another credential.
        KeyError::Revoked => {
            ApiError::bad("InvalidSecurityToken.Expired", "the security token has been revoked")
        }
    })
}

/// Until when the call would be accepted again, if its nonce were not remembered. Some upload SDKs
/// sign no time, with temporary keys only: then the key's life bounds it.
fn until(time: Option<&str>, caller: &Caller, now: u64) -> Result<u64, ApiError> {
    let Some(text) = time else {
        return caller.expires_ms.ok_or_else(|| missing("Timestamp"));
    };
    let Some(at) = parse_iso(text) else {
        let message = "the time of a call must look like 2026-11-20T10:00:00Z";
        return Err(ApiError::bad("InvalidTimeStamp.Format", message));
    };
    let skew = vodferry_oss::limits::MAX_SKEW_MS;
    if as_i64(now).abs_diff(at) > skew.unsigned_abs() {
        let message = format!(
            "the time of the call is more than 15 minutes away from the server's {}",
            format_iso(as_i64(now))
        );
        return Err(ApiError::bad("InvalidTimeStamp.Expired", message));
    }
    Ok(u64::try_from(at.saturating_add(skew)).unwrap_or(now))
}

fn mismatch(signed: &str) -> ApiError {
    let message = format!(
        "Specified signature is not matched with our calculation. server string to sign is:{signed}"
    );
    ApiError::bad("SignatureDoesNotMatch", message)
}

fn accept(app: &App, caller: &Caller, nonce: &str, until: u64, now: u64) -> Result<(), ApiError> {
    let whose = (caller.tenant(), caller.access_key_id.as_str(), nonce);
    app.nonces.accept(whose, until, now).map_err(|error| match error {
        NonceError::Used => {
            ApiError::bad("SignatureNonceUsed", "this SignatureNonce was used before")
        }
        NonceError::Full => ApiError::new(503, "Throttling", "too many calls; try again later"),
    })
}
