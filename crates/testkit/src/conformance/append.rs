//! AppendObject.

use super::ask::Ask;
use super::room::{crc, digest};
use super::{Failure, Room, Verdict, in_order};

in_order! { "append":
    bytes_are_appended,
    another_position_is_refused_with_the_right_one,
    what_was_put_is_not_appendable,
    a_position_must_be_a_number,
    a_wrong_digest_appends_nothing,
}

/// 200 with the next position and the CRC64 of the whole; type Appendable.
pub async fn bytes_are_appended(room: &Room) -> Verdict {
    let first = append(room, "0", "hello ")?.send().await?.offered()?.is(200)?;
    first.has("x-oss-next-append-position", "6")?;
    first.has("x-oss-hash-crc64ecma", &crc(b"hello "))?;
    first.some("etag")?;
    let second = append(room, "6", "world")?.send().await?.is(200)?;
    second.has("x-oss-next-append-position", "11")?;
    second.has("x-oss-hash-crc64ecma", "5981764153023615706")?;
    let got = room.get("k")?.send().await?.is(200)?;
    got.holds("hello world")?;
    let head = room.head("k")?.send().await?.is(200)?;
    head.has("x-oss-object-type", "Appendable")?;
    head.has("x-oss-next-append-position", "11")
}

/// 409 PositionNotEqualToLength, with `x-oss-next-append-position`.
pub async fn another_position_is_refused_with_the_right_one(room: &Room) -> Verdict {
    append(room, "0", "hello")?.send().await?.offered()?.is(200)?;
    for position in ["0", "4", "6"] {
        let refused =
            append(room, position, "x")?.send().await?.refused(409, "PositionNotEqualToLength")?;
        refused.has("x-oss-next-append-position", "5")?;
    }
    room.get("k")?.send().await?.is(200)?.holds("hello")
}

/// 409 ObjectNotAppendable
pub async fn what_was_put_is_not_appendable(room: &Room) -> Verdict {
    room.store("k", b"put").await?;
    let refused = append(room, "3", "x")?.send().await?.offered()?;
    refused.refused(409, "ObjectNotAppendable").map(|_| ())
}

/// 400 InvalidArgument
pub async fn a_position_must_be_a_number(room: &Room) -> Verdict {
    append(room, "0", "hello")?.send().await?.offered()?.is(200)?;
    for position in ["-1", "x", "99999999999999999999"] {
        append(room, position, "x")?.send().await?.refused(400, "InvalidArgument")?;
    }
    Ok(())
}

/// 400 InvalidDigest
pub async fn a_wrong_digest_appends_nothing(room: &Room) -> Verdict {
    append(room, "0", "hello")?.send().await?.offered()?.is(200)?;
    let wrong = append(room, "5", "x")?.header("content-md5", digest(b"y")).send().await?;
    wrong.refused(400, "InvalidDigest")?;
    room.get("k")?.send().await?.is(200)?.holds("hello")
}

fn append<'a>(room: &'a Room, position: &str, bytes: &str) -> Result<Ask<'a>, Failure> {
    Ok(room.post("k")?.query("append", "").query("position", position).body(bytes))
}
