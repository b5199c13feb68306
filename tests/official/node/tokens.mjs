/** Temporary credentials: from STS by the SDK's own client, narrowed by policies, renewed, and dead. */

import assert from "node:assert/strict";

import {
  accessKeyId,
  accessKeySecret,
  bucket,
  check,
  checkForms,
  clear,
  client,
  endpoint,
  fetched,
  noise,
  OSS,
  refused,
} from "./harness.mjs";

const ROLE = "acs:ram::1000000000000001:role/uploader";
const sts = new OSS.STS({ accessKeyId, accessKeySecret, endpoint });

/** What a client needs of an AssumeRole. */
async function assumed(policy, seconds = 900, session = "official") {
  const { credentials } = await sts.assumeRole(ROLE, policy, seconds, session);
  const { AccessKeyId, AccessKeySecret, SecurityToken } = credentials;
  return { accessKeyId: AccessKeyId, accessKeySecret: AccessKeySecret, stsToken: SecurityToken };
}

/** A client with a token; without a way to renew it the SDK warns at each. */
function tokened(form, token, more = {}) {
  return client({ ...form, ...token, ...more, refreshSTSToken: async () => token });
}

// Dead by the time that the checks below are done with the rest.
const dying = fetch(`${endpoint}/api/upload-auth/create`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ FileName: "dying.mp4" }),
})
  .then((reply) => reply.json())
  .then(({ UploadAddress, UploadAuth }) => {
    const read = (text) => JSON.parse(Buffer.from(text, "base64"));
    return { address: read(UploadAddress), auth: read(UploadAuth) };
  });

checkForms("a role is assumed and used", async (_, form) => {
  const { credentials, res } = await sts.assumeRole(ROLE, undefined, 900, "official");
  assert.equal(res.status, 200);
  assert.match(credentials.AccessKeyId, /^STS\./);
  assert.ok(Math.abs(Date.parse(credentials.Expiration) - Date.now() - 900_000) < 60_000);
  const store = tokened(form, await assumed());
  await store.put("token/a", Buffer.from("x"));
  assert.equal((await store.get("token/a")).content.toString(), "x");
  assert.equal((await store.head("token/a")).status, 200);
  assert.equal((await store.list({ prefix: "token/", "max-keys": 10 })).objects.length, 1);
  const data = noise(3 * 102_400, 20);
  await store.multipartUpload("token/parts", data, { partSize: 102_400 });
  assert.deepEqual((await store.get("token/parts")).content, data);
  const signer = tokened({ ...form, sld: true }, await assumed());
  const url = form.v4 ? await signer.signatureUrlV4("GET", 60, undefined, "token/a") : signer.signatureUrl("token/a");
  assert.equal((await fetched(url)).text, "x");
  await clear(client(form), "token/");
});

checkForms("a policy narrows a token", async (_, form) => {
  const policy = {
    Version: "1",
    Statement: [
      { Effect: "Allow", Action: ["oss:PutObject", "oss:GetObject"], Resource: [`acs:oss:*:*:${bucket}/token/in/*`] },
      { Effect: "Deny", Action: "oss:*", Resource: `acs:oss:*:*:${bucket}/token/in/locked*` },
    ],
  };
  const store = tokened(form, await assumed(policy));
  await store.put("token/in/a", Buffer.from("x"));
  assert.equal((await store.get("token/in/a")).content.toString(), "x");
  await refused("AccessDenied", 403, () => store.put("token/out", Buffer.from("x")));
  await refused("AccessDenied", 403, () => store.put("token/in/locked", Buffer.from("x")));
  await refused("AccessDenied", 403, () => store.delete("token/in/a"));
  await refused("AccessDenied", 403, () => store.list({ prefix: "token/", "max-keys": 10 }));
  await refused("AccessDenied", 403, () => store.listBuckets());
  await refused("AccessDenied", 403, () => store.copy("token/in/b", "token/out"));
  await clear(client(form), "token/");
});

check("a client renews its token", async () => {
  let asked = 0;
  const refreshSTSToken = async () => {
    asked += 1;
    return assumed();
  };
  const store = client({ ...(await assumed()), refreshSTSToken, refreshSTSTokenInterval: 1 });
  await store.put("token/new", Buffer.from("x"));
  await store.get("token/new");
  const url = await client({ v4: false, sld: true, ...(await assumed()), refreshSTSToken }).asyncSignatureUrl(
    "token/new",
  );
  assert.equal((await fetched(url)).text, "x");
  assert.ok(asked >= 1, `asked ${asked} times`);
  await clear(client(), "token/");
});

check("wrong wishes of STS are refused", async () => {
  const wish = (code, status, ...wished) => refusedBySts(code, status, () => sts.assumeRole(...wished));
  await wish("EntityNotExist.Role", 404, "acs:ram::1:role/nobody", undefined, 900, "official");
  await wish("InvalidParameter.RoleArn", 400, "nonsense", undefined, 900, "official");
  await wish("InvalidParameter.RoleSessionName", 400, ROLE, undefined, 900, "a b");
  await wish("InvalidParameter.DurationSeconds", 400, ROLE, undefined, 60, "official");
  await wish("InvalidParameter.PolicyGrammar", 400, ROLE, { Version: "1" }, 900, "official");
  const stranger = new OSS.STS({ accessKeyId, accessKeySecret: "wrong", endpoint });
  await refusedBySts("SignatureDoesNotMatch", 400, () => stranger.assumeRole(ROLE, undefined, 900, "official"));
  const nobody = new OSS.STS({ accessKeyId: "nobody", accessKeySecret, endpoint });
  await refusedBySts("InvalidAccessKeyId.NotFound", 404, () => nobody.assumeRole(ROLE, undefined, 900, "official"));
});

async function refusedBySts(code, status, call) {
  const error = await call().then(
    () => assert.fail(`${code} was not answered`),
    (error) => error,
  );
  assert.deepEqual([error.code, error.status], [code, status], error.message);
  assert.match(error.requestId, /^[0-9A-F-]{36}$/);
}

checkForms("a token that is wrong is refused", async (_, form) => {
  const good = await assumed();
  const put = (more) => tokened(form, { ...good, ...more }).put("token/a", Buffer.from("x"));
  await refused("InvalidAccessKeyId", 403, () => put({ stsToken: undefined }));
  await refused("InvalidSecurityToken", 403, () => put({ stsToken: "nonsense" }));
  const flipped = good.stsToken.replace(/.$/, (last) => (last === "A" ? "B" : "A"));
  await refused("InvalidSecurityToken", 403, () => put({ stsToken: flipped }));
  await refused("SignatureDoesNotMatch", 403, () => put({ accessKeySecret: "wrong" }));
  const other = await assumed();
  await refused("AccessKeyIdAndSecurityTokenNotMatch", 403, () => put({ stsToken: other.stsToken }));
});

checkForms("a token that is dead is told as expired", async (_, form) => {
  const { address, auth } = await dying;
  const token = { accessKeyId: auth.AccessKeyId, accessKeySecret: auth.AccessKeySecret, stsToken: auth.SecurityToken };
  const store = tokened(form, token, { bucket: address.Bucket });
  const left = Date.parse(auth.ExpireUTCTime) - Date.now();
  if (left > -1000) await new Promise((resolve) => setTimeout(resolve, left + 1000));
  await refused("SecurityTokenExpired", 403, () => store.put(address.FileName, Buffer.from("x")));
  await refused("SecurityTokenExpired", 403, () => store.initMultipartUpload(address.FileName));
});
