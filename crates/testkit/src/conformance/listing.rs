//! ListObjects, ListObjectsV2 and ListMultipartUploads.

use super::reply::Reply;
use super::room::etag;
use super::{Failure, Room, Verdict, in_order};

in_order! { "listing":
    objects_are_listed,
    a_prefix_chooses,
    a_delimiter_folds,
    pages_follow_the_marker,
    pages_of_folded_prefixes_do_not_repeat,
    keys_come_encoded_when_asked,
    the_second_version_pages_by_token,
    the_second_version_starts_after,
    owners_come_when_asked,
    empty_parameters_are_none,
    a_plus_in_a_query_is_a_space,
    limits_of_a_page_have_bounds,
    uploads_are_listed,
    uploads_are_listed_in_pages,
    uploads_fold_by_delimiter,
}

/// Name, Prefix, MaxKeys, IsTruncated, and for each key its time, ETag, type, size, class and owner.
pub async fn objects_are_listed(room: &Room) -> Verdict {
    room.store("a", b"12345").await?;
    let listed = objects(room, &[]).await?;
    listed.root("ListBucketResult")?;
    listed.lists("Name", &[room.bucket()])?;
    listed.lists("Prefix", &[room.prefix()])?;
    listed.lists("MaxKeys", &["100"])?;
    listed.lists("IsTruncated", &["false"])?;
    listed.lists("Key", &[room.key("a")])?;
    listed.lists("ETag", &[etag(b"12345")])?;
    listed.lists("Type", &["Normal"])?;
    listed.lists("Size", &["5"])?;
    listed.element("StorageClass")?;
    listed.element("Owner")?;
    listed.element("ID")?;
    listed.element("DisplayName")?;
    listed.dates("LastModified")
}

/// Bytewise order, and nothing but what begins so.
pub async fn a_prefix_chooses(room: &Room) -> Verdict {
    store(room, &["b", "a/2", "a/10", "a", "aB"]).await?;
    objects(room, &[]).await?.lists("Key", &keys(room, &["a", "a/10", "a/2", "aB", "b"]))?;
    let chosen = objects(room, &[("prefix", &room.key("a/"))]).await?;
    chosen.lists("Key", &keys(room, &["a/10", "a/2"]))?;
    objects(room, &[("prefix", &room.key("none"))]).await?.lists::<&str>("Key", &[])
}

/// What has the delimiter behind the prefix is one CommonPrefixes each.
pub async fn a_delimiter_folds(room: &Room) -> Verdict {
    store(room, &["a", "d/1", "d/2", "e/x/1", "f"]).await?;
    let listed = objects(room, &[("delimiter", "/")]).await?;
    listed.lists("Key", &keys(room, &["a", "f"]))?;
    listed.lists("Delimiter", &["/"])?;
    listed.lists("Prefix", &[room.prefix(), room.key("d/"), room.key("e/")])?;
    match listed.elements("CommonPrefixes").len() {
        2 => Ok(()),
        _ => Err(listed.differs("two CommonPrefixes")),
    }
}

/// max-keys cuts, NextMarker goes on behind.
pub async fn pages_follow_the_marker(room: &Room) -> Verdict {
    let names = ["a", "b", "c", "d", "e"];
    store(room, &names).await?;
    let (mut found, mut marker) = (Vec::new(), String::new());
    for page in 0..3 {
        let listed = objects(room, &[("max-keys", "2"), ("marker", &marker)]).await?;
        listed.lists("MaxKeys", &["2"])?;
        listed.lists("Marker", &[&marker]).or_else(|failure| match marker.is_empty() {
            true => Ok(()),
            false => Err(failure),
        })?;
        found.extend(listed.elements("Key"));
        listed.lists("IsTruncated", &[if page < 2 { "true" } else { "false" }])?;
        if page < 2 {
            marker = listed.element("NextMarker")?;
        } else if found != keys(room, &names) {
            return Err(listed.differs(&format!("all of {names:?}, each once, got {found:?}")));
        }
    }
    Ok(())
}

