//! Buckets: make, list, look at, delete; and their ACL.

use vodferry_oss::Method;

use super::ask::Signing;
use super::{Room, Verdict, in_order};

in_order! { "buckets":
    a_bucket_is_made_once_and_again,
    a_bad_name_is_refused,
    info_tells_what_a_bucket_is,
    a_location_is_told,
    use_is_told,
    buckets_are_listed,
    a_bucket_with_something_in_it_stays,
    a_bucket_that_is_gone_is_no_such_bucket,
    objects_have_the_class_of_their_bucket,
    an_acl_is_put_and_read,
    a_public_bucket_is_read_without_a_signature,
}

/// The owner may make it again, 200 both times.
pub async fn a_bucket_is_made_once_and_again(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    room.on(Method::Put, &bucket, "")?.send().await?.is(200)?;
    let listed = room.on(Method::Get, &bucket, "")?.send().await?.is(200)?;
    listed.lists("Name", &[&bucket])?;
    listed.lists::<&str>("Key", &[])
}

/// 400 InvalidBucketName; a request that has to be addressed by path.
pub async fn a_bad_name_is_refused(room: &Room) -> Verdict {
    for name in ["ab", "Upper-case", "-dash", "under_score"] {
        let Some(ask) = room.on(Method::Put, room.bucket(), "")?.renamed_in_path(name) else {
            return Err(super::Failure::NotOffered("the bucket is not addressed by path".into()));
        };
        ask.send().await?.refused(400, "InvalidBucketName")?;
    }
    Ok(())
}

/// GetBucketInfo
pub async fn info_tells_what_a_bucket_is(room: &Room) -> Verdict {
    let info = room.about("bucketInfo")?.send().await?.is(200)?;
    info.root("BucketInfo")?;
    info.lists("Name", &[room.bucket()])?;
    for name in [
        "ExtranetEndpoint",
        "IntranetEndpoint",
        "Location",
        "StorageClass",
        "ID",
        "DisplayName",
        "Grant",
    ] {
        info.element(name)?;
    }
    info.dates("CreationDate")
}

/// GetBucketLocation
pub async fn a_location_is_told(room: &Room) -> Verdict {
    let reply = room.about("location")?.send().await?.is(200)?;
    reply.root("LocationConstraint")?;
    match reply.element("LocationConstraint")?.starts_with("oss-") {
        true => Ok(()),
        false => Err(reply.differs("a location oss-…")),
    }
}

/// GetBucketStat
pub async fn use_is_told(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    room.at(Method::Put, &bucket, "k")?.body("12345").send().await?.is(200)?;
    room.at(Method::Post, &bucket, "k")?.query("uploads", "").send().await?.is(200)?;
    let stat = room.on(Method::Get, &bucket, "stat")?.send().await?.offered()?.is(200)?;
    stat.root("BucketStat")?;
    stat.lists("Storage", &["5"])?;
    stat.lists("ObjectCount", &["1"])?;
    stat.lists("MultipartUploadCount", &["1"])
}

/// GetService: the owner and the buckets, in pages too.
pub async fn buckets_are_listed(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    let prefix = bucket.trim_end_matches('0');
    let list = || Ok::<_, super::Failure>(room.at(Method::Get, "", "")?.query("prefix", prefix));
    let listed = list()?.send().await?.is(200)?;
    listed.root("ListAllMyBucketsResult")?;
    listed.lists("Name", &[&bucket])?;
    for name in
        ["ID", "DisplayName", "Location", "ExtranetEndpoint", "IntranetEndpoint", "StorageClass"]
    {
        listed.element(name)?;
    }
    listed.dates("CreationDate")?;
    let second = room.new_bucket().await?;
    let first = list()?.query("max-keys", 1).send().await?.is(200)?;
    first.lists("IsTruncated", &["true"])?;
    let marker = first.element("NextMarker")?;
    let last = list()?.query("marker", marker).send().await?.is(200)?;
    last.lists("Name", &[second])
}

/// 409 BucketNotEmpty, for an object and for an unfinished upload.
pub async fn a_bucket_with_something_in_it_stays(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    let delete = || room.on(Method::Delete, &bucket, "");
    room.at(Method::Put, &bucket, "k")?.body("x").send().await?.is(200)?;
    delete()?.send().await?.refused(409, "BucketNotEmpty")?;
    room.at(Method::Delete, &bucket, "k")?.send().await?.is(204)?;
    let begun = room.at(Method::Post, &bucket, "k")?.query("uploads", "").send().await?.is(200)?;
    let id = begun.element("UploadId")?;
    let upload =
        |method| Ok::<_, super::Failure>(room.at(method, &bucket, "k")?.query("uploadId", &id));
    upload(Method::Put)?.query("partNumber", 1).body("x").send().await?.is(200)?;
    delete()?.send().await?.refused(409, "BucketNotEmpty")?;
    upload(Method::Delete)?.send().await?.is(204)?;
    delete()?.send().await?.is(204).map(|_| ())
}

