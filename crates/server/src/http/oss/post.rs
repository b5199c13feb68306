//! PostObject: what a browser's form uploads. Its fields stand for the headers of a PutObject, and a
//! signed policy for the signature.

use std::sync::Arc;

use axum::body::Body as ReplyBody;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response};
use vodferry_oss::address::valid_key;
use vodferry_oss::encode::{encode_component, encode_path};
use vodferry_oss::etag::{content_md5, quote};
use vodferry_oss::limits::MAX_PART_SIZE;
use vodferry_oss::sign::{Presented, sign_policy_v1, sign_policy_v4};
use vodferry_oss::xml::post_response;
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::{Place, accepted, key};
use super::super::body::Body;
use super::super::call::Call;
use super::super::caller::{Caller, Circumstances};
use super::super::reply::{XML, empty, reply, set};
use super::super::video::as_i64;
use super::callback::{self, Uploaded};
use super::errors::{argument, blob_error, not_implemented, service_error};
use super::form::Form;
use super::form_grammar::PartHead;
use super::form_policy::{FormPolicy, LengthRange};
use super::receive::{CRC64, forbids_overwrite, keeps, object_headers, refused};
use super::unsigned::{is_public, only};
use super::{Operation, admitted};
use crate::keys::is_same_secret;
use crate::store::{Blob, Intake, ObjectInfo, PutObject};

/// `POST /` with a form; `bucket` is there.
pub(super) async fn post_object(
    app: &Arc<App>,
    call: &Call,
    bucket: &str,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    let mut form = Form::new(call, body, MAX_PART_SIZE + MAX_REST)?;
    form.begin().await?;
    let mut fields = Fields(Vec::new());
    let file = loop {
        let head = form.next_part().await?.ok_or_else(wrong_number_of_files)?;
        if head.name.eq_ignore_ascii_case("file") {
            break head;
        }
        let name = head.name.to_ascii_lowercase();
        if fields.0.len() >= MOST_FIELDS || fields.get(&name).is_some() {
            return Err(ServiceError::of(Code::MalformedPOSTRequest));
        }
        let value = form.field().await?;
        fields.0.push((name, value));
        // Nobody has shown a signature yet.
        if fields.0.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_FIELDS
        {
            return Err(ServiceError::of(Code::FieldItemTooLong)
                .with_context("MaxSizeAllowed", MAX_FIELDS.to_string()));
        }
    };
    const FOREIGN: &str = "x-oss-server-side-encryption";
    if fields.get(FOREIGN).is_some() {
        return Err(not_implemented(&format!("the form field {FOREIGN}")));
    }
    let callback = callback::asked_for_by_form(call, &fields.0)?;
    let template = fields.get("key").ok_or_else(|| argument("key", "", "key is missing."))?;
    let file_name = file.file_name.as_deref().unwrap_or_default();
    let file_name = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let object =
        Place { bucket: bucket.to_owned(), key: template.replace("${filename}", file_name) };
    call.notes.place(&object);
    if !valid_key(&object.key) {
        return Err(ServiceError::of(Code::InvalidObjectName)
            .with_context("ObjectName", object.key.clone()));
    }
    let (caller, range, class) = authorize(app, call, &fields, &file, &object).await?;
    let as_put = as_put(call, &fields, &file);
    let headers = object_headers(&caller, &as_put, &object, &class)?;
    let forbid_overwrite = forbids_overwrite(&as_put);
    keeps(app, &object, forbid_overwrite).await?;

    let blob = receive(app, &mut form, range).await?;
    let (id, md5) = (blob.id().cloned(), blob.md5);
    let put = PutObject {
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        headers,
        blob,
        forbid_overwrite,
        now_ms: app.now_ms(),
    };
    let info = match app.meta.put_object(put).await {
        Ok(info) => info,
        Err(error) => return Err(refused(app, id.as_ref(), error).await),
    };
    let mut response = answer(&app.endpoint_of(call), &fields, &object, &info);
    set(&mut response, "etag", &quote(&info.etag));
    set(&mut response, "content-md5", &content_md5(&md5));
    set(&mut response, CRC64, &info.crc64.to_string());
    let uploaded = Uploaded::from(&info);
    callback::answer(app, call, "PostObject", callback, &object, uploaded, response).await
}

