"""alibabacloud-oss-v2 as a black box against our server: every call that it offers for what the server has, and those of
oss_v2_objects.py and oss_v2_access.py, signed by V1 and again by V4.

Usage: oss_v2_check.py ENDPOINT BUCKET KEYS_FILE. Prints a line per check and `N passed, N failed`.
"""

import hashlib
import os
import tempfile
import urllib.error
import urllib.request

import alibabacloud_oss_v2 as oss

import oss_v2_access
import oss_v2_objects
from checks import Checks, run_all
from oss_v2_store import Store, bucket, endpoint, refused

check = Checks()


@check
def buckets(store):
    second = "ossv2-second"
    store.put_bucket(oss.PutBucketRequest(bucket=second, acl="public-read"))
    assert store.is_bucket_exist(second) and not store.is_bucket_exist("ossv2-none")
    info = store.get_bucket_info(oss.GetBucketInfoRequest(bucket=second)).bucket_info
    assert (info.name, info.acl, info.storage_class) == (second, "public-read", "Standard"), vars(info)
    location = store.get_bucket_location(oss.GetBucketLocationRequest(bucket=second)).location
    assert location == "oss-cn-shanghai" == info.location
    store.put_bucket_acl(oss.PutBucketAclRequest(bucket=second, acl="private"))
    assert store.get_bucket_acl(oss.GetBucketAclRequest(bucket=second)).acl == "private"
    stat = store.get_bucket_stat(oss.GetBucketStatRequest(bucket=second))
    assert (stat.storage, stat.object_count, stat.multi_part_upload_count) == (0, 0, 0)
    names = [b.name for page in store.list_buckets_paginator(limit=1).iter_page(oss.ListBucketsRequest()) for b in page.buckets]
    assert names == sorted([second, bucket]), names
    store.put_object(oss.PutObjectRequest(bucket=second, key="a", body=b"x"))
    refused("BucketNotEmpty", 409, store.delete_bucket, oss.DeleteBucketRequest(bucket=second))
    store.delete_object(oss.DeleteObjectRequest(bucket=second, key="a"))
    store.delete_bucket(oss.DeleteBucketRequest(bucket=second))
    refused("NoSuchBucket", 404, store.get_bucket_info, oss.GetBucketInfoRequest(bucket=second))


@check
def listings(store):
    keys = ["v2/a b", "v2/sub/1", "v2/sub/2", "v2/z+&", "v2/测.mp4"]
    for key in keys:
        store.put(key)
    first = store.list_objects_paginator(limit=2).iter_page(oss.ListObjectsRequest(bucket=bucket, prefix="v2/"))
    assert [o.key for page in first for o in page.contents] == keys
    second = store.list_objects_v2_paginator(limit=2).iter_page(
        oss.ListObjectsV2Request(bucket=bucket, prefix="v2/", fetch_owner=True)
    )
    listed = [o for page in second for o in page.contents]
    assert [o.key for o in listed] == keys and listed[0].owner.id and listed[0].size == 1
    page = store.list_objects_v2(oss.ListObjectsV2Request(bucket=bucket, prefix="v2/", delimiter="/"))
    assert [p.prefix for p in page.common_prefixes] == ["v2/sub/"] and page.key_count == 4, page.key_count
    store.clear("v2/")


@check
def deletions(store):
    for n in range(3):
        store.put(f"del/ü {n}")
    objects = [oss.DeleteObject(key=f"del/ü {n}") for n in range(3)]
    done = store.delete_multiple_objects(
        oss.DeleteMultipleObjectsRequest(bucket=bucket, encoding_type="url", objects=objects)
    )
    assert [o.key for o in done.deleted_objects] == [o.key for o in objects], done.deleted_objects
    quiet = oss.DeleteMultipleObjectsRequest(bucket=bucket, quiet=True, objects=objects)
    assert store.delete_multiple_objects(quiet).status_code == 200
    assert not store.is_object_exist(bucket, "del/ü 0")


