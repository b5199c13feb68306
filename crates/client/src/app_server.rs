//! The application server as an authorizer: `POST {base}/api/upload-auth/create` and `…/refresh`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use vodferry_engine::{ErrorKind, FaultKind};
use vodferry_oss::{Method, Request, Response, Secret};

use crate::{Authorizer, Body, BoxFuture, Error, GrantRequest, Http, Options, UploadGrant};

/// For one question. The uploader asks again.
const PATIENCE: Duration = Duration::from_secs(30);
/// The code for a video that the service does not know (any more).
const VIDEO_GONE: &str = "InvalidVideo.NotFound";

/// An application server that hands out upload address and upload auth.
///
/// It is asked by `POST {base}/api/upload-auth/create` with `{"Title", "FileName", "FileSize"}` and by
/// `POST {base}/api/upload-auth/refresh` with `{"VideoId"}`, and answers `{"RequestId", "VideoId", "UploadAddress", "UploadAuth"}`, or
/// `{"RequestId", "Code", "Message"}` with a status of 400 or more. Clones share their connections.
#[derive(Clone)]
pub struct AppServer {
    scheme: String,
    authority: String,
    /// Without a slash at its end.
    path: String,
    bearer: Option<Secret>,
    http: Arc<Mutex<Option<Arc<dyn Http>>>>,
    /// Hears when the way to the network changed.
    changed: Arc<watch::Sender<()>>,
}

impl AppServer {
    /// The server at `base`, for example `https://video.example.com` or `http://127.0.0.1:8080/app`.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when `base` is not an `http://` or `https://` URL, or has a user, a query or a fragment.
    pub fn new(base: impl AsRef<str>) -> Result<AppServer, Error> {
        // The text itself is not repeated: people put passwords into URLs.
        let wrong = |what: &str| Error::misuse(format!("the application server's URL {what}"));
        let base = base.as_ref();
        // Parsing would pass over line ends without a word.
        if base.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(wrong("holds a space or a control character"));
        }
        let url = reqwest::Url::parse(base)
            .map_err(|_| wrong("is not one that begins with http:// or https://"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("does not begin with http:// or https://"));
        }
        let Some(host) = url.host_str() else { return Err(wrong("has no host")) };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("names a user; give a bearer token instead"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment"));
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(AppServer {
            scheme: url.scheme().to_owned(),
            authority,
            path: url.path().trim_end_matches('/').to_owned(),
            bearer: None,
            http: Arc::default(),
            changed: Arc::default(),
        })
    }

    /// Sends this token as `Authorization: Bearer …`.
    pub fn bearer(mut self, token: impl Into<Secret>) -> AppServer {
        self.bearer = Some(token.into());
        self
    }

    /// Sends through `http` instead of a client of its own with default options; see [`http_client`](crate::http_client).
    pub fn http(mut self, http: Arc<dyn Http>) -> AppServer {
        self.http = Arc::new(Mutex::new(Some(http)));
        self
    }

    fn client(&self) -> Result<Arc<dyn Http>, Error> {
        let mut http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        match &*http {
            Some(http) => Ok(http.clone()),
            None => Ok(http.insert(crate::http_client(&Options::default())?).clone()),
        }
    }

    async fn ask(&self, request: GrantRequest) -> Result<UploadGrant, Error> {
        let (verb, json) = match &request {
            GrantRequest::Create { name, title, size } => {
                ("create", serde_json::to_vec(&Create { title, file_name: name, file_size: *size }))
            }
            GrantRequest::Refresh { video_id: Some(video_id), .. } => {
                ("refresh", serde_json::to_vec(&Refresh { video_id }))
            }
            GrantRequest::Refresh { video_id: None, .. } => {
                let text = "this upload has no video id, so its credential cannot be refreshed";
                return Err(Error::new(ErrorKind::Auth, "NoVideoId", text));
            }
        };
        let json = json.map_err(|error| {
            Error::misuse("the question cannot be written as JSON").with_source(error)
        })?;
        let response = self.send(verb, json).await?;
        if response.status >= 300 {
            return Err(self.refusal(verb, &response));
        }
        let reply: Reply = serde_json::from_slice(&response.body).map_err(|error| {
            // The parser's text names positions, not contents.
            let text =
                format!("{} does not answer {verb} as an application server", self.authority);
            Error::transient(ErrorKind::Protocol, "BadReply", text).with_source(error)
        })?;
        let mut grant = UploadGrant::from_upload_auth(&reply.upload_address, &reply.upload_auth)
            .map_err(|error| {
                let text = format!("{} answered {verb}, but {}", self.authority, error.message());
                Error::transient(ErrorKind::Protocol, "BadReply", text)
                    .with_request_id(reply.request_id)
            })?;
        grant.video_id = Some(reply.video_id).filter(|id| !id.is_empty());
        Ok(grant)
    }

