//! Tags of objects.

use axum::body::Body as ReplyBody;
use http::Response;
use vodferry_oss::encode::{decode_query, encode_component};
use vodferry_oss::xml::Tagging;
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::reply::{XML, empty, reply};
use super::arguments::document;
use super::errors::{malformed, service_error};
use crate::store::ObjectInfo;

/// Where an object keeps its tags: an encoded query, as requests have it.
pub(super) const TAGGING: &str = "x-oss-tagging";

/// `GET /key?tagging`
pub(super) async fn get_object_tagging(
    app: &App,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let info = app.meta.head_object(&place.bucket, &place.key).await.map_err(service_error)?;
    Ok(reply(200, XML, Tagging { tags: tags(&info) }.encode()))
}

/// `PUT /key?tagging`
pub(super) async fn put_object_tagging(
    app: &App,
    call: &Call,
    place: &Place,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    let bytes = document(app, call, body).await?;
    let tagging = Tagging::decode(&bytes).map_err(malformed)?;
    change(app, place, checked(tagging.tags)?).await?;
    Ok(empty(200))
}

/// `DELETE /key?tagging`
pub(super) async fn delete_object_tagging(
    app: &App,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    change(app, place, None).await?;
    Ok(empty(204))
}

/// The tags that a request has for an object, in the form in which they are kept.
pub(super) fn tagging_header(call: &Call) -> Result<Option<String>, ServiceError> {
    match call.header(TAGGING) {
        None => Ok(None),
        Some(text) => {
            let tags = decode_query(&text).map_err(|error| invalid(&format!("{error}.")))?;
            checked(tags)
        }
    }
}

/// The tags of an object.
pub(crate) fn tags(info: &ObjectInfo) -> Vec<(String, String)> {
    info.header(TAGGING).and_then(|text| decode_query(text).ok()).unwrap_or_default()
}

async fn change(app: &App, place: &Place, tags: Option<String>) -> Result<(), ServiceError> {
    app.meta
        .set_object_header(&place.bucket, &place.key, TAGGING, tags)
        .await
        .map_err(service_error)
}

/// At most ten, of no more than 128 and 256 characters, none twice, and none with characters that tags
/// do not have.
fn checked(tags: Vec<(String, String)>) -> Result<Option<String>, ServiceError> {
    if tags.len() > 10 {
        return Err(invalid("An object has at most 10 tags."));
    }
    let mut text = String::new();
    for (index, (key, value)) in tags.iter().enumerate() {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid("The key of a tag has 1 to 128 characters, its value up to 256."));
        }
        if let Some(odd) = key.chars().chain(value.chars()).find(|c| !is_of_tags(*c)) {
            let rule = "letters, digits, spaces and + - = . _ : /";
            return Err(invalid(&format!("A tag has {odd:?}, and not only {rule}.")));
        }
        if tags.iter().take(index).any(|(other, _)| other == key) {
            return Err(invalid("Two tags have the same key."));
        }
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(&encode_component(key));
        text.push('=');
        text.push_str(&encode_component(value));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Letters and digits of any script, and a few signs.
fn is_of_tags(c: char) -> bool {
    c.is_alphanumeric() || " +-=._:/".contains(c)
}

fn invalid(rule: &str) -> ServiceError {
    ServiceError::of(Code::InvalidTag).with_message(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn tags_have_bounds() {
        let good = pairs(&[("a", "b c"), ("ü", ""), ("+-=._:/", "٣视频")]);
        let kept = checked(good.clone()).unwrap().unwrap();
        assert!(kept.starts_with("a=b%20c&%C3%BC=&"), "{kept}");
        assert_eq!(decode_query(&kept).unwrap(), good);
        assert_eq!(checked(vec![]).unwrap(), None);
        for bad in [
            pairs(&[("", "x")]),
            pairs(&[("a", "1"), ("a", "2")]),
            pairs(&[("a!", "")]),
            pairs(&[("a", "1&2")]),
            pairs(&[("a", "b\n")]),
            pairs(&[("a", "<b>")]),
            pairs(&[("🎬", "")]),
            pairs(&[(&"k".repeat(129), "")]),
            pairs(&[("k", &"v".repeat(257))]),
            (0..11).map(|n| (n.to_string(), String::new())).collect(),
        ] {
            assert_eq!(checked(bad).unwrap_err().code, "InvalidTag");
        }
    }
}
