"""Buckets, listings, copies, appends, ACLs, tags, rules: every call that oss2 offers for what the server has.

Imported by oss2_check.py, which runs each of its checks with a bucket.
"""

import datetime
import hashlib
import time
import urllib.error
import urllib.request

import oss2
from oss2.models import (
    AbortMultipartUpload,
    BatchDeleteObjectVersion,
    BatchDeleteObjectVersionList,
    BucketCors,
    BucketCreateConfig,
    BucketLifecycle,
    CorsRule,
    LifecycleExpiration,
    LifecycleRule,
    PartInfo,
    Tagging,
    TaggingRule,
)

from checks import Checks

check = Checks()


def refused(error, status, call, *args, **kwargs):
    """The call fails with this class, status and a request id."""
    try:
        call(*args, **kwargs)
    except error as e:
        assert e.status == status and len(e.request_id) == 24, (e.status, e.request_id)
        return e
    raise AssertionError(f"{error.__name__} was not raised")


def other(bucket, name):
    return oss2.Bucket(bucket.auth, bucket.endpoint, name, region=bucket.region)


def service(bucket):
    return oss2.Service(bucket.auth, bucket.endpoint, region=bucket.region)


def clear(bucket, prefix=""):
    for info in oss2.ObjectIterator(bucket, prefix=prefix):
        bucket.delete_object(info.key)
    for info in oss2.MultipartUploadIterator(bucket, prefix=prefix):
        bucket.abort_multipart_upload(info.key, info.upload_id)


@check
def a_bucket_is_made_looked_at_and_deleted(bucket):
    second = other(bucket, "oss2-second")
    second.create_bucket(oss2.BUCKET_ACL_PUBLIC_READ, BucketCreateConfig(oss2.BUCKET_STORAGE_CLASS_IA))
    info = second.get_bucket_info()
    assert (info.name, info.storage_class, info.acl.grant) == ("oss2-second", "IA", "public-read"), info.__dict__
    assert info.location.startswith("oss-") and info.owner.id and info.creation_date
    assert second.get_bucket_location().location == info.location
    assert second.get_bucket_acl().acl == "public-read"
    second.put_bucket_acl(oss2.BUCKET_ACL_PRIVATE)
    assert second.get_bucket_acl().acl == "private"
    second.put_object("a", b"12345")
    stat = second.get_bucket_stat()
    assert (stat.storage_size_in_bytes, stat.object_count, stat.multi_part_upload_count) == (5, 1, 0)
    refused(oss2.exceptions.BucketNotEmpty, 409, second.delete_bucket)
    clear(second)
    second.delete_bucket()
    refused(oss2.exceptions.NoSuchBucket, 404, second.get_bucket_info)
    refused(oss2.exceptions.NoSuchBucket, 404, second.put_object, "a", b"x")


@check
def a_bound_domain_is_the_bucket(bucket):
    """CNAME, as the server's configuration has it; the server is the HTTP proxy of that name."""
    bound = oss2.Bucket(
        bucket.auth,
        "http://media.example.com",
        bucket.bucket_name,
        is_cname=True,
        region=bucket.region,
        proxies={"http": bucket.endpoint},
    )
    bound.put_object("cname/a b", b"12345")
    assert bound.get_object("cname/a b").read() == b"12345"
    assert [info.key for info in oss2.ObjectIterator(bound, prefix="cname/")] == ["cname/a b"]
    assert bucket.get_object("cname/a b").read() == b"12345"


@check
def buckets_are_listed(bucket):
    names = [f"oss2-list-{n}" for n in range(3)]
    for name in names:
        other(bucket, name).create_bucket()
    listed = [b.name for b in oss2.BucketIterator(service(bucket), prefix="oss2-list-", max_keys=2)]
    assert listed == names, listed
    page = service(bucket).list_buckets(prefix="oss2-list-", max_keys=2)
    assert page.is_truncated and page.next_marker == names[1]
    assert page.buckets[0].location.startswith("oss-") and page.buckets[0].creation_date > 0
    for name in names:
        other(bucket, name).delete_bucket()


