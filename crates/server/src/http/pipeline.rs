//! What becomes of a request, from its first line to the last header of its reply.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body as ReplyBody;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tracing::Instrument;
use vodferry_oss::address::buckets_of_host;
use vodferry_oss::{Code, ServiceError};

use super::auth::{Authentic, authenticate};
use super::body::Body;
use super::call::{Call, Peer};
use super::observe::Watched;
use super::oss::Operation;
use super::proxies::Contradiction;
use super::reply::{EC, XML, connection, empty, of_oss, reply, set, stamp};
use super::request_id::RequestId;
use super::{App, admin, app_server, cors, health, oss, reports, rpc};
use crate::callback::{KEY_PATH, KEY_URL};

/// Answers a request, whatever it is.
pub(crate) async fn handle(
    app: Arc<App>,
    peer: Peer,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let began = Instant::now();
    let (parts, incoming) = request.into_parts();
    let client = app.proxies.client(peer, &parts.headers);
    let mut call = Call::new(RequestId::new(), *client.as_ref().unwrap_or(&peer), parts);
    if let Err(Contradiction) = client {
        call.head_error = Some("X-Forwarded-For and Forwarded tell of different clients.".into());
    }
    let watched = Watched::new(&app, &call, began);
    let mut body = Body::new(incoming, &app.config.limits, call.notes.clone());
    // The path alone: a query may hold a signature or a token.
    let (id, peer, method, path) = (&call.id, &call.peer.ip, &call.method, &call.path);
    let span = tracing::info_span!("request", %id, %peer, %method, path);
    async {
        call.on_bucket_host = is_service_path(&call.path) && is_bucket_host(&app, &call).await;
        let call = call;
        let mut response = route(&app, &call, &mut body).await;
        cors::expose(&app, &call, &mut response).await;
        stamp(&mut response, call.id, began.elapsed().as_millis());
        leave(&call, body, &mut response).await;
        tracing::info!(
            status = response.status().as_u16(),
            ms = began.elapsed().as_millis(),
            "answered"
        );
        watched.replied(response)
    }
    .instrument(span)
    .await
}

/// Which of the four services a request is for.
async fn route(app: &Arc<App>, call: &Call, body: &mut Body) -> Response<ReplyBody> {
    if let Some(message) = &call.head_error {
        let error = ServiceError::of(Code::InvalidRequest).with_message(message.clone());
        return refuse(call, error);
    }
    // HTTP/1.1 never gets here with more.
    let most = app.config.limits.headers;
    if call.headers.len() > most {
        let mut error = ServiceError::of(Code::InvalidRequest);
        error.status = 431;
        let message = format!("The request has more than {most} headers.");
        return refuse(call, error.with_message(message));
    }
    // An uploader could have this server call itself, from an address that it trusts.
    if call.headers.contains_key(KEY_URL) {
        let message = "The callback of an upload is no request to a server like this one.";
        return refuse(call, ServiceError::of(Code::InvalidRequest).with_message(message));
    }
    if cors::concerns(call) && call.method == Method::OPTIONS {
        call.notes.operation("Preflight");
        let answered = cors::preflight(app, call).await.map(of_oss);
        return answered.unwrap_or_else(|error| refuse(call, error));
    }
    if !is_oss_signed(call) && !call.on_bucket_host {
        if call.path.starts_with(health::PREFIX) {
            call.notes.operation("Health");
            return health::handle(app, &call.path).await;
        }
        if call.path == KEY_PATH && call.method == Method::GET {
            call.notes.operation("CallbackKey");
            return match app.callbacks.public_key().await {
                Some(pem) => reply(200, "application/x-pem-file", pem),
                None => refuse(call, ServiceError::of(Code::InternalError)),
            };
        }
        if call.path.starts_with(app_server::PREFIX) {
            call.notes.operation("UploadAuth");
            return app_server::handle(app, call, body).await;
        }
        if call.path == reports::PATH {
            call.notes.operation("UploadReports");
            return reports::handle(app, call, body).await;
        }
        if call.path.starts_with(admin::PREFIX) {
            call.notes.operation("Admin");
            return admin::handle(app, call, body).await;
        }
        if rpc::is_call(call) {
            return rpc::handle(app, call, body).await;
        }
    }
    match object_request(app, call, body).await {
        Ok(response) => of_oss(response),
        Err(error) => refuse(call, error),
    }
}

