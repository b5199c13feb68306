//! The records of the OSS SDK for Android: read, so that an application that moves here goes on with what that left unfinished.
//!
//! That SDK keeps one small file per upload. Its name is a digest of what the upload is of and where it goes, its only line the upload
//! id:
//!
//! ```text
//! name = md5hex(md5hex(file) + bucket + key + part size [+ "-crc64"] [+ "-sequence"])
//! ```
//!
//! So the whole file has to be read to find it. Nothing here is ever written or removed: what is found becomes the beginning of a
//! checkpoint of ours, and the server's list of parts says what of it is there.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use vodferry_engine::{Begin, Target};

use crate::source::Source;

/// What those who set no part size have: that of the OSS SDK, and that of the VOD uploader above it.
const USUAL_PART_SIZES: [u64; 2] = [256 << 10, 1 << 20];
/// More parts than these the SDK avoids by larger ones…
const MOST_PARTS: u64 = 5_000;
/// …which are multiples of this.
const GRAIN: u64 = 4 << 10;
/// Below this a file is one request, and has no record.
const SMALL: u64 = 102_400;
/// Longer than any upload id.
const LONGEST_ID: u64 = 1_024;
const WINDOW: usize = 256 << 10;

/// What is looked for: the upload of a source to a place, begun with certain parts.
pub(crate) struct Wanted<'a> {
    /// The folder of the records.
    pub(crate) dir: &'a Path,
    pub(crate) target: &'a Target,
    /// As asked for; 0: as nobody asked.
    pub(crate) part_size: u64,
    pub(crate) sequential: bool,
}

impl Wanted<'_> {
    /// How the upload of `source` began, as a record says; `None` where none does, or none that makes sense. Reads the whole source where
    /// there is any record. Blocks.
    pub(crate) fn find(&self, source: &Source) -> Option<Begin> {
        let length = source.identity().length.filter(|length| *length >= SMALL)?;
        if !has_records(self.dir) {
            return None;
        }
        let digest = digest_of(source, length)?;
        // What was read is what the identity is of.
        source.check().ok()?;
        self.named(&digest, length).into_iter().find_map(|(path, part_size)| {
            Some(Begin {
                source: source.identity().clone(),
                target: self.target.clone(),
                video_id: None,
                part_size,
                grows_to: None,
                upload_id: upload_id_in(&path)?,
            })
        })
    }

    /// The records that there may be of a file of this digest and length, with the part size that each stands for.
    fn named(&self, digest: &str, length: u64) -> Vec<(PathBuf, u64)> {
        let Wanted { dir, target: Target { bucket, key, .. }, sequential, .. } = self;
        let asked = match self.part_size {
            0 => USUAL_PART_SIZES.to_vec(),
            asked => vec![asked],
        };
        let sequence = if *sequential { "-sequence" } else { "" };
        let mut named = Vec::new();
        for part_size in asked.into_iter().map(|asked| sized(length, asked)) {
            for crc64 in ["-crc64", ""] {
                let text = format!("{digest}{bucket}{key}{part_size}{crc64}{sequence}");
                named.push((dir.join(hex(&Md5::digest(text))), part_size));
            }
        }
        named
    }
}

/// The part size that the SDK makes of the one that was asked for.
fn sized(length: u64, asked: u64) -> u64 {
    if length <= asked {
        return length;
    }
    match length.div_ceil(asked) > MOST_PARTS {
        true => (length / (MOST_PARTS - 1)).div_ceil(GRAIN) * GRAIN,
        false => asked,
    }
}

/// Whether anything there is named like a record: else no file needs to be read.
fn has_records(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        name.len() == 32 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit)
    })
}

/// The only line of a record. The SDK makes the file before it has an id: one that is empty says nothing.
fn upload_id_in(path: &Path) -> Option<String> {
    // A pipe in its place would never end.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST_ID + 1).read_to_string(&mut text).ok()?;
    let id = text.trim();
    let sound = (1..=LONGEST_ID).contains(&(id.len() as u64));
    (sound && id.bytes().all(|byte| byte.is_ascii_graphic())).then(|| id.to_owned())
}

