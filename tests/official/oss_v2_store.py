"""A client of alibabacloud-oss-v2 for the server that the command line names, and what its checks do again and again."""

import sys

import alibabacloud_oss_v2 as oss

from keys import access_key

endpoint, bucket, keys_file = sys.argv[1:4]
key_id, secret = access_key(keys_file)


class Store(oss.Client):
    def __init__(self, version, provider=None, region="cn-shanghai"):
        self.version = version
        config = oss.config.load_default()
        config.credentials_provider = provider or oss.credentials.StaticCredentialsProvider(key_id, secret)
        config.region, config.endpoint, config.signature_version = region, endpoint, version
        super().__init__(config)

    def put(self, key, data=b"x", **more):
        return self.put_object(oss.PutObjectRequest(bucket=bucket, key=key, body=data, **more))

    def get(self, key, **more):
        return self.get_object(oss.GetObjectRequest(bucket=bucket, key=key, **more))

    def read(self, key, **more):
        with self.get(key, **more).body as body:
            return body.read()

    def clear(self, prefix):
        for page in self.list_objects_v2_paginator().iter_page(oss.ListObjectsV2Request(bucket=bucket, prefix=prefix)):
            for info in page.contents or []:
                self.delete_object(oss.DeleteObjectRequest(bucket=bucket, key=info.key))


def refused(code, status, call, *args, **kwargs):
    """The call fails with this code, status and a request id."""
    try:
        call(*args, **kwargs)
    except oss.filelike.PathError as e:
        error = e.kwargs["error"].unwrap()
    except oss.exceptions.OperationError as e:
        error = e.unwrap()
    else:
        raise AssertionError(f"{code} was not answered")
    assert (error.code, error.status_code) == (code, status), (error.code, error.status_code)
    assert len(error.request_id) == 24, error.request_id
