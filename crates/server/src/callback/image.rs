//! How large a picture is, told from its first bytes.

/// Size and kind of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// Pixels.
    pub(crate) width: u64,
    /// Pixels.
    pub(crate) height: u64,
    /// As the original names it.
    pub(crate) format: &'static str,
}

impl Image {
    /// As many first bytes as are looked at; the size of a JPEG may stand behind a long preamble.
    pub(crate) const HEAD: u64 = 128 << 10;

    /// Reads the beginning of a file; none when it is no picture that is known here.
    pub(crate) fn of(head: &[u8]) -> Option<Image> {
        let image = |width, height, format| Some(Image { width, height, format });
        let be32 = |at| number(head, at, 4, false);
        let le = |at, bytes| number(head, at, bytes, true);
        if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            return image(be32(16)?, be32(20)?, "png");
        }
        if head.starts_with(b"GIF8") {
            return image(le(6, 2)?, le(8, 2)?, "gif");
        }
        if head.starts_with(b"BM") {
            // Rows that run from the top have a negative height.
            let height = u32::try_from(le(22, 4)?).ok()?.cast_signed().unsigned_abs();
            return image(le(18, 4)?, height.into(), "bmp");
        }
        if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            let (width, height) = webp(head)?;
            return image(width, height, "webp");
        }
        if head.starts_with(b"\xff\xd8") {
            let (width, height) = jpeg(head)?;
            return image(width, height, "jpg");
        }
        None
    }
}

/// Walks the segments to the one that begins a frame.
fn jpeg(head: &[u8]) -> Option<(u64, u64)> {
    let mut at = 2usize;
    loop {
        if head.get(at) != Some(&0xff) {
            return None;
        }
        match *head.get(at + 1)? {
            // Bytes may be filled up, and some markers have no length.
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            0xc4 | 0xc8 | 0xcc => at += 2 + length(head, at + 2)?,
            0xc0..=0xcf => {
                return Some((number(head, at + 7, 2, false)?, number(head, at + 5, 2, false)?));
            }
            // The picture, or its end, and no frame before.
            0xd8..=0xda => return None,
            _ => at += 2 + length(head, at + 2)?,
        }
    }
}

fn length(head: &[u8], at: usize) -> Option<usize> {
    number(head, at, 2, false)?.try_into().ok()
}

/// One of the three kinds of WebP.
fn webp(head: &[u8]) -> Option<(u64, u64)> {
    let le = |at, bytes| number(head, at, bytes, true);
    match head.get(12..16)? {
        b"VP8 " => Some((le(26, 2)? & 0x3fff, le(28, 2)? & 0x3fff)),
        b"VP8L" => {
            let bits = le(21, 4)?;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some((le(24, 3)? + 1, le(27, 3)? + 1)),
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize, length: usize, little: bool) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    let add = |sum, byte: &u8| sum << 8 | u64::from(*byte);
    Some(match little {
        true => bytes.iter().rev().fold(0, add),
        false => bytes.iter().fold(0, add),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(head: &[u8]) -> Option<(u64, u64, &'static str)> {
        Image::of(head).map(|image| (image.width, image.height, image.format))
    }

    #[test]
    fn pictures_tell_their_size() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";
        assert_eq!(size(png), Some((640, 480, "png")));
        assert_eq!(size(b"GIF89a\x80\x02\xe0\x01\xf7\0\0"), Some((640, 480, "gif")));
        let mut bmp = b"BM".to_vec();
        bmp.resize(18, 0);
        bmp.extend(640i32.to_le_bytes());
        bmp.extend((-480i32).to_le_bytes());
        assert_eq!(size(&bmp), Some((640, 480, "bmp")));
        // A comment, a table of Huffman codes, then the frame.
        let jpeg =
            b"\xff\xd8\xff\xfe\0\x04ab\xff\xff\xc4\0\x03x\xff\xc2\0\x11\x08\x01\xe0\x02\x80\x03";
        assert_eq!(size(jpeg), Some((640, 480, "jpg")));
        let webp = |rest: &[u8]| [b"RIFF\0\0\0\0WEBP", rest].concat();
        let lossy = webp(b"VP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x80\x02\xe0\x01");
        assert_eq!(size(&lossy), Some((640, 480, "webp")));
        let bits: u32 = 639 | 479 << 14;
        let lossless = webp(&[b"VP8L\0\0\0\0\x2f".as_slice(), &bits.to_le_bytes()].concat());
        assert_eq!(size(&lossless), Some((640, 480, "webp")));
        let extended = webp(b"VP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0");
        assert_eq!(size(&extended), Some((640, 480, "webp")));
    }

    #[test]
    fn what_is_no_picture_or_cut_has_none() {
        for head in [
            b"".as_slice(),
            b"film",
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0",
            b"GIF89a\x80",
            b"BM",
            b"RIFF\0\0\0\0WEBPnone",
            b"\xff\xd8\xff\xe0\xff\xff",
            b"\xff\xd8\xff\xe0\0\0\xff\xe0\0\0",
            b"\xff\xd8\xff\xda\0\x02",
            b"\xff\xd8\0",
            b"\xff\xd8\xff\xc0\0\x11\x08\x01",
        ] {
            assert_eq!(size(head), None, "{head:?}");
        }
    }
}
