//! The VOD API: RPC-style calls, signed with version 1, answered in JSON or XML.
//!
//! Checks come in the order of the original gateway: the parameters that name the call, the key,
//! the time, the signature, the right.

use axum::body::Body as ReplyBody;
use http::{Method, Response};
use serde_json::{Map, Value, json};
use vodferry_oss::Secret;
use vodferry_oss::encode::decode_query;
use vodferry_oss::time::{format_iso, parse_iso};
use vodferry_vod::rpc;

use super::App;
use super::body::Body;
use super::call::Call;
use super::caller::{Caller, Circumstances, KeyError};
use super::reply::{JSON, XML, reply};
use super::video::{self, ApiError, Granted, Proposal, as_i64};
use crate::store::Video;
use crate::token::TokenError;

/// Whether a request is a call of this API: `Action` in the query, or in a form on `/`.
pub(crate) fn is_call(call: &Call) -> bool {
    let form =
        call.method == Method::POST && is_form(call) && call.header("authorization").is_none();
    call.path == "/" && (call.parameter("Action").is_some() || form)
}

/// Answers a call.
pub(crate) async fn handle(app: &App, call: &Call, body: &mut Body) -> Response<ReplyBody> {
    let mut parameters = Parameters(call.query.clone());
    let result = answer(app, call, body, &mut parameters).await;
    let action = parameters.get("Action").filter(|a| a.bytes().all(|b| b.is_ascii_alphanumeric()));
    let request_id = Value::String(call.id.uuid());
    let (status, root, mut members) = match result {
        Ok(members) => (200, format!("{}Response", action.unwrap_or_default()), members),
        Err(error) => {
            let mut members = Map::new();
            members.insert("HostId".to_owned(), Value::String(call.authority.clone()));
            members.insert("Code".to_owned(), Value::String(error.code));
            members.insert("Message".to_owned(), Value::String(error.message));
            (error.status, "Error".to_owned(), members)
        }
    };
    members.insert("RequestId".to_owned(), request_id);
    // Said by the original: without a Format the reply is XML.
    if parameters.get("Format").is_some_and(|format| format.eq_ignore_ascii_case("JSON")) {
        reply(status, JSON, Value::Object(members).to_string())
    } else {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        push_xml(&mut text, &root, &Value::Object(members));
        reply(status, XML, text)
    }
}

async fn answer(
    app: &App,
    call: &Call,
    body: &mut Body,
    parameters: &mut Parameters,
) -> Result<Map<String, Value>, ApiError> {
    let method = match call.method {
        Method::GET => vodferry_oss::Method::Get,
        Method::POST => vodferry_oss::Method::Post,
        _ => return Err(ApiError::new(403, "UnsupportedHTTPMethod", "use GET or POST")),
    };
    if method == vodferry_oss::Method::Post && is_form(call) {
        parameters.0.extend(form(app, body).await?);
    }
    let action = parameters.required("Action")?.to_owned();
    if parameters.required("Version")? != VERSION {
        let message = format!("only version {VERSION} is served here");
        return Err(ApiError::bad("InvalidVersion", message));
    }
    let Some(operation) = Operation::named(&action) else {
        let message = format!("there is no action {action} here");
        return Err(ApiError::new(404, "InvalidAction.NotFound", message));
    };
    let caller = authenticate(app, call, method, parameters)?;
    if !caller.may(&format!("vod:{action}"), "*") {
        let message = format!("this key may not call {action}");
        return Err(ApiError::new(403, "Forbidden.RAM", message));
    }
    operation.run(app, parameters).await
}

/// Query and form parameters together.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The first of this name; an empty one is as good as none.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| {
            ApiError::bad(&format!("Missing{name}"), format!("{name} is mandatory for this call"))
        })
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, ApiError> {
        let bad = |_| ApiError::bad("InvalidParameter", format!("{name} must be a whole number"));
        self.get(name).map(|value| value.parse().map_err(bad)).transpose()
    }
}

/// What the key of a call may do, when its signature is right.
fn authenticate(
    app: &App,
    call: &Call,
    method: vodferry_oss::Method,
    parameters: &Parameters,
) -> Result<Caller, ApiError> {
    let id = parameters.required("AccessKeyId")?;
    parameters.required("Signature")?;
    if parameters.get("SignatureMethod").is_some_and(|m| !m.eq_ignore_ascii_case("HMAC-SHA1")) {
        return Err(ApiError::bad("InvalidSignatureMethod", "only HMAC-SHA1 is served here"));
    }
    let now = app.now_ms();
    let (secret, caller) = key(app, call, id, parameters.get("SecurityToken"), now)?;
    // Without a Timestamp, as some upload SDKs sign, only the life of the token bounds a replay.
    if let Some(text) = parameters.get("Timestamp") {
        let Some(at) = parse_iso(text) else {
            let message = "Timestamp must look like 2026-11-20T10:00:00Z";
            return Err(ApiError::bad("InvalidTimeStamp.Format", message));
        };
        if as_i64(now).abs_diff(at) > vodferry_oss::limits::MAX_SKEW_MS.unsigned_abs() {
            let message = format!(
                "Timestamp is more than 15 minutes away from the server's {}",
                format_iso(as_i64(now))
            );
            return Err(ApiError::bad("InvalidTimeStamp.Expired", message));
        }
    }
    if !rpc::verify(method, &parameters.0, secret.expose()) {
        let signed = rpc::string_to_sign(method, &parameters.0);
        let message = format!(
            "Specified signature is not matched with our calculation. server string to sign is:{signed}"
        );
        return Err(ApiError::bad("SignatureDoesNotMatch", message));
    }
    Ok(caller)
}

