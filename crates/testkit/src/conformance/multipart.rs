//! Uploads in parts: Initiate, UploadPart, ListParts, Complete, Abort.

use vodferry_oss::Method;
use vodferry_oss::etag::{etag_of_md5, md5, multipart_etag, quote};

use super::ask::Ask;
use super::reply::Reply;
use super::room::{crc, digest, etag, noise};
use super::{Failure, Room, Verdict, in_order};

in_order! { "multipart":
    initiate_names_bucket_key_and_id,
    a_part_answers_etag_md5_and_crc64,
    a_wrong_content_md5_leaves_no_part,
    a_part_cut_in_its_body_is_no_part,
    a_part_sent_again_is_replaced,
    parts_become_an_object,
    the_object_has_what_initiate_said,
    the_etag_is_that_of_the_upper_case_texts,
    numbers_may_have_gaps_and_parts_may_be_left_out,
    etags_of_a_list_may_be_written_in_many_ways,
    numbers_out_of_order_are_refused,
    an_unknown_part_is_refused,
    another_etag_is_refused,
    a_small_part_is_refused_at_the_end,
    bad_lists_are_malformed,
    complete_all_takes_what_is_there,
    complete_all_with_a_list_is_refused,
    an_empty_list_makes_an_empty_object_or_is_refused,
    forbid_overwrite_holds_at_the_end,
    complete_speaks_in_encoded_keys_when_asked,
    the_id_ends_with_the_upload,
    abort_ends_an_upload,
    an_unknown_upload_is_no_such_upload,
    part_numbers_have_bounds,
    uploads_of_a_key_live_side_by_side,
    parts_are_listed,
    parts_are_listed_in_pages,
    a_sequential_upload_keeps_its_order,
    the_object_of_a_sequential_upload_has_a_content_md5,
}

const PART: usize = 102_400;

/// 200 with bucket, key and an id that needs no escaping.
pub async fn initiate_names_bucket_key_and_id(room: &Room) -> Verdict {
    let begun = room.post("a b")?.query("uploads", "").send().await?.is(200)?;
    begun.root("InitiateMultipartUploadResult")?;
    begun.lists("Bucket", &[room.bucket()])?;
    begun.lists("Key", &[room.key("a b")])?;
    let id = begun.element("UploadId")?;
    if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)) {
        return Err(begun.differs("an UploadId of 32 upper-case hex digits"));
    }
    let begun = room.post("a b")?.query("uploads", "").query("encoding-type", "url");
    let begun = begun.send().await?.is(200)?;
    begun.lists("EncodingType", &["url"])?;
    match begun.element("Key")?.ends_with("a%20b") {
        true => Ok(()),
        false => Err(begun.differs("the key percent-encoded")),
    }
}

/// As PutObject answers.
pub async fn a_part_answers_etag_md5_and_crc64(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let bytes = noise(3000, 1);
    let sent =
        upload.put(1, &bytes)?.header("content-md5", digest(&bytes)).send().await?.is(200)?;
    sent.has("etag", &etag(&bytes))?;
    sent.has("content-md5", &digest(&bytes))?;
    sent.has("x-oss-hash-crc64ecma", &crc(&bytes))
}

/// 400 InvalidDigest; the part that was there stays.
pub async fn a_wrong_content_md5_leaves_no_part(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let first = upload.part(1, b"right").await?;
    for number in [1, 2] {
        let wrong = upload.put(number, b"bytes")?.header("content-md5", digest(b"other"));
        wrong.send().await?.refused(400, "InvalidDigest")?;
    }
    upload.list().await?.lists("ETag", &[first])
}

/// A connection that ends in mid-body leaves no part behind.
pub async fn a_part_cut_in_its_body_is_no_part(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    upload.put(1, &noise(4000, 2))?.cut().send_and_forget().await;
    upload.list().await?.lists::<&str>("Part", &[])
}

