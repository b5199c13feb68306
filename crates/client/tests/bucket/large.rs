//! A file that needs its parts raised: 12 GiB at the default part size. `SPARSE_GIB=12` sends all of it; without, its plan is looked at,
//! and a smaller one is sent whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use vodferry::{
    Body, BoxFuture, File, FileState, Http, Method, Options, Request, Response, TransportError,
    Uploader,
};
use vodferry_oss::crc64::combine;

use crate::script::{crc64, credential, response, script, target};

const GIB: u64 = 1 << 30;

/// What a page advises for a file of this machine: 1 MiB, five at once.
fn options() -> Options {
    let mut options = Options::default();
    (options.adaptive, options.record_dir) = (false, None);
    options
}

fn sparse(length: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(length).unwrap();
    file
}

/// A store that keeps the length and the CRC64 of every part.
#[derive(Default)]
struct Counting {
    parts: Mutex<BTreeMap<u32, (u64, u64)>>,
}

impl Counting {
    fn object(&self) -> (u64, u64) {
        let parts = self.parts.lock().unwrap();
        parts.values().fold((0, 0), |(length, sum), (part, crc64)| {
            (length + part, combine(sum, *crc64, *part))
        })
    }
}

struct Port(Arc<Counting>);

impl Http for Port {
    fn send(
        &self,
        request: Request,
        mut body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let counting = self.0.clone();
        Box::pin(async move {
            let (mut length, mut crc) = (0, crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Xz));
            while let Some(piece) = body.next().await {
                let piece = piece.expect("a file that stays as it is");
                length += piece.len() as u64;
                crc.update(&piece);
            }
            let crc = crc.finalize();
            let query = |name: &str| {
                let mut query = request.query.iter();
                query.find(|(n, _)| n == name).map(|(_, value)| value.clone())
            };
            let md5 = request.header("content-md5").expect("every part has its MD5");
            Ok(match (request.method, query("partNumber")) {
                (Method::Put, Some(number)) => {
                    let number = number.parse().expect("a number");
                    counting.parts.lock().unwrap().insert(number, (length, crc));
                    let md5 = vodferry_oss::etag::parse_content_md5(md5).expect("an MD5");
                    let etag = vodferry_oss::etag::etag_of_md5(&md5);
                    let crc = crc.to_string();
                    response(200, &[("etag", &etag), ("x-oss-hash-crc64ecma", &crc)], "")
                }
                _ => response(400, &[], ""),
            })
        })
    }
}

/// Begins and ends an upload, and hands the rest on: those two have no MD5.
struct Ends(Port);

impl Http for Ends {
    fn send(
        &self,
        request: Request,
        body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        if request.method != Method::Post {
            return self.0.send(request, body);
        }
        let (_, crc64) = self.0.0.object();
        let begins = request.query.iter().any(|(name, _)| name == "uploads");
        let body = match begins {
            true => {
                "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            }
            false => {
                "<CompleteMultipartUploadResult><ETag>\"FF\"</ETag></CompleteMultipartUploadResult>"
            }
        };
        let crc64 = crc64.to_string();
        let reply = response(200, &[("x-oss-hash-crc64ecma", &crc64)], body);
        Box::pin(async { Ok(reply) })
    }
}

#[tokio::test]
async fn twelve_gib_are_planned_in_at_most_ten_thousand_parts() {
    let file = sparse(12 * GIB);
    let (http, mut script) = script();
    let uploader = Uploader::builder().options(options()).http(http).build().unwrap();
    uploader.add(File::path(file.path()).to(target("k"), credential())).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u");
    let mut lengths = Vec::new();
    for _ in 0..5 {
        lengths.push(script.next().await.body.len() as u64);
    }
    let part = lengths[0];
    assert!(lengths.iter().all(|length| *length == part) && part > 1 << 20, "{lengths:?}");
    assert!((12 * GIB).div_ceil(part) <= 10_000, "{part}");
    uploader.close().await;
}

#[tokio::test]
async fn a_sparse_file_arrives_whole() {
    let whole = std::env::var("SPARSE_GIB").ok().and_then(|gib| gib.parse::<u64>().ok());
    let length = whole.map_or((256 << 20) + 1, |gib| gib * GIB);
    let file = sparse(length);
    let counting = Arc::new(Counting::default());
    let http = Arc::new(Ends(Port(counting.clone())));
    let uploader = Uploader::builder().options(options()).http(http).build().unwrap();
    uploader.add(File::path(file.path()).to(target("k"), credential())).unwrap();
    uploader.start();
    let done = uploader.wait().await;
    assert_eq!(done[0].state, FileState::Succeeded, "{:?}", done[0].error);
    assert!(done[0].object.as_ref().is_some_and(|object| object.verified));
    uploader.close().await;

    let (mib, last) = (length >> 20, length % (1 << 20));
    let one = crc64(&vec![0; 1 << 20]);
    let wanted = (0..mib).fold(0, |sum, _| combine(sum, one, 1 << 20));
    let wanted = combine(wanted, crc64(&vec![0; last as usize]), last);
    assert_eq!(counting.object(), (length, wanted));
    let parts = counting.parts.lock().unwrap();
    assert!(parts.len() <= 10_000 && parts.keys().copied().eq(1..=parts.len() as u32));
}
