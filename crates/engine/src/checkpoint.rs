//! What is stored to resume: a few records per upload, appended by the shell in the order the engine emits them.
//!
//! The records hold no secret. ListParts is the truth; the part records are a hint that serves where ListParts is
//! refused, and the proof that every part was acknowledged where a reply to Complete was lost.

//!
//! A record is one line of text, because people debug checkpoints with `cat`; the shell frames it. Values are
//! percent-encoded, so a space always separates:
//!
//! ```text
//! begin 1 length=2097152 modified=0 fingerprint=ab12 part_size=1048576 endpoint=… bucket=… key=… video=… upload_id=…
//! part 1 1048576 5D41402ABC4B2A76B9719D911017C592 11051210869376104954
//! length 1048576
//! end
//! ```

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::config::MAX_PARTS;
use crate::plan::Plan;
use crate::vocab::{PartInfo, Source, Target};

/// The only version there is.
const VERSION: &str = "1";

/// One entry of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A multipart upload was opened; what came before is void. Synced before the first part is sent.
    Begin(Begin),
    /// The upload is over (completed, or aborted): the checkpoint may be deleted.
    End,
    /// A source of unknown length has turned out to have so many bytes. Written before Complete is sent.
    Length(u64),
    /// A part was acknowledged.
    Part(PartInfo),
}

/// How an upload began: everything needed to go on with it in another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The content that is being uploaded.
    pub source: Source,
    /// Where it goes.
    pub target: Target,
    /// Its video, where it has one.
    pub video_id: Option<String>,
    /// Bytes per part, all equal but for the last; of a source of unknown length, those of the first thousand.
    pub part_size: u64,
    /// Of a source of unknown length: parts are twice as long every thousand parts, and at most so many bytes.
    pub grows_to: Option<u64>,
    /// The server's name for the upload.
    pub upload_id: String,
}

/// A checkpoint read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How the upload began.
    pub begin: Begin,
    /// The parts acknowledged since, ascending, each number once (the last record of a number counts).
    pub parts: Vec<PartInfo>,
    /// What a source of unknown length turned out to have, in bytes; `None` before Complete could have been sent.
    pub length: Option<u64>,
}

/// A line that is no record of a version known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// What is wrong with it; one line.
    pub reason: &'static str,
}

impl Record {
    /// One line of text, without its end.
    pub fn to_line(&self) -> String {
        let mut line = String::new();
        match self {
            Record::Begin(begin) => begin.write(&mut line),
            Record::End => line.push_str("end"),
            Record::Length(length) => {
                line.push_str("length ");
                push_number(&mut line, *length);
            }
            Record::Part(part) => {
                line.push_str("part ");
                push_number(&mut line, part.number.into());
                line.push(' ');
                push_number(&mut line, part.length);
                line.push(' ');
                push_encoded(&mut line, &part.etag);
                line.push(' ');
                match part.crc64 {
                    Some(crc64) => push_number(&mut line, crc64),
                    None => line.push('-'),
                }
            }
        }
        line
    }

    /// Reads what [`Record::to_line`] wrote. Fails on anything else, an unknown version among it; unknown fields
    /// of a known version are passed over.
    pub fn parse(line: &str) -> Result<Record, BadRecord> {
        let mut words = line.split(' ');
        match words.next() {
            Some("begin") => {
                if words.next() != Some(VERSION) {
                    return Err(bad("unknown checkpoint version"));
                }
                Begin::read(words).map(Record::Begin)
            }
            Some("end") if words.next().is_none() => Ok(Record::End),
            Some("length") => match (words.next(), words.next()) {
                (Some(length), None) => Ok(Record::Length(number_of(length)?)),
                _ => Err(bad("a length record has one field")),
            },
            Some("part") => {
                let (Some(number), Some(length), Some(etag), Some(crc64), None) =
                    (words.next(), words.next(), words.next(), words.next(), words.next())
                else {
                    return Err(bad("a part record has four fields"));
                };
                let number: u32 = number_of(number)?;
                if number == 0 || u64::from(number) > MAX_PARTS {
                    return Err(bad("no such part number"));
                }
                Ok(Record::Part(PartInfo {
                    number,
                    length: number_of(length)?,
                    etag: decoded(etag)?,
                    crc64: if crc64 == "-" { None } else { Some(number_of(crc64)?) },
                }))
            }
            _ => Err(bad("unknown record")),
        }
    }
}

impl Begin {
    /// Bytes of the part that holds the byte at `place`, of a source whose length is not known yet; 0 where no such upload can exist.
    #[must_use]
    pub fn part_length_at(&self, place: u64) -> u64 {
        let grows_to = self.grows_to.unwrap_or(self.part_size);
        let plan = Plan::of(None, self.part_size, Some(grows_to));
        plan.map_or(0, |plan| plan.length_of(plan.number_at(place)))
    }
}

