//! The rules of a bucket: CORS and lifecycle, kept as documents. What they bring about is elsewhere:
//! in `http/cors.rs`, and in the janitor's rounds.

use axum::body::Body as ReplyBody;
use http::Response;
use http::header::HeaderName;
use vodferry_oss::time::format_iso_ms;
use vodferry_oss::xml::{
    CorsConfiguration, CorsRule, LifecycleConfiguration, LifecycleRule, RulesError, Term,
    normalised,
};
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::reply::{XML, empty, reply};
use super::arguments::document;
use super::errors::{argument, malformed, not_implemented, service_error};
use crate::store::BucketDocument;

/// `GET /?cors`, `GET /?lifecycle`
pub(super) async fn get(
    app: &App,
    place: &Place,
    which: BucketDocument,
) -> Result<Response<ReplyBody>, ServiceError> {
    let found = app.meta.bucket_document(&place.bucket, which).await.map_err(service_error)?;
    match found {
        Some(document) => Ok(reply(200, XML, document)),
        None => Err(ServiceError::of(match which {
            BucketDocument::Cors => Code::NoSuchCORSConfiguration,
            BucketDocument::Lifecycle => Code::NoSuchLifecycle,
        })
        .with_context("BucketName", place.bucket.clone())),
    }
}

/// `PUT /?cors`, `PUT /?lifecycle`
pub(super) async fn put(
    app: &App,
    call: &Call,
    place: &Place,
    body: &mut Body,
    which: BucketDocument,
) -> Result<Response<ReplyBody>, ServiceError> {
    let bytes = document(app, call, body).await?;
    let kept = match which {
        BucketDocument::Cors => {
            check_cors(&CorsConfiguration::decode(&bytes).map_err(unreadable)?)?;
            normalised(&bytes, CorsConfiguration::ROOT, false)
        }
        BucketDocument::Lifecycle => {
            check_lifecycle(&LifecycleConfiguration::decode(&bytes).map_err(unreadable)?)?;
            normalised(&bytes, LifecycleConfiguration::ROOT, true)
        }
    };
    let kept = kept.map_err(malformed)?;
    app.meta.set_bucket_document(&place.bucket, which, Some(kept)).await.map_err(service_error)?;
    Ok(empty(200))
}

/// `DELETE /?cors`, `DELETE /?lifecycle`
pub(super) async fn delete(
    app: &App,
    place: &Place,
    which: BucketDocument,
) -> Result<Response<ReplyBody>, ServiceError> {
    app.meta.set_bucket_document(&place.bucket, which, None).await.map_err(service_error)?;
    Ok(empty(204))
}

/// The original's ten would be few for those who serve many sites.
const MOST_CORS_RULES: usize = 100;
const MOST_LIFECYCLE_RULES: usize = 1000;
const DAY_MS: i64 = 86_400_000;

fn check_cors(configuration: &CorsConfiguration) -> Result<(), ServiceError> {
    let rules = &configuration.rules;
    if rules.is_empty() || rules.len() > MOST_CORS_RULES {
        return Err(structure(&format!("1 to {MOST_CORS_RULES} rules are needed.")));
    }
    for CorsRule { allowed_origins, allowed_methods, allowed_headers, expose_headers, .. } in rules
    {
        if allowed_origins.is_empty() || allowed_methods.is_empty() {
            return Err(structure("A rule needs an AllowedOrigin and an AllowedMethod."));
        }
        let stars = |text: &str| text.matches('*').count();
        let known = |method: &str| ["GET", "PUT", "DELETE", "POST", "HEAD"].contains(&method);
        let pattern = |text: &str| {
            stars(text) <= 1 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let header =
            |text: &str| stars(text) == 0 && HeaderName::from_bytes(text.as_bytes()).is_ok();
        let one = "is ASCII without blanks, with one * at most.";
        check_each("AllowedOrigin", allowed_origins, one, pattern)?;
        check_each("AllowedHeader", allowed_headers, one, pattern)?;
        check_each("ExposeHeader", expose_headers, "is the name of a header, without *.", header)?;
        let methods = "is GET, PUT, DELETE, POST or HEAD.";
        check_each("AllowedMethod", allowed_methods, methods, known)?;
    }
    Ok(())
}

/// Refuses the first of `texts` that breaks its `rule`.
fn check_each(
    name: &'static str,
    texts: &[String],
    rule: &str,
    holds: impl Fn(&str) -> bool,
) -> Result<(), ServiceError> {
    match texts.iter().find(|text| !holds(text)) {
        Some(text) => Err(argument(name, text, &format!("{name} {rule}"))),
        None => Ok(()),
    }
}

fn check_lifecycle(configuration: &LifecycleConfiguration) -> Result<(), ServiceError> {
    let rules = &configuration.rules;
    if rules.is_empty() || rules.len() > MOST_LIFECYCLE_RULES {
        return Err(structure(&format!("1 to {MOST_LIFECYCLE_RULES} rules are needed.")));
    }
    for (index, rule) in rules.iter().enumerate() {
        if let Some(other) = rule.others.iter().find(|name| *name != TRANSITION) {
            return Err(not_implemented(&format!("lifecycle rules with {other}")));
        }
        check_rule(rule)?;
        let same = |other: &LifecycleRule| !rule.id.is_empty() && other.id == rule.id;
        if rules.iter().take(index).any(same) {
            return Err(argument("ID", &rule.id, "Two rules have the same ID."));
        }
    }
    Ok(())
}

fn check_rule(rule: &LifecycleRule) -> Result<(), ServiceError> {
    if rule.id.len() > 255 {
        return Err(argument("ID", &rule.id, "An ID has 255 characters at most."));
    }
    if !matches!(rule.status.as_str(), "Enabled" | "Disabled") {
        return Err(argument("Status", &rule.status, "Status is Enabled or Disabled."));
    }
    let terms = [rule.expiration, rule.abort_multipart_upload];
    if terms.iter().all(Option::is_none) && rule.others.is_empty() {
        return Err(structure("A rule needs Expiration, AbortMultipartUpload or Transition."));
    }
    if rule.abort_multipart_upload.is_some() && !rule.tags.is_empty() {
        let (tag, _) = rule.tags.first().cloned().unwrap_or_default();
        return Err(argument("Tag", &tag, "Unfinished uploads have no tags to go by."));
    }
    for term in terms.into_iter().flatten() {
        match term {
            Term::Days(0) => return Err(argument("Days", "0", "Days are 1 or more.")),
            Term::Days(_) => {}
            Term::CreatedBefore(at) => check_date("CreatedBeforeDate", at)?,
            Term::Date(at) => check_date("Date", at)?,
        }
    }
    Ok(())
}

fn check_date(name: &'static str, at_ms: i64) -> Result<(), ServiceError> {
    match at_ms % DAY_MS {
        0 => Ok(()),
        _ => Err(argument(name, &format_iso_ms(at_ms), "Dates are at midnight UTC.")),
    }
}

/// Kept and given back; every storage class is the same disk here.
const TRANSITION: &str = "Transition";

fn structure(rule: &str) -> ServiceError {
    ServiceError::of(Code::MalformedXML).with_message(rule)
}

fn unreadable(error: RulesError) -> ServiceError {
    match error {
        RulesError::Xml(error) => malformed(error),
        RulesError::Value { name, ref value } => argument(name, value, &format!("{error}.")),
    }
}