/// The later one counts.
pub async fn a_part_sent_again_is_replaced(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let old = upload.part(1, b"old").await?;
    let new = upload.part(1, b"newer").await?;
    upload.list().await?.lists("ETag", &[&new])?;
    upload.complete(&[(1, &old)]).await?.refused(400, "InvalidPart")?;
    upload.complete(&[(1, &new)]).await?.is(200)?;
    room.get("k")?.send().await?.is(200)?.holds("newer")
}

/// In any order they came, the object is their sequence; Location, Bucket, Key, ETag, and the CRC64 of the whole.
pub async fn parts_become_an_object(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let bytes = noise(2 * PART + 10, 3);
    let last = upload.part(3, &bytes[2 * PART..]).await?;
    let first = upload.part(1, &bytes[..PART]).await?;
    let middle = upload.part(2, &bytes[PART..2 * PART]).await?;
    let done = upload.complete(&[(1, &first), (2, &middle), (3, &last)]).await?.is(200)?;
    done.root("CompleteMultipartUploadResult")?;
    done.lists("Bucket", &[room.bucket()])?;
    done.lists("Key", &[room.key("k")])?;
    done.element("Location")?;
    done.has("x-oss-hash-crc64ecma", &crc(&bytes))?;
    let expected = of_parts(&[&bytes[..PART], &bytes[PART..2 * PART], &bytes[2 * PART..]]);
    done.lists("ETag", &[&expected])?;
    done.has("etag", &expected)?;
    let got = room.get("k")?.send().await?.is(200)?;
    got.holds(&bytes)?;
    got.has("etag", &expected)?;
    got.has("x-oss-object-type", "Multipart")?;
    got.has("x-oss-hash-crc64ecma", &crc(&bytes))?;
    let across = room.get("k")?.header("range", format!("bytes={}-{}", PART - 5, 2 * PART + 4));
    across.send().await?.is(206)?.holds(&bytes[PART - 5..2 * PART + 5])
}

/// Headers and metadata of Initiate, not those of the parts.
pub async fn the_object_has_what_initiate_said(room: &Room) -> Verdict {
    let begin = room.post("k")?.query("uploads", "").header("content-type", "video/mp4");
    let begun = begin.header("x-oss-meta-who", "me").send().await?.is(200)?;
    let upload = Upload { room, name: "k", id: begun.element("UploadId")? };
    let put = upload.put(1, b"x")?.header("content-type", "text/plain");
    let etag = put.send().await?.is(200)?.some("etag")?.to_owned();
    upload.complete(&[(1, &etag)]).await?.is(200)?;
    let head = room.head("k")?.send().await?.is(200)?;
    head.has("content-type", "video/mp4")?;
    head.has("x-oss-meta-who", "me")
}

/// The vector: 102,400 × `a` and 10 × `b` give `16F2D8490DA86AC7AA4B726C3553BAC8-2`.
pub async fn the_etag_is_that_of_the_upper_case_texts(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let first = upload.part(1, &[b'a'; PART]).await?;
    let last = upload.part(2, &[b'b'; 10]).await?;
    let done = upload.complete(&[(1, &first), (2, &last)]).await?.is(200)?;
    done.has("etag", "\"16F2D8490DA86AC7AA4B726C3553BAC8-2\"")
}

/// Ascending is enough; parts that the list leaves out are discarded.
pub async fn numbers_may_have_gaps_and_parts_may_be_left_out(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let big = noise(PART, 4);
    let first = upload.part(2, &big).await?;
    upload.part(5, b"left out").await?;
    let last = upload.part(9_999, b"end").await?;
    upload.complete(&[(2, &first), (9_999, &last)]).await?.is(200)?;
    room.get("k")?.send().await?.is(200)?.holds([&big[..], b"end"].concat())
}

