"""Conditions, copies, appends, versions, tags: what alibabacloud-oss-v2 offers for objects beside the calls of oss_v2_check.py.

Imported by oss_v2_check.py, which runs each of its checks with a store.
"""

import base64
import hashlib

import alibabacloud_oss_v2 as oss

from checks import Checks, noise
from oss_v2_store import bucket, refused

PART = 102_400
check = Checks()

def head(store, key):
    return store.head_object(oss.HeadObjectRequest(bucket=bucket, key=key))


@check
def ranges_of_an_object(store):
    store.put("range/a", b"0123456789")
    part = store.get("range/a", range_header="bytes=2-4")
    assert (part.status_code, part.content_range, part.body.read()) == (206, "bytes 2-4/10", b"234"), part.content_range
    assert store.read("range/a", range_header="bytes=-3") == b"789"
    beyond = store.get("range/a", range_header="bytes=2-40")
    assert (beyond.status_code, beyond.content_range, beyond.body.read()) == (200, None, b"0123456789"), beyond.status_code
    assert store.read("range/a", range_header="bytes=2-40", range_behavior="standard") == b"23456789"
    refused("InvalidRange", 416, store.get, "range/a", range_header="bytes=10-", range_behavior="standard")
    store.clear("range/")


@check
def conditions_are_kept(store):
    md5 = base64.b64encode(hashlib.md5(b"film").digest()).decode()
    etag = store.put("if/a", b"film", forbid_overwrite=True, content_md5=md5).etag
    assert store.read("if/a", if_match=etag) == b"film"
    refused("PreconditionFailed", 412, store.get, "if/a", if_match='"00"')
    # What has no body has no code for the SDK.
    refused("BadErrorResponse", 304, store.get, "if/a", if_none_match=etag)
    refused("FileAlreadyExists", 409, store.put, "if/a", b"other", forbid_overwrite=True)
    refused("InvalidDigest", 400, store.put, "if/a", b"other", content_md5=md5)
    refused("InvalidDigest", 400, store.put, "if/b", b"other", content_md5="no MD5")
    assert store.read("if/a") == b"film" and not store.is_object_exist(bucket, "if/b")
    store.clear("if/")


@check
def all_parts_are_completed_without_a_list(store):
    request = dict(bucket=bucket, key="all/a")
    request["upload_id"] = store.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(**request)).upload_id
    data = noise(2 * PART + 7)
    pieces = [data[at : at + PART] for at in range(0, len(data), PART)]
    for number, piece in enumerate(pieces, 1):
        etag = store.upload_part(oss.UploadPartRequest(part_number=number, body=piece, **request)).etag
    listed = oss.CompleteMultipartUpload(parts=[oss.UploadPart(part_number=len(pieces), etag=etag)])
    both = oss.CompleteMultipartUploadRequest(complete_all="yes", complete_multipart_upload=listed, **request)
    refused("InvalidArgument", 400, store.complete_multipart_upload, both)
    done = store.complete_multipart_upload(oss.CompleteMultipartUploadRequest(complete_all="yes", **request))
    assert done.etag.endswith('-3"') and store.read("all/a") == data, done.etag
    request["upload_id"] = "0" * 32
    gone = oss.CompleteMultipartUploadRequest(complete_all="yes", **request)
    refused("NoSuchUpload", 404, store.complete_multipart_upload, gone)
    store.clear("all/")


@check
def large_objects_are_copied_in_parts(store):
    data = noise(3 * PART + 7)
    store.put("pc/source +", data, metadata={"who": "me"}, content_type="video/mp4")
    copier = store.copier(part_size=PART, multipart_copy_threshold=1, disable_shallow_copy=True)
    copied = copier.copy(oss.CopyObjectRequest(bucket=bucket, key="pc/copy", source_key="pc/source +"))
    assert copied.upload_id and copied.etag.endswith('-4"') and store.read("pc/copy") == data, copied.etag
    kept = head(store, "pc/copy")
    assert (kept.object_type, kept.content_type, kept.metadata["who"]) == ("Multipart", "video/mp4", "me")
    missing = oss.CopyObjectRequest(bucket=bucket, key="pc/never", source_key="pc/none")
    refused("NoSuchKey", 404, copier.copy, missing)
    store.clear("pc/")


