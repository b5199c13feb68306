//! Requests by the thousand, each printed as `SECONDS`:
//!
//! - `objects put URL BUCKET COUNT CONNECTIONS BYTES`: so many signed PutObjects of so many bytes over so many connections.
//! - `objects dav URL COUNT CONNECTIONS BYTES`: as many plain PUTs to a WebDAV server.
//! - `objects parts URL BUCKET COUNT CONNECTIONS BYTES`: one upload of so many parts; Complete is not counted.
//! - `objects complete URL BUCKET PARTS`: the Complete of an upload of so many parts, alone.

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Instant;

use vodferry_bench::{Connection, Outcome, Place, among, content};
use vodferry_oss::Method;
use vodferry_oss::etag::{etag_of_md5, md5};

/// The smallest that may stand before another part.
const LEAST_PART: u64 = 102_400;
const CONNECTIONS: usize = 8;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seconds = match words[..] {
        ["put", url, bucket, count, connections, bytes] => {
            let place = Place::new(url, bucket)?;
            put(&place, count.parse()?, connections.parse()?, bytes.parse()?)?
        }
        ["dav", url, count, connections, bytes] => {
            dav(url, count.parse()?, connections.parse()?, bytes.parse()?)?
        }
        ["parts", url, bucket, count, connections, bytes] => {
            let place = Place::new(url, bucket)?;
            let id = place.initiate()?;
            parts(&place, &id, count.parse()?, connections.parse()?, &content(bytes.parse()?))?
        }
        ["complete", url, bucket, count] => complete(&Place::new(url, bucket)?, count.parse()?)?,
        _ => {
            return Err(
                "usage: objects put|dav|parts|complete …, see the head of the source".into()
            );
        }
    };
    println!("{seconds:.4}");
    Ok(())
}

fn put(place: &Place, count: usize, connections: usize, length: u64) -> Outcome<f64> {
    let bytes = content(length);
    among(count, connections, || {
        let mut connection = Connection::open(place.authority())?;
        let bytes = &bytes;
        Ok(move |number: usize| {
            connection.ask(&place.beside(number).signed(Method::Put, &[])?, bytes).map(drop)
        })
    })
}

fn dav(url: &str, count: usize, connections: usize, length: u64) -> Outcome<f64> {
    let authority = url.strip_prefix("http://").ok_or("the URL must begin with http://")?;
    let bytes = content(length);
    // Two runs do not write the same files.
    let run = std::process::id();
    among(count, connections, || {
        let mut connection = Connection::open(authority)?;
        let bytes = &bytes;
        Ok(move |number: usize| {
            let head = format!("PUT /bench/{run}/{number} HTTP/1.1\r\nhost: {authority}\r\n");
            connection.ask(&head, bytes).map(drop)
        })
    })
}

fn parts(place: &Place, id: &str, count: usize, connections: usize, bytes: &[u8]) -> Outcome<f64> {
    among(count, connections, || {
        let mut connection = Connection::open(place.authority())?;
        Ok(move |number: usize| {
            let query = [("partNumber", (number + 1).to_string()), ("uploadId", id.to_owned())];
            connection.ask(&place.signed(Method::Put, &query)?, bytes).map(drop)
        })
    })
}

fn complete(place: &Place, count: usize) -> Outcome<f64> {
    let bytes = content(LEAST_PART);
    let id = place.initiate()?;
    parts(place, &id, count, CONNECTIONS, &bytes)?;
    let etag = etag_of_md5(&md5(&bytes));
    let mut list = String::from("<CompleteMultipartUpload>");
    for number in 1..=count {
        write!(list, "<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>")?;
    }
    list.push_str("</CompleteMultipartUpload>");
    let request = place.signed(Method::Post, &[("uploadId", id)])?;
    let connection = Mutex::new(Connection::open(place.authority())?);
    let began = Instant::now();
    connection.into_inner()?.ask(&request, list.as_bytes())?;
    Ok(began.elapsed().as_secs_f64())
}
