//! PutObject, GetObject, HeadObject, GetObjectMeta, DeleteObject, DeleteMultipleObjects.

use vodferry_oss::Method;
use vodferry_oss::encode::encode_component;

use super::room::{crc, digest, etag, noise};
use super::{Room, Verdict, in_order};

in_order! { "objects":
    put_answers_etag_md5_and_crc64,
    get_gives_what_was_put,
    an_empty_object_is_an_object,
    a_chunked_body_is_stored_whole,
    a_put_must_tell_its_length,
    a_put_replaces,
    a_put_cut_in_its_body_leaves_the_old_object,
    a_wrong_content_md5_is_refused,
    a_malformed_content_md5_is_refused,
    a_wrong_crc64_is_refused,
    forbid_overwrite_keeps_the_old_object,
    headers_of_the_object_come_back,
    metadata_comes_back,
    a_query_overrides_headers_of_the_reply,
    head_tells_all_and_sends_no_body,
    object_meta_tells_little,
    a_missing_key_is_no_such_key,
    head_of_a_missing_key_tells_in_a_header,
    delete_answers_alike_for_what_is_not_there,
    awkward_keys_are_kept_to_the_byte,
    a_slash_in_a_key_may_come_encoded,
    many_are_deleted_at_once,
    deleting_many_quietly_answers_nothing,
    deleting_many_wants_content_md5,
    deleting_many_refuses_bad_xml,
}

/// 200 with the quoted upper-case MD5 as ETag, Content-MD5 and the decimal CRC64; no body.
pub async fn put_answers_etag_md5_and_crc64(room: &Room) -> Verdict {
    let bytes = noise(1000, 1);
    let put = room.store("k", &bytes).await?;
    put.has("etag", &etag(&bytes))?;
    put.has("content-md5", &digest(&bytes))?;
    put.has("x-oss-hash-crc64ecma", &crc(&bytes))?;
    put.some("x-oss-server-time")?;
    put.holds("")
}

/// The bytes, their length, and what HEAD tells of them.
pub async fn get_gives_what_was_put(room: &Room) -> Verdict {
    let bytes = noise(70_000, 2);
    room.store("k", &bytes).await?;
    let got = room.get("k")?.send().await?.is(200)?;
    got.holds(&bytes)?;
    got.has("content-length", "70000")?;
    got.has("etag", &etag(&bytes))?;
    got.has("x-oss-hash-crc64ecma", &crc(&bytes))?;
    got.has("x-oss-object-type", "Normal")?;
    got.has("accept-ranges", "bytes")?;
    got.some("last-modified").map(|_| ())
}

/// The ETag and Content-MD5 of nothing; CRC64 0.
pub async fn an_empty_object_is_an_object(room: &Room) -> Verdict {
    let put = room.store("k", b"").await?;
    put.has("etag", "\"D41D8CD98F00B204E9800998ECF8427E\"")?;
    put.has("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")?;
    put.has("x-oss-hash-crc64ecma", "0")?;
    let got = room.get("k")?.send().await?.is(200)?;
    got.has("content-length", "0")?;
    got.holds("")
}

/// A body of unknown length comes in chunks; GET then has a Content-Length all the same.
pub async fn a_chunked_body_is_stored_whole(room: &Room) -> Verdict {
    let bytes = noise(5_500, 3);
    let put = room.put("k")?.body(&bytes).chunked().send().await?.is(200)?;
    put.has("etag", &etag(&bytes))?;
    let got = room.get("k")?.send().await?.is(200)?;
    got.has("content-length", "5500")?;
    got.holds(&bytes)
}

/// Neither Content-Length nor chunks: 411 MissingContentLength.
pub async fn a_put_must_tell_its_length(room: &Room) -> Verdict {
    let put = room.put("k")?.unannounced().send().await?;
    put.refused(411, "MissingContentLength").map(|_| ())
}