impl Checkpoint {
    /// What the records of one checkpoint, in order, amount to: the last `Begin` and the parts after it. `None` when
    /// nothing was begun, or what was begun has ended.
    pub fn replay(records: impl IntoIterator<Item = Record>) -> Option<Checkpoint> {
        let mut begun = None;
        let mut length = None;
        let mut parts = BTreeMap::new();
        for record in records {
            match record {
                Record::Begin(begin) => {
                    begun = Some(begin);
                    parts.clear();
                    length = None;
                }
                Record::End => begun = None,
                Record::Length(bytes) => length = Some(bytes),
                Record::Part(part) => {
                    parts.insert(part.number, part);
                }
            }
        }
        begun.map(|begin| Checkpoint { begin, parts: parts.into_values().collect(), length })
    }
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl core::error::Error for BadRecord {}

impl Begin {
    fn write(&self, line: &mut String) {
        line.push_str("begin ");
        line.push_str(VERSION);
        line.push_str(" length=");
        match self.source.length {
            Some(length) => push_number(line, length),
            None => line.push('-'),
        }
        line.push_str(" modified=");
        if self.source.modified_ms < 0 {
            line.push('-');
        }
        push_number(line, self.source.modified_ms.unsigned_abs());
        line.push_str(" fingerprint=");
        push_encoded(line, &self.source.fingerprint);
        line.push_str(" part_size=");
        push_number(line, self.part_size);
        if let Some(most) = self.grows_to {
            line.push_str(" grows_to=");
            push_number(line, most);
        }
        line.push_str(" endpoint=");
        push_encoded(line, &self.target.endpoint);
        line.push_str(" bucket=");
        push_encoded(line, &self.target.bucket);
        line.push_str(" key=");
        push_encoded(line, &self.target.key);
        if let Some(video_id) = &self.video_id {
            line.push_str(" video=");
            push_encoded(line, video_id);
        }
        line.push_str(" upload_id=");
        push_encoded(line, &self.upload_id);
    }

    fn read<'a>(words: impl Iterator<Item = &'a str>) -> Result<Begin, BadRecord> {
        let mut fields = BTreeMap::new();
        for word in words {
            let (name, value) = word.split_once('=').ok_or(bad("a field without a value"))?;
            if fields.insert(name, value).is_some() {
                return Err(bad("a field twice"));
            }
        }
        let field = |name| fields.get(name).copied().ok_or(bad("a field is missing"));
        Ok(Begin {
            source: Source {
                length: match field("length")? {
                    "-" => None,
                    length => Some(number_of(length)?),
                },
                modified_ms: number_of(field("modified")?)?,
                fingerprint: decoded(field("fingerprint")?)?,
            },
            target: Target {
                endpoint: decoded(field("endpoint")?)?,
                bucket: decoded(field("bucket")?)?,
                key: decoded(field("key")?)?,
            },
            video_id: fields.get("video").map(|video| decoded(video)).transpose()?,
            part_size: number_of(field("part_size")?)?,
            grows_to: fields.get("grows_to").map(|most| number_of(most)).transpose()?,
            upload_id: decoded(field("upload_id")?)?,
        })
    }
}

fn bad(reason: &'static str) -> BadRecord {
    BadRecord { reason }
}

fn number_of<T: FromStr>(text: &str) -> Result<T, BadRecord> {
    text.parse().map_err(|_| bad("not a number in its range"))
}

fn push_number(line: &mut String, number: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    for digit in digits.iter().skip(digits.len() - used) {
        line.push(char::from(*digit));
    }
}

/// Readable characters stay; everything else, `%`, space and line ends above all, becomes `%XX`.
fn push_encoded(line: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            line.push(char::from(byte));
        } else {
            line.push('%');
            push_hex(line, byte >> 4);
            push_hex(line, byte & 15);
        }
    }
}

fn push_hex(line: &mut String, nibble: u8) {
    line.push(char::from(if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }));
}

