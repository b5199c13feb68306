/** What is signed for others to send: URLs by V1 and V4, and the forms of pages. */

import assert from "node:assert/strict";

import {
  bucket,
  check,
  checkForms,
  clear,
  client,
  endpoint,
  fetched,
  OSS,
  refused,
  region,
  accessKeyId,
  accessKeySecret,
} from "./harness.mjs";

const code = (reply) => reply.text.match(/<Code>(.*)<\/Code>/)?.[1];
/** A client of the genuine addresses; what it signs is brought here by `fetched`. */
const genuine = (more) => new OSS({ accessKeyId, accessKeySecret, region, bucket, ...more });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

check("URLs signed by V1", async () => {
  // It refuses to make such URLs for an IP.
  for (const store of [client({ v4: false, sld: true }), genuine({ authorizationV4: false })]) {
    const key = "url/a b+测.txt";
    const put = store.signatureUrl(key, { method: "PUT", "Content-Type": "text/plain", expires: 60 });
    const sent = await fetched(put, { method: "PUT", headers: { "content-type": "text/plain" }, body: "signed" });
    assert.equal(sent.status, 200, sent.text);
    const otherwise = await fetched(put, { method: "PUT", headers: { "content-type": "text/html" }, body: "other" });
    assert.deepEqual([otherwise.status, code(otherwise)], [403, "SignatureDoesNotMatch"]);
    assert.equal((await fetched(store.signatureUrl(key))).text, "signed");
    const response = { "content-type": "text/custom", "content-disposition": "attachment" };
    const shaped = await fetched(store.signatureUrl(key, { response }));
    assert.deepEqual(
      [shaped.headers["content-type"], shaped.headers["content-disposition"]],
      ["text/custom", "attachment"],
    );
    const head = await fetched(store.signatureUrl(key, { method: "HEAD" }), { method: "HEAD" });
    assert.equal(head.headers["content-length"], "6");
    assert.equal((await fetched(await store.asyncSignatureUrl(key, { expires: 60 }))).text, "signed");
    const wrong = await fetched(store.signatureUrl(key).replace(/%2B|b\+/, "b%2D"));
    assert.deepEqual([wrong.status, code(wrong)], [403, "SignatureDoesNotMatch"]);
    assert.equal((await fetched(store.signatureUrl(key, { method: "DELETE" }), { method: "DELETE" })).status, 204);
    const gone = await fetched(store.signatureUrl(key));
    assert.deepEqual([gone.status, code(gone)], [404, "NoSuchKey"]);
  }
});

check("URLs signed by V4", async () => {
  for (const store of [client({ sld: true }), genuine({ authorizationV4: true })]) {
    const key = "url4/a b+测.txt";
    const headers = { "content-type": "text/plain", "x-oss-meta-who": "me" };
    const put = await store.signatureUrlV4("PUT", 60, { headers }, key);
    const sent = await fetched(put, { method: "PUT", headers, body: "signed" });
    assert.equal(sent.status, 200, sent.text);
    const less = await fetched(put, { method: "PUT", headers: { "content-type": "text/plain" }, body: "other" });
    assert.deepEqual([less.status, code(less)], [403, "SignatureDoesNotMatch"]);
    const got = await fetched(await store.signatureUrlV4("GET", 60, undefined, key));
    assert.deepEqual([got.text, got.headers["x-oss-meta-who"]], ["signed", "me"]);
    const { host } = new URL(put);
    const bound = await store.signatureUrlV4("GET", 60, { headers: { host } }, key, ["host"]);
    assert.equal((await fetched(bound)).text, "signed");
    const moved = await fetched(bound, { headers: { host: `${bucket}.oss-cn-beijing.aliyuncs.com` } });
    assert.equal(moved.status, 403);
    const queries = { "response-content-type": "text/custom" };
    const shaped = await fetched(await store.signatureUrlV4("GET", 60, { queries }, key));
    assert.equal(shaped.headers["content-type"], "text/custom");
    const longer = await store.signatureUrlV4("GET", 60, undefined, key);
    const wrong = await fetched(longer.replace("x-oss-expires=60", "x-oss-expires=600"));
    assert.deepEqual([wrong.status, code(wrong)], [403, "SignatureDoesNotMatch"]);
    assert.equal(
      (await fetched(await store.signatureUrlV4("DELETE", 60, undefined, key), { method: "DELETE" })).status,
      204,
    );
  }
});

