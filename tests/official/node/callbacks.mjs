/** Upload callbacks: an application here is called after an upload, and its answer goes to the uploader. */

import assert from "node:assert/strict";
import { verify } from "node:crypto";
import http from "node:http";
import { text } from "node:stream/consumers";

import { bucket, check, checkForms, clear, client, endpoint, fetched, md5, noise, refused } from "./harness.mjs";

/** Runs with an application that keeps what it was told and answers so. */
async function withApplication(run, { status = 200, answer = (heard) => JSON.stringify({ heard }) } = {}) {
  const calls = [];
  const application = http.createServer(async (request, reply) => {
    const body = await text(request);
    calls.push({ url: request.url, method: request.method, headers: request.headers, body });
    const said = answer(body);
    reply.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(said) });
    reply.end(said);
  });
  await new Promise((resolve) => application.listen(0, "127.0.0.1", resolve));
  try {
    await run(`http://127.0.0.1:${application.address().port}`, calls);
  } finally {
    application.close();
    application.closeAllConnections?.();
  }
}

/** What applications do before they believe a call. */
async function assertSigned({ url, headers, body }) {
  const keyUrl = Buffer.from(headers["x-oss-pub-key-url"], "base64").toString();
  assert.ok(keyUrl.startsWith(`${endpoint}/`), keyUrl);
  const key = (await fetched(keyUrl)).text;
  const [path, query] = url.split("?");
  const signed = decodeURIComponent(path) + (query === undefined ? "" : `?${query}`) + `\n${body}`;
  assert.ok(verify("RSA-MD5", Buffer.from(signed), key, Buffer.from(headers.authorization, "base64")), signed);
}

const BODY = "bucket=${bucket}&object=${object}&etag=${etag}&size=${size}&type=${mimeType}&who=${x:who}";

checkForms("an application is told of an object and answers the uploader", async (store) => {
  await withApplication(async (url, calls) => {
    const data = noise(1000, 30);
    // The SDK encodes it.
    const callback = { url: `${url}/cb c?a=b`, body: BODY, customValue: { who: "me & you" } };
    const put = await store.put("cb/a b.mp4", data, { callback, mime: "video/mp4" });
    assert.equal(put.res.status, 200);
    assert.equal(calls.length, 1);
    assert.deepEqual(put.data, { heard: calls[0].body });
    assert.deepEqual([calls[0].method, calls[0].url], ["POST", "/cb%20c?a=b"]);
    assert.equal(calls[0].headers["content-type"], "application/x-www-form-urlencoded");
    const told = Object.fromEntries(new URLSearchParams(calls[0].body));
    const expected = {
      bucket,
      object: "cb/a b.mp4",
      etag: md5(data),
      size: "1000",
      type: "video/mp4",
      who: "me & you",
    };
    assert.deepEqual(told, expected);
    await assertSigned(calls[0]);

    const json = {
      ...callback,
      contentType: "application/json",
      body: '{"object":${object},"size":${size},"who":${x:who}}',
    };
    await store.put("cb/json", data, { callback: json });
    assert.deepEqual(JSON.parse(calls[1].body), { object: "cb/json", size: 1000, who: "me & you" });
    assert.equal(calls[1].headers["content-type"], "application/json");
  });
  await clear(store, "cb/");
});

checkForms("an application is told of a multipart upload", async (store) => {
  await withApplication(async (url, calls) => {
    const data = noise(2 * 102_400 + 1, 31);
    const callback = { url, host: "app.example.com", body: BODY, customValue: { who: "me" } };
    const done = await store.multipartUpload("cb/parts", data, { partSize: 102_400, callback });
    assert.deepEqual(done.data, { heard: calls[0].body });
    assert.equal(calls[0].headers.host, "app.example.com");
    assert.match(calls[0].body, /&etag=[0-9A-F]{32}-3&size=204801&/);
    await assertSigned(calls[0]);
    const { uploadId } = await store.initMultipartUpload("cb/hand");
    const { etag } = await store.uploadPart("cb/hand", uploadId, 1, data, 0, data.length);
    const byHand = await store.completeMultipartUpload("cb/hand", uploadId, [{ number: 1, etag }], { callback });
    assert.deepEqual(byHand.data, { heard: calls[1].body });
    assert.equal(calls.length, 2);
  });
  await clear(store, "cb/");
});

checkForms("an application that fails is told as CallbackFailed, and the object stays", async (store) => {
  const data = Buffer.from("kept");
  const failed = async (key, url) => {
    await refused("CallbackFailed", 203, () => store.put(key, data, { callback: { url, body: "a=b" } }));
    assert.equal((await store.get(key)).content.toString(), "kept");
  };
  await withApplication((url) => failed("cb/status", url), { status: 500 });
  await withApplication((url) => failed("cb/answer", url), { answer: () => "not JSON" });
  // One that has gone: nobody listens where it was.
  let nobody;
  await withApplication((url) => (nobody = url));
  await failed("cb/nobody", nobody);
  await withApplication(async (url, calls) => {
    // The first that answers.
    const { data: heard } = await store.put("cb/second", data, {
      callback: { url: `${nobody};${url}`, body: "a=b" },
    });
    assert.deepEqual([heard, calls.length], [{ heard: "a=b" }, 1]);
  });
  await failed("cb/inside", "http://10.0.0.1/");
  await clear(store, "cb/");
});

checkForms("callbacks that mean nothing are refused before anything is stored", async (store) => {
  const put = (callback) => store.put("cb/never", Buffer.from("x"), { headers: { "x-oss-callback": callback } });
  const coded = (callback) => Buffer.from(JSON.stringify(callback)).toString("base64");
  await refused("InvalidArgument", 400, () => put("not base64!"));
  await refused("InvalidArgument", 400, () => put(Buffer.from("not JSON").toString("base64")));
  await refused("InvalidArgument", 400, () => put(coded({ callbackUrl: "http://127.0.0.1/", callbackBody: "" })));
  await refused("InvalidArgument", 400, () => put(coded({ callbackUrl: "http://127.0.0.1/", callbackBody: "${open" })));
  await refused("NoSuchKey", 404, () => store.head("cb/never"));
});

check("a callback in a signed URL", async () => {
  await withApplication(async (url, calls) => {
    const v1 = client({ v4: false, sld: true });
    const callback = { url, body: BODY, customValue: { who: "me" } };
    const signed = v1.signatureUrl("cb/signed", { method: "PUT", callback });
    const sent = await fetched(signed, { method: "PUT", body: "signed" });
    assert.deepEqual([sent.status, JSON.parse(sent.text)], [200, { heard: calls[0].body }]);
    assert.match(calls[0].body, /&who=me$/);
    await assertSigned(calls[0]);

    const coded = (value) => Buffer.from(JSON.stringify(value)).toString("base64");
    const queries = {
      callback: coded({ callbackUrl: url, callbackBody: "who=${x:who}" }),
      "callback-var": coded({ "x:who": "me" }),
    };
    const v4 = await client({ sld: true }).signatureUrlV4("PUT", 60, { queries }, "cb/signed");
    assert.deepEqual(JSON.parse((await fetched(v4, { method: "PUT", body: "signed" })).text), { heard: "who=me" });
  });
  await clear(client(), "cb/");
});