/// One request about an object or a bucket, step by step.
async fn object_request(
    app: &Arc<App>,
    call: &Call,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    if let Some(error) = call.query_error {
        let message = format!("The query of the request cannot be decoded: {error}.");
        return Err(ServiceError::of(Code::InvalidArgument).with_message(message));
    }
    let mut names = BTreeSet::new();
    if let Some((name, _)) = call.query.iter().find(|(name, _)| !names.insert(name)) {
        // Which of them counts would be anybody's guess.
        return Err(ServiceError::of(Code::InvalidArgument)
            .with_message("A parameter of the request is there twice.")
            .with_context("ArgumentName", name.clone()));
    }
    if oss::is_unsigned(call) {
        return oss::answer_unsigned(app, call, body).await;
    }
    let Authentic { caller, place, content_sha256 } = authenticate(app, call)?;
    call.notes.place(&place);
    let operation = Operation::of(call, &place)?;
    call.notes.operation(operation.name());
    if let Err(refusal) = operation.authorize(&caller, &place) {
        return Err(operation.without_bucket(app, &place).await.unwrap_or(refusal));
    }
    let Some(hash) = content_sha256 else {
        return operation.run(app, &caller, call, &place, body).await;
    };
    body.expect_sha256(hash);
    let done = match is_about_its_body(call) {
        false if body.whole(app.config.limits.control_body).await.is_err() => {
            Err(ServiceError::of(Code::IncompleteBody))
        }
        _ => operation.run(app, &caller, call, &place, body).await,
    };
    if body.differs() {
        let message = "The body is not the one whose hash was signed in x-oss-content-sha256.";
        return Err(ServiceError::of(Code::InvalidDigest).with_message(message));
    }
    done
}

/// Whether the operation reads its body; where it does not, a signed hash is compared all the same.
fn is_about_its_body(call: &Call) -> bool {
    matches!(call.method, Method::PUT | Method::POST) && call.parameter("uploads").is_none()
}

/// Decides what becomes of a body that was not read to its end, and of the connection with it. The reply
/// leaves at once: some clients write everything before they read, others stop writing when they have
/// read it.
async fn leave(call: &Call, mut body: Body, response: &mut Response<ReplyBody>) {
    let drains = may_drain(call);
    if drains && call.is_chunked() && !body.is_at_its_end() {
        body.settle().await;
    }
    let over = body.is_at_its_end();
    let stays = over || (drains && body.is_nearly_at_its_end());
    connection(call, response, stays && !call.ends_connection());
    if drains && !over {
        body.drain();
    }
}

/// Whether what is left of a body may be waited for. Some clients announce one with a GET and
/// send none; one who asked to be told whether to send it was told not to.
fn may_drain(call: &Call) -> bool {
    matches!(call.method, Method::PUT | Method::POST) && !call.expects_continue()
}

/// Whether a path is one of this server's own, where the host is no bucket's.
fn is_service_path(path: &str) -> bool {
    [health::PREFIX, app_server::PREFIX, admin::PREFIX].iter().any(|own| path.starts_with(own))
        || path == KEY_PATH
        || path == reports::PATH
}

/// Whether a request names a bucket that is there by its host.
async fn is_bucket_host(app: &App, call: &Call) -> bool {
    for bucket in buckets_of_host(&call.authority, &app.base_domains, &app.cnames) {
        if app.meta.bucket_exists(&bucket).await.unwrap_or(false) {
            return true;
        }
    }
    false
}

fn is_oss_signed(call: &Call) -> bool {
    call.header("authorization").is_some_and(|value| value.starts_with("OSS"))
        || call.parameter("OSSAccessKeyId").is_some()
        || call.parameter("x-oss-signature-version").is_some()
}

/// An error as the protocol tells it: XML, or, where a reply has no body, the same XML in a header.
fn refuse(call: &Call, error: ServiceError) -> Response<ReplyBody> {
    call.notes.code(&error.code);
    let mut error = error.numbered();
    error.request_id = call.id.to_string();
    error.host_id = call.authority.as_str().into();
    tracing::debug!(code = error.code, message = error.message, "refused");
    let mut response = if call.method == Method::HEAD {
        // Says nothing that StringToSign does not say, in three times as many bytes; clients bound
        // their headers.
        error.context.retain(|(name, _)| name != "StringToSignBytes");
        let mut response = empty(error.status);
        set(&mut response, "x-oss-err", &error.to_header());
        response
    } else {
        reply(error.status, XML, error.to_xml())
    };
    for (element, header) in IN_HEADERS {
        if let Some(value) = error.context(element) {
            set(&mut response, header, value);
        }
    }
    of_oss(response)
}

/// What of a refusal is told in a header, too: some clients look there only.
const IN_HEADERS: [(&str, &str); 2] = [("EC", EC), ("ObjectLength", "x-oss-next-append-position")];
