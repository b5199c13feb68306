//! The application server: hands out upload address and credential as JSON.
//!
//! Who may ask: whoever holds the bearer token of the keys file, and, so that a first try needs no
//! set-up, a program on this very machine. That means a loopback peer that also *named* a loopback
//! host, came through no proxy and is no page in a browser: neither a page whose name was pointed at
//! 127.0.0.1, nor one that was uploaded here and opened, nor a proxy's visitors count. JSON is
//! required as the content type and no CORS headers are ever sent here, so that a browser lets no
//! foreign page use a token that it has got hold of.

use std::net::IpAddr;

use axum::body::Body as ReplyBody;
use http::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::body::Body;
use super::call::Call;
use super::json;
use super::video::{self, ApiError, Granted, Proposal};
use crate::keys::is_same_secret;

/// Every path of the application server begins so.
pub(crate) const PREFIX: &str = "/api/upload-auth/";

/// Answers a request.
pub(crate) async fn handle(app: &App, call: &Call, body: &mut Body) -> Response<ReplyBody> {
    let id = call.id.uuid();
    match answer(app, call, body).await {
        Ok(granted) => json::answer(
            200,
            &json!({
                "RequestId": id,
                "VideoId": granted.video_id,
                "UploadAddress": granted.upload_address,
                "UploadAuth": granted.upload_auth,
            }),
        ),
        Err(error) => {
            let members = json!({ "RequestId": id, "Code": error.code, "Message": error.message });
            json::answer(error.status, &members)
        }
    }
}

async fn answer(app: &App, call: &Call, body: &mut Body) -> Result<Granted, ApiError> {
    authorize(app, call)?;
    let action = call.path.strip_prefix(PREFIX).unwrap_or_default();
    if !matches!(action, "create" | "refresh") {
        let message = format!("there is only {PREFIX}create and {PREFIX}refresh");
        return Err(ApiError::new(404, "NotFound", message));
    }
    if call.method != Method::POST {
        return Err(ApiError::new(405, "MethodNotAllowed", "use POST"));
    }
    let bytes = json::read(app, call, body).await?;
    match action {
        "create" => video::create(app, None, json::parse::<CreateRequest>(&bytes)?.try_into()?).await,
        _ => video::refresh(app, None, &json::parse::<RefreshRequest>(&bytes)?.video_id).await,
    }
}

/// Whether the caller may ask at all.
fn authorize(app: &App, call: &Call) -> Result<(), ApiError> {
    if let Some(given) = json::bearer(call) {
        let right = &app.keys.current().app_server_token;
        if given.is_some_and(|token| is_same_secret(&token, right)) {
            return Ok(());
        }
        return Err(ApiError::new(
            401,
            "InvalidToken",
            "the bearer token is not the one of keys.toml",
        ));
    }
    let direct = NOT_A_LOCAL_PROGRAM.iter().all(|name| !call.headers.contains_key(*name));
    if call.peer.to_canonical().is_loopback() && is_loopback_name(&call.host()) && direct {
        return Ok(());
    }
    let message = "from another machine, by another name than localhost, through a proxy or from a \
                   page, Authorization: Bearer with app_server_token of keys.toml is needed";
    Err(ApiError::new(401, "MissingToken", message))
}

/// What proxies and browsers add.
const NOT_A_LOCAL_PROGRAM: &[&str] = &[
    "forwarded",
    "origin",
    "sec-fetch-site",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];

fn is_loopback_name(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRequest {
    file_name: String,
    title: Option<String>,
    /// A number, or its digits as text.
    file_size: Option<Value>,
    description: Option<String>,
    tags: Option<String>,
    #[serde(rename = "CoverURL")]
    cover_url: Option<String>,
    cate_id: Option<i64>,
    /// JSON text, or the object itself.
    user_data: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RefreshRequest {
    video_id: String,
}

impl TryFrom<CreateRequest> for Proposal {
    type Error = ApiError;

    fn try_from(request: CreateRequest) -> Result<Proposal, ApiError> {
        let size = match &request.file_size {
            None | Some(Value::Null) => Some(None),
            Some(Value::Number(number)) => number.as_u64().map(Some),
            Some(Value::String(digits)) => digits.parse().ok().map(Some),
            Some(_) => None,
        };
        let file_size = size
            .ok_or_else(|| ApiError::bad("InvalidParameter", "FileSize must be a whole number"))?;
        Ok(Proposal {
            file_name: request.file_name,
            title: request.title.filter(|title| !title.is_empty()),
            file_size,
            description: request.description.unwrap_or_default(),
            tags: request.tags.unwrap_or_default(),
            cover_url: request.cover_url.unwrap_or_default(),
            cate_id: request.cate_id,
            user_data: match request.user_data {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text,
                Some(value) => value.to_string(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in ["", "localhost.example.com", "127.0.0.1.nip.io", "10.0.0.1", "0.0.0.0"] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }

    #[test]
    fn sizes_and_user_data_come_in_two_forms() {
        let proposal =
            |text: &str| Proposal::try_from(json::parse::<CreateRequest>(text.as_bytes()).unwrap());
        let both = proposal(r#"{"FileName":"a.mp4","FileSize":"7","UserData":{"a":1},"Other":1}"#)
            .unwrap();
        assert_eq!(both.file_size, Some(7));
        assert_eq!(both.user_data, r#"{"a":1}"#);
        let other =
            proposal(r#"{"FileName":"a.mp4","FileSize":8,"UserData":"{}","Title":""}"#).unwrap();
        assert_eq!((other.file_size, other.user_data.as_str(), other.title), (Some(8), "{}", None));
        assert!(proposal(r#"{"FileName":"a.mp4","FileSize":-1}"#).is_err());
        assert!(proposal(r#"{"FileName":"a.mp4","FileSize":[]}"#).is_err());
    }
}