/// Bare, quoted, as entities, in lower case, pretty-printed with a declaration.
pub async fn etags_of_a_list_may_be_written_in_many_ways(room: &Room) -> Verdict {
    for (number, form) in ["{}", "\"{}\"", "&quot;{}&quot;", "&#34;{}&#34;"].iter().enumerate() {
        let upload = Upload::begin(room, "k").await?;
        let bare = upload.part(1, b"x").await?.replace('"', "");
        let text = form.replace("{}", &if number % 2 == 0 { bare.to_lowercase() } else { bare });
        let list = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUpload>\n  <Part>\n    \
             <PartNumber>1</PartNumber>\n    <ETag>{text}</ETag>\n  </Part>\n</CompleteMultipartUpload>\n"
        );
        upload.end()?.body(list).send().await?.is(200)?;
    }
    Ok(())
}

/// Descending and equal numbers: 400 InvalidPartOrder.
pub async fn numbers_out_of_order_are_refused(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let first = upload.part(1, &noise(PART, 5)).await?;
    let second = upload.part(2, &noise(PART, 6)).await?;
    upload.complete(&[(2, &second), (1, &first)]).await?.refused(400, "InvalidPartOrder")?;
    upload.complete(&[(1, &first), (1, &first)]).await?.refused(400, "InvalidPartOrder")?;
    upload.complete(&[(1, &first), (2, &second)]).await?.is(200).map(|_| ())
}

/// A number that was never sent: 400 InvalidPart with the number; the upload lives on.
pub async fn an_unknown_part_is_refused(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let first = upload.part(1, &noise(PART, 5)).await?;
    let refused =
        upload.complete(&[(1, &first), (7, &first)]).await?.refused(400, "InvalidPart")?;
    refused.tells("PartNumber", "7")?;
    refused.tells("UploadId", &upload.id)?;
    upload.complete(&[(1, &first)]).await?.is(200).map(|_| ())
}

/// 400 InvalidPart with the number.
pub async fn another_etag_is_refused(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    upload.part(1, b"x").await?;
    let refused = upload.complete(&[(1, &etag(b"y"))]).await?.refused(400, "InvalidPart")?;
    refused.tells("PartNumber", "1")
}

/// A part but the last below 102,400 bytes: taken by UploadPart, 400 EntityTooSmall at Complete.
pub async fn a_small_part_is_refused_at_the_end(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let first = upload.part(1, &noise(PART - 1, 5)).await?;
    let last = upload.part(2, b"end").await?;
    let refused =
        upload.complete(&[(1, &first), (2, &last)]).await?.refused(400, "EntityTooSmall")?;
    refused.tells("PartNumber", "1")?;
    refused.tells("MinSizeAllowed", "102400")?;
    refused.tells("ProposedSize", "102399")
}

/// Bad XML, another root, a part without a number, and no body: 400 MalformedXML.
pub async fn bad_lists_are_malformed(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    upload.part(1, b"x").await?;
    for list in [
        "",
        "no xml",
        "<Other/>",
        "<CompleteMultipartUpload><Part>",
        "<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
    ] {
        upload.end()?.body(list).send().await?.refused(400, "MalformedXML")?;
    }
    Ok(())
}

/// `x-oss-complete-all: yes`, without a body or with an empty root: all parts in the order of their numbers.
pub async fn complete_all_takes_what_is_there(room: &Room) -> Verdict {
    for body in ["", "<CompleteMultipartUpload />"] {
        let upload = Upload::begin(room, "k").await?;
        let big = noise(PART, 8);
        upload.part(8, b"end").await?;
        upload.part(3, &big).await?;
        let end = upload.end()?.header("x-oss-complete-all", "yes").body(body);
        end.send().await?.is(200)?.root("CompleteMultipartUploadResult")?;
        room.get("k")?.send().await?.is(200)?.holds([&big[..], b"end"].concat())?;
    }
    Ok(())
}

