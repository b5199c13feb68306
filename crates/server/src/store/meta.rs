//! Names and states: the verbs that the server asks of its database.

use super::{
    AppendObject, Blob, BlobId, BoxFuture, Bucket, BucketDocument, BucketQuery, BucketUse,
    Complete, Completed, CopyObject, KeyQuery, MetaError, NewReport, NewVideo, Object, ObjectInfo,
    ObjectPage, Page, Part, PartPage, PutObject, Report, ReportQuery, RunningMd5, UploadPage,
    Video,
};

/// The database. Each verb is one transaction: it happens whole or not at all, and when it has
/// answered `Ok` it survives a power cut. The verbs that name a [`Blob`] store its bytes as well when
/// it is a small body, and those bytes are gone with the last row that names them. Times are
/// milliseconds since 1970, given by the caller.
pub trait MetaStore: Send + Sync {
    /// Makes a bucket; `false` when it was there before.
    fn create_bucket<'a>(&'a self, bucket: &'a str, now_ms: u64) -> Answer<'a, bool>;

    /// Whether there is such a bucket.
    fn bucket_exists<'a>(&'a self, bucket: &'a str) -> Answer<'a, bool>;

    /// Makes a bucket as described; `false` when the same owner made it before, and then it stays as it is.
    ///
    /// # Errors
    /// `BucketAlreadyExists`: another's.
    fn make_bucket(&self, bucket: Bucket) -> Answer<'_, bool>;

    /// What is known of a bucket.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn get_bucket<'a>(&'a self, bucket: &'a str) -> Answer<'a, Bucket>;

    /// A page of buckets.
    fn list_buckets(&self, query: BucketQuery) -> Answer<'_, Page<Bucket>>;

    /// Forgets a bucket.
    ///
    /// # Errors
    /// `NoSuchBucket`; `BucketNotEmpty`: it has objects, unfinished uploads or videos.
    fn delete_bucket<'a>(&'a self, bucket: &'a str) -> Answer<'a, ()>;

    /// Changes who may use a bucket without a signature.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn set_bucket_acl<'a>(&'a self, bucket: &'a str, acl: &'a str) -> Answer<'a, ()>;

    /// What a bucket holds.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn bucket_use<'a>(&'a self, bucket: &'a str) -> Answer<'a, BucketUse>;

