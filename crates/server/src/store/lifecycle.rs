//! Lifecycle rules of buckets, acted upon: objects that expire, uploads that nobody finished.

use vodferry_oss::encode::decode_query;
use vodferry_oss::xml::{LifecycleConfiguration, LifecycleRule, Term};

use super::{BucketDocument, Entry, KeyQuery, MetaError, MetaStore, ObjectInfo};

/// What the rules of all buckets ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Objects deleted.
    pub objects: u64,
    /// Uploads aborted.
    pub uploads: u64,
}

/// Does what the rules of all buckets ask for at `now_ms`. Walks through all keys that a rule is
/// about, page by page.
///
/// # Errors
/// The first failure; what was done before it stays done.
pub async fn apply_lifecycles(meta: &dyn MetaStore, now_ms: u64) -> Result<Ended, MetaError> {
    let mut ended = Ended::default();
    for (bucket, document) in meta.bucket_documents(BucketDocument::Lifecycle).await? {
        let Ok(configuration) = LifecycleConfiguration::decode(document.as_bytes()) else {
            tracing::warn!(bucket, "the lifecycle rules cannot be read");
            continue;
        };
        for rule in configuration.rules.iter().filter(|rule| rule.status == "Enabled") {
            if let Some(before) = rule.expiration.and_then(|term| before(term, now_ms)) {
                ended.objects += skip_gone(objects(meta, &bucket, rule, before, now_ms).await)?;
            }
            if let Some(before) = rule.abort_multipart_upload.and_then(|term| before(term, now_ms))
            {
                ended.uploads += skip_gone(uploads(meta, &bucket, rule, before, now_ms).await)?;
            }
        }
    }
    Ok(ended)
}

/// Keys looked at in one go.
const PAGE: usize = 1000;
const DAY_MS: u64 = 86_400_000;

/// What is from before this moment ends; nothing does when none.
fn before(term: Term, now_ms: u64) -> Option<u64> {
    let reached = |at: i64| u64::try_from(at).ok().filter(|at| *at <= now_ms);
    match term {
        Term::Days(days) => now_ms.checked_sub(u64::from(days).saturating_mul(DAY_MS)),
        // Whoever names a day to come does not mean what will be made until then.
        Term::CreatedBefore(at) => reached(at),
        Term::Date(at) => reached(at).map(|_| now_ms),
    }
}

/// A bucket that was deleted meanwhile has nothing that could end.
fn skip_gone(done: Result<u64, MetaError>) -> Result<u64, MetaError> {
    match done {
        Err(MetaError::NoSuchBucket(_)) => Ok(0),
        done => done,
    }
}

async fn objects(
    meta: &dyn MetaStore,
    bucket: &str,
    rule: &LifecycleRule,
    before_ms: u64,
    now_ms: u64,
) -> Result<u64, MetaError> {
    let mut query = KeyQuery { prefix: rule.prefix.clone(), limit: PAGE, ..KeyQuery::default() };
    let mut deleted = 0;
    loop {
        let page = meta.list_objects(bucket, query.clone()).await?;
        let last = page.entries.last().map(|entry| entry.name().to_owned());
        let ends = |entry: Entry<ObjectInfo>| match entry {
            Entry::Key(key, info) if info.modified_ms < before_ms && has_tags(&info, rule) => {
                Some(key)
            }
            _ => None,
        };
        let keys: Vec<String> = page.entries.into_iter().filter_map(ends).collect();
        if !keys.is_empty() {
            deleted += meta.delete_objects(bucket, keys, Some(before_ms), now_ms).await?;
        }
        match last.filter(|_| page.truncated) {
            Some(last) => query.after = last,
            None => return Ok(deleted),
        }
    }
}

async fn uploads(
    meta: &dyn MetaStore,
    bucket: &str,
    rule: &LifecycleRule,
    before_ms: u64,
    now_ms: u64,
) -> Result<u64, MetaError> {
    let mut query = KeyQuery { prefix: rule.prefix.clone(), limit: PAGE, ..KeyQuery::default() };
    let mut aborted = 0;
    loop {
        let page = meta.list_uploads(bucket, query.clone()).await?;
        let mut last = None;
        for entry in page.entries {
            let Entry::Key(key, upload) = entry else { continue };
            if upload.initiated_ms < before_ms {
                match meta.abort(bucket, &key, &upload.upload_id, now_ms).await {
                    Ok(()) => aborted += 1,
                    Err(MetaError::NoSuchUpload(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            last = Some((key, upload.upload_id));
        }
        match last.filter(|_| page.truncated) {
            Some(last) => (query.after, query.after_upload) = last,
            None => return Ok(aborted),
        }
    }
}

fn has_tags(info: &ObjectInfo, rule: &LifecycleRule) -> bool {
    if rule.tags.is_empty() {
        return true;
    }
    let own = info.header("x-oss-tagging").and_then(|text| decode_query(text).ok());
    own.is_some_and(|own| rule.tags.iter().all(|tag| own.contains(tag)))
}