@check
def objects_are_listed(bucket):
    keys = ["list/a b", "list/sub/1", "list/sub/2", "list/测.mp4", "list/z+&"]
    for key in keys:
        bucket.put_object(key, key.encode())
    listed = list(oss2.ObjectIterator(bucket, prefix="list/", max_keys=2))
    assert [o.key for o in listed] == sorted(keys, key=str.encode), [o.key for o in listed]
    first = listed[0]
    assert (first.size, first.etag, first.type) == (8, hashlib.md5(b"list/a b").hexdigest().upper(), "Normal")
    assert abs(first.last_modified - time.time()) < 900
    v2 = list(oss2.ObjectIteratorV2(bucket, prefix="list/", max_keys=2, fetch_owner=True))
    assert [o.key for o in v2] == [o.key for o in listed] and v2[0].owner.id
    grouped = list(oss2.ObjectIterator(bucket, prefix="list/", delimiter="/", max_keys=1))
    assert [(o.key, o.is_prefix()) for o in grouped][1] == ("list/sub/", True), [o.key for o in grouped]
    assert [o.key for o in grouped] == ["list/a b", "list/sub/", "list/z+&", "list/测.mp4"]
    versions = bucket.list_object_versions(prefix="list/")
    assert [(v.key, v.versionid) for v in versions.versions] == [(k, "null") for k in sorted(keys, key=str.encode)]
    after = bucket.list_objects_v2(prefix="list/", start_after="list/sub/1")
    assert [o.key for o in after.object_list][0] == "list/sub/2"
    page = bucket.list_objects(prefix="list/", marker="list/sub/2")
    assert [o.key for o in page.object_list] == ["list/z+&", "list/测.mp4"] and not page.is_truncated
    refused(oss2.exceptions.ServerError, 400, bucket.list_objects, max_keys=1001)
    clear(bucket, "list/")


@check
def many_objects_are_deleted(bucket):
    keys = [f"many/ü {n}" for n in range(5)]
    for key in keys:
        bucket.put_object(key, b"x")
    result = bucket.batch_delete_objects(keys[:3] + ["many/never was"])
    assert result.deleted_keys == keys[:3] + ["many/never was"], result.deleted_keys
    versions = BatchDeleteObjectVersionList([BatchDeleteObjectVersion(keys[3], "no-version")])
    refused(oss2.exceptions.ServerError, 400, bucket.delete_object_versions, versions)
    assert bucket.object_exists(keys[3]) and not bucket.object_exists(keys[0])
    clear(bucket, "many/")
    bucket.delete_object("many/never was")


@check
def an_object_is_copied(bucket):
    data = b"film" * 1000
    put = bucket.put_object("copy/a b.mp4", data, headers={"x-oss-meta-a": "1", "Content-Type": "video/mp4"})
    copied = bucket.copy_object(bucket.bucket_name, "copy/a b.mp4", "copy/b")
    assert copied.etag == put.etag, (copied.etag, put.etag)
    got = bucket.get_object("copy/b")
    assert got.read() == data and got.headers["x-oss-meta-a"] == "1" and got.content_type == "video/mp4"
    headers = {"x-oss-metadata-directive": "REPLACE", "x-oss-meta-b": "2"}
    bucket.copy_object(bucket.bucket_name, "copy/a b.mp4", "copy/c", headers=headers)
    head = bucket.head_object("copy/c")
    assert head.headers["x-oss-meta-b"] == "2" and "x-oss-meta-a" not in head.headers
    bucket.update_object_meta("copy/b", {"x-oss-meta-z": "9"})
    head = bucket.head_object("copy/b")
    assert head.headers["x-oss-meta-z"] == "9" and "x-oss-meta-a" not in head.headers
    condition = {"x-oss-copy-source-if-match": "00"}
    refused(oss2.exceptions.PreconditionFailed, 412, bucket.copy_object, bucket.bucket_name, "copy/b", "copy/d", condition)
    refused(oss2.exceptions.NoSuchKey, 404, bucket.copy_object, bucket.bucket_name, "copy/none", "copy/d")
    taken = {"x-oss-forbid-overwrite": "true"}
    error = refused(oss2.exceptions.ServerError, 409, bucket.copy_object, bucket.bucket_name, "copy/b", "copy/c", taken)
    assert error.code == "FileAlreadyExists", error.code
    clear(bucket, "copy/")


