//! CopyObject and UploadPartCopy.

use vodferry_oss::encode::encode_path;

use super::multipart::Upload;
use super::room::{crc, etag, noise};
use super::{Room, Verdict, in_order};

in_order! { "copies":
    a_copy_has_the_bytes_and_the_metadata,
    replace_takes_the_metadata_of_the_request,
    an_unknown_directive_is_refused,
    a_source_is_decoded,
    a_source_that_is_not_there_is_no_such_key,
    a_malformed_source_is_refused,
    a_copy_has_conditions,
    a_copy_onto_itself_changes_metadata,
    forbid_overwrite_holds_for_copies,
    a_part_can_be_a_copy,
    a_part_can_be_a_copy_of_a_range,
}

/// CopyObjectResult with time and ETag, and the ETag header.
pub async fn a_copy_has_the_bytes_and_the_metadata(room: &Room) -> Verdict {
    let put = room.put("from")?.header("content-type", "video/mp4").header("x-oss-meta-a", "1");
    put.body("bytes").send().await?.is(200)?;
    let copied = room.put("to")?.header("x-oss-copy-source", source(room, "from"));
    let copied = copied.send().await?.is(200)?;
    copied.root("CopyObjectResult")?;
    copied.lists("ETag", &[etag(b"bytes")])?;
    copied.has("etag", &etag(b"bytes"))?;
    copied.dates("LastModified")?;
    let got = room.get("to")?.send().await?.is(200)?;
    got.holds("bytes")?;
    got.has("content-type", "video/mp4")?;
    got.has("x-oss-meta-a", "1")?;
    got.has("x-oss-hash-crc64ecma", &crc(b"bytes"))
}

/// `x-oss-metadata-directive: REPLACE`
pub async fn replace_takes_the_metadata_of_the_request(room: &Room) -> Verdict {
    room.put("from")?.header("x-oss-meta-a", "1").body("x").send().await?.is(200)?;
    let copy = room.put("to")?.header("x-oss-copy-source", source(room, "from"));
    let copy = copy.header("x-oss-metadata-directive", "REPLACE").header("x-oss-meta-b", "2");
    copy.header("content-type", "text/plain").send().await?.is(200)?;
    let head = room.head("to")?.send().await?.is(200)?;
    head.lacks("x-oss-meta-a")?;
    head.has("x-oss-meta-b", "2")?;
    head.has("content-type", "text/plain")
}

/// 400 InvalidArgument
pub async fn an_unknown_directive_is_refused(room: &Room) -> Verdict {
    room.store("from", b"x").await?;
    let copy = room.put("to")?.header("x-oss-copy-source", source(room, "from"));
    let copy = copy.header("x-oss-metadata-directive", "MOVE").send().await?;
    copy.refused(400, "InvalidArgument").map(|_| ())
}

/// `%XX`, `+` for a space, with or without the slash in front.
pub async fn a_source_is_decoded(room: &Room) -> Verdict {
    room.store("a b+测", b"x").await?;
    let encoded = source(room, "a b+测");
    for text in
        [encoded.clone(), encoded.replace("%20", "+"), encoded.trim_start_matches('/').to_owned()]
    {
        room.put("to")?.header("x-oss-copy-source", text).send().await?.is(200)?;
    }
    Ok(())
}

/// 404 NoSuchKey; nothing is stored.
pub async fn a_source_that_is_not_there_is_no_such_key(room: &Room) -> Verdict {
    let copy = room.put("to")?.header("x-oss-copy-source", source(room, "missing"));
    copy.send().await?.refused(404, "NoSuchKey")?;
    room.get("to")?.send().await?.refused(404, "NoSuchKey").map(|_| ())
}

