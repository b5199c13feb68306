//! The rule that clears what nobody finishes.

use vodferry_oss::Method;
use vodferry_oss::etag::{content_md5, md5};
use vodferry_oss::xml::with_abort_term;

use super::Bucket;
use super::ask::Plain;
use crate::Error;

impl Bucket {
    /// Has the service abort uploads of keys that begin with `prefix` (empty: all) once they are `days` (at least 1) old, so that what
    /// can never be resumed takes no space for ever (the advice of the page on resumable uploads). The bucket's other rules stay; an
    /// enabled rule of this very prefix gets the term. An upload cannot be resumed once it is aborted.
    ///
    /// The rules are read, changed and written back; whoever changes them at the same moment may lose their change. Needs the rights
    /// `oss:GetBucketLifecycle` and `oss:PutBucketLifecycle`, which credentials for uploading do not hold.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` for 0 days; what the server answered, or why it could not be reached.
    pub async fn abort_after_days(&self, prefix: &str, days: u32) -> Result<(), Error> {
        if days == 0 {
            return Err(Error::misuse("unfinished uploads live for 1 day at least"));
        }
        let subject = format!("the lifecycle rules of {}", self.name());
        let read = Plain::new(&*subject, Method::Get, "").query("lifecycle", "");
        let reply = self.ask(&read, &[404]).await?;
        let rules = match reply.status {
            404 => {
                let refused = Error::from(read.refused(&reply, false));
                if refused.code() != "NoSuchLifecycle" {
                    return Err(refused);
                }
                Vec::new()
            }
            _ => reply.body,
        };
        let rules = with_abort_term(&rules, prefix, days).map_err(|e| read.unreadable(e))?;
        let mut write = Plain::new(subject, Method::Put, "").query("lifecycle", "");
        write.body = rules.into_bytes();
        let headers = [
            ("content-type".to_owned(), "application/xml".to_owned()),
            ("content-md5".to_owned(), content_md5(&md5(&write.body))),
        ];
        write.headers.extend(headers);
        self.ask(&write, &[]).await.map(|_| ())
    }
}