fn key(
    app: &App,
    call: &Call,
    id: &str,
    token: Option<&str>,
    now: u64,
) -> Result<(Secret, Caller), ApiError> {
    let found = Caller::find(&app.keys.current(), id, token, Circumstances::of(call, now));
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

#[derive(Clone, Copy)]
enum Operation {
    CreateUploadVideo,
    GetVideoInfo,
    RefreshUploadVideo,
}

impl Operation {
    fn named(action: &str) -> Option<Operation> {
        Some(match action {
            "CreateUploadVideo" => Operation::CreateUploadVideo,
            "GetVideoInfo" => Operation::GetVideoInfo,
            "RefreshUploadVideo" => Operation::RefreshUploadVideo,
            _ => return None,
        })
    }

    async fn run(self, app: &App, given: &Parameters) -> Result<Map<String, Value>, ApiError> {
        match self {
            Operation::CreateUploadVideo => {
                let proposal = Proposal {
                    title: Some(given.required("Title")?.to_owned()),
                    file_name: given.required("FileName")?.to_owned(),
                    file_size: given.number("FileSize")?,
                    description: given.text("Description"),
                    tags: given.text("Tags"),
                    cover_url: given.text("CoverURL"),
                    cate_id: given.number("CateId")?,
                    user_data: given.text("UserData"),
                };
                video::create(app, proposal).await.map(granted)
            }
            Operation::RefreshUploadVideo => {
                video::refresh(app, given.required("VideoId")?).await.map(granted)
            }
            Operation::GetVideoInfo => {
                let video = app.meta.get_video(given.required("VideoId")?).await?;
                Ok(members(json!({ "Video": describe(app, &video) })))
            }
        }
    }
}

fn granted(granted: Granted) -> Map<String, Value> {
    members(json!({
        "VideoId": granted.video_id,
        "UploadAddress": granted.upload_address,
        "UploadAuth": granted.upload_auth,
    }))
}

/// A video in the words of the API. Optional members that are not known are left out.
fn describe(app: &App, video: &Video) -> Value {
    let info = &video.info;
    let mut members = members(json!({
        "VideoId": info.video_id,
        "Title": info.title,
        "Status": video.status.as_str(),
        "Size": info.size,
        "CreationTime": format_iso(as_i64(video.created_ms)),
        "ModificationTime": format_iso(as_i64(video.modified_ms)),
        "StorageLocation": info.bucket,
        "RegionId": app.config.region,
    }));
    let optional = [
        ("Description", &info.description),
        ("Tags", &info.tags),
        ("CoverURL", &info.cover_url),
        ("UserData", &info.user_data),
    ];
    for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
        members.insert(name.to_owned(), Value::String(value.clone()));
    }
    if let Some(cate_id) = info.cate_id {
        members.insert("CateId".to_owned(), cate_id.into());
    }
    Value::Object(members)
}

const VERSION: &str = "2017-03-21";

fn is_form(call: &Call) -> bool {
    call.header("content-type").is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

async fn form(app: &App, body: &mut Body) -> Result<Vec<(String, String)>, ApiError> {
    let bad = |message: &str| ApiError::bad("InvalidParameter", message);
    let bytes = body
        .whole(app.config.limits.control_body)
        .await
        .map_err(|_| bad("the form was cut, came too slowly, or is too long"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("the form is not UTF-8"))?;
    decode_query(text).map_err(|error| bad(&format!("the form is not understood: {error}")))
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// An element for each member; a list becomes one element per item.
fn push_xml(out: &mut String, name: &str, value: &Value) {
    if let Value::Array(items) = value {
        items.iter().for_each(|item| push_xml(out, name, item));
        return;
    }
    let mut element = |content: &mut dyn FnMut(&mut String)| {
        out.push('<');
        out.push_str(name);
        out.push('>');
        content(out);
        out.push_str("</");
        out.push_str(name);
        out.push('>');
    };
    match value {
        Value::Object(members) => element(&mut |out| {
            members.iter().for_each(|(name, value)| push_xml(out, name, value));
        }),
        Value::String(text) => element(&mut |out| push_escaped(out, text)),
        Value::Null => {}
        scalar => element(&mut |out| out.push_str(&scalar.to_string())),
    }
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Not characters of XML 1.0, not even as references.
            c if c < ' ' && !matches!(c, '\t' | '\n' | '\r') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_become_xml() {
        let mut text = String::new();
        let value = json!({"A": "x<&>\u{1}", "L": {"I": [1, 2]}, "N": null, "T": true});
        push_xml(&mut text, "R", &value);
        assert_eq!(text, "<R><A>x&lt;&amp;&gt;\u{fffd}</A><L><I>1</I><I>2</I></L><T>true</T></R>");
    }
}