@check
def a_file_is_appended_to(store):
    for line in (b"one", b"two"):
        with store.append_file(bucket, "grow/a") as file:
            assert file.write(line) == 3
            assert file.write_from(line) == 3
    assert store.read("grow/a") == b"oneonetwotwo" and head(store, "grow/a").object_type == "Appendable"
    # One file does not see that it grew by another.
    with store.append_file(bucket, "grow/a") as file:
        more = oss.AppendObjectRequest(bucket=bucket, key="grow/a", position=12, body=b"x")
        assert store.append_object(more).next_position == 13
        refused("PositionNotEqualToLength", 409, file.write, b"late")
    assert store.read("grow/a") == b"oneonetwotwox"
    store.put("grow/plain")
    plain = oss.AppendObjectRequest(bucket=bucket, key="grow/plain", position=1, body=b"x")
    refused("ObjectNotAppendable", 409, store.append_object, plain)
    store.clear("grow/")


@check
def an_object_is_read_as_a_file(store):
    data = noise(300_000)
    store.put("file/a", data)
    with store.open_file(bucket, "file/a") as file:
        assert file.seek(-10, 2) == 299_990 and file.read(4) == data[-10:-6] and file.tell() == 299_994
        assert file.seek(0) == 0 and file.read(5) == data[:5] and file.readall() == data[5:]
    refused("NoSuchKey", 404, store.open_file, bucket, "file/none")
    store.clear("file/")


@check
def every_object_has_one_version(store):
    keys = ["ver/a b", "ver/sub/1", "ver/z+&", "ver/测.mp4"]
    for key in keys:
        store.put(key, b"old")
        store.put(key, b"film")
    pages = store.list_object_versions_paginator(limit=3).iter_page(oss.ListObjectVersionsRequest(bucket=bucket, prefix="ver/"))
    versions = [version for page in pages for version in page.version]
    assert [(v.key, v.version_id, v.is_latest, v.size) for v in versions] == [(key, "null", True, 4) for key in keys]
    grouped = store.list_object_versions(oss.ListObjectVersionsRequest(bucket=bucket, prefix="ver/", delimiter="/"))
    assert [p.prefix for p in grouped.common_prefixes] == ["ver/sub/"] and len(grouped.version) == 3
    too_many = oss.ListObjectVersionsRequest(bucket=bucket, max_keys=1001)
    refused("InvalidArgument", 400, store.list_object_versions, too_many)
    assert store.read(keys[0], version_id="null") == b"film"
    refused("NotImplemented", 400, store.get, keys[0], version_id="0" * 32)
    store.clear("ver/")


@check
def tags_are_kept_until_they_are_deleted(store):
    def tagged(count):
        tags = oss.TagSet(tags=[oss.Tag(key=f"k {n}", value="v + w") for n in range(count)])
        return oss.PutObjectTaggingRequest(bucket=bucket, key="tag/a", tagging=oss.Tagging(version=1, tag_set=tags))

    def kept(key="tag/a"):
        tags = store.get_object_tagging(oss.GetObjectTaggingRequest(bucket=bucket, key=key)).tag_set.tags
        return [(tag.key, tag.value) for tag in tags or []]

    store.put("tag/a", tagging="a=b")
    assert kept() == [("a", "b")] and head(store, "tag/a").tagging_count == 1
    store.put_object_tagging(tagged(2))
    assert kept() == [("k 0", "v + w"), ("k 1", "v + w")]
    refused("InvalidTag", 400, store.put_object_tagging, tagged(11))
    assert len(kept()) == 2
    store.delete_object_tagging(oss.DeleteObjectTaggingRequest(bucket=bucket, key="tag/a"))
    assert kept() == [] and not head(store, "tag/a").tagging_count
    refused("NoSuchKey", 404, kept, "tag/none")
    refused("NoSuchKey", 404, store.delete_object_tagging, oss.DeleteObjectTaggingRequest(bucket=bucket, key="tag/none"))
    store.clear("tag/")


@check
def what_the_server_lacks_it_says(store):
    store.put("lack/a")
    for call, request in (
        (store.put_symlink, oss.PutSymlinkRequest(bucket=bucket, key="lack/b", symlink_target="lack/a")),
        (store.restore_object, oss.RestoreObjectRequest(bucket=bucket, key="lack/a")),
        (store.get_bucket_website, oss.GetBucketWebsiteRequest(bucket=bucket)),
        (store.get_bucket_versioning, oss.GetBucketVersioningRequest(bucket=bucket)),
        (store.get_bucket_policy, oss.GetBucketPolicyRequest(bucket=bucket)),
    ):
        refused("NotImplemented", 400, call, request)
    if store.version == "v4":  # by V1 the SDK does not sign it
        refused("NotImplemented", 400, store.get, "lack/a", process="image/resize,w_10")
    assert not store.is_object_exist(bucket, "lack/b")
    store.clear("lack/")
