//! Lifecycle rules, as documents: that they act takes days, which is not for a suite. On buckets of the case's own.

use vodferry_oss::Method;

use super::{Room, Verdict, in_order};

in_order! { "lifecycle":
    rules_are_put_read_and_removed,
    bad_rules_are_refused,
}

const RULES: &str = "<LifecycleConfiguration><Rule><ID>frag</ID><Prefix>sv/</Prefix><Status>Enabled</Status>\
    <AbortMultipartUpload><Days>7</Days></AbortMultipartUpload></Rule></LifecycleConfiguration>";

/// Put 200, get, delete 204; without 404 NoSuchLifecycle.
pub async fn rules_are_put_read_and_removed(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    let rules = |method| room.on(method, &bucket, "lifecycle");
    rules(Method::Get)?.send().await?.offered()?.refused(404, "NoSuchLifecycle")?;
    rules(Method::Put)?.document(RULES).send().await?.offered()?.is(200)?;
    let read = rules(Method::Get)?.send().await?.is(200)?;
    read.root("LifecycleConfiguration")?;
    read.lists("ID", &["frag"])?;
    read.lists("Prefix", &["sv/"])?;
    read.lists("Status", &["Enabled"])?;
    read.lists("Days", &["7"])?;
    rules(Method::Delete)?.send().await?.is(204)?;
    rules(Method::Get)?.send().await?.refused(404, "NoSuchLifecycle").map(|_| ())
}

/// Bad XML, no rule, an unknown status, a day that is not at midnight: 400.
pub async fn bad_rules_are_refused(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    for document in [
        "<LifecycleConfiguration>".to_owned(),
        "<LifecycleConfiguration></LifecycleConfiguration>".to_owned(),
        RULES.replace("Enabled", "Perhaps"),
        RULES.replace(
            "<Days>7</Days>",
            "<CreatedBeforeDate>2026-11-20T00:00:01.000Z</CreatedBeforeDate>",
        ),
    ] {
        room.on(Method::Put, &bucket, "lifecycle")?
            .document(&document)
            .send()
            .await?
            .offered()?
            .is(400)?;
    }
    Ok(())
}