    /// A document of a bucket, if it has one.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn bucket_document<'a>(
        &'a self,
        bucket: &'a str,
        which: BucketDocument,
    ) -> Answer<'a, Option<String>>;

    /// Sets or removes a document of a bucket.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn set_bucket_document<'a>(
        &'a self,
        bucket: &'a str,
        which: BucketDocument,
        document: Option<String>,
    ) -> Answer<'a, ()>;

    /// All documents of a kind, with the names of their buckets.
    fn bucket_documents(&self, which: BucketDocument) -> Answer<'_, Vec<(String, String)>>;

    /// A page of objects.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn list_objects<'a>(&'a self, bucket: &'a str, query: KeyQuery) -> Answer<'a, ObjectPage>;

    /// A page of unfinished uploads, by key, then by upload id.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn list_uploads<'a>(&'a self, bucket: &'a str, query: KeyQuery) -> Answer<'a, UploadPage>;

    /// Names `blob` as the whole of an object, in place of what was there before.
    ///
    /// A video that waits for this key becomes `Normal`.
    ///
    /// # Errors
    /// `NoSuchBucket`, `FileAlreadyExists`.
    fn put_object(&self, put: PutObject) -> Answer<'_, ObjectInfo>;

    /// What is known of an object, without its blobs.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`.
    fn head_object<'a>(&'a self, bucket: &'a str, key: &'a str) -> Answer<'a, ObjectInfo>;

    /// An object and the blobs that it is made of, in order. The bytes of its small bodies come along,
    /// as they may be gone a moment later.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`.
    fn get_object<'a>(&'a self, bucket: &'a str, key: &'a str) -> Answer<'a, Object>;

    /// Forgets an object; `false` when there was none. A video whose object it was waits for it again
    /// (`Uploading`).
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn delete_object<'a>(&'a self, bucket: &'a str, key: &'a str, now_ms: u64) -> Answer<'a, bool>;

    /// Forgets objects; those that are not there do not matter. With `before_ms` only those that were
    /// last modified before it. Answers how many there were.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn delete_objects<'a>(
        &'a self,
        bucket: &'a str,
        keys: Vec<String>,
        before_ms: Option<u64>,
        now_ms: u64,
    ) -> Answer<'a, u64>;

    /// Gives an object the bytes of another, without moving one: both name the same blobs.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, `FileAlreadyExists`.
    fn copy_object(&self, copy: CopyObject) -> Answer<'_, ObjectInfo>;

    /// Appends `blob` to an object, or begins one with it.
    ///
    /// # Errors
    /// `NoSuchBucket`, `ObjectNotAppendable`, `PositionNotEqualToLength`.
    fn append_object(&self, append: AppendObject) -> Answer<'_, ObjectInfo>;

    /// Sets, or without a value removes, one of the headers of an object.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`.
    fn set_object_header<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        name: &'a str,
        value: Option<String>,
    ) -> Answer<'a, ()>;

    /// Begins a multipart upload and answers its upload id (32 upper-case hexadecimal digits).
    /// `headers` become the object's.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn initiate<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        headers: Vec<(String, String)>,
        now_ms: u64,
    ) -> Answer<'a, String>;

    /// As [`initiate`](Self::initiate), but parts must arrive in the order of their numbers, from 1 on
    /// without a gap.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn initiate_sequential<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        headers: Vec<(String, String)>,
        now_ms: u64,
    ) -> Answer<'a, String>;

    /// Succeeds when the upload is open and takes part `number` now; asked before the part's bytes are read. Of a sequential
    /// upload it answers the MD5 of all parts before, as far as that is known.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchUpload`; of a sequential upload `PartAlreadyExists` and `PartNotSequential`.
    fn check_part<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        number: u32,
    ) -> Answer<'a, Option<RunningMd5>>;

    /// Names `blob` as part `number` (1–10,000) of an upload, in place of an earlier one.
    ///
    /// # Errors
    /// `NoSuchUpload`, also when it was aborted or completed while the bytes travelled; of a
    /// sequential upload `PartAlreadyExists` and `PartNotSequential`.
    fn put_part<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        number: u32,
        blob: Blob,
        now_ms: u64,
    ) -> Answer<'a, Part>;

    /// As [`put_part`](Self::put_part), of a sequential upload; `part` has beside its bytes the MD5 of all parts up to this one,
    /// and the object will have it.
    ///
    /// # Errors
    /// As [`put_part`](Self::put_part).
    fn put_next_part<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        number: u32,
        part: (Blob, RunningMd5),
        now_ms: u64,
    ) -> Answer<'a, Part>;

    /// Up to `limit` parts with numbers above `after`, in ascending order.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchUpload`.
    fn list_parts<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        after: u32,
        limit: usize,
    ) -> Answer<'a, PartPage>;

    /// Makes the object from its parts, forgets the upload, and remembers the answer: the same upload
    /// id with the same part list is answered alike for a day, even when the object changed since.
    ///
    /// Parts that the list does not name are dropped. A video that waits for this key becomes
    /// `Normal`.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchUpload`, `NoPartsListed`, `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`,
    /// `FileAlreadyExists`; the upload stays open.
    fn complete(&self, complete: Complete) -> Answer<'_, Completed>;

    /// Forgets an upload and its parts.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchUpload`.
    fn abort<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        upload_id: &'a str,
        now_ms: u64,
    ) -> Answer<'a, ()>;

    /// Writes down a video that waits (`Uploading`) for its key.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    fn create_video(&self, video: NewVideo, now_ms: u64) -> Answer<'_, Video>;

    /// A video by its id.
    ///
    /// # Errors
    /// `NoSuchVideo`.
    fn get_video<'a>(&'a self, video_id: &'a str) -> Answer<'a, Video>;

    /// Writes reports of uploaders down, and forgets the oldest so that no more than `most` are kept.
    fn add_reports(&self, reports: Vec<NewReport>, most: u64, now_ms: u64) -> Answer<'_, ()>;

    /// Reports, the newest first.
    fn list_reports(&self, query: ReportQuery) -> Answer<'_, Vec<Report>>;

    /// Succeeds when a change would be durable now: writes and syncs without changing anything. Asked
    /// often, it writes once a second.
    fn check_writable(&self) -> Answer<'_, ()>;

    /// Up to `limit` blobs that nothing names any more since before `before_ms`: to be deleted, then
    /// to be [forgotten](Self::forget_garbage).
    fn garbage(&self, before_ms: u64, limit: usize) -> Answer<'_, Vec<BlobId>>;

    /// Removes blobs from the garbage list, after they were deleted.
    fn forget_garbage(&self, blobs: Vec<BlobId>) -> Answer<'_, ()>;

    /// Puts those of `blobs` that nothing names on the garbage list, and answers how many these were.
    /// As long as they are on it no verb accepts them.
    fn discard_unnamed(&self, blobs: Vec<BlobId>, now_ms: u64) -> Answer<'_, u64>;

    /// The newest time among what the janitor judges by its age: uploads and their parts, answers, garbage, and the
    /// objects that lifecycle rules are about.
    fn newest_ms(&self) -> Answer<'_, Option<u64>>;

    /// Sets times that are more than a day later than `now_ms` back to it, and answers how many: those of garbage,
    /// and with `lives` those of uploads, their parts, and answers.
    fn set_back(&self, now_ms: u64, lives: bool) -> Answer<'_, u64>;

    /// Aborts up to `limit` uploads that were initiated, and got their last part, before `before_ms`; answers how
    /// many. One that was begun before this server was written was begun by a clock that was not set: it counts
    /// from `now_ms` on, unless that is such a time itself.
    fn expire_uploads(&self, before_ms: u64, limit: usize, now_ms: u64) -> Answer<'_, u64>;

    /// Forgets the answers of completions from before `before_ms`; answers how many.
    fn forget_completions(&self, before_ms: u64) -> Answer<'_, u64>;

    /// Gives room that removed rows left back to the file system, where it is much; answers how many bytes.
    fn give_back_room(&self) -> Answer<'_, u64>;
}

/// What a verb gives back.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, MetaError>>;
