//! Reports of uploaders: what they did, told by those who may ask the application server, and read by them.
//!
//! A report is taken as it is, as far as its members are known, of the right kind and short: unknown ones are dropped, so that nothing is
//! stored that nobody looked at. The newest [`MOST_KEPT`] are kept. A batch is taken whole or not at all.

use axum::body::Body as ReplyBody;
use http::{Method, Response};
use serde_json::{Map, Value, json};
use vodferry_oss::time::{format_iso_ms, parse_iso};

use super::App;
use super::app_server::authorize;
use super::body::Body;
use super::call::Call;
use super::json;
use super::video::{ApiError, as_i64};
use crate::store::{NewReport, Report, ReportQuery};

/// Where reports go.
pub(crate) const PATH: &str = "/api/upload-reports";
/// So many are kept.
const MOST_KEPT: u64 = 100_000;
/// So many come in one request.
const MOST_AT_ONCE: usize = 256;
/// So many are answered when nobody says how many, and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// Members that are texts, and their most characters.
const TEXTS: &[(&str, usize)] = &[
    ("Time", 32),
    ("Attempt", 64),
    ("Event", 16),
    ("FileName", 1024),
    ("VideoId", 64),
    ("Bucket", 64),
    ("Key", 1024),
    ("Code", 128),
    ("Message", 1024),
    ("RequestId", 128),
];
/// Members that are whole numbers from 0.
const NUMBERS: &[&str] = &["FileSize", "Acknowledged", "PartNumber", "PartSize"];
/// What may have happened.
const EVENTS: &[&str] =
    &["Started", "Part", "Progress", "Retry", "Succeeded", "Failed", "Canceled"];

/// Answers a request.
pub(crate) async fn handle(app: &App, call: &Call, body: &mut Body) -> Response<ReplyBody> {
    let id = call.id.uuid();
    let (status, mut members) = match answer(app, call, body).await {
        Ok(members) => (200, members),
        Err(error) => {
            call.notes.code(&error.code);
            (error.status, json!({ "Code": error.code, "Message": error.message }))
        }
    };
    members["RequestId"] = id.into();
    json::answer(status, &members)
}

async fn answer(app: &App, call: &Call, body: &mut Body) -> Result<Value, ApiError> {
    authorize(app, call)?;
    match call.method {
        Method::GET => {
            let query = query(call)?;
            let found = app.meta.list_reports(query).await?;
            Ok(json!({ "Reports": found.iter().map(told).collect::<Vec<_>>() }))
        }
        Method::POST => {
            let bytes = json::read(app, call, body).await?;
            let reports = read(&bytes)?;
            let taken = reports.len();
            app.meta.add_reports(reports, MOST_KEPT, app.now_ms()).await?;
            Ok(json!({ "Taken": taken }))
        }
        _ => Err(ApiError::new(405, "MethodNotAllowed", "use POST or GET")),
    }
}

/// Which reports are asked for.
fn query(call: &Call) -> Result<ReportQuery, ApiError> {
    let text =
        |name: &str| call.parameter(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let number = |name: &str| {
        let wrong = |_| ApiError::bad("InvalidParameter", format!("{name} must be a whole number"));
        call.parameter(name).map(|value| value.parse::<u64>().map_err(wrong)).transpose()
    };
    let limit = number("Limit")?.and_then(|limit| usize::try_from(limit).ok());
    Ok(ReportQuery {
        video_id: text("VideoId"),
        attempt: text("Attempt"),
        before: number("Before")?,
        limit: limit.unwrap_or(PAGE.0).clamp(1, PAGE.1),
    })
}

/// A report as it is answered.
fn told(report: &Report) -> Value {
    let document = serde_json::from_str(&report.report.document).unwrap_or_default();
    let mut members = match document {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.insert("Number".to_owned(), report.number.into());
    members.insert("Received".to_owned(), format_iso_ms(as_i64(report.received_ms)).into());
    Value::Object(members)
}

/// The reports of a body.
fn read(bytes: &[u8]) -> Result<Vec<NewReport>, ApiError> {
    let bad = |message: String| ApiError::bad("InvalidParameter", message);
    let parsed: Value = serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad("MalformedJSON", format!("the body is not JSON: {error}"))
    })?;
    let Some(Value::Array(list)) = parsed.get("Reports") else {
        return Err(bad("the body must be {\"Reports\": [ … ]}".to_owned()));
    };
    if list.len() > MOST_AT_ONCE {
        let text = format!("{} reports at once, at most {MOST_AT_ONCE} are taken", list.len());
        return Err(bad(text));
    }
    let numbered = list.iter().enumerate();
    numbered
        .map(|(at, value)| one(value).map_err(|why| bad(format!("report {at}: {why}"))))
        .collect()
}