/// Both at once: 400.
pub async fn complete_all_with_a_list_is_refused(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let etag = upload.part(1, b"x").await?;
    let end = upload.end()?.header("x-oss-complete-all", "yes").body(list_of(&[(1, &etag)]));
    end.send().await?.is(400).map(|_| ())
}

/// An empty list, of an upload that has no parts, makes an object of no bytes or is 400 MalformedXML: what clients rely
/// on and what is documented differ.
pub async fn an_empty_list_makes_an_empty_object_or_is_refused(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let done = upload.complete(&[]).await?;
    if done.status() != 200 {
        return done.refused(400, "MalformedXML").map(|_| ());
    }
    room.get("k")?.send().await?.is(200)?.holds("")
}

/// `x-oss-forbid-overwrite: true` at Complete: 409 FileAlreadyExists, the old object stays.
pub async fn forbid_overwrite_holds_at_the_end(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let etag = upload.part(1, b"new").await?;
    room.store("k", b"old").await?;
    let end = upload.end()?.header("x-oss-forbid-overwrite", "true").body(list_of(&[(1, &etag)]));
    end.send().await?.refused(409, "FileAlreadyExists")?;
    room.get("k")?.send().await?.is(200)?.holds("old")
}

/// `encoding-type=url`
pub async fn complete_speaks_in_encoded_keys_when_asked(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "a b").await?;
    let etag = upload.part(1, b"x").await?;
    let end = upload.end()?.query("encoding-type", "url").body(list_of(&[(1, &etag)]));
    let done = end.send().await?.is(200)?;
    done.lists("EncodingType", &["url"])?;
    match done.element("Key")?.ends_with("a%20b") {
        true => Ok(()),
        false => Err(done.differs("the key percent-encoded")),
    }
}

/// After Complete: parts and lists are 404 NoSuchUpload, another Complete too. (The identical list alone may be
/// answered again as it was: a client that lost the reply asks so.)
pub async fn the_id_ends_with_the_upload(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let etag = upload.part(1, b"x").await?;
    let done = upload.complete(&[(1, &etag)]).await?.is(200)?;
    upload.put(2, b"y")?.send().await?.refused(404, "NoSuchUpload")?;
    room.get("k")?.query("uploadId", &upload.id).send().await?.refused(404, "NoSuchUpload")?;
    upload.complete(&[(2, &etag)]).await?.refused(404, "NoSuchUpload")?;
    let again = upload.complete(&[(1, &etag)]).await?;
    match again.status() {
        200 => again.has("etag", done.some("etag")?),
        _ => again.refused(404, "NoSuchUpload").map(|_| ()),
    }
}

/// 204; then parts, lists and Complete are 404 NoSuchUpload, and so is another Abort.
pub async fn abort_ends_an_upload(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let etag = upload.part(1, b"x").await?;
    let abort = || Ok::<_, Failure>(room.delete("k")?.query("uploadId", &upload.id));
    abort()?.send().await?.is(204)?;
    upload.put(2, b"y")?.send().await?.refused(404, "NoSuchUpload")?;
    upload.complete(&[(1, &etag)]).await?.refused(404, "NoSuchUpload")?;
    abort()?.send().await?.refused(404, "NoSuchUpload")?;
    room.get("k")?.send().await?.refused(404, "NoSuchKey").map(|_| ())
}

/// 404 NoSuchUpload with the id, for every call; also when the id is that of another key.
pub async fn an_unknown_upload_is_no_such_upload(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "other").await?;
    for id in ["0123456789ABCDEF0123456789ABCDEF", "nonsense", &upload.id] {
        for method in [Method::Put, Method::Get, Method::Delete, Method::Post] {
            let ask = room.ask(method, "k")?.query("uploadId", id);
            let ask = match method {
                Method::Put => ask.query("partNumber", 1).body("x"),
                Method::Post => ask.body(list_of(&[(1, &etag(b"x"))])),
                _ => ask,
            };
            ask.send().await?.refused(404, "NoSuchUpload")?.tells("UploadId", id)?;
        }
    }
    Ok(())
}