check("a URL ends with its time", async () => {
  const v1 = client({ v4: false, sld: true });
  const v4 = client({ sld: true });
  await v4.put("url/late", Buffer.from("x"));
  const urls = [v1.signatureUrl("url/late", { expires: 1 }), await v4.signatureUrlV4("GET", 1, undefined, "url/late")];
  await sleep(2500);
  for (const url of urls) {
    const late = await fetched(url);
    assert.deepEqual([late.status, code(late)], [403, "AccessDenied"]);
  }
  await clear(v4, "url/");
});

/** Sends a form; the file comes last, as the protocol wants it. */
async function posted(fields, content) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", new Blob([content], { type: "text/plain" }), "clip.txt");
  const reply = await fetch(`${endpoint}/${bucket}/`, { method: "POST", body: form });
  return { status: reply.status, text: await reply.text() };
}

check("forms signed by V1", async () => {
  const store = client({ v4: false });
  const expiration = new Date(Date.now() + 60_000).toISOString();
  const conditions = [{ bucket }, ["starts-with", "$key", "form/"], ["content-length-range", 1, 10]];
  const signed = store.calculatePostSignature({ expiration, conditions });
  const sent = await posted({ key: "form/${filename}", success_action_status: "201", ...signed }, "form");
  assert.deepEqual([sent.status, sent.text.match(/<Key>(.*)<\/Key>/)?.[1]], [201, "form/clip.txt"]);
  assert.equal((await store.get("form/clip.txt")).content.toString(), "form");
  assert.equal((await posted({ key: "elsewhere/a", ...signed }, "form")).status, 403);
  assert.equal(code(await posted({ key: "form/b", ...signed }, "more than ten bytes")), "EntityTooLarge");
  const forged = { ...signed, Signature: Buffer.from("forged").toString("base64") };
  assert.equal(code(await posted({ key: "form/b", ...forged }, "form")), "SignatureDoesNotMatch");
  const past = store.calculatePostSignature({ expiration: new Date(Date.now() - 60_000).toISOString(), conditions });
  assert.equal(code(await posted({ key: "form/b", ...past }, "form")), "AccessDenied");
  await clear(store, "form/");
});

check("forms signed by V4", async () => {
  const store = client();
  const now = new Date();
  const stamp = now.toISOString().replace(/[-:]|\.\d+/g, "");
  const credential = `${accessKeyId}/${stamp.slice(0, 8)}/cn-shanghai/oss/aliyun_v4_request`;
  const policy = {
    expiration: new Date(Date.now() + 60_000).toISOString(),
    conditions: [
      { bucket },
      { "x-oss-credential": credential },
      { "x-oss-date": stamp },
      { "x-oss-signature-version": "OSS4-HMAC-SHA256" },
      ["starts-with", "$key", "form4/"],
    ],
  };
  const fields = {
    key: "form4/a",
    policy: Buffer.from(JSON.stringify(policy)).toString("base64"),
    "x-oss-credential": credential,
    "x-oss-date": stamp,
    "x-oss-signature-version": "OSS4-HMAC-SHA256",
    "x-oss-signature": store.signPostObjectPolicyV4(policy, now),
  };
  assert.equal((await posted(fields, "form")).status, 204);
  assert.equal((await store.get("form4/a")).content.toString(), "form");
  assert.equal(code(await posted({ ...fields, key: "elsewhere/a" }, "form")), "AccessDenied");
  const forged = { ...fields, "x-oss-signature": "0".repeat(64) };
  assert.equal(code(await posted(forged, "form")), "SignatureDoesNotMatch");
  await clear(store, "form4/");
});

checkForms("nobody gets in with a wrong key", async (_, form) => {
  const wrong = client({ ...form, accessKeySecret: "wrong" });
  await refused("SignatureDoesNotMatch", 403, () => wrong.put("in/a", Buffer.from("x")));
  await refused("SignatureDoesNotMatch", 403, () => wrong.listBuckets());
  await refused("SignatureDoesNotMatch", 403, () => wrong.initMultipartUpload("in/a"));
  const nobody = client({ ...form, accessKeyId: "nobody" });
  await refused("InvalidAccessKeyId", 403, () => nobody.put("in/a", Buffer.from("x")));
  await refused("InvalidAccessKeyId", 403, () => nobody.getBucketInfo(bucket));
  await refused("NoSuchKey", 404, () => client(form).head("in/a"));
});

check("a V4 signature for another region is refused", async () => {
  const elsewhere = client({ region: "oss-cn-hangzhou" });
  await refused("InvalidArgument", 400, () => elsewhere.put("in/a", Buffer.from("x")));
});
