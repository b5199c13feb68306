//! Reading an object back, whole or not at all.
//!
//! An object is read by its presigned URL in ranges that fit into the bounded replies of the [`Http`] port; a range that fails is asked
//! for again; each is waited for as [`Http::timeouts`] says. Every range must be of the object that the first one was of (`If-Match`), and at the end length and CRC64 must be those
//! that the server named.

use std::sync::Arc;
use std::time::Duration;

use crc_fast::{CrcAlgorithm, Digest};
use vodferry_engine::{ErrorKind, FaultKind, Target};
use vodferry_oss::encode::decode_path;
use vodferry_oss::etag::quote;
use vodferry_oss::sign::{OptionsV4, presign_v1, presign_v4};
use vodferry_oss::{Credential, Method, Request, Response, ServiceError, Style};

use crate::authorizer::check_region;
use crate::http::send_in_time;
use crate::{Error, Http};

/// Bytes asked for at once: half of what a reply may hold.
const RANGE: u64 = 512 << 10;
/// How often one range is asked for before the download is given up.
const TRIES: u32 = 6;

/// The URL by which anyone can download the object until `expires_s` (seconds since 1970): as good as a secret until then. Signed by V1.
///
/// # Errors
///
/// Kind `Misuse` when the target is no valid endpoint, bucket and key.
pub fn presigned_url(
    target: &Target,
    credential: &Credential,
    expires_s: u64,
) -> Result<String, Error> {
    let mut request = unsigned(target)?;
    presign_v1(&mut request, &target.bucket, &target.key, credential, expires_s);
    Ok(request.url())
}

/// As [`presigned_url`], signed by V4 for a bucket of `region` (for example `cn-hangzhou`). It works from `from_ms` (milliseconds since
/// 1970) for `life_s` seconds, at most 604,800.
///
/// # Errors
///
/// Kind `Misuse` when the target is no valid endpoint, bucket and key, or the region or the life is none.
pub fn presigned_url_v4(
    target: &Target,
    credential: &Credential,
    region: &str,
    from_ms: i64,
    life_s: u32,
) -> Result<String, Error> {
    check_region(region)?;
    if !(1..=604_800).contains(&life_s) {
        return Err(Error::misuse("a URL signed by V4 lives for 1 to 604800 seconds"));
    }
    let mut request = unsigned(target)?;
    let options = OptionsV4 { region, additional_headers: &[] };
    let Target { bucket, key, .. } = target;
    presign_v4(&mut request, bucket, key, credential, options, from_ms, life_s);
    Ok(request.url())
}

/// A download that nobody signed yet.
fn unsigned(target: &Target) -> Result<Request, Error> {
    let invalid = |text: String| Error::new(ErrorKind::Misuse, "InvalidTarget", text);
    if target.key.is_empty() {
        return Err(invalid("the key is empty".to_owned()));
    }
    let place = vodferry_oss::Target {
        endpoint: target.endpoint.clone(),
        bucket: target.bucket.clone(),
        key: target.key.clone(),
    };
    Request::to(Method::Get, &place, Style::Auto).map_err(|error| invalid(error.to_string()))
}

/// One object on its way here.
///
/// ```no_run
/// # async fn example(url: &str) -> Result<(), vodferry::Error> {
/// use vodferry::{Download, Options, http_client};
/// let mut download = Download::open(http_client(&Options::default())?, url).await?;
/// let mut bytes = Vec::new();
/// while let Some(piece) = download.next().await? {
///     bytes.extend_from_slice(&piece);
/// }
/// // Only now are the bytes known to be the object's.
/// # Ok(()) }
/// ```
pub struct Download {
    http: Arc<dyn Http>,
    request: Request,
    length: u64,
    etag: Option<String>,
    crc64: Option<u64>,
    /// The first piece came with the headers.
    first: Option<Vec<u8>>,
    taken: u64,
    digest: Digest,
}