@check
def parts_are_copied(bucket):
    data = bytes(range(256)) * 1200
    bucket.put_object("part/source", data)
    upload = bucket.init_multipart_upload("part/k").upload_id
    parts = []
    for number, (first, last) in enumerate([(0, 204_799), (204_800, len(data) - 1)], 1):
        done = bucket.upload_part_copy(bucket.bucket_name, "part/source", (first, last), "part/k", upload, number)
        assert done.etag == hashlib.md5(data[first : last + 1]).hexdigest().upper()
        parts.append(PartInfo(number, done.etag))
    open_uploads = [(u.key, u.upload_id) for u in oss2.MultipartUploadIterator(bucket, prefix="part/")]
    assert open_uploads == [("part/k", upload)], open_uploads
    assert [u.upload_id for u in oss2.ObjectUploadIterator(bucket, "part/k")] == [upload]
    bucket.complete_multipart_upload("part/k", upload, parts)
    assert bucket.get_object("part/k").read() == data
    clear(bucket, "part/")


@check
def all_parts_are_completed_without_a_list(checked):
    # It would compare the CRC64 of the object with that of an empty list.
    bucket = oss2.Bucket(checked.auth, checked.endpoint, checked.bucket_name, enable_crc=False, region=checked.region)
    for parts in (None, []):
        upload = bucket.init_multipart_upload("all/k").upload_id
        bucket.upload_part("all/k", upload, 1, b"a" * 102_400)
        bucket.upload_part("all/k", upload, 2, b"b")
        bucket.complete_multipart_upload("all/k", upload, parts, headers={"x-oss-complete-all": "yes"})
        assert bucket.get_object("all/k").read() == b"a" * 102_400 + b"b"
    clear(bucket, "all/")


@check
def an_object_grows(bucket):
    first = bucket.append_object("log/a", 0, b"one", init_crc=0)
    assert first.next_position == 3
    second = bucket.append_object("log/a", first.next_position, b"two", init_crc=first.crc)
    assert second.next_position == 6
    assert bucket.get_object("log/a").read() == b"onetwo"
    assert bucket.head_object("log/a").object_type == "Appendable"
    error = refused(oss2.exceptions.PositionNotEqualToLength, 409, bucket.append_object, "log/a", 1, b"x")
    assert error.next_position == 6, error.next_position
    bucket.put_object("log/plain", b"x")
    refused(oss2.exceptions.ObjectNotAppendable, 409, bucket.append_object, "log/plain", 1, b"x")
    clear(bucket, "log/")


@check
def acls_of_objects(bucket):
    bucket.put_object("acl/a", b"x")
    assert bucket.get_object_acl("acl/a").acl == "default"
    url = f"{bucket.endpoint}/{bucket.bucket_name}/acl/a"
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError as e:
        assert e.code == 403
    else:
        raise AssertionError("a private object was read by everybody")
    bucket.put_object_acl("acl/a", oss2.OBJECT_ACL_PUBLIC_READ)
    assert bucket.get_object_acl("acl/a").acl == "public-read"
    with urllib.request.urlopen(url) as reply:
        assert reply.read() == b"x"
    refused(oss2.exceptions.NoSuchKey, 404, bucket.get_object_acl, "acl/none")
    clear(bucket, "acl/")


@check
def tags_of_objects(bucket):
    rule = TaggingRule()
    rule.add("who", "me + you")
    rule.add("测", "")
    bucket.put_object("tag/a", b"x", headers={oss2.headers.OSS_OBJECT_TAGGING: rule.to_query_string()})
    assert bucket.get_object_tagging("tag/a").tag_set.tagging_rule == {"who": "me + you", "测": ""}
    assert bucket.head_object("tag/a").headers["x-oss-tagging-count"] == "2"
    changed = TaggingRule()
    changed.add("k", "v")
    bucket.put_object_tagging("tag/a", Tagging(changed))
    assert bucket.get_object_tagging("tag/a").tag_set.tagging_rule == {"k": "v"}
    bucket.delete_object_tagging("tag/a")
    assert bucket.get_object_tagging("tag/a").tag_set.tagging_rule == {}
    clear(bucket, "tag/")


