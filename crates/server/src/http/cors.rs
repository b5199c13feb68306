//! What browsers need to be told before a page of another origin may use this server.
//!
//! A bucket may have rules; the first that matches decides. Without them any origin may try: every
//! request of OSS and of the VOD API is signed and no cookie means anything here. The application
//! server is the exception: it trusts its own machine, hence no page but one of its own origin may
//! speak to it; so is the admin API, which no page needs.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response};
use vodferry_oss::encode::decode_path;
use vodferry_oss::xml::{CorsConfiguration, CorsRule};
use vodferry_oss::{Code, ServiceError};

use super::call::Call;
use super::reply::{empty, set};
use super::{App, admin, app_server};
use crate::store::{BucketDocument, MetaError};

/// Whether pages of other origins may speak to what this request is for.
pub(crate) fn concerns(call: &Call) -> bool {
    call.on_bucket_host
        || ![admin::PREFIX, app_server::PREFIX].iter().any(|prefix| call.path.starts_with(prefix))
}

/// Answers the question whether another request may be sent.
pub(crate) async fn preflight(app: &App, call: &Call) -> Result<Response<Body>, ServiceError> {
    let header = |name: http::HeaderName| call.header(name.as_str());
    let (Some(origin), Some(method)) = (header(ORIGIN), header(ACCESS_CONTROL_REQUEST_METHOD))
    else {
        return Err(ServiceError::of(Code::BadRequest).with_message(
            "Insufficient information. Origin and Access-Control-Request-Method are needed.",
        ));
    };
    let asked = header(ACCESS_CONTROL_REQUEST_HEADERS);
    let mut response = empty(200);
    if let Some(asked) = &asked {
        set(&mut response, ACCESS_CONTROL_ALLOW_HEADERS.as_str(), asked);
    }
    match rules(app, call).await {
        Rules::Default => {
            response.headers_mut().insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        Rules::Of(configuration) => {
            let headers = asked.as_deref().unwrap_or_default();
            let rule = find(&configuration, &origin, &method, headers).ok_or_else(forbidden)?;
            allow(&mut response, &configuration, rule, &origin);
        }
    }
    Ok(response)
}

/// Lets the page behind a request read the reply.
pub(crate) async fn expose(app: &App, call: &Call, response: &mut Response<Body>) {
    let Some(origin) = call.header(ORIGIN.as_str()).filter(|_| concerns(call)) else { return };
    match rules(app, call).await {
        Rules::Default => {
            let headers = response.headers_mut();
            let text = HeaderValue::from_static;
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, text("*"));
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, text("GET, HEAD, PUT, POST, DELETE"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, text(EXPOSED));
        }
        // A preflight has said what it has to.
        Rules::Of(_) if call.method == Method::OPTIONS => {}
        Rules::Of(configuration) => match find(&configuration, &origin, call.method.as_str(), "") {
            Some(rule) => allow(response, &configuration, rule, &origin),
            None => vary(response),
        },
    }
}

const EXPOSED: &str = "ETag, x-oss-request-id, x-oss-hash-crc64ecma, \
                       x-oss-next-append-position, Date, Content-MD5, \
                       Content-Range, x-oss-object-type, x-oss-server-time, x-oss-ec";

enum Rules {
    /// The bucket has none, or none is meant.
    Default,
    Of(CorsConfiguration),
}

/// The rules of the bucket that a request is likely about: its signature, if it has one, is not looked
/// at, since browsers ask before they sign.
async fn rules(app: &App, call: &Call) -> Rules {
    let Ok(path) = decode_path(&call.path) else { return Rules::Default };
    for (bucket, _) in app.candidates(call, &path) {
        match app.meta.bucket_document(&bucket, BucketDocument::Cors).await {
            Ok(Some(document)) => match CorsConfiguration::decode(document.as_bytes()) {
                Ok(configuration) => return Rules::Of(configuration),
                // Kept documents were read once. One that cannot be read any more allows nothing.
                Err(_) => return Rules::Of(CorsConfiguration::default()),
            },
            Ok(None) => return Rules::Default,
            Err(MetaError::NoSuchBucket(_)) => {}
            Err(_) => return Rules::Of(CorsConfiguration::default()),
        }
    }
    Rules::Default
}

/// The first rule that allows a request.
fn find<'a>(
    configuration: &'a CorsConfiguration,
    origin: &str,
    method: &str,
    headers: &str,
) -> Option<&'a CorsRule> {
    configuration.rules.iter().find(|rule| {
        let allowed = |header: &str| {
            let header = header.trim().to_ascii_lowercase();
            let mut patterns = rule.allowed_headers.iter();
            header.is_empty() || patterns.any(|p| matches(&p.to_ascii_lowercase(), &header))
        };
        rule.allowed_origins.iter().any(|pattern| matches(pattern, origin))
            && rule.allowed_methods.iter().any(|allowed| allowed == method)
            && headers.split(',').all(allowed)
    })
}

fn allow(
    response: &mut Response<Body>,
    configuration: &CorsConfiguration,
    rule: &CorsRule,
    origin: &str,
) {
    let any = rule.allowed_origins.iter().any(|pattern| pattern == "*");
    set(response, ACCESS_CONTROL_ALLOW_ORIGIN.as_str(), if any { "*" } else { origin });
    let mut list = |name: http::HeaderName, texts: &[String]| {
        if !texts.is_empty() {
            set(response, name.as_str(), &texts.join(", "));
        }
    };
    list(ACCESS_CONTROL_ALLOW_METHODS, &rule.allowed_methods);
    list(ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose_headers);
    if let Some(seconds) = rule.max_age_seconds {
        set(response, ACCESS_CONTROL_MAX_AGE.as_str(), &seconds.to_string());
    }
    if !any || configuration.response_vary {
        vary(response);
    }
}

/// Another origin may be answered otherwise.
fn vary(response: &mut Response<Body>) {
    response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
}

fn forbidden() -> ServiceError {
    ServiceError::of(Code::AccessForbidden).with_message(
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request \
         method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the \
         resource's CORS spec.",
    )
}

/// `*` stands for any run of characters; a pattern has one at most.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len()
                && text.starts_with(before)
                && text.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_matches_any_run() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://a.example.com.evil.net", false),
            ("ab*ba", "aba", false),
            ("x-oss-*", "x-oss-date", true),
            ("https://a", "https://A", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
