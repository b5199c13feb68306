//! The RPC-style APIs: VOD and STS. Calls are signed by their parameters (version 1) or by headers
//! (version 3), and answered in JSON or XML.
//!
//! Checks come in the order of the original gateway: the parameters that name the call, the key,
//! the time, the signature, the nonce, the right.

mod authenticate;
mod nonces;
mod parameters;
mod vod;
mod xml;

use axum::body::Body as ReplyBody;
use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Map, Value};
use vodferry_vod::acs3;

use self::parameters::{form, is_form, missing, read};
use self::xml::push_xml;
use super::body::Body;
use super::call::Call;
use super::reply::{JSON, XML, reply, set};
use super::video::ApiError;
use super::{App, sts};

pub(crate) use nonces::Nonces;
pub(crate) use parameters::Parameters;

/// Whether a request is a call of these APIs: an action in the query or in a header, a form on `/`, or a
/// signature of theirs, with whose action something went wrong.
pub(crate) fn is_call(call: &Call) -> bool {
    let form =
        call.method == Method::POST && is_form(call) && call.header("authorization").is_none();
    let has = |name| call.parameter(name).is_some();
    let signed = has("AccessKeyId") && has("SignatureNonce");
    call.path == "/" && (has("Action") || signed || form || is_by_headers(call))
}

/// Answers a call.
pub(crate) async fn handle(app: &App, call: &Call, body: &mut Body) -> Response<ReplyBody> {
    let mut given = Given { parameters: Parameters::of_query(call), action: None };
    let result = answer(app, call, body, &mut given).await;
    let action = given.action.filter(|a| a.bytes().all(|b| b.is_ascii_alphanumeric()));
    let request_id = Value::String(call.id.uuid());
    let (status, root, mut members) = match result {
        Ok(members) => (200, format!("{}Response", action.unwrap_or_default()), members),
        Err(error) => {
            call.notes.code(&error.code);
            let mut members = Map::new();
            members.insert("HostId".to_owned(), Value::String(call.authority.clone()));
            members.insert("Code".to_owned(), Value::String(error.code));
            members.insert("Message".to_owned(), Value::String(error.message));
            (error.status, "Error".to_owned(), members)
        }
    };
    members.insert("RequestId".to_owned(), request_id);
    // Said by the original: without a Format the reply is XML, but for the newer signature.
    let format = given.parameters.get("Format");
    let mut response = if is_by_headers(call)
        || format.is_some_and(|format| format.eq_ignore_ascii_case("JSON"))
    {
        reply(status, JSON, Value::Object(members).to_string())
    } else {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        push_xml(&mut text, &root, &Value::Object(members));
        reply(status, XML, text)
    };
    // Some hold secrets.
    set(&mut response, "cache-control", "no-store");
    response
}

/// What is known of a call, as far as it was read.
struct Given {
    parameters: Parameters,
    action: Option<String>,
}

async fn answer(
    app: &App,
    call: &Call,
    body: &mut Body,
    given: &mut Given,
) -> Result<Map<String, Value>, ApiError> {
    let method = match call.method {
        Method::GET => vodferry_oss::Method::Get,
        Method::POST => vodferry_oss::Method::Post,
        _ => return Err(ApiError::new(403, "UnsupportedHTTPMethod", "use GET or POST")),
    };
    if let Some(error) = call.query_error {
        return Err(ApiError::bad(
            "InvalidParameter",
            format!("the query is not understood: {error}"),
        ));
    }
    let by_headers = is_by_headers(call);
    let mut bytes = Bytes::new();
    if method == vodferry_oss::Method::Post && (is_form(call) || by_headers) {
        bytes = read(app, body).await?;
        if is_form(call) {
            given.parameters.add(form(&bytes)?);
        }
    }
    let Given { parameters, action } = given;
    parameters.refuse_doubles()?;
    let named = |name: &str, header: &str| match by_headers {
        true => {
            call.header(header).map(|value| value.into_owned()).filter(|value| !value.is_empty())
        }
        false => parameters.get(name).map(str::to_owned),
    };
    let action = action.insert(named("Action", "x-acs-action").ok_or_else(|| missing("Action"))?);
    let version = named("Version", "x-acs-version").ok_or_else(|| missing("Version"))?;
    let operation = Operation::named(&version, action)?;
    call.notes.operation(action.as_str());
    let caller = match by_headers {
        true => authenticate::by_headers(app, call, method, &bytes)?,
        false => authenticate::by_parameters(app, call, method, parameters)?,
    };
    match operation {
        Operation::Sts(operation) => operation.run(app, &caller, parameters),
        Operation::Vod(operation) => operation.run(app, call, &caller, parameters).await,
    }
}

/// A call of either API.
enum Operation {
    Sts(sts::Operation),
    Vod(vod::Operation),
}

impl Operation {
    fn named(version: &str, action: &str) -> Result<Operation, ApiError> {
        let found = match version {
            sts::VERSION => sts::Operation::named(action).map(Operation::Sts),
            vod::VERSION => vod::Operation::named(action).map(Operation::Vod),
            _ => {
                let message = format!(
                    "only {} (VOD) and {} (STS) are served here",
                    vod::VERSION,
                    sts::VERSION
                );
                return Err(ApiError::bad("InvalidVersion", message));
            }
        };
        found.ok_or_else(|| {
            let message = format!("there is no action {} here", action.escape_debug());
            ApiError::new(404, "InvalidAction.NotFound", message)
        })
    }
}

/// Whether a call is signed by its headers.
fn is_by_headers(call: &Call) -> bool {
    call.header("authorization").is_some_and(|value| value.starts_with(acs3::ALGORITHM))
}

/// The members of an object.
pub(crate) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