impl Download {
    /// Asks for the object behind a presigned (or public) URL.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when `url` is not an `http://` or `https://` URL, `Protocol` when the reply does not say how long the object is or
    /// is none of the storage that the URL is signed for; what the server answered; why it could not be reached.
    pub async fn open(http: Arc<dyn Http>, url: &str) -> Result<Download, Error> {
        let request = request(url)?;
        let mut reply = fetch(&*http, &request, Some((0, RANGE - 1)), None).await?;
        if reply.status == 416 {
            // An empty object has no range.
            reply = fetch(&*http, &request, None, None).await?;
        }
        if !matches!(reply.status, 200 | 206) {
            return Err(refused(&reply));
        }
        let length = match reply.status {
            206 => {
                whole_length(&reply).ok_or_else(|| strange("a partial reply without its place"))?
            }
            _ => {
                is_whole(&request, &reply)?;
                reply.body.len() as u64
            }
        };
        Ok(Download {
            http,
            request,
            length,
            etag: reply.etag().map(str::to_owned),
            crc64: reply.crc64(),
            first: Some(reply.body),
            taken: 0,
            digest: Digest::new(CrcAlgorithm::Crc64Xz),
        })
    }

    /// Bytes of the whole object.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// CRC-64/XZ of the whole object as the server names it; `None` when it names none, and only the length is checked.
    pub fn crc64(&self) -> Option<u64> {
        self.crc64
    }

    /// The next bytes, in order; `None` when all came and length and CRC64 are right.
    ///
    /// # Errors
    ///
    /// Kind `Integrity` when they are not, `SourceChanged` when the object was replaced under way; as [`open`](Download::open).
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let piece = match self.first.take() {
            Some(piece) => piece,
            None if self.taken >= self.length => return self.verify().map(|()| None),
            None => self.fetch_next().await?,
        };
        self.digest.update(&piece);
        self.taken += piece.len() as u64;
        if piece.is_empty() {
            return self.verify().map(|()| None);
        }
        Ok(Some(piece))
    }

    async fn fetch_next(&self) -> Result<Vec<u8>, Error> {
        let last = self.taken.saturating_add(RANGE).min(self.length) - 1;
        let range = (self.taken, last);
        let reply = fetch(&*self.http, &self.request, Some(range), self.etag.as_deref()).await?;
        let same = self.etag.as_deref() == reply.etag();
        match reply.status {
            206 if same && reply.body.len() as u64 == last - self.taken + 1 => Ok(reply.body),
            206 if same => Err(strange("another range than was asked for")),
            206 | 412 => Err(Error::new(
                ErrorKind::SourceChanged,
                "ObjectReplaced",
                "the object was replaced while it was downloaded",
            )),
            200 => Err(strange("the whole object in place of a range")),
            _ => Err(refused(&reply)),
        }
    }

    fn verify(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::new(ErrorKind::Integrity, "DownloadMismatch", text));
        if self.taken != self.length {
            return wrong("the download has another length than the object");
        }
        if self.crc64.is_some_and(|crc64| crc64 != self.digest.finalize()) {
            return wrong("the download has another CRC64 than the object");
        }
        Ok(())
    }
}

/// One range, asked for until it comes or there is no sense in asking.
async fn fetch(
    http: &dyn Http,
    request: &Request,
    range: Option<(u64, u64)>,
    etag: Option<&str>,
) -> Result<Response, Error> {
    let mut request = request.clone();
    if let Some((first, last)) = range {
        request.set_header("range", format!("bytes={first}-{last}"));
    }
    if let Some(etag) = etag {
        request.set_header("if-match", quote(etag));
    }
    let mut pause = Duration::from_millis(200);
    let mut tries = 1;
    loop {
        let failed = match send_in_time(http, request.clone(), Vec::new()).await {
            Ok(reply) if reply.status < 500 && reply.status != 429 => return Ok(reply),
            Ok(reply) => refused(&reply),
            Err(error) => {
                let (kind, heals) = match error.fault_kind() {
                    FaultKind::Transient(kind) => (kind, true),
                    FaultKind::Fatal(kind) => (kind, false),
                    _ => (ErrorKind::Network, true),
                };
                let failed = Error::new(kind, error.code(), error.message.clone());
                if !heals {
                    return Err(failed);
                }
                failed
            }
        };
        if tries == TRIES {
            return Err(failed);
        }
        tracing::debug!(%failed, "asking for the range again");
        tokio::time::sleep(pause).await;
        pause *= 2;
        tries += 1;
    }
}