/// Most fields of a form.
const MOST_FIELDS: usize = 100;
/// Most bytes of all of them.
const MAX_FIELDS: usize = 128 << 10;
/// Most bytes of a form beside those of its file.
const MAX_REST: u64 = 4 << 20;

/// Fields with their names in lower case.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Who posts the form, how long its file may be, and the class of the bucket.
async fn authorize(
    app: &App,
    call: &Call,
    fields: &Fields,
    file: &PartHead,
    object: &Place,
) -> Result<(Caller, Option<LengthRange>, String), ServiceError> {
    const SIGNED: &[&str] =
        &["policy", "ossaccesskeyid", "signature", "x-oss-signature", "x-oss-credential"];
    if !SIGNED.iter().any(|name| fields.get(name).is_some()) {
        let bucket = app.meta.get_bucket(&object.bucket).await.map_err(service_error)?;
        if !is_public(app, Operation::PutObject, object, &bucket).await? {
            return Err(ServiceError::of(Code::AccessDenied)
                .with_message("Anonymous access is forbidden: the form has no policy."));
        }
        let request = Circumstances::of(call, app.now_ms());
        let policy = only(Operation::PutObject, object);
        let everybody = Caller::anonymous(&bucket.owner, policy, request);
        return Ok((everybody, None, bucket.storage_class));
    }
    let policy =
        fields.get("policy").ok_or_else(|| argument("policy", "", "policy is missing."))?;
    let caller = verified(app, call, fields, policy)?;
    let range = FormPolicy::read(policy)?.check(as_i64(app.now_ms()), |name| match name {
        "bucket" => Some(object.bucket.clone()),
        // That which the object will have, whatever says it.
        "content-type" => content_type(fields, file).map(str::to_owned),
        name => fields.get(name).map(str::to_owned),
    })?;
    caller.require(Operation::PutObject.action(), object)?;
    let (guest, class) = admitted(app, Operation::PutObject, &caller, object).await?;
    Ok((guest.unwrap_or(caller), range, class))
}

/// Who signed the policy. The fields are those of a presigned URL but for the signed text, so they are
/// read as one.
fn verified(app: &App, call: &Call, fields: &Fields, policy: &str) -> Result<Caller, ServiceError> {
    let is_v4 = fields.get("x-oss-signature-version").is_some();
    // Name of the field, name in a URL.
    let names: &[(&'static str, &str)] = if is_v4 {
        &[
            ("x-oss-signature-version", "x-oss-signature-version"),
            ("x-oss-credential", "x-oss-credential"),
            ("x-oss-date", "x-oss-date"),
            ("x-oss-signature", "x-oss-signature"),
        ]
    } else {
        &[("ossaccesskeyid", "OSSAccessKeyId"), ("signature", "Signature")]
    };
    let mut query = Vec::new();
    for (field, name) in names {
        let value = fields.get(field).filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| argument(field, "", &format!("{name} is missing.")))?;
        query.push(((*name).to_owned(), value.to_owned()));
    }
    // How long a form lives is for its policy to say.
    query.push(match is_v4 {
        true => ("x-oss-expires".to_owned(), "604800".to_owned()),
        false => ("Expires".to_owned(), "9999999999".to_owned()),
    });
    if let Some(token) = fields.get("x-oss-security-token") {
        query.push(("x-oss-security-token".to_owned(), token.to_owned()));
    }
    let unreadable = || ServiceError::of(Code::InvalidArgument);
    let presented = Presented::of(&[], &query)?.ok_or_else(unreadable)?;
    let now_ms = app.now_ms();
    let (secret, caller) = key(app, call, &presented, now_ms)?;
    presented.check_time(as_i64(now_ms))?;
    presented.check_region(accepted(&app.config, &presented))?;
    let right = match &presented.v4 {
        Some(claim) => sign_policy_v4(&secret, &claim.scope, policy),
        None => sign_policy_v1(&secret, policy),
    };
    if is_same_secret(presented.signature.expose(), &right.as_str().into()) {
        return Ok(caller);
    }
    Err(ServiceError::of(Code::SignatureDoesNotMatch)
        .with_context("OSSAccessKeyId", presented.access_key_id)
        .with_context("StringToSign", policy))
}

