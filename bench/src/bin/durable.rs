//! Parts that must survive a power loss, both ways, each printed as `SECONDS` for so many parts of 1 MiB:
//!
//! - `durable loop FOLDER PARTS THREADS`: what a disk gives. Each thread writes a file, syncs it, renames it into one shared folder and
//!   syncs that folder; nothing is hashed, nothing travels, no row is written. `durable hashing FOLDER PARTS THREADS` takes MD5 and
//!   CRC64 of each part as well, as every server has to that answers with an ETag.
//! - `durable server URL BUCKET PARTS CONNECTIONS`: UploadPart to a server, signed, over so many connections, each waiting for its
//!   answer before it sends again. Plain blocking sockets, so that the asker takes little of the machine from the server. The key comes
//!   from `VODFERRY_ACCESS_KEY_ID` and `VODFERRY_ACCESS_KEY_SECRET`.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crc_fast::CrcAlgorithm;
use md5::{Digest, Md5};
use vodferry_oss::sign::sign_v1;
use vodferry_oss::xml::InitiateMultipartUploadResult;
use vodferry_oss::{Credential, Method, Request, Style, Target};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const PART: usize = 1 << 20;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seconds = match words[..] {
        [how @ ("loop" | "hashing"), folder, parts, threads] => {
            plain_loop(Path::new(folder), parts.parse()?, threads.parse()?, how == "hashing")?
        }
        ["server", url, bucket, parts, connections] => {
            upload(&Place::new(url, bucket)?, parts.parse()?, connections.parse()?)?
        }
        _ => return Err("usage: durable loop|hashing FOLDER PARTS THREADS | durable server URL BUCKET PARTS CONNECTIONS".into()),
    };
    println!("{seconds:.3}");
    Ok(())
}

fn plain_loop(folder: &Path, parts: usize, threads: usize, hashing: bool) -> Outcome<f64> {
    let (drafts, done) = (folder.join("tmp"), folder.join("done"));
    fs::create_dir_all(&drafts)?;
    fs::create_dir_all(&done)?;
    let bytes = content();
    among(parts, threads, || {
        let (bytes, drafts, done) = (&bytes, &drafts, &done);
        Ok(move |number: usize| {
            let draft = drafts.join(number.to_string());
            let mut file = File::create_new(&draft)?;
            file.write_all(bytes)?;
            if hashing {
                black_box(Md5::digest(black_box(bytes)));
                black_box(crc_fast::checksum(CrcAlgorithm::Crc64Xz, black_box(bytes)));
            }
            file.sync_data()?;
            fs::rename(&draft, done.join(number.to_string()))?;
            File::open(done)?.sync_all()?;
            Ok(())
        })
    })
}

fn upload(place: &Place, parts: usize, connections: usize) -> Outcome<f64> {
    let bytes = content();
    let initiate = place.signed(Method::Post, &[("uploads", String::new())])?;
    let reply = Connection::open(place)?.ask(&initiate, &[])?;
    let id = InitiateMultipartUploadResult::decode(&reply)?.upload_id;
    among(parts, connections, || {
        let mut connection = Connection::open(place)?;
        let (bytes, id) = (&bytes, &id);
        Ok(move |number: usize| {
            let query =
                [("partNumber", (number + 1).to_string()), ("uploadId", id.as_str().to_owned())];
            connection.ask(&place.signed(Method::Put, &query)?, bytes).map(drop)
        })
    })
}

/// Seconds that it takes to do so many things on so many threads, each with a worker of its own.
fn among<W: FnMut(usize) -> Outcome<()>>(
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

/// Not all zero, in case somebody below saves on those.
fn content() -> Vec<u8> {
    (0..PART as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

struct Place {
    target: Target,
    credential: Credential,
    authority: String,
}

impl Place {
    fn new(url: &str, bucket: &str) -> Outcome<Place> {
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

    /// The request line and headers, but for the length.
    fn signed(&self, method: Method, query: &[(&str, String)]) -> Outcome<String> {
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

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(place: &Place) -> Outcome<Connection> {
        let stream = TcpStream::connect(&place.authority)?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Sends a request and takes the reply's body; anything but 200 is an error.
    fn ask(&mut self, head: &str, body: &[u8]) -> Outcome<Vec<u8>> {
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
            Some("200") => Ok(reply),
            _ => Err(format!("{} {}", status.trim(), String::from_utf8_lossy(&reply)).into()),
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
