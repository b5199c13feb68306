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
use serde_json::{Map, Value, json};
use vodferry_vod::MediaKind;

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
        Ok(granted) => {
            let mut members = json!({
                "RequestId": id,
                "UploadAddress": granted.upload_address,
                "UploadAuth": granted.upload_auth,
            });
            match granted.image_url {
                Some(url) => {
                    members["ImageId"] = granted.video_id.into();
                    members["ImageURL"] = url.into();
                }
                None => members["VideoId"] = granted.video_id.into(),
            }
            json::answer(200, &members)
        }
        Err(error) => {
            call.notes.code(&error.code);
            let members = json!({ "RequestId": id, "Code": error.code, "Message": error.message });
            json::answer(error.status, &members)
        }
    }
}

async fn answer(app: &App, call: &Call, body: &mut Body) -> Result<Granted, ApiError> {
    authorize(app, call)?;
    let action = call.path.strip_prefix(PREFIX).unwrap_or_default();
    if !matches!(action, "create" | "image" | "refresh") {
        let message = format!("there is only {PREFIX}create, {PREFIX}image and {PREFIX}refresh");
        return Err(ApiError::new(404, "NotFound", message));
    }
    if call.method != Method::POST {
        return Err(ApiError::new(405, "MethodNotAllowed", "use POST"));
    }
    let bytes = json::read(app, call, body).await?;
    let members = Members::of(&bytes)?;
    match action {
        "create" => video::create(app, call, None, video(&members)?).await,
        "image" => video::create(app, call, None, image(&members)?).await,
        _ => video::refresh(app, call, None, members.required_text("VideoId")?).await,
    }
}

/// Whether the caller may ask at all.
pub(crate) fn authorize(app: &App, call: &Call) -> Result<(), ApiError> {
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
    let direct = call.peer.via.is_none()
        && NOT_A_LOCAL_PROGRAM.iter().all(|name| !call.headers.contains_key(*name));
    if call.peer.ip.to_canonical().is_loopback() && is_loopback_name(&call.host()) && direct {
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
    "x-forwarded-proto",
    "x-real-ip",
];

fn is_loopback_name(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn video(members: &Members) -> Result<Proposal, ApiError> {
    let text = |name: &str| Ok::<_, ApiError>(members.text(name)?.unwrap_or_default().to_owned());
    Ok(Proposal {
        file_name: members.required_text("FileName")?.to_owned(),
        cover_url: text("CoverURL")?,
        template_group_id: text("TemplateGroupId")?,
        workflow_id: text("WorkflowId")?,
        transcode_mode: text("TransCodeMode")?,
        ..common(members)?
    })
}

fn image(members: &Members) -> Result<Proposal, ApiError> {
    let text = |name: &str| Ok::<_, ApiError>(members.text(name)?.unwrap_or_default().to_owned());
    Ok(Proposal {
        kind: MediaKind::Image,
        file_name: text("OriginalFileName")?,
        image_type: text("ImageType")?,
        image_ext: text("ImageExt")?.to_ascii_lowercase(),
        ..common(members)?
    })
}

/// What is said of videos and images alike.
fn common(members: &Members) -> Result<Proposal, ApiError> {
    Ok(Proposal {
        title: members.text("Title")?.filter(|title| !title.is_empty()).map(str::to_owned),
        file_size: members.number("FileSize")?,
        description: members.text("Description")?.unwrap_or_default().to_owned(),
        tags: members.text("Tags")?.unwrap_or_default().to_owned(),
        app_id: members.text("AppId")?.unwrap_or_default().to_owned(),
        storage_location: members.text("StorageLocation")?.unwrap_or_default().to_owned(),
        cate_id: members.number("CateId")?,
        // JSON text, or the object itself.
        user_data: match members.get("UserData") {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        },
        ..Proposal::default()
    })
}

/// The members of the request's object; unknown ones mean nothing, and null is as good as none.
struct Members(Map<String, Value>);

impl Members {
    fn of(bytes: &[u8]) -> Result<Members, ApiError> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(members)) => Ok(Members(members)),
            Ok(other) => Err(ApiError::bad(
                "InvalidParameter",
                format!(
                    "the body must be a JSON object, as {{\"FileName\":\"film.mp4\"}}, and is {}",
                    kind(&other)
                ),
            )),
            Err(error) => {
                Err(ApiError::bad("MalformedJSON", format!("the body is not JSON: {error}")))
            }
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a text", other)),
        }
    }

    fn required_text(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)?.ok_or_else(|| {
            ApiError::bad("InvalidParameter", format!("{name} is missing: a text is needed"))
        })
    }

    /// A number, or its digits as text.
    fn number<T: TryFrom<i128>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_i128(),
            Value::String(digits) => digits.parse().ok(),
            _ => None,
        };
        let number = number.and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| wrong(name, "a whole number in its range", value))
    }
}

fn wrong(name: &str, needed: &str, value: &Value) -> ApiError {
    ApiError::bad("InvalidParameter", format!("{name} must be {needed}, and is {}", kind(value)))
}

/// A value in a few words, without its content.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "another text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
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
        let proposal = |text: &str| video(&Members::of(text.as_bytes())?);
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