/// The type that the object gets; not every page can say it in the field that has its name.
fn content_type<'a>(fields: &'a Fields, file: &'a PartHead) -> Option<&'a str> {
    let fields = ["x-oss-content-type", "content-type"].into_iter().find_map(|n| fields.get(n));
    fields.or(file.content_type.as_deref())
}

/// The form as a PutObject: its fields are the headers.
fn as_put(call: &Call, fields: &Fields, file: &PartHead) -> Call {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.insert(name, value);
        }
    };
    let kind = content_type(fields, file).map(|kind| ("content-type", kind));
    let others = fields.0.iter().filter(|(name, _)| name != "content-type");
    for (name, value) in others.map(|(n, v)| (n.as_str(), v.as_str())).chain(kind) {
        add(name, value);
    }
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::PUT;
    parts.headers = headers;
    Call::new(call.id, call.peer, parts)
}

/// Takes the file in, and reads the form to its end; on an error nothing is left behind.
async fn receive(
    app: &App,
    form: &mut Form<'_>,
    range: Option<LengthRange>,
) -> Result<Blob, ServiceError> {
    let range = range.unwrap_or(LengthRange { least: 0, most: MAX_PART_SIZE });
    let mut intake = Intake::new(&*app.blobs, 0);
    let mut length = 0u64;
    while let Some(bytes) = form.chunk().await? {
        length = length.saturating_add(bytes.len() as u64);
        if length > range.most.min(MAX_PART_SIZE) {
            return Err(outside(Code::EntityTooLarge, "MaxSizeAllowed", range.most, length));
        }
        intake.write(bytes).await.map_err(blob_error)?;
    }
    if length < range.least {
        return Err(outside(Code::EntityTooSmall, "MinSizeAllowed", range.least, length));
    }
    while let Some(head) = form.next_part().await? {
        if head.name.eq_ignore_ascii_case("file") {
            return Err(wrong_number_of_files());
        }
        form.field().await?;
    }
    intake.finish().await.map_err(blob_error)
}

fn answer(
    endpoint: &str,
    fields: &Fields,
    object: &Place,
    info: &ObjectInfo,
) -> Response<ReplyBody> {
    let target = fields.get("success_action_redirect").and_then(|url| redirect(url, object, info));
    if let Some(target) = target {
        let mut response = empty(303);
        set(&mut response, "location", &target);
        return response;
    }
    match fields.get("success_action_status") {
        Some("200") => empty(200),
        Some("201") => {
            let location = format!("{endpoint}/{}/{}", object.bucket, encode_path(&object.key));
            let mut response =
                reply(201, XML, post_response(&object.bucket, &location, &object.key, &info.etag));
            set(&mut response, "location", &location);
            response
        }
        _ => empty(204),
    }
}

/// Where the browser is sent afterwards: only to what is a web address.
fn redirect(url: &str, object: &Place, info: &ObjectInfo) -> Option<String> {
    let parsed: http::Uri = url.parse().ok()?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return None;
    }
    let joint = if parsed.query().is_some() { '&' } else { '?' };
    let (bucket, key) = (encode_component(&object.bucket), encode_component(&object.key));
    let etag = encode_component(&quote(&info.etag));
    Some(format!("{url}{joint}bucket={bucket}&key={key}&etag={etag}"))
}

fn outside(code: Code, name: &str, bound: u64, length: u64) -> ServiceError {
    ServiceError::of(code)
        .with_context(name, bound.to_string())
        .with_context("ProposedSize", length.to_string())
}

fn wrong_number_of_files() -> ServiceError {
    ServiceError::of(Code::IncorrectNumberOfFilesInPOSTRequest)
}
