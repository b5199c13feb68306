//! The way to a host: its name, a connection, TLS, an answer, the clocks, and what it lets web pages do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vodferry::{
    Body, ErrorKind, Http, Method, Options, Proxy, Request, TransportError, TransportErrorKind,
};

use super::report::Report;
use crate::calendar;
use crate::error::Failure;
use crate::exit_code::ExitCode;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Clocks further apart are told: more than a busy machine and a slow answer make of nothing.
const SKEW_S: i64 = 60;
/// Signatures are refused beyond this. The client learns the server's clock from its first answer; others do not.
const SKEW_MOST_S: i64 = 15 * 60;
/// What the web SDK asks to be allowed to send.
const HEADERS: &str = "authorization,content-type,x-oss-date,x-oss-security-token,x-oss-user-agent";

/// Where a URL leads.
pub(crate) struct Line {
    scheme: String,
    /// As it stands in the URL.
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl Line {
    pub(crate) fn of(url: &str) -> Result<Line, Failure> {
        let wrong = || Failure::usage("the URL is not one that begins with http:// or https://");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let scheme = scheme.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(wrong()),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // The colons of an IPv6 address stand in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (authority, usual),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Line { scheme, authority: authority.to_owned(), host, port, path: format!("/{path}") })
    }

    /// From the name to the answer; `false` when there is none.
    pub(crate) async fn check(
        &self,
        what: &'static str,
        options: &Options,
        http: &Arc<dyn Http>,
        report: &mut Report,
    ) -> bool {
        if !self.check_name(what, options, report).await {
            return false;
        }
        let began = Instant::now();
        let answer = self.send(http, Method::Get, "/", Vec::new()).await;
        let took = began.elapsed();
        match answer {
            Ok(response) => {
                let tls = if self.scheme == "https" { ", over TLS" } else { ", not encrypted" };
                let text = format!(
                    "{} answers in {} ms{tls}",
                    self.authority,
                    took.as_millis(),
                );
                report.ok(what, &text);
                clock(response.header("date"), took, report);
                true
            }
            Err(error) => {
                report.fail(what, &error.message, exit_of(&error), fix_of(error.kind));
                false
            }
        }
    }

    /// Looked at where requests go straight to the host; a proxy looks names up itself. `false`: there is nobody.
    async fn check_name(
        &self,
        what: &'static str,
        options: &Options,
        report: &mut Report,
    ) -> bool {
        let proxied = match &options.proxy {
            Proxy::Direct => false,
            Proxy::System => system_proxy(),
            _ => true,
        };
        if proxied {
            return true;
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port));
        let addresses: Vec<_> = match tokio::time::timeout(PATIENCE, found).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        if addresses.is_empty() {
            let text = format!("the name {} is not known", self.host);
            report.fail(what, &text, ExitCode::Network, fix_of(TransportErrorKind::Dns));
            return false;
        }
        for address in &addresses {
            let connecting = tokio::net::TcpStream::connect(address);
            if let Ok(Ok(_)) = tokio::time::timeout(options.timeouts.connect, connecting).await {
                return true;
            }
        }
        let tried: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        let text =
            format!("no connection to {} at port {} ({})", self.host, self.port, tried.join(", "));
        report.fail(what, &text, ExitCode::Network, fix_of(TransportErrorKind::Connect));
        false
    }