fn digest_of(source: &Source, length: u64) -> Option<String> {
    let mut hasher = Md5::new();
    let mut window = vec![0; WINDOW];
    let mut at = 0;
    while at < length {
        let most = usize::try_from(length - at).map_or(WINDOW, |left| left.min(WINDOW));
        let piece = window.get_mut(..most)?;
        source.read(piece, at).ok()?;
        hasher.update(&*piece);
        at += most as u64;
    }
    Some(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Origin;

    fn target() -> Target {
        let [endpoint, bucket, key] = ["http://h", "films", "2026/a b.mp4"].map(str::to_owned);
        Target { endpoint, bucket, key }
    }

    /// A file of 300,000 bytes, each its place modulo 251.
    fn film(dir: &Path) -> Source {
        let path = dir.join("film");
        let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        std::fs::write(&path, bytes).unwrap();
        Source::open(&Origin::Path(path)).unwrap()
    }

    fn wanted<'a>(dir: &'a Path, target: &'a Target, part_size: u64) -> Wanted<'a> {
        Wanted { dir, target, part_size, sequential: false }
    }

    /// The names were computed by `md5sum`, not by this code.
    #[test]
    fn the_record_of_a_fixed_file_has_the_name_that_the_sdk_gives_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = target();
        let source = film(dir.path());
        let digest = digest_of(&source, 300_000).unwrap();
        assert_eq!(digest, "34fadf2975834e9a357ec41d3e6df067");
        let names = |sequential| {
            let wanted = Wanted { sequential, ..wanted(dir.path(), &target, 131_072) };
            let named = wanted.named(&digest, 300_000).into_iter();
            named.map(|(path, _)| path.file_name().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            names(false),
            ["f189beeb2c1240483cdd54d121fe48ec", "655d8565def7b4172d933759a694baa8"]
        );
        assert_eq!(
            names(true),
            ["b35bd711e587e76d92e0050f0e74de0a", "504ebafa7a5ea5ae40fd80b7dda6da0e"]
        );
    }

    #[test]
    fn parts_are_sized_as_the_sdk_does() {
        assert_eq!(sized(300_000, 131_072), 131_072);
        assert_eq!(sized(200_000, 262_144), 200_000);
        assert_eq!(sized(5_000 * 262_144, 262_144), 262_144);
        // One byte more: 262,196.4… bytes, raised to whole 4 KiB.
        assert_eq!(sized(5_000 * 262_144 + 1, 262_144), 266_240);
        assert_eq!(sized(u64::MAX, 1) % GRAIN, 0);
    }

    #[test]
    fn what_a_record_says_is_taken_or_left_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        for (content, id) in [
            ("0004B9894A22E5B1888A1E29F8236E2D", Some("0004B9894A22E5B1888A1E29F8236E2D")),
            ("u-1_x.Y=\r\n", Some("u-1_x.Y=")),
            ("", None),
            ("\n", None),
            ("two\nlines", None),
            ("with blank", None),
            ("\u{1b}[2J", None),
            ("ä", None),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(upload_id_in(&path).as_deref(), id, "{content:?}");
        }
        std::fs::write(&path, "x".repeat(2_000)).unwrap();
        assert_eq!(upload_id_in(&path), None);
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(upload_id_in(&path), None);
        assert_eq!(upload_id_in(dir.path()), None);
        assert_eq!(upload_id_in(&dir.path().join("none")), None);
    }

    #[test]
    fn a_record_is_found_by_content_place_and_part_size() {
        let dir = tempfile::tempdir().unwrap();
        let target = target();
        let source = film(dir.path());
        assert_eq!(wanted(dir.path(), &target, 131_072).find(&source), None);
        let record = dir.path().join("655d8565def7b4172d933759a694baa8");
        std::fs::write(&record, "u1\n").unwrap();
        let begin = wanted(dir.path(), &target, 131_072).find(&source).unwrap();
        assert_eq!((begin.upload_id.as_str(), begin.part_size), ("u1", 131_072));
        assert_eq!((&begin.source, &begin.target), (source.identity(), &target));
        // Other parts, another key, other bytes: another record.
        assert_eq!(wanted(dir.path(), &target, 0).find(&source), None);
        let other = Target { key: "b".into(), ..target.clone() };
        assert_eq!(wanted(dir.path(), &other, 131_072).find(&source), None);
        let in_order = Wanted { sequential: true, ..wanted(dir.path(), &target, 131_072) };
        assert_eq!(in_order.find(&source), None);
        assert_eq!(std::fs::read(&record).unwrap(), b"u1\n", "read, and no more");
        let path = dir.path().join("film");
        std::fs::write(&path, vec![7; 300_000]).unwrap();
        let edited = Source::open(&Origin::Path(path)).unwrap();
        assert_eq!(wanted(dir.path(), &target, 131_072).find(&edited), None);
    }
}
