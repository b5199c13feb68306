"""Files, downloads that are resumed, URLs that another program uses, callbacks: what oss2 offers beside the calls of oss2_buckets.py.

Imported by oss2_check.py, which runs each of its checks with a bucket.
"""

import base64
import datetime
import hashlib
import json
import os
import tempfile
import time
from unittest import mock

import oss2

from application import ANSWER, application
from checks import Checks, noise
from oss2_buckets import clear, refused

check = Checks()

@check
def files_go_up_and_come_back(bucket):
    data = noise(500_000)
    with tempfile.TemporaryDirectory() as folder:
        path, back = os.path.join(folder, "film.mp4"), os.path.join(folder, "back")
        with open(path, "wb") as f:
            f.write(data)
        seen = []
        put = bucket.put_object_from_file("files/film.mp4", path, progress_callback=lambda sent, total: seen.append((sent, total)))
        assert put.etag == hashlib.md5(data).hexdigest().upper() and seen[-1] == (len(data), len(data)), seen
        assert bucket.head_object("files/film.mp4").content_type == "video/mp4"
        bucket.get_object_to_file("files/film.mp4", back)
        assert open(back, "rb").read() == data
        refused(oss2.exceptions.NoSuchKey, 404, bucket.get_object_to_file, "files/none", back)
    clear(bucket, "files/")


@check
def a_download_is_resumed(bucket):
    data = noise(700_000)
    bucket.put_object("files/film", data)
    with tempfile.TemporaryDirectory() as folder:
        back = os.path.join(folder, "back")
        options = dict(store=oss2.ResumableDownloadStore(root=folder), multiget_threshold=1, part_size=102_400, num_threads=2)

        def stop(done, total):
            if done > 300_000:
                raise InterruptedError("as if the power had failed")

        try:
            oss2.resumable_download(bucket, "files/film", back, progress_callback=stop, **options)
            raise AssertionError("it was to be interrupted")
        except InterruptedError:
            assert not os.path.exists(back)
        first = []
        note = lambda done, total: first.append(done)  # noqa: E731
        oss2.resumable_download(bucket, "files/film", back, progress_callback=note, **options)
        assert open(back, "rb").read() == data and first[0] > 0, first
    clear(bucket, "files/")


@check
def urls_are_used_without_a_key(bucket):
    put = bucket.sign_url("PUT", "urls/a b", 60, slash_safe=True)
    assert bucket.put_object_with_url(put, b"film").status == 200
    got = bucket.get_object_with_url(bucket.sign_url("GET", "urls/a b", 60, slash_safe=True), byte_range=(1, 2))
    assert got.status == 206 and got.read() == b"il"
    refused(oss2.exceptions.ServerError, 403, bucket.get_object_with_url, put)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a")
        url = bucket.sign_url("GET", "urls/a b", 60, params={"response-content-type": "text/x-film"}, slash_safe=True)
        assert bucket.get_object_with_url_to_file(url, path).headers["content-type"] == "text/x-film"
        put = bucket.sign_url("PUT", "urls/b", 60, slash_safe=True)
        assert bucket.put_object_with_url_from_file(put, path).etag == bucket.head_object("urls/a b").etag
    clear(bucket, "urls/")


@check
def parts_are_listed_page_by_page(bucket):
    upload = bucket.init_multipart_upload("parts/a").upload_id
    etags = [bucket.upload_part("parts/a", upload, n, bytes([n])).etag for n in (1, 2, 5)]
    listed = list(oss2.PartIterator(bucket, "parts/a", upload, max_parts=2))
    assert [(part.part_number, part.etag, part.size) for part in listed] == list(zip((1, 2, 5), etags, (1, 1, 1)))
    bucket.abort_multipart_upload("parts/a", upload)
    refused(oss2.exceptions.NoSuchUpload, 404, bucket.list_parts, "parts/a", upload)
    refused(oss2.exceptions.NoSuchUpload, 404, bucket.upload_part, "parts/a", upload, 1, b"x" * (8 << 20))
    refused(oss2.exceptions.NoSuchUpload, 404, bucket.abort_multipart_upload, "parts/a", upload)


@check
def parts_of_a_sequential_upload_keep_their_order(bucket):
    data = noise(2 * 102_400 + 7)
    pieces = [data[at : at + 102_400] for at in range(0, len(data), 102_400)]
    upload = bucket.init_multipart_upload("row/a", params={"sequential": ""}).upload_id
    early = refused(oss2.exceptions.PartNotSequential, 400, bucket.upload_part, "row/a", upload, 2, pieces[1])
    assert early.code == "PartNotSequential", early.code
    parts = []
    for number, piece in enumerate(pieces, 1):
        parts.append(oss2.models.PartInfo(number, bucket.upload_part("row/a", upload, number, piece).etag))
        refused(oss2.exceptions.PartNotSequential, 400, bucket.upload_part, "row/a", upload, number + 2, b"x")
    again = refused(oss2.exceptions.ServerError, 409, bucket.upload_part, "row/a", upload, 1, pieces[0])
    assert again.code == "PartAlreadyExist", again.code
    assert (again.details["PartNumber"], again.details["PartEtag"].strip('"')) == ("1", parts[0].etag), again.details
    bucket.complete_multipart_upload("row/a", upload, parts)
    assert bucket.get_object("row/a").read() == data
    assert bucket.head_object("row/a").headers["Content-MD5"] == base64.b64encode(hashlib.md5(data).digest()).decode()
    upload = bucket.init_multipart_upload("row/b").upload_id
    parts = [oss2.models.PartInfo(n, bucket.upload_part("row/b", upload, n, pieces[n - 1]).etag) for n in (3, 2, 1)]
    bucket.complete_multipart_upload("row/b", upload, parts[::-1])
    assert "Content-MD5" not in bucket.head_object("row/b").headers
    clear(bucket, "row/")