/// The later object is the object, with none of the headers of the earlier.
pub async fn a_put_replaces(room: &Room) -> Verdict {
    room.put("k")?.header("x-oss-meta-a", "1").body("old").send().await?.is(200)?;
    room.store("k", b"newer").await?;
    let got = room.get("k")?.send().await?.is(200)?;
    got.holds("newer")?;
    got.lacks("x-oss-meta-a")
}

/// A connection that ends in mid-body changes nothing.
pub async fn a_put_cut_in_its_body_leaves_the_old_object(room: &Room) -> Verdict {
    room.store("old", b"old").await?;
    room.put("old")?.body(noise(4000, 4)).cut().send_and_forget().await;
    room.put("none")?.body(noise(4000, 4)).cut().send_and_forget().await;
    room.get("old")?.send().await?.is(200)?.holds("old")?;
    room.get("none")?.send().await?.refused(404, "NoSuchKey").map(|_| ())
}

/// Content-MD5 of other bytes: 400 InvalidDigest, nothing stored.
pub async fn a_wrong_content_md5_is_refused(room: &Room) -> Verdict {
    let put = room.put("k")?.header("content-md5", digest(b"other")).body("bytes");
    put.send().await?.refused(400, "InvalidDigest")?;
    room.get("k")?.send().await?.refused(404, "NoSuchKey").map(|_| ())
}

/// What is not the base64 of 16 bytes: 400 InvalidDigest.
pub async fn a_malformed_content_md5_is_refused(room: &Room) -> Verdict {
    for text in ["not base64", "AAAA"] {
        let put = room.put("k")?.header("content-md5", text).body("bytes");
        put.send().await?.refused(400, "InvalidDigest")?;
    }
    Ok(())
}

/// `x-oss-hash-crc64ecma` of other bytes: 400 InvalidCRC64; the right one passes.
pub async fn a_wrong_crc64_is_refused(room: &Room) -> Verdict {
    let put = room.put("k")?.header("x-oss-hash-crc64ecma", crc(b"other")).body("bytes");
    put.send().await?.refused(400, "InvalidCRC64")?;
    let put = room.put("k")?.header("x-oss-hash-crc64ecma", crc(b"bytes")).body("bytes");
    put.send().await?.is(200).map(|_| ())
}

/// `x-oss-forbid-overwrite: true` on an existing key: 409 FileAlreadyExists.
pub async fn forbid_overwrite_keeps_the_old_object(room: &Room) -> Verdict {
    let put = |body| Ok(room.put("k")?.header("x-oss-forbid-overwrite", "true").body(body));
    put("first")?.send().await?.is(200)?;
    put("second")?.send().await?.refused(409, "FileAlreadyExists")?;
    room.get("k")?.send().await?.is(200)?.holds("first")
}

/// Content-Type, Cache-Control, Content-Disposition, Content-Encoding and Expires are kept.
pub async fn headers_of_the_object_come_back(room: &Room) -> Verdict {
    let headers = [
        ("content-type", "video/mp4"),
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment; filename=a.mp4"),
        ("content-encoding", "identity"),
        ("expires", "Fri, 20 Nov 2026 10:00:00 GMT"),
    ];
    let put = headers.iter().fold(room.put("k")?.body("x"), |put, (n, v)| put.header(n, *v));
    put.send().await?.is(200)?;
    let head = room.head("k")?.send().await?.is(200)?;
    let get = room.get("k")?.send().await?.is(200)?;
    headers.iter().try_for_each(|(n, v)| head.has(n, v).and_then(|()| get.has(n, v)))
}

/// `x-oss-meta-*` is kept, by GET and HEAD.
pub async fn metadata_comes_back(room: &Room) -> Verdict {
    let put = room.put("k")?.header("x-oss-meta-who", "me and you");
    put.header("x-oss-meta-n-2", "2").body("x").send().await?.is(200)?;
    for reply in [room.head("k")?.send().await?, room.get("k")?.send().await?] {
        let reply = reply.is(200)?;
        reply.has("x-oss-meta-who", "me and you")?;
        reply.has("x-oss-meta-n-2", "2")?;
    }
    Ok(())
}

