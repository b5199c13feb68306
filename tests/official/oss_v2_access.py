"""Who may do what, and who is told: keys, regions, nobody's requests, upload callbacks.

Imported by oss_v2_check.py, which runs each of its checks with a store.
"""

import base64
import json

import alibabacloud_oss_v2 as oss

from application import ANSWER, application
from checks import Checks
from oss_v2_store import Store, bucket, key_id, refused, secret

check = Checks()


@check
def wrong_keys_are_refused(store):
    def of(*key):
        return Store(store.version, oss.credentials.StaticCredentialsProvider(*key))

    store.put("in/a", b"kept")
    for code, stranger in (("SignatureDoesNotMatch", of(key_id, "wrong")), ("InvalidAccessKeyId", of("nobody", secret))):
        refused(code, 403, stranger.put, "in/a")
        refused(code, 403, stranger.read, "in/a")
        refused(code, 403, stranger.head_object, oss.HeadObjectRequest(bucket=bucket, key="in/a"))
    assert of(key_id, secret).read("in/a") == b"kept"
    store.clear("in/")


@check
def another_region_is_refused_by_v4_alone(store):
    elsewhere = Store(store.version, region="cn-hangzhou")
    if store.version == "v4":
        refused("InvalidArgument", 400, elsewhere.put, "in/a")
        assert not store.is_object_exist(bucket, "in/a")
    else:
        elsewhere.put("in/a", b"film")
        assert store.read("in/a") == b"film"
    store.clear("in/")


@check
def everybody_reads_what_is_public(store):
    nobody = Store(store.version, oss.credentials.AnonymousCredentialsProvider())
    store.put("open/a", b"film", acl="public-read")
    store.put("open/b", b"secret")
    assert nobody.read("open/a") == b"film" and nobody.read("open/a", range_header="bytes=1-2") == b"il"
    refused("AccessDenied", 403, nobody.read, "open/b")
    refused("AccessDenied", 403, nobody.put, "open/a", b"x")
    refused("AccessDenied", 403, nobody.delete_object, oss.DeleteObjectRequest(bucket=bucket, key="open/a"))
    refused("AccessDenied", 403, nobody.list_objects_v2, oss.ListObjectsV2Request(bucket=bucket))
    assert store.read("open/a") == b"film"
    store.clear("open/")


def text(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


def wish(url):
    """What a call says that is to be told to the application."""
    body = "object=${object}&size=${size}&by=${x:by}"
    return dict(callback=text({"callbackUrl": url, "callbackBody": body}), callback_var=text({"x:by": "me & you"}))


def complete(store, key, **more):
    request = dict(bucket=bucket, key=key)
    request["upload_id"] = store.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(**request)).upload_id
    etag = store.upload_part(oss.UploadPartRequest(part_number=1, body=b"film", **request)).etag
    parts = oss.CompleteMultipartUpload(parts=[oss.UploadPart(part_number=1, etag=etag)])
    return store.complete_multipart_upload(
        oss.CompleteMultipartUploadRequest(complete_multipart_upload=parts, **request, **more)
    )


@check
def an_application_is_called_back(store):
    with application() as (url, told):
        put = store.put("back/put", b"film", **wish(f"{url}/done"))
        done = complete(store, "back/parts", **wish(f"{url}/done"))
    for answer in (put, done):
        assert (answer.status_code, answer.callback_result) == (200, ANSWER.decode()), answer.callback_result
    assert told == [{"object": [key], "size": ["4"], "by": ["me & you"]} for key in ("back/put", "back/parts")], told
    store.clear("back/")


@check
def an_application_that_fails_is_told_and_the_object_stays(store):
    with application() as (url, told):
        # The SDK takes 203 for a success.
        for answer in (store.put("back/put", b"film", **wish(url)), complete(store, "back/parts", **wish(url))):
            assert answer.status_code == 203 and "<Code>CallbackFailed</Code>" in answer.callback_result, answer.callback_result
    assert len(told) == 2 and store.read("back/put") == store.read("back/parts") == b"film"
    refused("InvalidArgument", 400, store.put, "back/never", callback="not base64!")
    assert not store.is_object_exist(bucket, "back/never")
    store.clear("back/")
