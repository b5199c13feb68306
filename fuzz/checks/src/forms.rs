//! Posted forms: their bytes, and the policies that permit them.

use serde_json::Value;
use vodferry_oss::{ServiceError, base64};

use crate::form_grammar::{PartHead, boundary, parameter, scan};
use crate::form_policy::{FormPolicy, LengthRange};

const NOW: i64 = 1_795_168_800_000;

/// The bytes as a policy, and as a form: its type in the first line, its body behind that.
pub fn forms(data: &[u8]) {
    policy(data);
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (kind, body) = (&data[..end], &data[(end + 1).min(data.len())..]);
    let Ok(kind) = std::str::from_utf8(kind) else { return };
    quoted(kind, "boundary");
    let Some(boundary) = boundary(kind) else { return };
    assert!(matches!(boundary.len(), 1..=70), "{boundary}");
    // As a server begins: the first line has no line break in front of it.
    form(&[b"\r\n", body].concat(), format!("\r\n--{boundary}").as_bytes());
}

/// A value that was read is read again after it was written as browsers do.
fn quoted(header: &str, name: &str) {
    let Some(value) = parameter(header, name) else { return };
    // With a backslash at the end of it, what ends the value would be a part of it.
    if !value.ends_with('\\') {
        let written = format!("form-data; {name}=\"{}\"; more=\"1\"", value.replace('"', "\\\""));
        assert_eq!(parameter(&written, name), Some(value), "{written}");
        assert_eq!(parameter(&written, "more").as_deref(), Some("1"), "{written}");
    }
}

/// Part by part to the end, or to where it is malformed.
fn form(mut rest: &[u8], delimiter: &[u8]) {
    while let Some(behind) = content(rest, delimiter) {
        // Of the delimiter's own line there may be blanks left.
        let Some((_, mut lines)) = line(behind) else { return };
        let mut head = PartHead::default();
        loop {
            let Some((first, others)) = line(lines) else { return };
            lines = others;
            if first.is_empty() {
                break;
            }
            if let Ok(first) = std::str::from_utf8(first) {
                quoted(first, "name");
                quoted(first, "filename");
            }
            if head.read(first).is_none() {
                return;
            }
        }
        rest = lines;
    }
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    find(bytes, b"\r\n").map(|at| (&bytes[..at], &bytes[at + 2..]))
}

/// What follows the first delimiter, if there is one. However many bytes come at a time, the content in front of it is the same,
/// and no more is held back than what may be the beginning of one.
fn content<'a>(body: &'a [u8], delimiter: &[u8]) -> Option<&'a [u8]> {
    let first = find(body, delimiter);
    for length in [1, 2, 7, body.len().max(1)] {
        let mut pieces = body.chunks(length);
        let (mut taken, mut buffer) = (Vec::new(), Vec::new());
        let ends = loop {
            match scan(&buffer, delimiter) {
                (0, true) => break true,
                (0, false) => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => break false,
                },
                (free, _) => taken.extend(buffer.drain(..free)),
            }
        };
        assert_eq!(ends, first.is_some(), "{length} at a time");
        assert!(ends || buffer.len() < delimiter.len() && delimiter.starts_with(&buffer));
        let until = first.unwrap_or(body.len() - buffer.len());
        assert_eq!(taken, body[..until], "{length} at a time");
    }
    first.map(|at| &body[at + delimiter.len()..])
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// As the field itself, and as what is in it.
fn policy(data: &[u8]) {
    let fields = [std::str::from_utf8(data).map(str::to_owned).ok(), Some(base64::encode(data))];
    for field in fields.into_iter().flatten() {
        let policy = match FormPolicy::read(&field) {
            Ok(policy) => policy,
            Err(error) => {
                refused(&error, &["InvalidPolicyDocument"]);
                continue;
            }
        };
        let late = policy.check(i64::MAX, |_| None).expect_err("no policy is for ever");
        refused(&late, &["AccessDenied"]);
        // A form without fields, and one whose fields all have the same value.
        for value in [None, Some(""), Some("sv/1.mp4")] {
            match policy.check(NOW, |_| value.map(str::to_owned)) {
                Ok(range) => permitted(&field, value, range),
                Err(error) => refused(&error, &["AccessDenied", "InvalidPolicyDocument"]),
            }
        }
    }
}

fn refused(error: &ServiceError, codes: &[&str]) {
    assert!(codes.contains(&error.code.as_str()), "{error}");
    assert!((400..500).contains(&error.status), "{error}");
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
}

/// Whatever stands in a policy that permits a form holds of the form.
fn permitted(field: &str, value: Option<&str>, range: Option<LengthRange>) {
    let text = base64::decode(field.trim()).expect("read just now");
    let text: Value = serde_json::from_slice(&text).expect("read just now");
    let conditions = text["conditions"].as_array().expect("read just now");
    // What all ranges have in common, which may be nothing.
    let mut common: Option<(u64, u64)> = None;
    for condition in conditions {
        let kind = condition[0].as_str().unwrap_or_default().to_ascii_lowercase();
        let operand = condition[2].as_str();
        let listed =
            || condition[2].as_array().is_some_and(|l| l.iter().any(|v| v.as_str() == value));
        let holds = match kind.as_str() {
            "content-length-range" => {
                let number = |v: &Value| v.as_u64().or_else(|| v.as_str()?.parse().ok());
                let found = number(&condition[1]).zip(number(&condition[2]));
                let (least, most) = found.expect("read just now");
                let (low, high) = common.unwrap_or((least, most));
                common = Some((low.max(least), high.min(most)));
                true
            }
            "eq" => value == operand,
            "starts-with" => value.zip(operand).is_some_and(|(v, start)| v.starts_with(start)),
            "in" => value.is_some() && listed(),
            "not-in" => value.is_some() && !listed(),
            _ => condition.as_object().is_some_and(|o| o.values().all(|v| v.as_str() == value)),
        };
        assert!(holds, "{condition} of {value:?}");
    }
    assert_eq!(range.map(|range| (range.least, range.most)), common);
}