/// The request for a URL as it is: signatures are over the path and the values in it.
fn request(url: &str) -> Result<Request, Error> {
    // The URL may be as good as a secret: no message repeats it.
    let bad = || Error::new(ErrorKind::Misuse, "BadUrl", "not an http:// or https:// URL");
    let url = reqwest::Url::parse(url).map_err(|_| bad())?;
    let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
    let mut authority = host.ok_or_else(bad)?.to_owned();
    if let Some(port) = url.port() {
        authority.push_str(&format!(":{port}"));
    }
    let mut query = Vec::new();
    for pair in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // A plus stays a plus: it stands in signatures that were written without encoding.
        let decode = |text| decode_path(text).map_err(|_| bad());
        query.push((decode(name)?, decode(value)?));
    }
    Ok(Request {
        method: Method::Get,
        scheme: url.scheme().to_owned(),
        authority,
        path: url.path().to_owned(),
        query,
        headers: Vec::new(),
        body: Vec::new(),
    })
}

/// The length of the whole object, from `Content-Range: bytes 0-9/10`.
fn whole_length(reply: &Response) -> Option<u64> {
    let range = reply.header("content-range")?.strip_prefix("bytes ")?;
    let (place, whole) = range.split_once('/')?;
    let (first, last) = place.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let here = last.checked_sub(first)?.checked_add(1)?;
    let whole: u64 = whole.parse().ok()?;
    (first == 0 && here == reply.body.len() as u64 && here <= whole).then_some(whole)
}

/// A success without a range can come from anybody: a network that asks for a login answers every request by one. And where a reply
/// does not say where it ends, one that was cut looks whole.
fn is_whole(request: &Request, reply: &Response) -> Result<(), Error> {
    let signed = |(name, _): &(String, String)| {
        ["Signature", "x-oss-signature"]
            .iter()
            .any(|signature| name.eq_ignore_ascii_case(signature))
    };
    let by_storage = reply.etag().is_some() || reply.crc64().is_some();
    if request.query.iter().any(signed) && !by_storage {
        return Err(strange("what is none of the storage's: it has no ETag"));
    }
    match reply.content_length() {
        Some(length) if length == reply.body.len() as u64 => Ok(()),
        // The end will show.
        None if reply.crc64().is_some() => Ok(()),
        Some(_) => Err(strange("another length than it named")),
        None => Err(strange("without a length: nobody can tell whether all of it came")),
    }
}

fn refused(reply: &Response) -> Error {
    let error = ServiceError::from_response(reply);
    let kind = match reply.status {
        401 | 403 => ErrorKind::Auth,
        _ => ErrorKind::Service,
    };
    Error::new(kind, error.code, error.message.trim_end_matches('.'))
        .with_request_id(error.request_id)
}