/// 1 to 10,000; anything else is 400 InvalidArgument with its name and value.
pub async fn part_numbers_have_bounds(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    for number in ["0", "10001", "-1", "x", "99999999999999999999"] {
        let put =
            room.put("k")?.query("partNumber", number).query("uploadId", &upload.id).body("x");
        let refused = put.send().await?.refused(400, "InvalidArgument")?;
        refused.tells("ArgumentName", "partNumber")?;
        refused.tells("ArgumentValue", number)?;
    }
    upload.part(10_000, b"x").await.map(|_| ())
}

/// Ending one does not touch the other.
pub async fn uploads_of_a_key_live_side_by_side(room: &Room) -> Verdict {
    let (one, two) = (Upload::begin(room, "k").await?, Upload::begin(room, "k").await?);
    let (a, b) = (one.part(1, b"one").await?, two.part(1, b"two").await?);
    one.complete(&[(1, &a)]).await?.is(200)?;
    two.list().await?.lists("ETag", &[&b])?;
    two.complete(&[(1, &b)]).await?.is(200)?;
    room.get("k")?.send().await?.is(200)?.holds("two")
}

/// Number, time, ETag, size, and where told CRC64, of each in the order of numbers.
pub async fn parts_are_listed(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    let second = upload.part(20, b"second").await?;
    let first = upload.part(3, b"first").await?;
    let listed = upload.list().await?;
    listed.root("ListPartsResult")?;
    listed.lists("Bucket", &[room.bucket()])?;
    listed.lists("Key", &[room.key("k")])?;
    listed.lists("UploadId", &[&upload.id])?;
    listed.lists("PartNumber", &["3", "20"])?;
    listed.lists("ETag", &[first, second])?;
    listed.lists("Size", &["5", "6"])?;
    listed.lists("MaxParts", &["1000"])?;
    listed.lists("IsTruncated", &["false"])?;
    listed.lists("NextPartNumberMarker", &["20"])?;
    listed.dates("LastModified")?;
    match listed.elements("HashCrc64ecma").is_empty() {
        true => Ok(()),
        false => listed.lists("HashCrc64ecma", &[crc(b"first"), crc(b"second")]),
    }
}

/// max-parts and part-number-marker; an empty marker and 0 are the beginning; 1001 is too many.
pub async fn parts_are_listed_in_pages(room: &Room) -> Verdict {
    let upload = Upload::begin(room, "k").await?;
    for number in [1, 2, 5] {
        upload.part(number, b"x").await?;
    }
    let page = |marker: &'static str, most: u32| {
        let ask = room.get("k")?.query("uploadId", &upload.id).query("max-parts", most);
        Ok::<_, Failure>(ask.query("part-number-marker", marker))
    };
    for beginning in ["", "0"] {
        let first = page(beginning, 2)?.send().await?.is(200)?;
        first.lists("PartNumber", &["1", "2"])?;
        first.lists("IsTruncated", &["true"])?;
        first.lists("NextPartNumberMarker", &["2"])?;
    }
    let last = page("2", 2)?.send().await?.is(200)?;
    last.lists("PartNumber", &["5"])?;
    last.lists("IsTruncated", &["false"])?;
    page("", 1001)?.send().await?.refused(400, "InvalidArgument").map(|_| ())
}

/// `sequential`: a gap is 400 PartNotSequential, a repeated number 409 PartAlreadyExist with number and ETag.
pub async fn a_sequential_upload_keeps_its_order(room: &Room) -> Verdict {
    let upload = Upload::begin_sequential(room, "k").await?;
    upload.put(2, b"x")?.send().await?.refused(400, "PartNotSequential")?;
    let first = upload.part(1, b"x").await?;
    let again = upload.put(1, b"x")?.send().await?.refused(409, "PartAlreadyExist")?;
    again.tells("PartNumber", "1")?;
    if again.error().context("PartEtag").map(|told| told.replace('"', ""))
        != Some(first.replace('"', ""))
    {
        return Err(again.differs(&format!("<PartEtag>{first}</PartEtag>")));
    }
    upload.complete(&[(1, &first)]).await?.is(200).map(|_| ())
}