@check
def copies(store):
    store.put("copy/a b", b"film" * 1000, metadata={"a": "1"}, content_type="video/mp4")
    copied = store.copy_object(oss.CopyObjectRequest(bucket=bucket, key="copy/b", source_key="copy/a b"))
    assert copied.etag and copied.last_modified
    head = store.head_object(oss.HeadObjectRequest(bucket=bucket, key="copy/b"))
    assert (head.metadata["a"], head.content_type, head.object_type) == ("1", "video/mp4", "Normal")
    replaced = oss.CopyObjectRequest(
        bucket=bucket, key="copy/c", source_key="copy/a b", metadata_directive="REPLACE", metadata={"b": "2"}
    )
    store.copy_object(replaced)
    assert dict(store.head_object(oss.HeadObjectRequest(bucket=bucket, key="copy/c")).metadata) == {"b": "2"}
    missing = oss.CopyObjectRequest(bucket=bucket, key="copy/d", source_key="copy/none")
    refused("NoSuchKey", 404, store.copy_object, missing)
    taken = oss.CopyObjectRequest(bucket=bucket, key="copy/c", source_key="copy/b", forbid_overwrite=True)
    refused("FileAlreadyExists", 409, store.copy_object, taken)
    begun = store.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(bucket=bucket, key="copy/m"))
    part = oss.UploadPartCopyRequest(
        bucket=bucket,
        key="copy/m",
        upload_id=begun.upload_id,
        part_number=1,
        source_bucket=bucket,
        source_key="copy/a b",
        source_range="bytes=0-9",
    )
    etag = store.upload_part_copy(part).etag
    uploads = store.list_multipart_uploads(oss.ListMultipartUploadsRequest(bucket=bucket, prefix="copy/"))
    assert [(u.key, u.upload_id) for u in uploads.uploads] == [("copy/m", begun.upload_id)]
    parts = oss.CompleteMultipartUpload(parts=[oss.UploadPart(part_number=1, etag=etag)])
    store.complete_multipart_upload(
        oss.CompleteMultipartUploadRequest(
            bucket=bucket, key="copy/m", upload_id=begun.upload_id, complete_multipart_upload=parts
        )
    )
    assert store.read("copy/m") == b"filmfilmfi"
    store.clear("copy/")


@check
def appends(store):
    def append(position, data):
        return store.append_object(oss.AppendObjectRequest(bucket=bucket, key="log/a", position=position, body=data))

    assert append(0, b"one").next_position == 3
    assert append(3, b"two").next_position == 6
    assert store.read("log/a") == b"onetwo"
    refused(
        "PositionNotEqualToLength",
        409,
        store.append_object,
        oss.AppendObjectRequest(bucket=bucket, key="log/a", position=1, body=b"x"),
    )
    store.clear("log/")


@check
def acls_and_tags(store):
    store.put("at/a")
    store.put_object_acl(oss.PutObjectAclRequest(bucket=bucket, key="at/a", acl="public-read"))
    assert store.get_object_acl(oss.GetObjectAclRequest(bucket=bucket, key="at/a")).acl == "public-read"
    with urllib.request.urlopen(f"{endpoint}/{bucket}/at/a") as reply:
        assert reply.read() == b"x"
    tags = oss.Tagging(version=1, tag_set=oss.TagSet(tags=[oss.Tag(key="k", value="v w")]))
    store.put_object_tagging(oss.PutObjectTaggingRequest(bucket=bucket, key="at/a", tagging=tags))
    kept = store.get_object_tagging(oss.GetObjectTaggingRequest(bucket=bucket, key="at/a")).tag_set.tags
    assert [(t.key, t.value) for t in kept] == [("k", "v w")]
    store.delete_object_tagging(oss.DeleteObjectTaggingRequest(bucket=bucket, key="at/a"))
    meta = store.get_object_meta(oss.GetObjectMetaRequest(bucket=bucket, key="at/a"))
    assert meta.content_length == 1 and meta.etag
    store.clear("at/")


@check
def rules(store):
    cors = oss.CORSConfiguration(
        cors_rules=[oss.CORSRule(allowed_origins=["*"], allowed_methods=["PUT"], expose_headers=["ETag"], max_age_seconds=5)]
    )
    store.put_bucket_cors(oss.PutBucketCorsRequest(bucket=bucket, cors_configuration=cors))
    kept = store.get_bucket_cors(oss.GetBucketCorsRequest(bucket=bucket)).cors_configuration.cors_rules[0]
    assert (kept.allowed_methods, kept.max_age_seconds) == (["PUT"], 5)
    store.delete_bucket_cors(oss.DeleteBucketCorsRequest(bucket=bucket))
    refused("NoSuchCORSConfiguration", 404, store.get_bucket_cors, oss.GetBucketCorsRequest(bucket=bucket))
    rule = oss.LifecycleRule(
        id="r",
        prefix="old/",
        status="Enabled",
        expiration=oss.LifecycleRuleExpiration(days=30),
        abort_multipart_upload=oss.LifecycleRuleAbortMultipartUpload(days=7),
    )
    store.put_bucket_lifecycle(
        oss.PutBucketLifecycleRequest(bucket=bucket, lifecycle_configuration=oss.LifecycleConfiguration(rules=[rule]))
    )
    kept = store.get_bucket_lifecycle(oss.GetBucketLifecycleRequest(bucket=bucket)).lifecycle_configuration.rules[0]
    assert (kept.id, kept.prefix, kept.expiration.days, kept.abort_multipart_upload.days) == ("r", "old/", 30, 7)
    store.delete_bucket_lifecycle(oss.DeleteBucketLifecycleRequest(bucket=bucket))
    refused("NoSuchLifecycle", 404, store.get_bucket_lifecycle, oss.GetBucketLifecycleRequest(bucket=bucket))


