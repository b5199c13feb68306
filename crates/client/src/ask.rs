//! Questions to the servers that hand out grants: waited for as [`Http::timeouts`] says, asked anew when the way to the network changes.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use vodferry_engine::{ErrorKind, FaultKind};
use vodferry_oss::{Request, Response};
use vodferry_vod::api::Refusal;

use crate::http::send_in_time;
use crate::{Error, Http, Options};

/// Where a server is.
#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) scheme: String,
    pub(crate) authority: String,
    /// Without a slash at its end.
    pub(crate) path: String,
}

impl Base {
    /// Of a URL; `whose` names it in errors, as in `the application server's URL`.
    pub(crate) fn parse(whose: &str, url: &str) -> Result<Base, Error> {
        // The text itself is not repeated: people put passwords into URLs.
        let wrong = |what: &str| Error::misuse(format!("{whose} {what}"));
        // Parsing would pass over line ends without a word.
        if url.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(wrong("holds a space or a control character"));
        }
        let url = reqwest::Url::parse(url)
            .map_err(|_| wrong("is not one that begins with http:// or https://"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("does not begin with http:// or https://"));
        }
        let Some(host) = url.host_str() else { return Err(wrong("has no host")) };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("names a user; give a token or key instead"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment"));
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Base { scheme: url.scheme().to_owned(), authority, path })
    }
}

/// The way to such a server. Clones share their connections.
#[derive(Clone, Default)]
pub(crate) struct Line {
    http: Arc<Mutex<Option<Arc<dyn Http>>>>,
    /// Hears when the way to the network changed.
    changed: Arc<watch::Sender<()>>,
}

impl Line {
    /// Over this client, instead of one of its own with default options.
    pub(crate) fn over(http: Arc<dyn Http>) -> Line {
        Line { http: Arc::new(Mutex::new(Some(http))), changed: Arc::default() }
    }

    /// Sends what `question` makes, a new one each time that it has to be sent again. `about` names it in errors, as in
    /// `asking for upload auth`.
    pub(crate) async fn ask(
        &self,
        about: &str,
        question: impl Fn() -> Result<Request, Error>,
    ) -> Result<Response, Error> {
        let http = self.client()?;
        let mut changed = self.changed.subscribe();
        loop {
            let mut request = question()?;
            let body = std::mem::take(&mut request.body);
            tokio::select! {
                answer = send_in_time(&*http, request, body) => return answer.map_err(|error| {
                    let text = format!("{about}: {error}");
                    Error::of(error.fault_kind(), error.code(), text).with_source(error)
                }),
                // What is under way is lost with its network.
                Ok(()) = changed.changed() => {}
            }
        }
    }

    /// See [`Authorizer::network_changed`](crate::Authorizer::network_changed).
    pub(crate) fn network_changed(&self) {
        let http = self.http.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(http) = http {
            http.network_changed();
        }
        self.changed.send_replace(());
    }

    fn client(&self) -> Result<Arc<dyn Http>, Error> {
        let mut http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        match &*http {
            Some(http) => Ok(http.clone()),
            None => Ok(http.insert(crate::http_client(&Options::default())?).clone()),
        }
    }
}

/// The error for a reply that is no success: what was asked of whom (`host refused to create an upload`), and what was told.
pub(crate) fn refused(kind: FaultKind, what: String, response: &Response, told: Refusal) -> Error {
    let status = response.status;
    let code = if told.code.is_empty() { format!("Http{status}") } else { one_line(&told.code) };
    let told_line = one_line(&told.message);
    let text = match told_line.trim().trim_end_matches('.') {
        "" => format!("{what}: status {status}"),
        line => format!("{what}: {line}"),
    };
    Error::of(kind, code, text)
        .with_request_id(one_line(&told.request_id))
        .with_retry_after(response.retry_after_ms())
}

/// The error for a reply that cannot be understood.
pub(crate) fn bad_reply(text: String) -> Error {
    Error::transient(ErrorKind::Protocol, "BadReply", text)
}

/// What a server told, fit for one line.
fn one_line(told: &str) -> String {
    told.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Body, BoxFuture, Timeouts, TransportError};

    #[test]
    fn a_base_is_http_without_extras() {
        for base in ["http://h", "https://h:8443/app/", "http://[::1]:9"] {
            Base::parse("the URL", base).unwrap_or_else(|error| panic!("{base}: {error}"));
        }
        for base in [
            "",
            "h:80",
            "ftp://h",
            "http://",
            "http://h/?a=1",
            "http://h/#x",
            "http://u:hush@h",
            "http://h\r\nx: y",
            "http://h/\n",
            " http://h",
            "http://h/\0",
            "http://h\t",
        ] {
            let error = Base::parse("the URL", base).err().expect(base);
            assert_eq!(error.kind(), ErrorKind::Misuse, "{base}");
            assert!(!error.to_string().contains("hush"));
        }
    }

    /// Takes what it is asked, and says nothing.
    struct Silent(Timeouts);

    impl Http for Silent {
        fn send(
            &self,
            _request: Request,
            mut body: Body,
        ) -> BoxFuture<'static, Result<Response, TransportError>> {
            Box::pin(async move {
                while body.next().await.is_some() {}
                std::future::pending().await
            })
        }

        fn timeouts(&self) -> Timeouts {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_waited_for_as_long_as_the_client_says() {
        let mut timeouts = Timeouts::default();
        for (idle, request, seconds) in [(30, 60, 30), (5, 60, 5), (30, 7, 7)] {
            timeouts.idle = Duration::from_secs(idle);
            timeouts.request = Duration::from_secs(request);
            let line = Line::over(Arc::new(Silent(timeouts)));
            let begun = tokio::time::Instant::now();
            let question = || Ok(Request { body: b"{}".to_vec(), ..to_h() });
            let error = line.ask("asking", question).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "TimedOut"));
            assert!(error.to_string().starts_with("asking: no reply from h"), "{error}");
            assert_eq!(begun.elapsed().as_secs(), seconds);
        }
    }

    fn to_h() -> Request {
        Request {
            method: vodferry_oss::Method::Post,
            scheme: "http".into(),
            authority: "h".into(),
            path: "/".into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    #[test]
    fn what_a_server_tells_becomes_one_bounded_line() {
        let told = Refusal {
            code: "A\nB".into(),
            message: format!("x\r\n{}", "y".repeat(1000)),
            request_id: "R\t1".into(),
        };
        let response = Response { status: 400, ..Response::default() };
        let kind = FaultKind::Fatal(ErrorKind::Service);
        let error = refused(kind, "h refused".into(), &response, told);
        let text = error.to_string();
        assert!(text.len() < 400 && !text.contains(char::is_control), "{text}");
        let silent = refused(kind, "h refused".into(), &response, Refusal::default());
        assert_eq!(silent.to_string(), "h refused: status 400 (Http400)");
    }
}