fn strange(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, "UnexpectedReply", format!("the server answered {what}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{Body, BoxFuture, Timeouts, TransportError, TransportErrorKind};

    type Spoil = Box<dyn Fn(usize, &mut Response) + Send + Sync>;

    /// Serves one object in ranges; `spoil` changes each reply before it leaves.
    struct Shelf {
        object: Vec<u8>,
        spoil: Spoil,
        asked: Mutex<usize>,
    }

    impl Http for Shelf {
        fn send(
            &self,
            request: Request,
            _body: Body,
        ) -> BoxFuture<'static, Result<Response, TransportError>> {
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            let mut reply = Response { status: 200, ..Response::default() };
            let length = self.object.len();
            let (first, last) = match request.header("range") {
                Some(range) => {
                    let (first, last) = range["bytes=".len()..].split_once('-').unwrap();
                    (first.parse().unwrap(), last.parse::<usize>().unwrap() + 1)
                }
                None => (0, length),
            };
            if request.header("range").is_some() {
                reply.status = if first < length { 206 } else { 416 };
            }
            let last = last.min(length);
            reply.body = self.object.get(first..last).unwrap_or_default().to_vec();
            let crc64 = vodferry_oss::crc64::crc64(&self.object).to_string();
            let range = format!("bytes {first}-{}/{length}", last.saturating_sub(1));
            for (name, value) in
                [("etag", "\"E\""), ("x-oss-hash-crc64ecma", &crc64), ("content-range", &range)]
            {
                reply.headers.push((name.to_owned(), value.to_owned()));
            }
            (self.spoil)(*asked, &mut reply);
            let result = match reply.status {
                0 => Err(TransportError::new(TransportErrorKind::Lost, "gone")),
                _ => Ok(reply),
            };
            Box::pin(async { result })
        }
    }

    async fn download(
        length: usize,
        spoil: impl Fn(usize, &mut Response) + Send + Sync + 'static,
    ) -> Result<bool, Error> {
        let object: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let shelf =
            Shelf { object: object.clone(), spoil: Box::new(spoil), asked: Mutex::default() };
        let url = "http://h:1/b/a%20b?Signature=a%2Bb";
        let mut download = Download::open(Arc::new(shelf), url).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = download.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes == object)
    }

    #[tokio::test]
    async fn objects_of_any_length_come_whole() {
        for length in [0, 1, RANGE as usize - 1, RANGE as usize, RANGE as usize + 1, 2_000_000] {
            assert!(download(length, |_, _| {}).await.unwrap(), "{length}");
        }
    }

    #[tokio::test]
    async fn a_wrong_byte_is_found() {
        let result = download(2_000_000, |asked, reply| {
            if asked == 3 {
                reply.body[7] ^= 1;
            }
        });
        assert_eq!(result.await.unwrap_err().kind(), ErrorKind::Integrity);
    }

    #[tokio::test]
    async fn a_replaced_object_is_not_spliced() {
        let result = download(2_000_000, |asked, reply| {
            if asked == 2 {
                reply.headers.retain(|(name, _)| name != "etag");
            }
        });
        assert_eq!(result.await.unwrap_err().kind(), ErrorKind::SourceChanged);
    }

    #[tokio::test]
    async fn a_lost_range_is_asked_for_again() {
        let result = download(2_000_000, |asked, reply| match asked {
            1 => reply.status = 503,
            3 => reply.status = 0,
            _ => {}
        });
        assert!(result.await.unwrap());
    }

    #[tokio::test]
    async fn refusals_are_told_with_their_kind() {
        let result = download(10, |_, reply| reply.status = 403);
        assert_eq!(result.await.unwrap_err().kind(), ErrorKind::Auth);
        let result = download(10, |_, reply| reply.status = 404);
        assert_eq!(result.await.unwrap_err().kind(), ErrorKind::Service);
    }

    /// Answers everything by the same.
    struct Canned(Response);

    impl Http for Canned {
        fn send(
            &self,
            _request: Request,
            _body: Body,
        ) -> BoxFuture<'static, Result<Response, TransportError>> {
            let reply = self.0.clone();
            Box::pin(async { Ok(reply) })
        }
    }

    #[tokio::test]
    async fn a_success_of_somebody_else_is_no_object() {
        let get = async |url: &str, headers: &[(&str, &str)], body: &str| {
            let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            let reply = Response { status: 200, headers: headers.collect(), body: body.into() };
            let mut download = match Download::open(Arc::new(Canned(reply)), url).await {
                Ok(download) => download,
                Err(error) => return Err(error.kind()),
            };
            while download.next().await.map_err(|error| error.kind())?.is_some() {}
            Ok(download.length())
        };
        let strange = Err(ErrorKind::Protocol);
        let (etag, length) = (("etag", "\"E\""), ("content-length", "9"));
        let crc64 = vodferry_oss::crc64::crc64(b"some text").to_string();
        let (right, wrong) = (("x-oss-hash-crc64ecma", &*crc64), ("x-oss-hash-crc64ecma", "1"));
        for signed in ["http://h/b/k?Expires=1&Signature=a", "http://h/b/k?x-oss-signature=a"] {
            assert_eq!(get(signed, &[length], "some text").await, strange, "a page");
            assert_eq!(get(signed, &[("content-length", "0")], "").await, strange, "nothing");
            assert_eq!(get(signed, &[etag], "some t").await, strange, "cut");
            assert_eq!(get(signed, &[], "some t").await, strange);
            assert_eq!(get(signed, &[etag, length], "some text").await, Ok(9));
            assert_eq!(get(signed, &[right], "some text").await, Ok(9));
            assert_eq!(get(signed, &[right], "some t").await, Err(ErrorKind::Integrity));
            assert_eq!(get(signed, &[length, wrong], "some text").await, Err(ErrorKind::Integrity));
        }
        let plain = "http://h/file";
        assert_eq!(get(plain, &[length], "some text").await, Ok(9), "any web server");
        assert_eq!(get(plain, &[length], "some t").await, strange);
        assert_eq!(get(plain, &[etag], "some text").await, strange);
    }

    /// Gives the head of a reply, and so many more bytes of it, one a second; then nothing.
    struct Stalls(usize);

    impl Http for Stalls {
        fn send(
            &self,
            _request: Request,
            body: Body,
        ) -> BoxFuture<'static, Result<Response, TransportError>> {
            let bytes = self.0;
            Box::pin(async move {
                let watch = body.reply_watch();
                watch.moved(0);
                for _ in 0..bytes {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    watch.moved(1);
                }
                std::future::pending().await
            })
        }

        fn timeouts(&self) -> Timeouts {
            let idle = Duration::from_secs(2);
            Timeouts { idle, request: Duration::from_secs(10), ..Timeouts::default() }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_range_is_waited_for_as_long_as_the_client_says() {
        // Six tries, and 6.2 seconds between them.
        for (bytes, seconds) in [(0, 18), (3, 36), (1_000, 66)] {
            let begun = tokio::time::Instant::now();
            let opened = Download::open(Arc::new(Stalls(bytes)), "http://h:1/b/k").await;
            let error = opened.err().unwrap();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "TimedOut"));
            assert_eq!(begun.elapsed().as_secs(), seconds, "{bytes}");
        }
    }

    #[test]
    fn urls_keep_path_and_signature() {
        let url = "http://h:1/b/a%20b%2Fc?Expires=1&Signature=a%2Bb+c%3D&uploads";
        let request = request(url).unwrap();
        assert_eq!(request.path, "/b/a%20b%2Fc");
        assert_eq!(request.query[1].1, "a+b+c=");
        for bad in ["", "b/k", "ftp://h/k", "file:///etc/passwd", "http://"] {
            assert!(super::request(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn presigned_urls_need_a_valid_target() {
        let credential = Credential {
            access_key_id: "id".into(),
            access_key_secret: "secret".into(),
            security_token: None,
        };
        let target = |key: &str| Target {
            endpoint: "http://127.0.0.1:1".into(),
            bucket: "films".into(),
            key: key.into(),
        };
        let url = presigned_url(&target("a b.mp4"), &credential, 99).unwrap();
        assert!(url.starts_with("http://127.0.0.1:1/films/a%20b.mp4?"), "{url}");
        assert!(url.contains("Expires=99") && !url.contains("secret"), "{url}");
        assert!(presigned_url(&target(""), &credential, 99).is_err());
    }
}