/// `response-*` parameters of a signed GET.
pub async fn a_query_overrides_headers_of_the_reply(room: &Room) -> Verdict {
    room.put("k")?.header("content-type", "video/mp4").body("x").send().await?.is(200)?;
    let overrides = [
        ("content-type", "text/plain"),
        ("cache-control", "max-age=5"),
        ("content-disposition", "inline; filename=\"a b\""),
        ("content-language", "en"),
        ("content-encoding", "identity"),
        ("expires", "Fri, 20 Nov 2026 10:00:00 GMT"),
    ];
    let get =
        overrides.iter().fold(room.get("k")?, |get, (n, v)| get.query(&format!("response-{n}"), v));
    let got = get.send().await?.is(200)?;
    overrides.iter().try_for_each(|(name, value)| got.has(name, value))
}

/// HEAD has the headers of GET and the object's length, and no body.
pub async fn head_tells_all_and_sends_no_body(room: &Room) -> Verdict {
    let bytes = noise(321, 5);
    room.store("k", &bytes).await?;
    let head = room.head("k")?.send().await?.is(200)?;
    head.has("content-length", "321")?;
    head.has("etag", &etag(&bytes))?;
    head.has("content-md5", &digest(&bytes))?;
    head.has("x-oss-hash-crc64ecma", &crc(&bytes))?;
    head.has("x-oss-object-type", "Normal")?;
    head.some("x-oss-storage-class")?;
    head.some("last-modified")?;
    head.holds("")
}

/// `?objectMeta`: length, ETag and time.
pub async fn object_meta_tells_little(room: &Room) -> Verdict {
    room.put("k")?.header("x-oss-meta-a", "1").body("abc").send().await?.is(200)?;
    let meta = room.head("k")?.query("objectMeta", "").send().await?.is(200)?;
    meta.has("content-length", "3")?;
    meta.has("etag", &etag(b"abc"))?;
    meta.some("last-modified")?;
    meta.lacks("x-oss-meta-a")
}

/// 404 NoSuchKey with the key.
pub async fn a_missing_key_is_no_such_key(room: &Room) -> Verdict {
    let got = room.get("missing")?.send().await?.refused(404, "NoSuchKey")?;
    got.tells("Key", &room.key("missing"))
}

/// 404 without a body; the document in `x-oss-err`, as base64.
pub async fn head_of_a_missing_key_tells_in_a_header(room: &Room) -> Verdict {
    let head = room.head("missing")?.send().await?.refused(404, "NoSuchKey")?;
    head.some("x-oss-err")?;
    head.holds("")
}

/// 204, whether there was something or not.
pub async fn delete_answers_alike_for_what_is_not_there(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    for _ in 0..2 {
        room.delete("k")?.send().await?.is(204)?.holds("")?;
        room.get("k")?.send().await?.refused(404, "NoSuchKey")?;
    }
    Ok(())
}

/// Keys are bytes: nothing is normalised, a plus in a path is a plus.
pub async fn awkward_keys_are_kept_to_the_byte(room: &Room) -> Verdict {
    let names = [
        "a b",
        "a+b",
        "a%20b",
        "a//b",
        "slash/",
        "测试/🎬.mp4",
        "q?uery&x=1#f",
        "quo\"te'<>&",
        ".hidden",
        "back\\slash",
        "tilde~(x)!*",
        "a/.../b",
    ];
    for (number, name) in names.iter().enumerate() {
        room.store(name, number.to_string().as_bytes()).await?;
    }
    for (number, name) in names.iter().enumerate() {
        room.get(name)?.send().await?.is(200)?.holds(number.to_string())?;
    }
    let asked = room.about("")?.query("prefix", room.prefix()).query("encoding-type", "url");
    let listed = asked.query("max-keys", 1000).send().await?.is(200)?;
    let found: Vec<String> = listed
        .elements("Key")
        .iter()
        .map(|key| vodferry_oss::encode::decode_path(key).unwrap_or_default())
        .collect();
    let mut keys: Vec<String> = names.iter().map(|name| room.key(name)).collect();
    keys.sort();
    match found == keys {
        true => Ok(()),
        false => Err(listed.differs(&format!("the keys {keys:?}, bytewise ordered"))),
    }
}

