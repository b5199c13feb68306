//! What is attached to an object: tags and ACL.

use vodferry_oss::Method;

use super::{Room, Verdict, in_order};

in_order! { "tagging":
    tags_are_put_read_and_removed,
    tags_may_come_with_the_object,
    too_many_or_bad_tags_are_refused,
    later_appends_say_nothing_of_tags,
    an_object_has_an_acl,
    an_unknown_acl_is_refused,
}

const TAGS: &str = "<Tagging><TagSet><Tag><Key>k 1</Key><Value>v</Value></Tag></TagSet></Tagging>";

/// PutObjectTagging 200, GetObjectTagging, the count at HEAD, DeleteObjectTagging 204.
pub async fn tags_are_put_read_and_removed(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    room.put("k")?.query("tagging", "").body(TAGS).send().await?.offered()?.is(200)?;
    let tags = room.get("k")?.query("tagging", "").send().await?.is(200)?;
    tags.root("Tagging")?;
    tags.lists("Key", &["k 1"])?;
    tags.lists("Value", &["v"])?;
    room.head("k")?.send().await?.is(200)?.has("x-oss-tagging-count", "1")?;
    room.delete("k")?.query("tagging", "").send().await?.is(204)?;
    let none = room.get("k")?.query("tagging", "").send().await?.is(200)?;
    none.lists::<&str>("Tag", &[])
}

/// `x-oss-tagging`, as a query string, with PutObject.
pub async fn tags_may_come_with_the_object(room: &Room) -> Verdict {
    let put = room.put("k")?.header("x-oss-tagging", "a=1&b%20c=2").body("x");
    put.send().await?.offered()?.is(200)?;
    let tags = room.get("k")?.query("tagging", "").send().await?.is(200)?;
    let mut keys = tags.elements("Key");
    keys.sort();
    match keys == ["a", "b c"] {
        true => Ok(()),
        false => Err(tags.differs("the tags a and b c")),
    }
}

/// More than ten, the same twice, a key of more than 128 characters, a sign that tags do not have: 400.
pub async fn too_many_or_bad_tags_are_refused(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    room.put("k")?.query("tagging", "").body(TAGS).send().await?.offered()?.is(200)?;
    let many: Vec<String> = (0..11).map(|number| format!("t{number}=1")).collect();
    for tags in [
        many.join("&"),
        format!("{}=1", "k".repeat(129)),
        "a=1&a=2".into(),
        "a%21=1".into(),
        "a=%3Cb%3E".into(),
    ] {
        let put = room.put("other")?.header("x-oss-tagging", tags.as_str()).body("x");
        put.send().await?.is(400)?;
        let begin = room.post("other")?.query("uploads", "").header("x-oss-tagging", tags);
        begin.send().await?.is(400)?;
    }
    let bad = room.put("k")?.query("tagging", "").body("<Tagging>").send().await?;
    bad.refused(400, "MalformedXML").map(|_| ())
}

/// Those of the first append are the object's; those of later ones are ignored, whatever they are.
pub async fn later_appends_say_nothing_of_tags(room: &Room) -> Verdict {
    let append = |position: u32, tags: &'static str| {
        let ask = room.post("log")?.query("append", "").query("position", position);
        Ok::<_, super::Failure>(ask.header("x-oss-tagging", tags).body("x"))
    };
    append(0, "a=%21")?.send().await?.offered()?.is(400)?;
    append(0, "a=1")?.send().await?.is(200)?;
    append(1, "b=%21&b=2")?.send().await?.is(200)?;
    let tags = room.get("log")?.query("tagging", "").send().await?.is(200)?;
    tags.lists("Key", &["a"])?;
    tags.lists("Value", &["1"])
}

/// Grant `default` until another is put.
pub async fn an_object_has_an_acl(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    let acl = room.get("k")?.query("acl", "").send().await?.offered()?.is(200)?;
    acl.root("AccessControlPolicy")?;
    acl.lists("Grant", &["default"])?;
    acl.element("ID")?;
    acl.element("DisplayName")?;
    let put = room.put("k")?.query("acl", "").header("x-oss-object-acl", "private");
    put.send().await?.offered()?.is(200)?;
    let acl = room.get("k")?.query("acl", "").send().await?.is(200)?;
    acl.lists("Grant", &["private"])?;
    let missing = room.ask(Method::Get, "missing")?.query("acl", "").send().await?;
    missing.refused(404, "NoSuchKey").map(|_| ())
}

/// 400 InvalidArgument, at PutObject and at PutObjectAcl.
pub async fn an_unknown_acl_is_refused(room: &Room) -> Verdict {
    let put = room.put("k")?.header("x-oss-object-acl", "everybody").body("x").send().await?;
    put.refused(400, "InvalidArgument")?;
    room.store("k", b"x").await?;
    let acl = room.put("k")?.query("acl", "").header("x-oss-object-acl", "everybody");
    acl.send().await?.offered()?.refused(400, "InvalidArgument").map(|_| ())
}
