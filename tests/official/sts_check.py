"""aliyun-python-sdk-core and -sts as black boxes against our server: AssumeRole, GetCallerIdentity, and what oss2 and
alibabacloud-oss-v2 may do with it, by V1 and by V4.

Usage: sts_check.py ENDPOINT BUCKET KEYS_FILE. Prints a line per check and `N passed, N failed`.
"""

import hashlib
import json
import os
import sys
import tempfile
import urllib.request

import alibabacloud_oss_v2 as oss
import oss2
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdksts.request.v20150401.AssumeRoleRequest import AssumeRoleRequest
from aliyunsdksts.request.v20150401.GetCallerIdentityRequest import GetCallerIdentityRequest

from checks import Checks, run_all
from keys import access_key

endpoint, bucket_name, keys_file = sys.argv[1:4]
key_id, secret = access_key(keys_file)
client = AcsClient(key_id, secret, "cn-hangzhou")
ROLE = "acs:ram::1000000000000001:role/uploader"
check = Checks()


def call(request, by=client):
    request.set_endpoint(endpoint.removeprefix("http://"))
    request.set_protocol_type("http")
    request.set_accept_format("json")
    return json.loads(by.do_action_with_exception(request))


def assume(policy=None, role=ROLE, seconds=900, session="official", by=client):
    request = AssumeRoleRequest()
    request.set_RoleArn(role)
    request.set_RoleSessionName(session)
    request.set_DurationSeconds(seconds)
    if policy:
        request.set_Policy(json.dumps(policy) if isinstance(policy, dict) else policy)
    return call(request, by)


def three(credentials):
    return credentials["AccessKeyId"], credentials["AccessKeySecret"], credentials["SecurityToken"]


def bucket_of(credentials):
    return oss2.Bucket(oss2.StsAuth(*three(credentials)), endpoint, bucket_name)


def bucket_of_v4(credentials):
    auth = oss2.ProviderAuthV4(oss2.credentials.StaticCredentialsProvider(*three(credentials)))
    return oss2.Bucket(auth, endpoint, bucket_name, region="cn-shanghai")


def v2_of(credentials, version):
    """A client of the second SDK. By V1 it sends the token as `security-token`, which V1 does not sign."""
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(*credentials)
    config.region, config.endpoint, config.signature_version = "cn-shanghai", endpoint, version
    return oss.Client(config)


def refused(code, run):
    try:
        run()
    except ServerException as error:
        assert error.get_error_code() == code, error
        return error
    raise AssertionError(f"{code} was expected")


def denied(run):
    try:
        run()
    except oss2.exceptions.AccessDenied:
        return
    raise AssertionError("AccessDenied was expected")


@check
def a_role_is_assumed_and_used():
    reply = assume()
    assert reply["AssumedRoleUser"]["Arn"] == ROLE + "/official", reply
    assert reply["AssumedRoleUser"]["AssumedRoleId"].endswith(":official"), reply
    bucket = bucket_of(reply["Credentials"])
    bucket.put_object("sts/a", b"x" * 1000)
    assert bucket.get_object("sts/a").read() == b"x" * 1000
    oss2.resumable_upload(bucket, "sts/parts", __file__, multipart_threshold=1, part_size=102400)


@check
def oss2_carries_a_token_by_v4():
    data = hashlib.shake_128(b"film").digest(1_200_000)
    bucket = bucket_of_v4(assume()["Credentials"])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "film")
        with open(path, "wb") as f:
            f.write(data)
        options = dict(store=oss2.ResumableStore(root=folder), multipart_threshold=1, part_size=200_000, num_threads=1)

        def interrupt(done, _total):
            if done >= 600_000:
                raise InterruptedError("as if the power had failed")

        try:
            oss2.resumable_upload(bucket, "sts/v4", path, progress_callback=interrupt, **options)
            raise AssertionError("it was to be interrupted")
        except InterruptedError:
            pass
        (begun,) = bucket.list_multipart_uploads(prefix="sts/v4").upload_list
        oss2.resumable_upload(bucket, "sts/v4", path, **options)
    assert bucket.get_object("sts/v4").read() == data
    assert not bucket.list_multipart_uploads(prefix="sts/v4").upload_list, f"{begun.upload_id} was not gone on with"
    with urllib.request.urlopen(bucket.sign_url("GET", "sts/v4", 60, slash_safe=True)) as reply:
        assert reply.read() == data


