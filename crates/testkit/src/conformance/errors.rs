//! How refusals are told, and which of several comes first.

use vodferry_oss::{Credential, Method};

use super::room::digest;
use super::{Room, Verdict, in_order};

in_order! { "errors":
    a_refusal_is_a_document,
    a_refusal_of_head_is_a_header,
    a_method_that_is_none_is_refused,
    what_is_not_there_is_told_as_such,
    a_sub_resource_is_never_taken_for_something_else,
    authority_comes_before_existence,
    existence_of_the_bucket_comes_before_the_key,
    a_bad_request_is_never_forbidden,
    request_ids_differ,
    times_are_told_in_every_reply,
}

/// Code, Message, RequestId, HostId; XML; length known.
pub async fn a_refusal_is_a_document(room: &Room) -> Verdict {
    let refused = room.get("missing")?.send().await?.refused(404, "NoSuchKey")?;
    refused.root("Error")?;
    for name in ["Code", "Message", "RequestId", "HostId"] {
        refused.element(name)?;
    }
    refused.lists("RequestId", &[refused.some("x-oss-request-id")?])?;
    refused.has("content-length", &refused.body().len().to_string())
}

/// The same document as base64 in `x-oss-err`.
pub async fn a_refusal_of_head_is_a_header(room: &Room) -> Verdict {
    let refused = room.head("missing")?.send().await?.refused(404, "NoSuchKey")?;
    let document = vodferry_oss::base64::decode(refused.some("x-oss-err")?).unwrap_or_default();
    match String::from_utf8_lossy(&document).contains("<Code>NoSuchKey</Code>") {
        true => Ok(()),
        false => Err(refused.differs("x-oss-err with the document in base64")),
    }
}

/// POST on an object without a sub-resource: 405 MethodNotAllowed.
pub async fn a_method_that_is_none_is_refused(room: &Room) -> Verdict {
    let refused = room.post("k")?.body("x").send().await?;
    refused.refused(405, "MethodNotAllowed")?.tells("Method", "POST")
}

/// What the target does not have is NotImplemented, or done; never silently something else.
pub async fn what_is_not_there_is_told_as_such(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    for parameter in ["website", "logging", "referer", "replication", "inventory", "worm", "policy"]
    {
        let asked = room.about(parameter)?.send().await?;
        if asked.status() == 200 && asked.element("Contents").is_ok() {
            return Err(
                asked.differs(&format!("an answer about {parameter}, not a list of objects"))
            );
        }
    }
    let processed = room.get("k")?.query("x-oss-process", "image/resize,w_10").send().await?;
    match processed.status() == 200 && processed.body() == b"x" {
        true => Err(processed.differs("processing or a refusal, not the object as it is")),
        false => Ok(()),
    }
}

/// A sub-resource of objects on a bucket, or the reverse, or with another method, is refused; what no server knows is ignored.
pub async fn a_sub_resource_is_never_taken_for_something_else(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    let listed = room.about("tagging")?.send().await?;
    if listed.status() == 200 && listed.root("ListBucketResult").is_ok() {
        return Err(listed.differs("an answer about tags, or a refusal, not a list of objects"));
    }
    for name in ["cors", "lifecycle", "bucketInfo", "website"] {
        room.put("k")?.query(name, "").body("y").send().await?;
        room.put("new")?.query(name, "").body("y").send().await?;
    }
    room.get("k")?.send().await?.is(200)?.holds("x")?;
    room.get("new")?.send().await?.refused(404, "NoSuchKey")?;
    let odd = room.get("k")?.query("no-such-thing", "1").send().await?;
    odd.is(200)?.holds("x")
}

/// Who may not ask learns nothing of what is there: 403 for a missing key too.
pub async fn authority_comes_before_existence(room: &Room) -> Verdict {
    let other =
        Credential { access_key_secret: "another-secret".into(), ..room.credential().clone() };
    room.store("k", b"x").await?;
    for name in ["k", "missing"] {
        let asked = room.get(name)?.by(other.clone()).send().await?;
        asked.refused(403, "SignatureDoesNotMatch")?;
    }
    Ok(())
}

/// 404 NoSuchBucket also for a body that would be refused.
pub async fn existence_of_the_bucket_comes_before_the_key(room: &Room) -> Verdict {
    let bucket = room.reserve_bucket();
    let put = room.at(Method::Put, &bucket, "k")?.header("content-md5", digest(b"other")).body("x");
    put.send().await?.refused(404, "NoSuchBucket")?;
    let part =
        room.at(Method::Put, &bucket, "k")?.query("partNumber", 0).query("uploadId", "nonsense");
    part.body("x").send().await?.refused(404, "NoSuchBucket").map(|_| ())
}

/// Clients take any 403 for the end of their credential: what is not about authority is another status.
pub async fn a_bad_request_is_never_forbidden(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    for ask in [
        room.put("k")?.header("content-md5", "x").body("x"),
        room.put("k")?.query("partNumber", "x").query("uploadId", "x").body("x"),
        room.post("k")?.query("append", "").query("position", 0).body("x"),
        room.post("k")?.query("uploadId", "x").body("x"),
        room.get("missing")?,
        room.about("")?.query("max-keys", "x"),
        room.put("k")?.header("x-oss-forbid-overwrite", "true").body("x"),
    ] {
        let refused = ask.send().await?;
        if !matches!(refused.status(), 400 | 404 | 409) {
            return Err(refused.differs("a refusal that is not 403"));
        }
    }
    Ok(())
}

/// Each request has its own.
pub async fn request_ids_differ(room: &Room) -> Verdict {
    let first = room.get("missing")?.send().await?;
    let second = room.get("missing")?.send().await?;
    match first.some("x-oss-request-id")? != second.some("x-oss-request-id")? {
        true => Ok(()),
        false => Err(second.differs("another request id than the request before")),
    }
}

/// `Date` and `x-oss-server-time`, of successes and refusals.
pub async fn times_are_told_in_every_reply(room: &Room) -> Verdict {
    for reply in [room.store("k", b"x").await?, room.get("missing")?.send().await?] {
        let spent = reply.some("x-oss-server-time")?;
        if spent.parse::<u64>().is_err() {
            return Err(reply.differs("x-oss-server-time in milliseconds"));
        }
    }
    Ok(())
}