/// One report, with the members that are known.
fn one(value: &Value) -> Result<NewReport, String> {
    let Value::Object(given) = value else { return Err("not an object".to_owned()) };
    let mut members = Map::new();
    let given = |name: &str| given.get(name).filter(|value| !value.is_null());
    for (name, most) in TEXTS {
        let Some(value) = given(name) else { continue };
        let Value::String(text) = value else { return Err(format!("{name} must be a text")) };
        if text.chars().count() > *most || text.chars().any(char::is_control) {
            return Err(format!("{name} is longer than {most} or holds control characters"));
        }
        members.insert((*name).to_owned(), value.clone());
    }
    for name in NUMBERS {
        let Some(value) = given(name) else { continue };
        if value.as_u64().is_none() {
            return Err(format!("{name} must be a whole number"));
        }
        members.insert((*name).to_owned(), value.clone());
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    if !EVENTS.contains(&text("Event")) {
        return Err(format!("Event must be one of {}", EVENTS.join(", ")));
    }
    if given("Time").is_some() && parse_iso(text("Time")).is_none() {
        return Err("Time must be as 2026-11-20T10:00:00Z".to_owned());
    }
    let (video_id, attempt) = (text("VideoId").to_owned(), text("Attempt").to_owned());
    Ok(NewReport { video_id, attempt, document: Value::Object(members).to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_members_are_kept_and_others_dropped() {
        let report = json!({
            "Event": "Part", "Attempt": "a", "VideoId": "v", "PartNumber": 3, "Time": "2026-11-20T10:00:00.000Z",
            "Secret": "hush", "Code": null,
        });
        let body = json!({ "Reports": [report] }).to_string();
        let reports = read(body.as_bytes()).unwrap();
        assert_eq!((reports[0].video_id.as_str(), reports[0].attempt.as_str()), ("v", "a"));
        let kept: Value = serde_json::from_str(&reports[0].document).unwrap();
        assert_eq!(
            (&kept["PartNumber"], kept.get("Secret"), kept.get("Code")),
            (&json!(3), None, None)
        );
    }

    #[test]
    fn what_is_not_a_report_is_refused_by_its_number_and_member() {
        let good = json!({ "Event": "Started" });
        for (bad, says) in [
            (json!(1), "report 1: not an object"),
            (json!({}), "report 1: Event must be one of"),
            (json!({ "Event": "Exploded" }), "report 1: Event must be one of"),
            (json!({ "Event": "Part", "PartNumber": -1 }), "report 1: PartNumber"),
            (json!({ "Event": "Part", "FileName": 7 }), "report 1: FileName must be a text"),
            (
                json!({ "Event": "Part", "Message": "x".repeat(1025) }),
                "report 1: Message is longer",
            ),
            (json!({ "Event": "Part", "Message": "a\nb" }), "report 1: Message is longer"),
            (json!({ "Event": "Part", "Time": "yesterday" }), "report 1: Time"),
        ] {
            let body = json!({ "Reports": [good, bad] }).to_string();
            let error = read(body.as_bytes()).unwrap_err();
            assert!(error.message.starts_with(says), "{}", error.message);
        }
        for body in [&b""[..], b"[]", b"{}", br#"{"Reports":{}}"#] {
            assert!(read(body).is_err());
        }
        let many = json!({ "Reports": vec![good; MOST_AT_ONCE + 1] }).to_string();
        assert!(read(many.as_bytes()).is_err());
    }
}