/// A folded prefix counts as one, and the next page begins behind all that it folds.
pub async fn pages_of_folded_prefixes_do_not_repeat(room: &Room) -> Verdict {
    store(room, &["a/1", "a/2", "b", "c/1", "c/2"]).await?;
    let (mut seen, mut marker) = (Vec::new(), String::new());
    for _ in 0..5 {
        let asked = [("max-keys", "1"), ("delimiter", "/"), ("marker", marker.as_str())];
        let listed = objects(room, &asked).await?;
        let folded =
            listed.elements("Prefix").into_iter().filter(|prefix| *prefix != room.prefix());
        seen.extend(folded.chain(listed.elements("Key")));
        if listed.element("IsTruncated")? == "false" {
            break;
        }
        marker = listed.element("NextMarker")?;
    }
    match seen == keys(room, &["a/", "b", "c/"]) {
        true => Ok(()),
        false => Err(Failure::Differs(format!("expected the pages a/, b, c/, got {seen:?}"))),
    }
}

/// `encoding-type=url`: keys, prefixes, markers and delimiter percent-encoded, and the reply says so.
pub async fn keys_come_encoded_when_asked(room: &Room) -> Verdict {
    store(room, &["a b+c", "测/1"]).await?;
    let listed = objects(room, &[("encoding-type", "url"), ("delimiter", "/")]).await?;
    listed.lists("EncodingType", &["url"])?;
    let key = listed.element("Key")?;
    let folded = listed.elements("Prefix").pop().unwrap_or_default();
    match key.ends_with("a%20b%2Bc") && folded.replace("%2F", "/").ends_with("%E6%B5%8B/") {
        true => Ok(()),
        false => Err(listed.differs("the key and the prefix percent-encoded")),
    }
}

/// `list-type=2`: KeyCount and NextContinuationToken.
pub async fn the_second_version_pages_by_token(room: &Room) -> Verdict {
    store(room, &["a", "b", "c"]).await?;
    let first = objects(room, &[("list-type", "2"), ("max-keys", "2")]).await?;
    first.lists("KeyCount", &["2"])?;
    first.lists("IsTruncated", &["true"])?;
    first.lists("Key", &keys(room, &["a", "b"]))?;
    let token = first.element("NextContinuationToken")?;
    let asked = [("list-type", "2"), ("max-keys", "2"), ("continuation-token", token.as_str())];
    let last = objects(room, &asked).await?;
    last.lists("Key", &keys(room, &["c"]))?;
    last.lists("IsTruncated", &["false"])?;
    last.lists("ContinuationToken", &[token])
}

/// `start-after` is left out itself.
pub async fn the_second_version_starts_after(room: &Room) -> Verdict {
    store(room, &["a", "b", "c"]).await?;
    let listed = objects(room, &[("list-type", "2"), ("start-after", &room.key("a"))]).await?;
    listed.lists("Key", &keys(room, &["b", "c"]))?;
    listed.lists("StartAfter", &[room.key("a")])
}

/// In the second version only with `fetch-owner=true`.
pub async fn owners_come_when_asked(room: &Room) -> Verdict {
    room.store("a", b"x").await?;
    objects(room, &[("list-type", "2")]).await?.lists::<&str>("Owner", &[])?;
    let listed = objects(room, &[("list-type", "2"), ("fetch-owner", "true")]).await?;
    listed.element("Owner").map(|_| ())
}

/// An empty value is as if it was not there.
pub async fn empty_parameters_are_none(room: &Room) -> Verdict {
    store(room, &["a", "d/1"]).await?;
    let asked = [("marker", ""), ("delimiter", "")];
    objects(room, &asked).await?.lists("Key", &keys(room, &["a", "d/1"]))?;
    let asked =
        [("list-type", "2"), ("continuation-token", ""), ("start-after", ""), ("delimiter", "")];
    objects(room, &asked).await?.lists("Key", &keys(room, &["a", "d/1"]))
}

/// `prefix=a+b` is the prefix `a b`.
pub async fn a_plus_in_a_query_is_a_space(room: &Room) -> Verdict {
    store(room, &["a b", "a+b"]).await?;
    let listed =
        room.about("")?.query("prefix", room.key("a b")).plus_for_space().send().await?.is(200)?;
    listed.lists("Key", &keys(room, &["a b"]))?;
    let listed = objects(room, &[("prefix", &room.key("a+b"))]).await?;
    listed.lists("Key", &keys(room, &["a+b"]))
}

