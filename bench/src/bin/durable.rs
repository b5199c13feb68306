//! Parts that must survive a power loss, both ways, each printed as `SECONDS` for so many parts of 1 MiB, or of `BYTES`:
//!
//! - `durable loop FOLDER PARTS THREADS [BYTES]`: what a disk gives. Each thread writes a file, syncs it, renames it into one shared folder and
//!   syncs that folder; nothing is hashed, nothing travels, no row is written. `durable hashing FOLDER PARTS THREADS` takes MD5 and
//!   CRC64 of each part as well, as every server has to that answers with an ETag.
//! - `durable server URL BUCKET PARTS CONNECTIONS`: UploadPart to a server, signed, over so many connections, each waiting for its
//!   answer before it sends again.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use crc_fast::CrcAlgorithm;
use md5::{Digest, Md5};
use vodferry_bench::{Connection, Outcome, Place, among, content};
use vodferry_oss::Method;

const PART: u64 = 1 << 20;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seconds = match words[..] {
        [how @ ("loop" | "hashing"), folder, parts, threads] => {
            plain_loop(Path::new(folder), parts.parse()?, threads.parse()?, PART, how == "hashing")?
        }
        ["loop", folder, parts, threads, bytes] => {
            plain_loop(Path::new(folder), parts.parse()?, threads.parse()?, bytes.parse()?, false)?
        }
        ["server", url, bucket, parts, connections] => {
            upload(&Place::new(url, bucket)?, parts.parse()?, connections.parse()?)?
        }
        _ => return Err("usage: durable loop|hashing FOLDER PARTS THREADS | durable server URL BUCKET PARTS CONNECTIONS".into()),
    };
    println!("{seconds:.3}");
    Ok(())
}

fn plain_loop(
    folder: &Path,
    parts: usize,
    threads: usize,
    length: u64,
    hashing: bool,
) -> Outcome<f64> {
    let (drafts, done) = (folder.join("tmp"), folder.join("done"));
    fs::create_dir_all(&drafts)?;
    fs::create_dir_all(&done)?;
    let bytes = content(length);
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
    let bytes = content(PART);
    let id = place.initiate()?;
    among(parts, connections, || {
        let mut connection = Connection::open(place.authority())?;
        let (bytes, id) = (&bytes, &id);
        Ok(move |number: usize| {
            let query =
                [("partNumber", (number + 1).to_string()), ("uploadId", id.as_str().to_owned())];
            connection.ask(&place.signed(Method::Put, &query)?, bytes).map(drop)
        })
    })
}
