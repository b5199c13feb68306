"""oss2 as a black box against our server: put, get, ranges, multipart; then an interrupted
resumable_upload and every call of oss2_buckets.py and oss2_files.py, signed by V1 and again by V4.

Usage: oss2_check.py ENDPOINT BUCKET KEYS_FILE. Prints a line per check and `N passed, N failed`.
"""

import hashlib
import os
import sys
import tempfile

import oss2

import oss2_buckets
import oss2_files
from checks import Checks, noise, run_all
from keys import access_key

MIB = 1 << 20
endpoint, bucket_name, keys_file = sys.argv[1:4]
key_id, secret = access_key(keys_file)
auth = oss2.Auth(key_id, secret)
bucket = oss2.Bucket(auth, endpoint, bucket_name)
check = Checks()

@check
def put_then_get_gives_the_same_bytes():
    data = noise(300_000, 1)
    put = bucket.put_object("oss2/put.bin", data)
    assert put.status == 200 and put.etag == hashlib.md5(data).hexdigest().upper(), put.etag
    got = bucket.get_object("oss2/put.bin")
    assert got.read() == data
    assert got.client_crc == got.server_crc


@check
def awkward_keys_survive():
    for name in ["a b.mp4", "百分 100%.mp4", "emoji-🎬.mp4", "plus+and&amp.mp4", "deep/er//x.mp4"]:
        bucket.put_object("oss2/" + name, name.encode())
        assert bucket.get_object("oss2/" + name).read() == name.encode(), name


@check
def ranges_and_head():
    data = noise(200_000, 2)
    bucket.put_object("oss2/range.bin", data)
    assert bucket.get_object("oss2/range.bin", byte_range=(10, 99_999)).read() == data[10:100_000]
    head = bucket.head_object("oss2/range.bin")
    assert head.content_length == len(data)


@check
def a_missing_object_is_no_such_key():
    try:
        bucket.get_object("oss2/nothing-here").read()
    except oss2.exceptions.NoSuchKey as e:
        assert e.request_id and len(e.request_id) == 24, e.request_id
        assert e.details["EC"] == "0026-00000001", e.details
    else:
        raise AssertionError("no error")


@check
def a_wrong_secret_is_refused():
    stranger = oss2.Bucket(oss2.Auth(key_id, "wrong"), endpoint, bucket_name)
    try:
        stranger.put_object("oss2/x", b"x")
    except oss2.exceptions.SignatureDoesNotMatch:
        pass
    else:
        raise AssertionError("no error")


@check
def multipart_by_hand():
    data = noise(3 * 102_400 + 7, 3)
    upload = bucket.init_multipart_upload("oss2/hand.bin").upload_id
    parts = []
    for number in range(1, 5):
        piece = data[(number - 1) * 102_400 : number * 102_400]
        done = bucket.upload_part("oss2/hand.bin", upload, number, piece)
        parts.append(oss2.models.PartInfo(number, done.etag, size=len(piece), part_crc=done.crc))
    listed = list(oss2.PartIterator(bucket, "oss2/hand.bin", upload, max_parts=2))
    assert [p.part_number for p in listed] == [1, 2, 3, 4]
    bucket.complete_multipart_upload("oss2/hand.bin", upload, parts)
    assert bucket.get_object("oss2/hand.bin").read() == data


@check
def abort_forgets_the_upload():
    upload = bucket.init_multipart_upload("oss2/abort.bin").upload_id
    bucket.upload_part("oss2/abort.bin", upload, 1, b"x" * 102_400)
    bucket.abort_multipart_upload("oss2/abort.bin", upload)
    try:
        bucket.upload_part("oss2/abort.bin", upload, 2, b"y")
    except oss2.exceptions.NoSuchUpload:
        pass
    else:
        raise AssertionError("no error")


@check
def presigned_get():
    import urllib.request

    bucket.put_object("oss2/signed 1.bin", b"signed")
    url = bucket.sign_url("GET", "oss2/signed 1.bin", 60, slash_safe=True)
    with urllib.request.urlopen(url) as reply:
        assert reply.read() == b"signed"


def an_interrupted_resumable_upload_goes_on(bucket):
    data = noise(12 * MIB + 123, 4)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "movie.bin")
        with open(path, "wb") as f:
            f.write(data)
        store = oss2.ResumableStore(root=folder)

        class Interrupted(Exception):
            pass

        def interrupt(consumed, _total):
            if consumed >= 5 * MIB:
                raise Interrupted

        options = dict(store=store, part_size=MIB, multipart_threshold=MIB, num_threads=1)
        try:
            oss2.resumable_upload(bucket, "oss2/movie.bin", path, progress_callback=interrupt, **options)
        except Interrupted:
            pass
        else:
            raise AssertionError("was not interrupted")
        oss2.resumable_upload(bucket, "oss2/movie.bin", path, **options)
    assert bucket.get_object("oss2/movie.bin").read() == data


# The region that the server tells when it was not told another.
bucket_v4 = oss2.Bucket(oss2.AuthV4(key_id, secret), endpoint, bucket_name, region="cn-shanghai")
runs = [(run.__name__, run) for run in check]
for run in [an_interrupted_resumable_upload_goes_on] + oss2_buckets.check + oss2_files.check:
    runs += [(f"{run.__name__} ({version})", lambda run=run, by=by: run(by)) for version, by in (("V1", bucket), ("V4", bucket_v4))]
run_all("oss2", runs)