    /// Whether a web page of `origin` may upload here.
    pub(crate) async fn check_cors(&self, origin: &str, http: &Arc<dyn Http>, report: &mut Report) {
        const CHECK: &str = "web pages (CORS)";
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", HEADERS),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let answer = match self.send(http, Method::Options, &self.path, headers).await {
            Ok(answer) => answer,
            Err(error) => return report.warn(CHECK, &error.message, None),
        };
        let allowed = answer.header("access-control-allow-origin");
        if !allowed.is_some_and(|allowed| allowed == "*" || allowed == origin) {
            let text = format!("the bucket has no rule that lets pages of {origin} upload");
            let fix = "only browsers need one: PUT, POST, GET and DELETE with all headers, exposing ETag and x-oss-request-id; \
                       --origin names your page";
            return report.warn(CHECK, &text, Some(fix));
        }
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        if !exposed.split(',').any(|name| name.trim().eq_ignore_ascii_case("etag")) {
            let text = format!("pages of {origin} may upload, but cannot read the ETag of a part");
            return report.warn(CHECK, &text, Some("expose ETag in the bucket's CORS rule"));
        }
        report.ok(CHECK, &format!("pages of {origin} may upload"));
    }

    async fn send(
        &self,
        http: &Arc<dyn Http>,
        method: Method,
        path: &str,
        headers: Vec<(String, String)>,
    ) -> Result<vodferry::Response, TransportError> {
        let request = Request {
            method,
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            path: path.to_owned(),
            query: Vec::new(),
            headers,
            body: Vec::new(),
        };
        let sent = http.send(request, Body::from_bytes(Vec::new()));
        tokio::time::timeout(PATIENCE, sent).await.unwrap_or_else(|_| {
            let text = format!("{} does not answer", self.authority);
            Err(TransportError::new(TransportErrorKind::Timeout, text))
        })
    }
}

/// Compares the clocks. The answer was written somewhere between question and now.
fn clock(date: Option<&str>, took: Duration, report: &mut Report) {
    const CHECK: &str = "clock";
    let Some(theirs) = date.and_then(vodferry::time::parse_http) else {
        return report.warn(CHECK, "the server's answers have no date", None);
    };
    let half = i64::try_from(took.as_millis() / 2).unwrap_or(0);
    let ahead = (calendar::now_ms() - half - theirs) / 1000;
    let (far, way) = (ahead.abs(), if ahead < 0 { "behind" } else { "ahead of" });
    match far {
        ..=SKEW_S => report.ok(CHECK, "agrees with the server's"),
        _ => {
            let beyond = if far > SKEW_MOST_S { ", which other programs are refused for" } else { "" };
            let text = format!("{far} s {way} the server's{beyond}");
            let fix = "uploads learn the server's time; set the clock for everything else";
            report.warn(CHECK, &text, Some(fix));
        }
    }
}

/// Whether the environment names a proxy. Whether it is for this host is the client's to decide.
fn system_proxy() -> bool {
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn exit_of(error: &TransportError) -> ExitCode {
    match error.kind {
        TransportErrorKind::Protocol => ExitCode::of(ErrorKind::Protocol),
        _ => ExitCode::Network,
    }
}

fn fix_of(kind: TransportErrorKind) -> Option<&'static str> {
    Some(match kind {
        TransportErrorKind::Dns => "check the name, and the network's DNS",
        TransportErrorKind::Connect => {
            "check that the server runs at this port, and that no firewall is in between; --proxy names a way out"
        }
        TransportErrorKind::Timeout => "something in between drops what is sent: a firewall, or a proxy that is needed",
        TransportErrorKind::Certificate => {
            "--ca-file names the certificate of one's own authority; check the clock and the name otherwise"
        }
        TransportErrorKind::Tls => "the server may not speak TLS at this port: try http://, or another port",
        TransportErrorKind::Protocol => "something else than HTTP answers at this port: check the port and https://",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_it_leads() {
        let line = |url: &str| {
            Line::of(url).map(|line| (line.authority, line.host, line.port, line.path)).ok()
        };
        let of = |a: &str, h: &str, port, path: &str| {
            Some((a.to_owned(), h.to_owned(), port, path.to_owned()))
        };
        assert_eq!(line("http://h:9000/b/k"), of("h:9000", "h", 9000, "/b/k"));
        assert_eq!(line("HTTPS://b.oss.example.com"), of("b.oss.example.com", "b.oss.example.com", 443, "/"));
        assert_eq!(line("http://[::1]:81/"), of("[::1]:81", "::1", 81, "/"));
        assert_eq!(line("http://[::1]/"), of("[::1]", "::1", 80, "/"));
        for wrong in ["h:9000", "ftp://h", "http://", "http://h:x/"] {
            assert!(line(wrong).is_none(), "{wrong}");
        }
    }
}