def v2_carries_a_token(version):
    statement = {"Effect": "Allow", "Action": "oss:*", "Resource": f"acs:oss:*:*:{bucket_name}/sts/in/*"}
    key_id, secret, token = three(assume({"Version": "1", "Statement": [statement]})["Credentials"])
    client = v2_of((key_id, secret, token), version)
    data, place = hashlib.shake_128(version.encode()).digest(700_000), dict(bucket=bucket_name, key="sts/in/v2 ü")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "film")
        with open(path, "wb") as f:
            f.write(data)
        client.uploader(part_size=200_000, parallel_num=2).upload_file(oss.PutObjectRequest(**place), path)
    with client.get_object(oss.GetObjectRequest(**place)).body as body:
        assert body.read() == data
    with urllib.request.urlopen(client.presign(oss.GetObjectRequest(**place)).url) as reply:
        assert reply.read() == data
    # What the token says counts, and there is no way round it.
    outside = oss.PutObjectRequest(bucket=bucket_name, key="sts/out", body=b"x")
    for who, code in [(client, "AccessDenied"), (v2_of((key_id, secret), version), None), (v2_of((key_id, secret, "x"), version), None)]:
        try:
            who.put_object(outside)
        except oss.exceptions.OperationError as error:
            error = error.unwrap()
            assert error.status_code == 403 and code in (None, error.code), (error.status_code, error.code)
        else:
            raise AssertionError("it was put")


@check
def v2_carries_a_token_by_v1():
    v2_carries_a_token("v1")


@check
def v2_carries_a_token_by_v4():
    v2_carries_a_token("v4")


@check
def a_session_policy_narrows():
    statement = {
        "Effect": "Allow",
        "Action": ["oss:PutObject", "oss:GetObject"],
        "Resource": [f"acs:oss:*:*:{bucket_name}/sts/in/*"],
        "Condition": {"IpAddress": {"acs:SourceIp": ["127.0.0.0/8", "::1"]}},
    }
    deny = {"Effect": "Deny", "Action": "oss:*", "Resource": f"acs:oss:*:*:{bucket_name}/sts/in/locked*"}
    bucket = bucket_of(assume({"Version": "1", "Statement": [statement, deny]})["Credentials"])
    bucket.put_object("sts/in/a", b"x")
    assert bucket.get_object("sts/in/a").read() == b"x"
    denied(lambda: bucket.put_object("sts/out", b"x"))
    denied(lambda: bucket.put_object("sts/in/locked", b"x"))
    denied(lambda: bucket.delete_object("sts/in/a"))


@check
def a_credential_of_one_bucket_needs_no_bucket_in_its_requests():
    resources = [f"acs:oss:*:*:{bucket_name}", f"acs:oss:*:*:{bucket_name}/*"]
    statement = {"Effect": "Allow", "Action": "oss:*", "Resource": resources}
    got = assume({"Version": "1", "Statement": [statement]})["Credentials"]
    auth = oss2.StsAuth(got["AccessKeyId"], got["AccessKeySecret"], got["SecurityToken"])
    bound = oss2.Bucket(auth, endpoint, bucket_name, is_cname=True)
    bound.put_object("sts/bound", b"x")
    assert bound.get_object("sts/bound").read() == b"x"
    assert [info.key for info in oss2.ObjectIterator(bound, prefix="sts/bound")] == ["sts/bound"]


@check
def a_condition_that_does_not_hold_denies():
    elsewhere = {"IpAddress": {"acs:SourceIp": "192.0.2.0/24"}}
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": elsewhere}
    bucket = bucket_of(assume({"Version": "1", "Statement": [statement]})["Credentials"])
    denied(lambda: bucket.put_object("sts/a", b"x"))


@check
def callers_are_told_who_they_are():
    own = call(GetCallerIdentityRequest())
    assert own["AccountId"] and own["Arn"].endswith(":root"), own


@check
def wrong_wishes_are_refused_by_code():
    refused("EntityNotExist.Role", lambda: assume(role="acs:ram::1:role/nobody"))
    refused("InvalidParameter.RoleArn", lambda: assume(role="nonsense"))
    refused("InvalidParameter.RoleSessionName", lambda: assume(session="a b"))
    refused("InvalidParameter.DurationSeconds", lambda: assume(seconds=60))
    refused("InvalidParameter.PolicyGrammar", lambda: assume(policy="{}"))
    refused("InvalidParameter.PolicySize", lambda: assume(policy=" " * 2049))


@check
def wrong_keys_are_refused_by_code():
    refused("InvalidAccessKeyId.NotFound", lambda: assume(by=AcsClient("nobody", secret, "cn-hangzhou")))
    # The SDK compares the string to sign in our SignatureDoesNotMatch with its own, and blames the secret when they are the same.
    refused("InvalidAccessKeySecret", lambda: assume(by=AcsClient(key_id, "wrong", "cn-hangzhou")))


run_all("sts", [(run.__name__, run) for run in check])