    async fn send(&self, verb: &str, json: Vec<u8>) -> Result<Response, Error> {
        let mut headers = vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        if let Some(token) = &self.bearer {
            if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                let text = "the bearer token holds characters that HTTP does not allow";
                return Err(Error::misuse(text));
            }
            headers.push(("authorization".to_owned(), format!("Bearer {}", token.expose())));
        }
        let request = Request {
            method: Method::Post,
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            path: format!("{}/api/upload-auth/{verb}", self.path),
            query: Vec::new(),
            headers,
            body: Vec::new(),
        };
        let http = self.client()?;
        let mut changed = self.changed.subscribe();
        let answer = async {
            loop {
                let sent = http.send(request.clone(), Body::from_bytes(json.clone()));
                tokio::select! {
                    answer = sent => return answer,
                    // What is under way is lost with its network.
                    Ok(()) = changed.changed() => {}
                }
            }
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let text = format!("asking for upload auth: {error}");
                Err(Error::of(error.fault_kind(), error.code(), text).with_source(error))
            }
            Err(_) => {
                let text = format!("{} does not answer a question for upload auth", self.authority);
                Err(Error::transient(ErrorKind::Network, "TimedOut", text))
            }
        }
    }

    /// What a status that is not success means.
    fn refusal(&self, verb: &str, response: &Response) -> Error {
        let status = response.status;
        let told: Refusal = serde_json::from_slice(&response.body).unwrap_or_default();
        let kind = match status {
            _ if told.code == VIDEO_GONE => FaultKind::NoSuchUpload,
            429 | 503 => FaultKind::SlowDown,
            408 | 500.. => FaultKind::Transient(ErrorKind::Service),
            401 | 403 => FaultKind::Fatal(ErrorKind::Auth),
            300..=399 => FaultKind::Fatal(ErrorKind::Protocol),
            _ => FaultKind::Fatal(ErrorKind::Service),
        };
        let code = if told.code.is_empty() { format!("Http{status}") } else { told.code };
        let mut text = format!("{} refused to {verb} an upload", self.authority);
        if told.message.is_empty() {
            text.push_str(&format!(": status {status}"));
        } else {
            let line: String = told
                .message
                .chars()
                .take(300)
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            text.push_str(": ");
            text.push_str(line.trim().trim_end_matches('.'));
        }
        Error::of(kind, code, text).with_request_id(told.request_id)
    }
}

impl Authorizer for AppServer {
    fn authorize(&self, request: GrantRequest) -> BoxFuture<'_, Result<UploadGrant, Error>> {
        Box::pin(self.ask(request))
    }

    fn network_changed(&self) {
        let http = self.http.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(http) = http {
            http.network_changed();
        }
        self.changed.send_replace(());
    }
}

impl fmt::Debug for AppServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppServer({}://{}{})", self.scheme, self.authority, self.path)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Create<'a> {
    title: &'a str,
    file_name: &'a str,
    file_size: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Refresh<'a> {
    video_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    video_id: String,
    upload_address: String,
    upload_auth: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Refusal {
    request_id: String,
    code: String,
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_http_without_extras() {
        for base in ["http://h", "https://h:8443/app/", "http://[::1]:9"] {
            AppServer::new(base).unwrap();
        }
        for base in
            ["", "h:80", "ftp://h", "http://", "http://h/?a=1", "http://h/#x", "http://u:hush@h"]
                .into_iter()
                .chain([
                    "http://h\r\nx: y",
                    "http://h/\n",
                    " http://h",
                    "http://h/\0",
                    "http://h\t",
                ])
        {
            let error = AppServer::new(base).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{base}");
            assert!(!error.to_string().contains("hush"));
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let app = AppServer::new("http://h:1/x/").unwrap().bearer("hush");
        assert_eq!(format!("{app:?}"), "AppServer(http://h:1/x)");
    }
}