/// 1 to 1000; 400 InvalidArgument otherwise, for each of the lists.
pub async fn limits_of_a_page_have_bounds(room: &Room) -> Verdict {
    for (parameter, limit) in [("", "max-keys"), ("uploads", "max-uploads")] {
        for value in ["1001", "-1", "x"] {
            let asked = room.about(parameter)?.query(limit, value).send().await?;
            asked.refused(400, "InvalidArgument")?;
        }
        room.about(parameter)?.query(limit, 1000).send().await?.is(200)?;
    }
    Ok(())
}

/// By key, then id; with time and class.
pub async fn uploads_are_listed(room: &Room) -> Verdict {
    let b = begin(room, "b").await?;
    let mut a = [begin(room, "a").await?, begin(room, "a").await?];
    a.sort();
    let listed = uploads(room, &[]).await?;
    listed.root("ListMultipartUploadsResult")?;
    listed.lists("Bucket", &[room.bucket()])?;
    listed.lists("Key", &keys(room, &["a", "a", "b"]))?;
    listed.lists("UploadId", &[&a[0], &a[1], &b])?;
    listed.lists("MaxUploads", &["1000"])?;
    listed.lists("IsTruncated", &["false"])?;
    listed.element("StorageClass")?;
    listed.dates("Initiated")
}

/// By NextKeyMarker and NextUploadIdMarker; key-marker alone leaves out the whole key.
pub async fn uploads_are_listed_in_pages(room: &Room) -> Verdict {
    let mut ids = vec![begin(room, "a").await?, begin(room, "a").await?];
    ids.sort();
    ids.push(begin(room, "b").await?);
    let first = uploads(room, &[("max-uploads", "1")]).await?;
    first.lists("UploadId", &ids[..1])?;
    first.lists("IsTruncated", &["true"])?;
    first.lists("NextKeyMarker", &[room.key("a")])?;
    first.lists("NextUploadIdMarker", &ids[..1])?;
    let asked = [("key-marker", room.key("a")), ("upload-id-marker", ids[0].clone())];
    let asked = asked.each_ref().map(|(name, value)| (*name, value.as_str()));
    uploads(room, &asked).await?.lists("UploadId", &ids[1..])?;
    uploads(room, &asked[..1]).await?.lists("UploadId", &ids[2..])?;
    uploads(room, &asked[1..]).await?.lists("UploadId", &ids)
}

/// As objects do.
pub async fn uploads_fold_by_delimiter(room: &Room) -> Verdict {
    for name in ["a", "d/1", "d/2"] {
        begin(room, name).await?;
    }
    let listed = uploads(room, &[("delimiter", "/")]).await?;
    listed.lists("Key", &keys(room, &["a"]))?;
    listed.lists("Prefix", &[room.prefix(), room.key("d/")])
}

async fn objects(room: &Room, asked: &[(&str, &str)]) -> Result<Reply, Failure> {
    list(room, "", asked).await
}

async fn uploads(room: &Room, asked: &[(&str, &str)]) -> Result<Reply, Failure> {
    list(room, "uploads", asked).await
}

/// Of this case alone, unless a prefix is asked for.
async fn list(room: &Room, parameter: &str, asked: &[(&str, &str)]) -> Result<Reply, Failure> {
    let mut ask = room.about(parameter)?;
    if !asked.iter().any(|(name, _)| *name == "prefix") {
        ask = ask.query("prefix", room.prefix());
    }
    let ask = asked.iter().fold(ask, |ask, (name, value)| ask.query(name, value));
    ask.send().await?.is(200)
}

async fn store(room: &Room, names: &[&str]) -> Verdict {
    for name in names {
        room.store(name, b"x").await?;
    }
    Ok(())
}

async fn begin(room: &Room, name: &str) -> Result<String, Failure> {
    room.post(name)?.query("uploads", "").send().await?.is(200)?.element("UploadId")
}

fn keys(room: &Room, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| room.key(name)).collect()
}
