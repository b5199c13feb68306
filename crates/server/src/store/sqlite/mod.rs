//! The meta store of one machine: a SQLite file in WAL mode.
//!
//! What a verb does to the tables is a plain function on a connection, in the file of its subject;
//! here they are only sent to the writer or to a reader (see `group`). The tables are in
//! `schema.sql`.

mod buckets;
mod complete;
mod copies;
mod group;
mod inspect;
mod list;
mod objects;
mod quota;
mod reports;
mod schema;
mod snapshot;
mod upkeep;
mod uploads;
mod videos;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

pub use self::group::{Commit, CommitWatch};
use self::group::{Readers, Writer};
pub(super) use self::inspect::{Inspection, NamedBlob, NamedSmall, WrongVideo};
pub use self::schema::OpenError;
pub(super) use self::snapshot::{SnapshotError, snapshot};
use super::{
    Answer, AppendObject, Blob, BlobId, Bucket, BucketDocument, BucketQuery, BucketUse, Complete,
    Completed, CopyObject, KeyQuery, MetaError, MetaStore, NewReport, NewVideo, Object, ObjectInfo,
    ObjectPage, Page, Part, PartPage, PutObject, Quotas, Report, ReportQuery, RunningMd5,
    UploadPage, Video,
};

/// A [`MetaStore`] in one SQLite file.
pub struct SqliteStore {
    /// Closed before the writer: SQLite takes the log away with the last connection, and of two that are closed at the same moment
    /// neither is the last.
    readers: Readers,
    writer: Writer,
    options: SqliteOptions,
    quotas: Arc<Quotas>,
    /// When [`MetaStore::check_writable`] last wrote.
    written: Mutex<Option<Instant>>,
}

/// How a [`SqliteStore`] works.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Sync each commit. Off is for tests and throw-away data. Default on.
    pub durable: bool,
    /// Least bytes of a part that is not its object's last. Default 102,400.
    pub min_part_size: u64,
    /// For how long the answer to a Complete is given again, in milliseconds. Default 24 hours.
    pub remember_ms: u64,
    /// Most connections that read at once. Default 4.
    pub readers: usize,
    /// Largest size of the database in bytes; what needs more is refused as on a full disk. Default
    /// none.
    pub max_bytes: Option<u64>,
    /// What tenants may store. Default as many bytes and objects as they like.
    pub quotas: Quotas,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            durable: true,
            min_part_size: 102_400,
            remember_ms: 24 * 60 * 60 * 1000,
            readers: 4,
            max_bytes: None,
            quotas: Quotas::default(),
        }
    }
}

impl SqliteStore {
    /// Opens the database at `path`, or makes it.
    ///
    /// # Errors
    /// [`OpenError`]: another program's file, a newer release's, or one that SQLite cannot use.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
        let connection = schema::open_writer(path, &options)?;
        quota::arm(&connection, &options.quotas)
            .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
        let writer = Writer::start(connection)?;
        let quotas = Arc::new(options.quotas.clone());
        let readers = Readers::new(path.to_owned(), options.readers.max(1));
        Ok(SqliteStore { writer, readers, options, quotas, written: Mutex::default() })
    }

    /// Runs a verb that gives something to `bucket`, unless its tenant would have too much then.
    fn give<T: Send + 'static>(
        &self,
        doing: &'static str,
        bucket: &str,
        verb: impl FnOnce(&Connection) -> Result<T, MetaError> + Send + 'static,
    ) -> Answer<'_, T> {
        let (quotas, bucket) = (self.quotas.clone(), bucket.to_owned());
        let verb = move |db: &_| quota::within(db, &quotas, &bucket, verb);
        Box::pin(self.writer.run(doing, verb))
    }

    fn begin(
        &self,
        bucket: &str,
        key: &str,
        headers: Vec<(String, String)>,
        sequential: bool,
        now_ms: u64,
    ) -> Answer<'_, String> {
        let (own, key, quotas) = (bucket.to_owned(), key.to_owned(), self.quotas.clone());
        let verb = move |db: &Connection| {
            quota::one_more_upload(db, &quotas, &own)?;
            uploads::initiate(db, &own, &key, &headers, sequential, now_ms)
        };
        self.give("begin an upload", bucket, verb)
    }

    /// Tells of commits from now on; the first who asks is told.
    pub fn watch_commits(&self, watch: CommitWatch) {
        self.writer.watch(watch);
    }

    /// Transactions committed since this was opened.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }
}

