//! What the programs that load a server share: signed requests over plain blocking sockets, so that the asker takes little of the machine
//! from who is measured. The key comes from `VODFERRY_ACCESS_KEY_ID` and `VODFERRY_ACCESS_KEY_SECRET`.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use vodferry_oss::sign::sign_v1;
use vodferry_oss::xml::InitiateMultipartUploadResult;
use vodferry_oss::{Credential, Method, Request, Style, Target};

/// Why a load could not be put on.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Seconds that it takes to do so many things on so many threads, each with a worker of its own.
///
/// # Errors
/// The first of a worker.
pub fn among<W: FnMut(usize) -> Outcome<()>>(
    parts: usize,
    threads: usize,
    worker: impl Fn() -> Outcome<W> + Sync,
) -> Outcome<f64> {
    let next = AtomicUsize::new(0);
    let work = || -> Outcome<()> {
        let mut worker = worker()?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= parts {
                return Ok(());
            }
            worker(number)?;
        }
    };
    let began = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(began.elapsed().as_secs_f64())
    })
}

/// So many bytes, not all zero, in case somebody below saves on those.
pub fn content(length: u64) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// A server, a bucket and an object of this run.
pub struct Place {
    target: Target,
    credential: Credential,
    authority: String,
}

impl Place {
    /// A place that is new in each run. `url` is plain http.
    ///
    /// # Errors
    /// When the URL is not, or there is no key.
    pub fn new(url: &str, bucket: &str) -> Outcome<Place> {
        let authority = url.strip_prefix("http://").ok_or("the URL must begin with http://")?;
        let key = format!("bench/durable-{}", now_ms());
        Ok(Place {
            target: Target { endpoint: url.to_owned(), bucket: bucket.to_owned(), key },
            credential: Credential {
                access_key_id: std::env::var("VODFERRY_ACCESS_KEY_ID")?,
                access_key_secret: std::env::var("VODFERRY_ACCESS_KEY_SECRET")?.as_str().into(),
                security_token: None,
            },
            authority: authority.to_owned(),
        })
    }

    /// The same bucket, another object.
    #[must_use]
    pub fn beside(&self, number: usize) -> Place {
        let key = format!("{}/{number}", self.target.key);
        let target = Target { key, ..self.target.clone() };
        Place { target, credential: self.credential.clone(), authority: self.authority.clone() }
    }

    /// Where to connect.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Begins a multipart upload of the object, and gives its id.
    ///
    /// # Errors
    /// When the server does not take it.
    pub fn initiate(&self) -> Outcome<String> {
        let initiate = self.signed(Method::Post, &[("uploads", String::new())])?;
        let reply = Connection::open(&self.authority)?.ask(&initiate, &[])?;
        Ok(InitiateMultipartUploadResult::decode(&reply)?.upload_id)
    }

    /// The request line and headers, but for the length.
    ///
    /// # Errors
    /// When the URL is none that requests can be made of.
    pub fn signed(&self, method: Method, query: &[(&str, String)]) -> Outcome<String> {
        let mut request = Request::to(method, &self.target, Style::Path)?;
        request.query =
            query.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let Target { bucket, key, .. } = &self.target;
        sign_v1(&mut request, bucket, key, &self.credential, now_ms());
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n",
            method.as_str(),
            request.target(),
            self.authority
        );
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Ok(head)
    }
}

/// A connection that is kept.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Opens one to `host:port`.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn open(authority: &str) -> Outcome<Connection> {
        let stream = TcpStream::connect(authority)?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Sends a request and takes the reply's body.
    ///
    /// # Errors
    /// Any status but 200, 201 and 204.
    pub fn ask(&mut self, head: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        let stream = self.0.get_mut();
        stream.write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes())?;
        stream.write_all(body)?;
        let (mut status, mut length, mut line) = (String::new(), 0, String::new());
        self.0.read_line(&mut status)?;
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err("the server hung up".into());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut reply = vec![0; length];
        self.0.read_exact(&mut reply)?;
        match status.split(' ').nth(1) {
            Some("200" | "201" | "204") => Ok(reply),
            _ => Err(format!("{} {}", status.trim(), String::from_utf8_lossy(&reply)).into()),
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