fn decoded(text: &str) -> Result<String, BadRecord> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let nibble = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (nibble(rest.next()), nibble(rest.next())) else {
            return Err(bad("a damaged percent sign"));
        };
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| bad("not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn begin(key: &str, video_id: Option<&str>) -> Begin {
        Begin {
            source: Source { length: Some(7), modified_ms: -1, fingerprint: "ab".into() },
            target: Target {
                endpoint: "https://oss-cn-shanghai.aliyuncs.com".into(),
                bucket: "b".into(),
                key: key.into(),
            },
            video_id: video_id.map(String::from),
            part_size: 102_400,
            grows_to: None,
            upload_id: "U".into(),
        }
    }

    fn part(number: u32, etag: &str) -> PartInfo {
        PartInfo { number, length: 5, etag: etag.into(), crc64: None }
    }

    #[test]
    fn lines_read_like_the_story_of_an_upload() {
        let line = Record::Begin(begin("a b/视.mp4", Some("v=1"))).to_line();
        assert_eq!(
            line,
            "begin 1 length=7 modified=-1 fingerprint=ab part_size=102400 \
             endpoint=https://oss-cn-shanghai.aliyuncs.com bucket=b key=a%20b/%E8%A7%86.mp4 \
             video=v=1 upload_id=U"
        );
        let part = PartInfo { crc64: Some(u64::MAX), ..part(3, "E") };
        assert_eq!(Record::Part(part).to_line(), "part 3 5 E 18446744073709551615");
        assert_eq!(Record::End.to_line(), "end");
    }

    #[test]
    fn what_is_no_record_is_refused_and_new_fields_are_passed_over() {
        let good = Record::Begin(begin("k", None)).to_line();
        let mut newer = good.clone();
        newer.push_str(" colour=blue");
        assert_eq!(Record::parse(&newer), Record::parse(&good));
        for line in [
            "",
            "begin",
            "begin 2 length=1",
            "begin 1",
            "end of",
            "part 0 5 E -",
            "part 10001 5 E -",
            "part 1 5 E",
            "part 1 5 E - x",
            "part 1 -5 E -",
            "part 1 5 %4 -",
            "part 1 5 %FF -",
            "part 1 5 E 18446744073709551616",
            &good.replace("upload_id", "id"),
            &good.replace("bucket=b", "bucket"),
            &good.replace("bucket=b", "key=b"),
        ] {
            assert!(Record::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn parts_of_an_open_end_are_twice_as_long_every_thousand_until_they_grow_no_more() {
        let begin = |part_size, grows_to| Begin { part_size, grows_to, ..begin("a", None) };
        for (place, length) in
            [(0, 10), (9_999, 10), (10_000, 20), (29_999, 20), (30_000, 25), (u64::MAX, 25)]
        {
            assert_eq!(begin(10, Some(25)).part_length_at(place), length, "{place}");
        }
        assert_eq!(begin(10, None).part_length_at(u64::MAX), 10);
        // A record may say anything.
        assert_eq!(begin(0, None).part_length_at(0), 0);
        assert_eq!(begin(1, Some(u64::MAX)).part_length_at(0), 0);
    }

    #[test]
    fn the_edges_of_the_grammar() {
        let last = part(10_000, "E");
        assert_eq!(Record::parse(&Record::Part(last.clone()).to_line()), Ok(Record::Part(last)));
        let mut begin = begin("a", None);
        begin.source.modified_ms = 0;
        assert!(Record::Begin(begin).to_line().contains(" modified=0 "));
        let told = alloc::string::ToString::to_string(&Record::parse("?").unwrap_err());
        assert_eq!(told, "unknown record");
    }

    #[test]
    fn the_last_begin_counts_and_end_ends() {
        let (a, b) = (Record::Begin(begin("a", None)), Record::Begin(begin("b", None)));
        let p = |n, e| Record::Part(part(n, e));
        let found = Checkpoint::replay([a.clone(), p(1, "x"), b.clone(), p(2, "y"), p(2, "z")]);
        let expected =
            Checkpoint { begin: begin("b", None), parts: [part(2, "z")].into(), length: None };
        assert_eq!(found, Some(expected));
        assert_eq!(Checkpoint::replay([a.clone(), p(1, "x"), Record::End]), None);
        assert_eq!(Checkpoint::replay([p(1, "x")]), None);
        let again = Checkpoint::replay([a, p(1, "x"), Record::End, b]);
        assert_eq!(again.map(|c| c.parts.len()), Some(0));
    }

    fn record() -> impl Strategy<Value = Record> {
        let text = || "\\PC*|.{0,8}";
        let begin = (
            (any::<Option<u64>>(), any::<i64>(), text()),
            (text(), text(), text()),
            (any::<Option<String>>(), any::<u64>(), any::<Option<u64>>(), text()),
        )
            .prop_map(|(source, target, (video_id, part_size, grows_to, upload_id))| Begin {
                source: Source { length: source.0, modified_ms: source.1, fingerprint: source.2 },
                target: Target { endpoint: target.0, bucket: target.1, key: target.2 },
                video_id,
                part_size,
                grows_to,
                upload_id,
            });
        let part = (1_u32..=10_000, any::<u64>(), text(), any::<Option<u64>>())
            .prop_map(|(number, length, etag, crc64)| PartInfo { number, length, etag, crc64 });
        prop_oneof![
            begin.prop_map(Record::Begin),
            Just(Record::End),
            any::<u64>().prop_map(Record::Length),
            part.prop_map(Record::Part)
        ]
    }

    proptest! {
        #[test]
        fn a_record_survives_its_line(record in record()) {
            let line = record.to_line();
            prop_assert!(line.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
            prop_assert_eq!(Record::parse(&line), Ok(record));
        }

        #[test]
        fn no_line_panics(line in ".*") {
            let _ = Record::parse(&line);
        }
    }
}
