//! Ranges of GetObject, and the conditions under which it and HeadObject answer.

use super::room::{etag, noise};
use super::{Room, Verdict, in_order};

in_order! { "ranges":
    a_range_is_answered_206,
    an_open_range_goes_to_the_end,
    a_suffix_range_is_the_end,
    a_range_that_does_not_fit_gives_the_whole_object,
    a_malformed_range_gives_the_whole_object,
    of_several_ranges_the_first_counts_or_none,
    standard_behaviour_clamps,
    standard_behaviour_refuses_a_start_beyond_the_end,
    an_etag_that_matches_is_not_modified,
    an_etag_that_does_not_match_fails_the_precondition,
    etags_compare_without_quotes_and_case,
    times_are_conditions,
    head_knows_the_conditions,
}

const SIZE: usize = 1000;

/// `bytes=a-b`: 206, exactly these bytes, Content-Range.
pub async fn a_range_is_answered_206(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    for (first, last) in [(0, 0), (0, 99), (500, 998), (999, 999)] {
        let got = room.get("k")?.header("range", format!("bytes={first}-{last}"));
        let got = got.send().await?.is(206)?;
        got.has("content-range", &format!("bytes {first}-{last}/{SIZE}"))?;
        got.has("content-length", &(last - first + 1).to_string())?;
        got.holds(&bytes[first..=last])?;
    }
    Ok(())
}

/// `bytes=a-`
pub async fn an_open_range_goes_to_the_end(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    let got = room.get("k")?.header("range", "bytes=990-").send().await?.is(206)?;
    got.has("content-range", "bytes 990-999/1000")?;
    got.holds(&bytes[990..])
}

/// `bytes=-n`
pub async fn a_suffix_range_is_the_end(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    let got = room.get("k")?.header("range", "bytes=-10").send().await?.is(206)?;
    got.has("content-range", "bytes 990-999/1000")?;
    got.holds(&bytes[990..])
}

/// A start or an end beyond the object, by default: 200, the whole, no Content-Range.
pub async fn a_range_that_does_not_fit_gives_the_whole_object(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    for range in ["bytes=0-1000", "bytes=1000-", "bytes=5000-6000", "bytes=-1001"] {
        let got = room.get("k")?.header("range", range).send().await?.is(200)?;
        got.lacks("content-range")?;
        got.holds(&bytes)?;
    }
    Ok(())
}

/// What is no range: 200, the whole, no Content-Range.
pub async fn a_malformed_range_gives_the_whole_object(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    for range in ["bytes=9-5", "bytes=a-b", "bytes=-", "items=0-5", "0-5"] {
        let got = room.get("k")?.header("range", range).send().await?.is(200)?;
        got.lacks("content-range")?;
        got.holds(&bytes)?;
    }
    Ok(())
}

/// The first alone (206), or, as newer documents have it, 416 InvalidRange; never several.
pub async fn of_several_ranges_the_first_counts_or_none(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    let got = room.get("k")?.header("range", "bytes=0-4,10-14").send().await?;
    if got.status() == 416 {
        return got.refused(416, "InvalidRange").map(|_| ());
    }
    got.is(206)?.holds(&bytes[..5])
}

/// `x-oss-range-behavior: standard`: an end beyond the object is its end, a suffix longer than it the whole.
pub async fn standard_behaviour_clamps(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    let get = |range| {
        Ok(room.get("k")?.header("range", range).header("x-oss-range-behavior", "standard"))
    };
    let got = get("bytes=990-5000")?.send().await?.is(206)?;
    got.has("content-range", "bytes 990-999/1000")?;
    got.holds(&bytes[990..])?;
    let whole = get("bytes=-5000")?.send().await?;
    whole.holds(&bytes)
}

/// `x-oss-range-behavior: standard`: 416 InvalidRange.
pub async fn standard_behaviour_refuses_a_start_beyond_the_end(room: &Room) -> Verdict {
    stored(room).await?;
    let get = room
        .get("k")?
        .header("range", "bytes=1000-1001")
        .header("x-oss-range-behavior", "standard");
    get.send().await?.refused(416, "InvalidRange").map(|_| ())
}

/// If-None-Match of its ETag: 304 without a body; of another: 200.
pub async fn an_etag_that_matches_is_not_modified(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    let same = room.get("k")?.header("if-none-match", etag(&bytes)).send().await?.is(304)?;
    same.holds("")?;
    same.has("etag", &etag(&bytes))?;
    let other = room.get("k")?.header("if-none-match", etag(b"other")).send().await?.is(200)?;
    other.holds(&bytes)
}

/// If-Match of another: 412 PreconditionFailed; of its own: 200.
pub async fn an_etag_that_does_not_match_fails_the_precondition(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    let other = room.get("k")?.header("if-match", etag(b"other")).send().await?;
    other.refused(412, "PreconditionFailed")?;
    room.get("k")?.header("if-match", etag(&bytes)).send().await?.is(200)?.holds(&bytes)
}

/// A bare ETag, in lower case or not, is the same.
pub async fn etags_compare_without_quotes_and_case(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    let bare = etag(&bytes).replace('"', "");
    for text in [bare.clone(), bare.to_lowercase(), format!("\"{}\"", bare.to_lowercase())] {
        room.get("k")?.header("if-match", text.as_str()).send().await?.is(200)?;
        room.get("k")?.header("if-none-match", text).send().await?.is(304)?;
    }
    Ok(())
}

/// If-Modified-Since its own time 304, an earlier one 200; If-Unmodified-Since an earlier one 412.
pub async fn times_are_conditions(room: &Room) -> Verdict {
    stored(room).await?;
    let head = room.head("k")?.send().await?.is(200)?;
    let modified = head.some("last-modified")?.to_owned();
    const EARLIER: &str = "Sat, 01 Jan 2000 00:00:00 GMT";
    let get = |name: &str, time: &str| Ok(room.get("k")?.header(name, time));
    get("if-modified-since", &modified)?.send().await?.is(304)?;
    get("if-modified-since", EARLIER)?.send().await?.is(200)?;
    get("if-unmodified-since", &modified)?.send().await?.is(200)?;
    let late = get("if-unmodified-since", EARLIER)?.send().await?;
    late.refused(412, "PreconditionFailed").map(|_| ())
}

/// HEAD answers 304 and 412 as GET does, the latter with `x-oss-err`.
pub async fn head_knows_the_conditions(room: &Room) -> Verdict {
    let bytes = stored(room).await?;
    room.head("k")?.header("if-none-match", etag(&bytes)).send().await?.is(304)?;
    let other = room.head("k")?.header("if-match", etag(b"other")).send().await?;
    other.refused(412, "PreconditionFailed")?.some("x-oss-err").map(|_| ())
}

async fn stored(room: &Room) -> Result<Vec<u8>, super::Failure> {
    let bytes = noise(SIZE, 7);
    room.store("k", &bytes).await?;
    Ok(bytes)
}