@check
def files(store):
    data = hashlib.shake_128(b"film").digest(1_500_000)
    with tempfile.TemporaryDirectory() as folder:
        path, back = os.path.join(folder, "film"), os.path.join(folder, "back")
        with open(path, "wb") as f:
            f.write(data)
        store.put_object_from_file(oss.PutObjectRequest(bucket=bucket, key="files/a"), path)
        store.get_object_to_file(oss.GetObjectRequest(bucket=bucket, key="files/a"), back)
        assert open(back, "rb").read() == data
        options = dict(part_size=200_000, parallel_num=3, enable_checkpoint=True, checkpoint_dir=folder)
        sent = []

        def stop(n, done, total):
            sent.append(n)
            if done > 600_000:
                raise InterruptedError("as if the power had failed")

        first = oss.PutObjectRequest(bucket=bucket, key="files/b", progress_fn=stop)
        try:
            store.uploader(**options).upload_file(first, path)
            raise AssertionError("it was to be interrupted")
        except InterruptedError:
            pass
        begun = store.list_multipart_uploads(oss.ListMultipartUploadsRequest(bucket=bucket, prefix="files/")).uploads
        page = store.list_parts(oss.ListPartsRequest(bucket=bucket, key="files/b", upload_id=begun[0].upload_id, max_parts=2))
        assert len(begun) == 1 and page.is_truncated and [part.size for part in page.parts] == [200_000] * 2, page.parts
        again = []
        second = oss.PutObjectRequest(bucket=bucket, key="files/b", progress_fn=lambda n, done, total: again.append(done))
        done = store.uploader(**options).upload_file(second, path)
        assert done.upload_id == begun[0].upload_id and again[0] >= 400_000, (done.upload_id, again[0])
        os.remove(back)
        store.downloader(part_size=200_000, parallel_num=3).download_file(oss.GetObjectRequest(bucket=bucket, key="files/b"), back)
        assert open(back, "rb").read() == data
    store.clear("files/")


@check
def parts(store):
    request = dict(bucket=bucket, key="parts/a")
    upload = store.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(**request)).upload_id
    request["upload_id"] = upload
    done = store.upload_part(oss.UploadPartRequest(part_number=1, body=b"film", **request))
    assert done.etag.strip('"') == hashlib.md5(b"film").hexdigest().upper() and done.hash_crc64
    number = oss.UploadPartRequest(part_number=10_001, body=b"x" * (8 << 20), **request)
    refused("InvalidArgument", 400, store.upload_part, number)
    wrong = oss.CompleteMultipartUpload(parts=[oss.UploadPart(part_number=1, etag='"0"')])
    complete = oss.CompleteMultipartUploadRequest(complete_multipart_upload=wrong, **request)
    refused("InvalidPart", 400, store.complete_multipart_upload, complete)
    store.abort_multipart_upload(oss.AbortMultipartUploadRequest(**request))
    refused("NoSuchUpload", 404, store.list_parts, oss.ListPartsRequest(**request))
    refused("NoSuchUpload", 404, store.abort_multipart_upload, oss.AbortMultipartUploadRequest(**request))
    refused("NoSuchUpload", 404, store.upload_part, oss.UploadPartRequest(part_number=1, body=b"x" * (8 << 20), **request))


@check
def signed_urls(store):
    def call(signed, data=None):
        request = urllib.request.Request(signed.url, data, dict(signed.signed_headers or {}), method=signed.method)
        with urllib.request.urlopen(request) as reply:
            return reply.read()

    call(store.presign(oss.PutObjectRequest(bucket=bucket, key="urls/a b", content_type="text/plain")), b"film")
    get = store.presign(oss.GetObjectRequest(bucket=bucket, key="urls/a b"))
    assert call(get) == b"film"
    get.method = "DELETE"
    try:
        call(get)
        raise AssertionError("a URL for GET deletes")
    except urllib.error.HTTPError as error:
        assert error.code == 403, error.code
    store.clear("urls/")


runs = check + oss_v2_objects.check + oss_v2_access.check
both = [(run, version) for run in runs for version in ("v1", "v4")]
run_all("oss-v2", [(f"{run.__name__} ({version.upper()})", lambda run=run, version=version: run(Store(version))) for run, version in both])