/// 404 NoSuchBucket with its name, whatever is asked, before the key is looked at.
pub async fn a_bucket_that_is_gone_is_no_such_bucket(room: &Room) -> Verdict {
    let bucket = room.reserve_bucket();
    for (method, key) in [
        (Method::Get, ""),
        (Method::Delete, ""),
        (Method::Get, "k"),
        (Method::Head, "k"),
        (Method::Put, "k"),
        (Method::Delete, "k"),
    ] {
        let ask = room.at(method, &bucket, key)?;
        let refused = ask.send().await?.refused(404, "NoSuchBucket")?;
        refused.tells("BucketName", &bucket)?;
    }
    let long = "k".repeat(1024);
    let early = room.at(Method::Put, &bucket, &long)?.body("x").send().await?;
    early.refused(404, "NoSuchBucket").map(|_| ())
}

/// In HEAD, lists of objects, of uploads and of parts; what names a class has that.
pub async fn objects_have_the_class_of_their_bucket(room: &Room) -> Verdict {
    const MADE: &str =
        "<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>";
    let bucket = room.reserve_bucket();
    let made = room.on(Method::Put, &bucket, "")?.body(MADE).send().await?;
    if made.status() == 403 || made.error().code == "TooManyBuckets" {
        return Err(super::Failure::NotOffered("a bucket cannot be made".into()));
    }
    made.offered()?.is(200)?;
    const CLASS: &str = "x-oss-storage-class";
    room.at(Method::Put, &bucket, "a")?.body("x").send().await?.is(200)?;
    let own = room.at(Method::Put, &bucket, "b")?.header(CLASS, "Standard").body("x");
    own.send().await?.is(200)?;
    room.at(Method::Head, &bucket, "a")?.send().await?.is(200)?.has(CLASS, "IA")?;
    room.at(Method::Head, &bucket, "b")?.send().await?.is(200)?.has(CLASS, "Standard")?;
    let listed = room.on(Method::Get, &bucket, "")?.send().await?.is(200)?;
    listed.lists("StorageClass", &["IA", "Standard"])?;
    let begun = room.at(Method::Post, &bucket, "c")?.query("uploads", "").send().await?.is(200)?;
    let id = begun.element("UploadId")?;
    let uploads = room.on(Method::Get, &bucket, "uploads")?.send().await?.is(200)?;
    uploads.lists("StorageClass", &["IA"])?;
    let parts = room.at(Method::Get, &bucket, "c")?.query("uploadId", &id).send().await?.is(200)?;
    parts.lists("StorageClass", &["IA"])
}

/// PutBucketAcl, GetBucketAcl; what is no ACL is 400 InvalidArgument.
pub async fn an_acl_is_put_and_read(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    let acl = |method| room.on(method, &bucket, "acl");
    let read = acl(Method::Get)?.send().await?.is(200)?;
    read.root("AccessControlPolicy")?;
    read.lists("Grant", &["private"])?;
    read.element("ID")?;
    let put =
        |text: &'static str| Ok::<_, super::Failure>(acl(Method::Put)?.header("x-oss-acl", text));
    put("public-read")?.send().await?.offered()?.is(200)?;
    acl(Method::Get)?.send().await?.is(200)?.lists("Grant", &["public-read"])?;
    put("everybody")?.send().await?.refused(400, "InvalidArgument").map(|_| ())
}

/// `public-read`: everybody reads an object and nobody writes one.
pub async fn a_public_bucket_is_read_without_a_signature(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    room.at(Method::Put, &bucket, "k")?.body("x").send().await?.is(200)?;
    let acl = room.on(Method::Put, &bucket, "acl")?.header("x-oss-acl", "public-read");
    let put = acl.send().await?.offered()?;
    if put.status() == 403 {
        return Err(super::Failure::NotOffered("buckets may not be made public".into()));
    }
    put.is(200)?;
    let bare =
        |method| Ok::<_, super::Failure>(room.at(method, &bucket, "k")?.signed(Signing::None));
    bare(Method::Get)?.send().await?.is(200)?.holds("x")?;
    bare(Method::Put)?.body("y").send().await?.refused(403, "AccessDenied")?;
    let override_it = bare(Method::Get)?.query("response-content-type", "text/plain");
    override_it.send().await?.refused(400, "InvalidRequest").map(|_| ())
}