/// That of all its bytes; none where a part was copied, whose bytes nobody saw pass.
pub async fn the_object_of_a_sequential_upload_has_a_content_md5(room: &Room) -> Verdict {
    const LENGTH: usize = 200 << 10;
    let bytes = noise(2 * LENGTH, 9);
    let upload = Upload::begin_sequential(room, "k").await?;
    let first = upload.part(1, &bytes[..LENGTH]).await?;
    let second = upload.part(2, &bytes[LENGTH..]).await?;
    upload.complete(&[(1, &first), (2, &second)]).await?.is(200)?;
    room.head("k")?.send().await?.is(200)?.has("content-md5", &digest(&bytes))?;
    room.get("k")?.send().await?.is(200)?.holds(&bytes)?;

    let upload = Upload::begin_sequential(room, "copied").await?;
    let source = format!("/{}/{}", room.bucket(), room.key("k"));
    let first = upload.put(1, b"")?.header("x-oss-copy-source", source);
    let first = first.send().await?.offered()?.is(200)?.some("etag")?.to_owned();
    let second = upload.part(2, &bytes[LENGTH..]).await?;
    upload.complete(&[(1, &first), (2, &second)]).await?.is(200)?;
    room.head("copied")?.send().await?.is(200)?.lacks("content-md5")
}

/// An upload that a case has begun.
pub(super) struct Upload<'a> {
    room: &'a Room,
    name: &'static str,
    pub(super) id: String,
}

impl<'a> Upload<'a> {
    pub(super) async fn begin(room: &'a Room, name: &'static str) -> Result<Upload<'a>, Failure> {
        let begun = room.post(name)?.query("uploads", "").send().await?.is(200)?;
        Ok(Upload { room, name, id: begun.element("UploadId")? })
    }

    /// One whose parts come in order.
    async fn begin_sequential(room: &'a Room, name: &'static str) -> Result<Upload<'a>, Failure> {
        let begin = room.post(name)?.query("uploads", "").query("sequential", "");
        let begun = begin.send().await?.offered()?.is(200)?;
        Ok(Upload { room, name, id: begun.element("UploadId")? })
    }

    /// A part that is not sent yet.
    pub(super) fn put(&self, number: u32, bytes: &[u8]) -> Result<Ask<'a>, Failure> {
        let ask = self.room.put(self.name)?.query("partNumber", number);
        Ok(ask.query("uploadId", &self.id).body(bytes))
    }

    /// Sends a part; its ETag.
    pub(super) async fn part(&self, number: u32, bytes: &[u8]) -> Result<String, Failure> {
        let sent = self.put(number, bytes)?.send().await?.is(200)?;
        sent.has("etag", &etag(bytes))?;
        Ok(etag(bytes))
    }

    pub(super) async fn list(&self) -> Result<Reply, Failure> {
        self.room.get(self.name)?.query("uploadId", &self.id).send().await?.is(200)
    }

    /// A Complete that has no body yet.
    pub(super) fn end(&self) -> Result<Ask<'a>, Failure> {
        Ok(self.room.post(self.name)?.query("uploadId", &self.id))
    }

    pub(super) async fn complete(&self, parts: &[(u32, &str)]) -> Result<Reply, Failure> {
        self.end()?.body(list_of(parts)).send().await
    }
}

fn list_of(parts: &[(u32, &str)]) -> String {
    let part = |(number, etag): &(u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

fn of_parts(parts: &[&[u8]]) -> String {
    quote(&multipart_etag(parts.iter().map(|part| etag_of_md5(&md5(part)))))
}