impl MetaStore for SqliteStore {
    fn create_bucket<'a>(&'a self, bucket: &'a str, now_ms: u64) -> Answer<'a, bool> {
        let bucket = bucket.to_owned();
        let verb = move |db: &_| objects::create_bucket(db, &bucket, now_ms);
        Box::pin(self.writer.run("create a bucket", verb))
    }

    fn bucket_exists<'a>(&'a self, bucket: &'a str) -> Answer<'a, bool> {
        let bucket = bucket.to_owned();
        let verb = move |db: &_| objects::bucket_exists(db, &bucket);
        Box::pin(self.readers.run("look for a bucket", verb))
    }

    fn make_bucket(&self, bucket: Bucket) -> Answer<'_, bool> {
        let quotas = self.quotas.clone();
        Box::pin(self.writer.run("make a bucket", move |db| buckets::make(db, &quotas, &bucket)))
    }

    fn get_bucket<'a>(&'a self, bucket: &'a str) -> Answer<'a, Bucket> {
        let bucket = bucket.to_owned();
        Box::pin(self.readers.run("look for a bucket", move |db| buckets::get(db, &bucket)))
    }

    fn list_buckets(&self, query: BucketQuery) -> Answer<'_, Page<Bucket>> {
        Box::pin(self.readers.run("list buckets", move |db| buckets::list(db, &query)))
    }

    fn delete_bucket<'a>(&'a self, bucket: &'a str) -> Answer<'a, ()> {
        let bucket = bucket.to_owned();
        Box::pin(self.writer.run("delete a bucket", move |db| buckets::delete(db, &bucket)))
    }

    fn set_bucket_acl<'a>(&'a self, bucket: &'a str, acl: &'a str) -> Answer<'a, ()> {
        let (bucket, acl) = (bucket.to_owned(), acl.to_owned());
        let verb = move |db: &_| buckets::set_acl(db, &bucket, &acl);
        Box::pin(self.writer.run("change a bucket's ACL", verb))
    }

    fn bucket_use<'a>(&'a self, bucket: &'a str) -> Answer<'a, BucketUse> {
        let bucket = bucket.to_owned();
        Box::pin(self.readers.run("measure a bucket", move |db| buckets::usage(db, &bucket)))
    }

    fn bucket_document<'a>(
        &'a self,
        bucket: &'a str,
        which: BucketDocument,
    ) -> Answer<'a, Option<String>> {
        let bucket = bucket.to_owned();
        let verb = move |db: &_| buckets::document(db, &bucket, which);
        Box::pin(self.readers.run("read a bucket's rules", verb))
    }

    fn set_bucket_document<'a>(
        &'a self,
        bucket: &'a str,
        which: BucketDocument,
        document: Option<String>,
    ) -> Answer<'a, ()> {
        let bucket = bucket.to_owned();
        let verb = move |db: &_| buckets::set_document(db, &bucket, which, document.as_deref());
        Box::pin(self.writer.run("change a bucket's rules", verb))
    }

    fn bucket_documents(&self, which: BucketDocument) -> Answer<'_, Vec<(String, String)>> {
        let verb = move |db: &_| buckets::documents(db, which);
        Box::pin(self.readers.run("read the buckets' rules", verb))
    }

    fn list_objects<'a>(&'a self, bucket: &'a str, query: KeyQuery) -> Answer<'a, ObjectPage> {
        let bucket = bucket.to_owned();
        let verb = move |db: &_| list::objects(db, &bucket, &query);
        Box::pin(self.readers.run("list objects", verb))
    }

    fn list_uploads<'a>(&'a self, bucket: &'a str, query: KeyQuery) -> Answer<'a, UploadPage> {
        let bucket = bucket.to_owned();
        let verb = move |db: &_| list::uploads(db, &bucket, &query);
        Box::pin(self.readers.run("list uploads", verb))
    }

    fn put_object(&self, put: PutObject) -> Answer<'_, ObjectInfo> {
        let bucket = put.bucket.clone();
        self.give("put an object", &bucket, move |db| objects::put(db, put))
    }

    fn head_object<'a>(&'a self, bucket: &'a str, key: &'a str) -> Answer<'a, ObjectInfo> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let verb = move |db: &_| objects::head(db, &bucket, &key).map(|(info, _)| info);
        Box::pin(self.readers.run("look for an object", verb))
    }

    fn get_object<'a>(&'a self, bucket: &'a str, key: &'a str) -> Answer<'a, Object> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let verb = move |db: &_| objects::get(db, &bucket, &key);
        Box::pin(self.readers.run("read an object's blobs", verb))
    }

    fn delete_object<'a>(&'a self, bucket: &'a str, key: &'a str, now_ms: u64) -> Answer<'a, bool> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let verb = move |db: &_| objects::delete(db, &bucket, &key, now_ms);
        Box::pin(self.writer.run("delete an object", verb))
    }

    fn delete_objects<'a>(
        &'a self,
        bucket: &'a str,
        keys: Vec<String>,
        before_ms: Option<u64>,
        now_ms: u64,
    ) -> Answer<'a, u64> {
        let bucket = bucket.to_owned();
        let verb = move |db: &_| objects::delete_many(db, &bucket, &keys, before_ms, now_ms);
        Box::pin(self.writer.run("delete objects", verb))
    }

    fn copy_object(&self, copy: CopyObject) -> Answer<'_, ObjectInfo> {
        let bucket = copy.bucket.clone();
        self.give("copy an object", &bucket, move |db| copies::copy(db, copy))
    }

    fn append_object(&self, append: AppendObject) -> Answer<'_, ObjectInfo> {
        let bucket = append.bucket.clone();
        self.give("append to an object", &bucket, move |db| copies::append(db, append))
    }

    fn set_object_header<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        name: &'a str,
        value: Option<String>,
    ) -> Answer<'a, ()> {
        let (own, key, name) = (bucket.to_owned(), key.to_owned(), name.to_owned());
        let verb = move |db: &Connection| objects::set_header(db, &own, &key, &name, value);
        self.give("change an object", bucket, verb)
    }

    fn initiate<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        headers: Vec<(String, String)>,
        now_ms: u64,
    ) -> Answer<'a, String> {
        self.begin(bucket, key, headers, false, now_ms)
    }

    fn initiate_sequential<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        headers: Vec<(String, String)>,
        now_ms: u64,
    ) -> Answer<'a, String> {
        self.begin(bucket, key, headers, true, now_ms)
    }

    fn check_part<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        number: u32,
    ) -> Answer<'a, Option<RunningMd5>> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), upload_id.to_owned());
        let verb = move |db: &_| {
            let upload = uploads::find(db, &bucket, &key, &id)?;
            uploads::check_turn(db, &upload, number)?;
            Ok(upload.whole())
        };
        Box::pin(self.readers.run("look for an upload", verb))
    }

    fn put_part<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        number: u32,
        blob: Blob,
        now_ms: u64,
    ) -> Answer<'a, Part> {
        let (own, key, id) = (bucket.to_owned(), key.to_owned(), upload_id.to_owned());
        let verb = move |db: &Connection| {
            uploads::take_part(
                db,
                &uploads::find(db, &own, &key, &id)?,
                number,
                &blob,
                None,
                now_ms,
            )
        };
        self.give("put a part", bucket, verb)
    }

    fn put_next_part<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        number: u32,
        (blob, whole): (Blob, RunningMd5),
        now_ms: u64,
    ) -> Answer<'a, Part> {
        let (own, key, id) = (bucket.to_owned(), key.to_owned(), upload_id.to_owned());
        let verb = move |db: &Connection| {
            let upload = uploads::find(db, &own, &key, &id)?;
            uploads::take_part(db, &upload, number, &blob, Some(&whole), now_ms)
        };
        self.give("put a part", bucket, verb)
    }

    fn list_parts<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        after: u32,
        limit: usize,
    ) -> Answer<'a, PartPage> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), upload_id.to_owned());
        let verb = move |db: &_| {
            let upload = uploads::find(db, &bucket, &key, &id)?;
            let headers = objects::read_headers(&upload.headers)?;
            let (parts, truncated) = uploads::list_parts(db, upload.manifest, after, limit)?;
            Ok(PartPage { parts, truncated, headers })
        };
        Box::pin(self.readers.run("list parts", verb))
    }

    fn complete(&self, complete: Complete) -> Answer<'_, Completed> {
        let options = self.options.clone();
        let bucket = complete.bucket.clone();
        let verb = move |db: &Connection| complete::complete(db, complete, &options);
        self.give("complete an upload", &bucket, verb)
    }

    fn abort<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        now_ms: u64,
    ) -> Answer<'a, ()> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), upload_id.to_owned());
        let verb = move |db: &_| {
            let manifest = uploads::find(db, &bucket, &key, &id)?.manifest;
            uploads::forget(db, manifest, now_ms)
        };
        Box::pin(self.writer.run("abort an upload", verb))
    }

    fn create_video(&self, video: NewVideo, now_ms: u64) -> Answer<'_, Video> {
        Box::pin(self.writer.run("create a video", move |db| videos::create(db, video, now_ms)))
    }

    fn get_video<'a>(&'a self, video_id: &'a str) -> Answer<'a, Video> {
        let id = video_id.to_owned();
        Box::pin(self.readers.run("look for a video", move |db| videos::get(db, &id)))
    }

    fn add_reports(&self, reports: Vec<NewReport>, most: u64, now_ms: u64) -> Answer<'_, ()> {
        let verb = move |db: &_| reports::add(db, &reports, most, now_ms);
        Box::pin(self.writer.run("write reports down", verb))
    }

    fn list_reports(&self, query: ReportQuery) -> Answer<'_, Vec<Report>> {
        Box::pin(self.readers.run("list reports", move |db| reports::list(db, &query)))
    }

    fn check_writable(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let written = || self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let recent = written().is_some_and(|at| at.elapsed() < Duration::from_secs(1));
            if !recent {
                self.writer.run("write", upkeep::write).await?;
                *written() = Some(Instant::now());
            }
            Ok(())
        })
    }

    fn garbage(&self, before_ms: u64, limit: usize) -> Answer<'_, Vec<BlobId>> {
        let verb = move |db: &_| upkeep::garbage(db, before_ms, limit);
        Box::pin(self.readers.run("list garbage", verb))
    }

    fn forget_garbage(&self, blobs: Vec<BlobId>) -> Answer<'_, ()> {
        Box::pin(self.writer.run("forget garbage", move |db| upkeep::forget_garbage(db, &blobs)))
    }

    fn discard_unnamed(&self, blobs: Vec<BlobId>, now_ms: u64) -> Answer<'_, u64> {
        let verb = move |db: &_| upkeep::discard_unnamed(db, &blobs, now_ms);
        Box::pin(self.writer.run("discard unnamed blobs", verb))
    }

    fn newest_ms(&self) -> Answer<'_, Option<u64>> {
        Box::pin(self.readers.run("look for the newest time", upkeep::newest_ms))
    }

    fn set_back(&self, now_ms: u64, lives: bool) -> Answer<'_, u64> {
        let verb = move |db: &_| upkeep::set_back(db, now_ms, lives);
        Box::pin(self.writer.run("set times back", verb))
    }

    fn expire_uploads(&self, before_ms: u64, limit: usize, now_ms: u64) -> Answer<'_, u64> {
        let verb = move |db: &_| upkeep::expire_uploads(db, before_ms, limit, now_ms);
        Box::pin(self.writer.run("expire uploads", verb))
    }

    fn forget_completions(&self, before_ms: u64) -> Answer<'_, u64> {
        let verb = move |db: &_| upkeep::forget_completions(db, before_ms);
        Box::pin(self.writer.run("forget completions", verb))
    }

    fn give_back_room(&self) -> Answer<'_, u64> {
        Box::pin(async {
            let mut given = 0;
            loop {
                match self.writer.run("give back room", upkeep::give_back_room).await? {
                    0 => break,
                    bytes => given += bytes,
                }
            }
            if given > 0 {
                self.readers.empty_log().await?;
            }
            Ok(given)
        })
    }
}

/// SQLite's integers are signed; times and lengths stay far below their top.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The way back; a negative one would be damage.
fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