/// Without a key: 400 InvalidArgument.
pub async fn a_malformed_source_is_refused(room: &Room) -> Verdict {
    for text in ["/", "/only-a-bucket", "/UPPER/k"] {
        let copy = room.put("to")?.header("x-oss-copy-source", text).send().await?;
        if !matches!(copy.status(), 400 | 404) {
            return Err(copy.differs("a refusal that is not about authority"));
        }
    }
    Ok(())
}

/// if-match of another 412, if-none-match of its own 304, if-match of its own 200.
pub async fn a_copy_has_conditions(room: &Room) -> Verdict {
    room.store("from", b"x").await?;
    for (name, tag, status) in [
        ("if-match", etag(b"other"), 412),
        ("if-none-match", etag(b"x"), 304),
        ("if-match", etag(b"x"), 200),
        ("if-none-match", etag(b"other"), 200),
    ] {
        let copy = room.put("to")?.header("x-oss-copy-source", source(room, "from"));
        copy.header(&format!("x-oss-copy-source-{name}"), tag).send().await?.is(status)?;
    }
    Ok(())
}

/// With REPLACE an object's own copy is how its metadata is changed.
pub async fn a_copy_onto_itself_changes_metadata(room: &Room) -> Verdict {
    room.store("k", b"bytes").await?;
    let copy = room.put("k")?.header("x-oss-copy-source", source(room, "k"));
    let copy = copy.header("x-oss-metadata-directive", "REPLACE").header("x-oss-meta-a", "1");
    copy.send().await?.is(200)?;
    let got = room.get("k")?.send().await?.is(200)?;
    got.holds("bytes")?;
    got.has("x-oss-meta-a", "1")
}

/// 409 FileAlreadyExists
pub async fn forbid_overwrite_holds_for_copies(room: &Room) -> Verdict {
    room.store("from", b"new").await?;
    room.store("to", b"old").await?;
    let copy = room.put("to")?.header("x-oss-copy-source", source(room, "from"));
    let copy = copy.header("x-oss-forbid-overwrite", "true").send().await?;
    copy.refused(409, "FileAlreadyExists")?;
    room.get("to")?.send().await?.is(200)?.holds("old")
}

/// CopyPartResult with time and ETag, and the ETag header.
pub async fn a_part_can_be_a_copy(room: &Room) -> Verdict {
    let bytes = noise(5000, 1);
    room.store("from", &bytes).await?;
    let upload = Upload::begin(room, "to").await?;
    let copied = upload.put(1, b"")?.header("x-oss-copy-source", source(room, "from"));
    let copied = copied.send().await?.is(200)?;
    copied.root("CopyPartResult")?;
    copied.lists("ETag", &[etag(&bytes)])?;
    copied.has("etag", &etag(&bytes))?;
    copied.dates("LastModified")?;
    upload.complete(&[(1, &etag(&bytes))]).await?.is(200)?;
    room.get("to")?.send().await?.is(200)?.holds(&bytes)
}

/// `x-oss-copy-source-range`; `bytes=0-` is all of it.
pub async fn a_part_can_be_a_copy_of_a_range(room: &Room) -> Verdict {
    let bytes = noise(150_000, 2);
    room.store("from", &bytes).await?;
    let upload = Upload::begin(room, "to").await?;
    for (number, range, part) in
        [(1, "bytes=100-110099", &bytes[100..110_100]), (2, "bytes=0-", &bytes[..])]
    {
        let copied = upload.put(number, b"")?.header("x-oss-copy-source", source(room, "from"));
        let copied = copied.header("x-oss-copy-source-range", range).send().await?.is(200)?;
        copied.has("etag", &etag(part))?;
    }
    let (first, second) = (etag(&bytes[100..110_100]), etag(&bytes));
    upload.complete(&[(1, &first), (2, &second)]).await?.is(200)?;
    room.get("to")?.send().await?.is(200)?.holds([&bytes[100..110_100], &bytes].concat())
}

fn source(room: &Room, name: &str) -> String {
    format!("/{}/{}", room.bucket(), encode_path(&room.key(name)))
}