/// `%2F` in a path is the slash of the key.
pub async fn a_slash_in_a_key_may_come_encoded(room: &Room) -> Verdict {
    room.store("dir/k", b"x").await?;
    let got = room.get("dir/k")?.encoded_whole().send().await?.is(200)?;
    got.holds("x")?;
    room.put("up/k")?.encoded_whole().body("y").send().await?.is(200)?;
    room.get("up/k")?.send().await?.is(200)?.holds("y")
}

/// `POST ?delete`: what was there and what was not are both told as deleted.
pub async fn many_are_deleted_at_once(room: &Room) -> Verdict {
    room.store("a", b"x").await?;
    room.store("b&c", b"x").await?;
    let keys = [room.key("a"), room.key("b&c"), room.key("never")];
    let document = delete(&keys, "<Quiet>false</Quiet>");
    let done = room
        .on(Method::Post, room.bucket(), "delete")?
        .document(&document)
        .send()
        .await?
        .is(200)?;
    done.root("DeleteResult")?;
    done.lists("Key", &keys)?;
    let done = room.on(Method::Post, room.bucket(), "delete")?.query("encoding-type", "url");
    let done = done.document(&delete(&keys[1..2], "")).send().await?.is(200)?;
    done.lists("EncodingType", &["url"])?;
    let encoded = encode_component(&keys[1]).replace("%2F", "/");
    if !done.elements("Key").iter().any(|key| key.replace("%2F", "/") == encoded) {
        return Err(done.differs(&format!("the key {encoded}")));
    }
    room.get("a")?.send().await?.refused(404, "NoSuchKey").map(|_| ())
}

/// With `Quiet` the body is empty.
pub async fn deleting_many_quietly_answers_nothing(room: &Room) -> Verdict {
    room.store("a", b"x").await?;
    let document = delete(&[room.key("a")], "<Quiet>true</Quiet>");
    let done = room
        .on(Method::Post, room.bucket(), "delete")?
        .document(&document)
        .send()
        .await?
        .is(200)?;
    done.holds("")?;
    done.has("content-length", "0")?;
    room.get("a")?.send().await?.refused(404, "NoSuchKey").map(|_| ())
}

/// Without Content-MD5 400 MissingArgument, with a wrong one 400 InvalidDigest; nothing is deleted.
pub async fn deleting_many_wants_content_md5(room: &Room) -> Verdict {
    room.store("a", b"x").await?;
    let document = delete(&[room.key("a")], "");
    let ask = || room.on(Method::Post, room.bucket(), "delete");
    ask()?.body(&document).send().await?.refused(400, "MissingArgument")?;
    let wrong = ask()?.header("content-md5", digest(b"other")).body(&document);
    wrong.send().await?.refused(400, "InvalidDigest")?;
    room.get("a")?.send().await?.is(200).map(|_| ())
}

/// Another document, an empty one, and more than 1000 keys: 400 MalformedXML.
pub async fn deleting_many_refuses_bad_xml(room: &Room) -> Verdict {
    let keys: Vec<String> = (0..1001).map(|number| room.key(&number.to_string())).collect();
    for document in ["<Delete><Object>", "<Other/>", "", &delete(&keys, "")] {
        let ask = room.on(Method::Post, room.bucket(), "delete")?.document(document);
        ask.send().await?.refused(400, "MalformedXML")?;
    }
    Ok(())
}

fn delete(keys: &[String], quiet: &str) -> String {
    let object =
        |key: &String| format!("<Object><Key>{}</Key></Object>", key.replace('&', "&amp;"));
    format!("<Delete>{quiet}{}</Delete>", keys.iter().map(object).collect::<String>())
}
