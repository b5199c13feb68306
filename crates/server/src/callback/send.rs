//! One request to one application.

use std::net::SocketAddr;

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::KEY_URL;
use super::failure::Failure;
use super::guard::Guard;
use super::names::Names;
use super::target::Target;
use super::tls::Tls;

/// The way to applications.
pub(super) struct Line {
    pub(super) guard: Guard,
    pub(super) names: Names,
    pub(super) tls: Tls,
}

/// What is sent.
pub(super) struct Outgoing<'a> {
    pub(super) url: &'a Target,
    pub(super) host: Option<&'a str>,
    pub(super) sni: bool,
    pub(super) json: bool,
    pub(super) body: &'a str,
    pub(super) signature: &'a str,
    pub(super) key_url: &'a str,
}

/// Longest answer that is read, and longest head of one.
const MOST_BYTES: usize = 1 << 20;
const LONGEST_HEAD: usize = 64 << 10;

impl Line {
    /// Sends it and returns the answer, which is JSON. Redirects are failures like any other status.
    ///
    /// # Errors
    /// What went wrong.
    pub(super) async fn send(&self, outgoing: Outgoing<'_>) -> Result<Vec<u8>, Failure> {
        let url = outgoing.url;
        let addresses = self.names.of(&url.host, url.port).await?;
        let stream = self.connect(&url.host, addresses).await?;
        match url.secure {
            false => exchange(stream, outgoing).await,
            true => {
                let stream = self.tls.connect(stream, &url.host, outgoing.sni).await?;
                exchange(stream, outgoing).await
            }
        }
    }

    /// Connects to the first address that may be connected to and answers. Names are not looked up
    /// again: what was checked is what is reached.
    async fn connect(&self, host: &str, addresses: Vec<SocketAddr>) -> Result<TcpStream, Failure> {
        let mut failure = Failure::Forbidden;
        let admitted = |address: &SocketAddr| self.guard.admits(host, address.ip());
        for address in addresses.into_iter().filter(admitted) {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(_) => failure = Failure::Unreachable,
            }
        }
        Err(failure)
    }
}

async fn exchange<S>(stream: S, outgoing: Outgoing<'_>) -> Result<Vec<u8>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = request(&outgoing).map_err(|_| Failure::Unsigned)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Garbled)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|_| Failure::Garbled)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(Failure::Status(status));
        }
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => Failure::Long,
            false => Failure::Cut,
        })?;
        let body = body.to_bytes().to_vec();
        match serde_json::from_slice::<serde::de::IgnoredAny>(&body) {
            Ok(_) => Ok(body),
            Err(_) => Err(Failure::NoJson),
        }
    };
    // Nothing is spawned, so that what runs out of time ends at once.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The end of the connection may be what the end of the answer is known by.
        _ = connection => answer.await,
    }
}

fn request(outgoing: &Outgoing<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
    let kind = match outgoing.json {
        true => "application/json",
        false => "application/x-www-form-urlencoded",
    };
    Request::builder()
        .method(Method::POST)
        .uri(outgoing.url.path.as_str())
        .header(HOST, outgoing.host.unwrap_or(&outgoing.url.authority))
        .header(CONNECTION, "close")
        .header(USER_AGENT, "http-client/0.0.1")
        .header(CONTENT_TYPE, kind)
        .header(AUTHORIZATION, outgoing.signature)
        .header(KEY_URL, vodferry_oss::base64::encode(outgoing.key_url.as_bytes()))
        .body(Full::new(Bytes::copy_from_slice(outgoing.body.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;

    /// A way on which `name` has one address after the other, and how often it was looked up.
    fn line(answers: Vec<Vec<SocketAddr>>, allowed: &str) -> (Line, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let look_up = move |_: &str, _: u16| {
            let turn = counted.fetch_add(1, Ordering::SeqCst);
            answers.get(turn).cloned().ok_or_else(|| io::Error::other("asked too often"))
        };
        let guard = Guard::new(&[allowed.to_owned()], true);
        let (names, tls) = (Names::by(Arc::new(look_up)), Tls::new(None).unwrap());
        (Line { guard, names, tls }, asked)
    }

    async fn send(line: &Line) -> Failure {
        let url = Target::read("http://name.example/").unwrap();
        let outgoing = Outgoing {
            url: &url,
            host: None,
            sni: false,
            json: false,
            body: "b",
            signature: "s",
            key_url: "k",
        };
        line.send(outgoing).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_name_that_changes_its_answer_is_asked_once_and_checked_each_time() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inside = inner.local_addr().unwrap();
        // Nobody listens there, but it may be called.
        let outside = SocketAddr::from(([127, 0, 0, 2], inside.port()));
        let (line, asked) = line(vec![vec![outside], vec![inside], vec![]], "127.0.0.2");
        assert_eq!(send(&line).await, Failure::Unreachable);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(send(&line).await, Failure::Forbidden);
        assert_eq!(send(&line).await, Failure::Unknown);
        assert_eq!(send(&line).await, Failure::Unknown);
        let called = tokio::time::timeout(std::time::Duration::from_millis(100), inner.accept());
        assert!(called.await.is_err());
    }

    #[tokio::test]
    async fn only_an_address_that_was_checked_is_connected_to() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inside = inner.local_addr().unwrap();
        let outside = SocketAddr::from(([127, 0, 0, 2], inside.port()));
        // A name with two addresses does not open the one by the other.
        let (closed, _) = line(Vec::new(), "127.0.0.2");
        let both = || vec![outside, inside];
        assert_eq!(closed.connect("a", both()).await.unwrap_err(), Failure::Unreachable);
        assert_eq!(closed.connect("a", vec![inside]).await.unwrap_err(), Failure::Forbidden);
        let (open, _) = line(Vec::new(), "127.0.0.1");
        assert_eq!(open.connect("a", both()).await.unwrap().peer_addr().unwrap(), inside);
    }
}