@check
def conditions_and_overrides(bucket):
    put = bucket.put_object("cond/a", b"0123456789", headers={"Cache-Control": "no-cache", "Expires": "Fri, 20 Nov 2026 10:00:00 GMT"})
    refused(oss2.exceptions.NotModified, 304, bucket.get_object, "cond/a", headers={"If-None-Match": put.etag})
    refused(oss2.exceptions.PreconditionFailed, 412, bucket.get_object, "cond/a", headers={"If-Match": "00"})
    got = bucket.get_object("cond/a", params={"response-content-type": "a/b"}, headers={"If-Match": put.etag})
    assert got.content_type == "a/b" and got.headers["Cache-Control"] == "no-cache"
    assert got.headers["Expires"] == "Fri, 20 Nov 2026 10:00:00 GMT"
    meta = bucket.get_object_meta("cond/a")
    assert (meta.content_length, meta.etag) == (10, put.etag)
    refused(oss2.exceptions.NotFound, 404, bucket.get_object_meta, "cond/none")
    refused(oss2.exceptions.NotFound, 404, bucket.head_object, "cond/none")
    taken = {"x-oss-forbid-overwrite": "true"}
    error = refused(oss2.exceptions.ServerError, 409, bucket.put_object, "cond/a", b"y", headers=taken)
    assert error.code == "FileAlreadyExists", error.code
    clear(bucket, "cond/")


@check
def cors_rules_of_a_bucket(bucket):
    refused(oss2.exceptions.NoSuchCors, 404, bucket.get_bucket_cors)
    rule = CorsRule(
        allowed_origins=["https://*.example.com"],
        allowed_methods=["GET", "PUT"],
        allowed_headers=["*"],
        expose_headers=["ETag"],
        max_age_seconds=60,
    )
    bucket.put_bucket_cors(BucketCors([rule]))
    kept = bucket.get_bucket_cors().rules[0]
    assert kept.allowed_origins == ["https://*.example.com"] and kept.allowed_methods == ["GET", "PUT"]
    assert kept.expose_headers == ["ETag"] and kept.max_age_seconds == 60
    bucket.delete_bucket_cors()
    refused(oss2.exceptions.NoSuchCors, 404, bucket.get_bucket_cors)


@check
def lifecycle_rules_of_a_bucket(bucket):
    refused(oss2.exceptions.NoSuchLifecycle, 404, bucket.get_bucket_lifecycle)
    rules = [
        LifecycleRule("old", "old/", status=LifecycleRule.ENABLED, expiration=LifecycleExpiration(days=365)),
        LifecycleRule(
            "frag",
            "frag/",
            status=LifecycleRule.DISABLED,
            expiration=LifecycleExpiration(created_before_date=datetime.date(2020, 1, 1)),
            abort_multipart_upload=AbortMultipartUpload(days=7),
        ),
    ]
    bucket.put_bucket_lifecycle(BucketLifecycle(rules))
    kept = bucket.get_bucket_lifecycle().rules
    assert [(r.id, r.prefix, r.status) for r in kept] == [("old", "old/", "Enabled"), ("frag", "frag/", "Disabled")]
    assert kept[0].expiration.days == 365
    assert kept[1].expiration.created_before_date == datetime.date(2020, 1, 1)
    assert kept[1].abort_multipart_upload.days == 7
    bucket.delete_bucket_lifecycle()
    refused(oss2.exceptions.NoSuchLifecycle, 404, bucket.get_bucket_lifecycle)


@check
def what_the_server_lacks_it_says(bucket):
    for call in (bucket.get_bucket_website, bucket.get_bucket_logging, bucket.get_bucket_referer):
        error = refused(oss2.exceptions.ServerError, 400, call)
        assert error.code == "NotImplemented", error.code
    bucket.put_object("lack/a", b"x")
    error = refused(oss2.exceptions.ServerError, 400, bucket.get_object, "lack/a", process="image/resize,w_10")
    assert error.code == "NotImplemented", error.code
    error = refused(oss2.exceptions.ServerError, 400, bucket.put_symlink, "lack/a", "lack/b")
    assert error.code == "NotImplemented", error.code
    clear(bucket, "lack/")
