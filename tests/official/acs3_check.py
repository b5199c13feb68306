"""alibabacloud-sts20150401 (the SDKs that sign by ACS3-HMAC-SHA256) as a black box against our server: AssumeRole, GetCallerIdentity, and
what alibabacloud-oss-v2 may do with it.

Usage: acs3_check.py ENDPOINT BUCKET KEYS_FILE. Prints a line per check and `N passed, N failed`.
"""

import json
import sys

import alibabacloud_oss_v2 as oss
from alibabacloud_sts20150401.client import Client
from alibabacloud_sts20150401.models import AssumeRoleRequest
from alibabacloud_tea_openapi.models import Config

from checks import Checks, run_all
from keys import access_key

endpoint, bucket, keys_file = sys.argv[1:4]
key_id, secret = access_key(keys_file)
ROLE = "acs:ram::1000000000000001:role/uploader"
check = Checks()


def client(key_id=key_id, secret=secret, token=None):
    where = endpoint.removeprefix("http://")
    return Client(Config(access_key_id=key_id, access_key_secret=secret, security_token=token, endpoint=where, protocol="HTTP"))


def assume(policy=None, role=ROLE, seconds=900, session="official", by=None):
    wish = AssumeRoleRequest(role_arn=role, role_session_name=session, duration_seconds=seconds, policy=policy)
    return (by or client()).assume_role(wish).body


def storage(credentials):
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(
        credentials.access_key_id, credentials.access_key_secret, credentials.security_token
    )
    config.region, config.endpoint = "cn-shanghai", endpoint
    return oss.Client(config)


def refused(code, run):
    try:
        run()
    except Exception as error:
        assert getattr(error, "code", None) == code, error
        return error
    raise AssertionError(f"{code} was expected")


@check
def a_role_is_assumed_and_used():
    reply = assume()
    assert reply.request_id and reply.assumed_role_user.arn == ROLE + "/official", reply
    store = storage(reply.credentials)
    store.put_object(oss.PutObjectRequest(bucket=bucket, key="acs3/a", body=b"film"))
    assert store.get_object(oss.GetObjectRequest(bucket=bucket, key="acs3/a")).body.content == b"film"


@check
def a_session_policy_narrows():
    statement = {"Effect": "Allow", "Action": "oss:PutObject", "Resource": f"acs:oss:*:*:{bucket}/acs3/in/*"}
    policy = json.dumps({"Version": "1", "Statement": [statement]})
    store = storage(assume(policy).credentials)
    store.put_object(oss.PutObjectRequest(bucket=bucket, key="acs3/in/a", body=b"film"))
    try:
        store.put_object(oss.PutObjectRequest(bucket=bucket, key="acs3/out", body=b"film"))
    except oss.exceptions.OperationError as error:
        assert "AccessDenied" in str(error), error
        return
    raise AssertionError("AccessDenied was expected")


@check
def callers_are_told_who_they_are():
    own = client().get_caller_identity().body
    assert own.account_id and own.arn.endswith(":root"), own
    given = assume().credentials
    assumed = client(given.access_key_id, given.access_key_secret, given.security_token).get_caller_identity().body
    assert assumed.identity_type == "AssumedRoleUser" and assumed.arn.endswith("/official"), assumed


@check
def wrong_wishes_are_refused_by_code():
    refused("EntityNotExist.Role", lambda: assume(role="acs:ram::1:role/nobody"))
    refused("InvalidParameter.RoleArn", lambda: assume(role="nonsense"))
    refused("InvalidParameter.RoleSessionName", lambda: assume(session="a b"))
    refused("InvalidParameter.DurationSeconds", lambda: assume(seconds=60))
    refused("InvalidParameter.PolicyGrammar", lambda: assume(policy="{}"))
    refused("MissingRoleArn", lambda: assume(role=None))


@check
def wrong_keys_are_refused_by_code():
    refused("InvalidAccessKeyId.NotFound", lambda: assume(by=client("nobody")))
    refused("SignatureDoesNotMatch", lambda: assume(by=client(secret="wrong")))
    given = assume().credentials
    broken = client(given.access_key_id, given.access_key_secret, given.security_token[:-4] + "AAAA")
    refused("InvalidSecurityToken.Malformed", lambda: broken.get_caller_identity())
    own = client(given.access_key_id, given.access_key_secret, given.security_token)
    refused("NoPermission", lambda: assume(by=own))


run_all("acs3", [(run.__name__, run) for run in check])