@check
def everybody_reads_what_is_public(bucket):
    nobody = oss2.Bucket(oss2.AnonymousAuth(), bucket.endpoint, bucket.bucket_name)
    bucket.put_object("open/a", b"film", headers={"x-oss-object-acl": "public-read"})
    bucket.put_object("open/b", b"secret")
    assert nobody.get_object("open/a").read() == b"film" and nobody.head_object("open/a").content_length == 4
    for call in (
        lambda: nobody.get_object("open/b"),
        lambda: nobody.put_object("open/a", b"x"),
        lambda: nobody.delete_object("open/a"),
        lambda: nobody.list_objects(),
    ):
        assert refused(oss2.exceptions.AccessDenied, 403, call).code == "AccessDenied"
    assert bucket.get_object("open/a").read() == b"film"
    clear(bucket, "open/")


@check
def conditions_are_kept(bucket):
    put = bucket.put_object("if/a", b"film")
    since = oss2.utils.http_date()
    refused(oss2.exceptions.NotModified, 304, bucket.get_object, "if/a", headers={"If-None-Match": put.etag})
    refused(oss2.exceptions.NotModified, 304, bucket.head_object, "if/a", headers={"If-Modified-Since": since})
    refused(oss2.exceptions.PreconditionFailed, 412, bucket.get_object, "if/a", headers={"If-Match": "0" * 32})
    assert bucket.get_object("if/a", headers={"If-Match": put.etag}).read() == b"film"
    refused(oss2.exceptions.ServerError, 409, bucket.put_object, "if/a", b"x", headers={"x-oss-forbid-overwrite": "true"})
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    error = refused(oss2.exceptions.ServerError, 400, bucket.put_object, "if/a", b"x", headers={"Content-MD5": wrong})
    assert error.code == "InvalidDigest", error.code
    clear(bucket, "if/")


@check
def an_application_is_called_back(bucket):
    with application() as (url, told):
        wish = {
            "callbackUrl": f"{url}/done",
            "callbackBody": "object=${object}&size=${size}&by=${x:by}",
            "callbackBodyType": "application/x-www-form-urlencoded",
        }
        text = lambda value: base64.b64encode(json.dumps(value).encode()).decode()  # noqa: E731
        headers = {"x-oss-callback": text(wish), "x-oss-callback-var": text({"x:by": "oss2"})}
        put = bucket.put_object("back/a", b"film", headers=headers)
        assert put.resp.read() == ANSWER and told == [{"object": ["back/a"], "size": ["4"], "by": ["oss2"]}], told
        wish["callbackUrl"] += "/not"
        failed = bucket.put_object("back/b", b"film", headers={"x-oss-callback": text(wish)})
        assert failed.status == 203 and b"CallbackFailed" in failed.resp.read()
        assert bucket.object_exists("back/b")
    clear(bucket, "back/")


@check
def what_the_server_lacks_of_objects_it_says(bucket):
    bucket.put_object("lack/a", b"x")
    for call in (
        lambda: bucket.restore_object("lack/a"),
        lambda: bucket.get_symlink("lack/a"),
        lambda: bucket.process_object("lack/a", "image/resize,w_10|sys/saveas,o_YQ"),
        lambda: bucket.put_bucket_versioning(oss2.models.BucketVersioningConfig("Enabled")),
        lambda: bucket.get_bucket_policy(),
        lambda: bucket.create_live_channel("live", oss2.models.LiveChannelInfo()),
    ):
        error = refused(oss2.exceptions.ServerError, 400, call)
        assert error.code == "NotImplemented", (error.code, error.details)
    clear(bucket, "lack/")


class Late(datetime.datetime):
    """The clock of V4, an hour late: it signs its own time, whatever the headers say."""

    @classmethod
    def utcnow(cls):
        return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - datetime.timedelta(hours=1)


@check
def a_clock_that_is_wrong_is_told(bucket):
    past = oss2.utils.http_date(int(time.time()) - 3600)
    with mock.patch.object(oss2.auth, "datetime", Late):
        error = refused(oss2.exceptions.ServerError, 403, bucket.put_object, "clock", b"x", headers={"date": past, "x-oss-date": past})
    assert error.code == "RequestTimeTooSkewed", error.code
    told, now = (datetime.datetime.fromisoformat(error.details[name].rstrip("Z")) for name in ("RequestTime", "ServerTime"))
    assert abs(now - told - datetime.timedelta(hours=1)) < datetime.timedelta(minutes=1), error.details
    assert not bucket.object_exists("clock")
