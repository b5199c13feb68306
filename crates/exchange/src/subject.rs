//! The beginning of every message: which operation, on what.

use alloc::string::String;

use vodferry_engine::Op;
use vodferry_oss::text::push_u64;

/// For example `part 7 of sv/a.mp4: `.
pub(crate) fn subject(op: &Op, key: &str) -> String {
    let mut out = String::from(match op {
        Op::AbortMultipartUpload { .. } => "aborting ",
        Op::CompleteMultipartUpload { .. } => "completing ",
        Op::HeadObject { .. } => "looking at ",
        Op::InitiateMultipartUpload => "initiating ",
        Op::ListMultipartUploads => "listing the uploads of ",
        Op::ListParts { .. } => "listing the parts of ",
        Op::PutObject { .. } => "putting ",
        Op::UploadPart { .. } => "part ",
    });
    if let Op::UploadPart { number, .. } = op {
        push_u64(&mut out, u64::from(*number));
        out.push_str(" of ");
    }
    push_line(&mut out, key);
    out.push_str(": ");
    out
}

/// Appends foreign text as part of one line: no control characters, not too long.
pub(crate) fn push_line(out: &mut String, text: &str) {
    const MOST: usize = 300;
    out.extend(text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST));
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use vodferry_engine::Op;

    use super::{push_line, subject};

    #[test]
    fn says_which_part_of_what() {
        let op = Op::UploadPart { upload_id: String::new(), number: 7, range: 0..1, held: None };
        assert_eq!(subject(&op, "sv/a\nb.mp4"), "part 7 of sv/a b.mp4: ");
        assert_eq!(subject(&Op::InitiateMultipartUpload, "k"), "initiating k: ");
    }

    #[test]
    fn foreign_text_becomes_one_short_line() {
        let mut out = String::from("part 7: ");
        push_line(&mut out, " one\r\ntwo\n");
        assert_eq!(out, "part 7: one  two");
        let mut long = String::new();
        push_line(&mut long, &"é".repeat(1000));
        assert_eq!(long.chars().count(), 300);
    }
}
