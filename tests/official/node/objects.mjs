/** Objects: put, get, head, ranges, conditions, copies, appends, deletions, ACLs, tags. */

import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";

import { bucket, checkForms, clear, endpoint, fetched, md5, noise, refused } from "./harness.mjs";

checkForms("put, get and head tell the same", async (store) => {
  const data = noise(300_000, 1);
  const put = await store.put("o/put.bin", data, {
    mime: "video/mp4",
    meta: { who: "me", at: "12:00" },
    headers: {
      "Cache-Control": "no-cache",
      "Content-Disposition": "attachment",
      Expires: "Fri, 20 Nov 2026 10:00:00 GMT",
    },
  });
  assert.equal(put.res.headers.etag, `"${md5(data)}"`);
  assert.match(put.res.headers["x-oss-hash-crc64ecma"], /^\d+$/);
  const got = await store.get("o/put.bin");
  assert.deepEqual(got.content, data);
  assert.equal(got.res.headers["x-oss-hash-crc64ecma"], put.res.headers["x-oss-hash-crc64ecma"]);
  const head = await store.head("o/put.bin");
  assert.deepEqual(head.meta, { who: "me", at: "12:00" });
  const { headers } = head.res;
  assert.equal(headers["content-type"], "video/mp4");
  assert.equal(headers["content-length"], "300000");
  assert.equal(headers["cache-control"], "no-cache");
  assert.equal(headers["content-disposition"], "attachment");
  assert.equal(headers.expires, "Fri, 20 Nov 2026 10:00:00 GMT");
  assert.equal(headers["x-oss-object-type"], "Normal");
  assert.equal(headers["x-oss-storage-class"], "Standard");
  const meta = await store.getObjectMeta("o/put.bin");
  assert.equal(meta.res.headers.etag, put.res.headers.etag);
  assert.equal(meta.res.headers["content-length"], "300000");
  await clear(store, "o/");
});

checkForms("files and streams are put and got", async (store) => {
  const folder = await mkdtemp(join(tmpdir(), "ali-oss-"));
  try {
    const data = noise(200_000, 2);
    const path = join(folder, "a.mp4");
    await writeFile(path, data);
    await store.put("f/file", path);
    assert.equal((await store.head("f/file")).res.headers["content-type"], "video/mp4");
    await store.get("f/file", join(folder, "b"));
    assert.deepEqual(await readFile(join(folder, "b")), data);
    // Without a length it is sent chunked.
    await store.putStream("f/chunked", createReadStream(path));
    await store.putStream("f/stream", createReadStream(path), { contentLength: data.length });
    for (const key of ["f/chunked", "f/stream"]) {
      const { stream, res } = await store.getStream(key);
      assert.equal(res.status, 200);
      assert.deepEqual(await buffer(stream), data);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  await clear(store, "f/");
});

checkForms("awkward keys survive", async (store) => {
  const keys = [
    "a b.mp4",
    "百分 100%.mp4",
    "emoji-🎬.mp4",
    "plus+and&amp.mp4",
    "deep/er//x.mp4",
    "q?=#.mp4",
    "<&>'\".mp4",
    "日/",
    "~-_.!*()",
  ];
  for (const key of keys) {
    await store.put(`k/${key}`, Buffer.from(key));
    assert.equal((await store.get(`k/${key}`)).content.toString(), key);
    assert.equal((await store.head(`k/${key}`)).status, 200);
  }
  const { objects } = await store.listV2({ prefix: "k/", "max-keys": 100 });
  assert.deepEqual(objects.map(({ name }) => name).sort(), keys.map((key) => `k/${key}`).sort());
  const { deleted } = await store.deleteMulti(keys.map((key) => `k/${key}`));
  assert.deepEqual(deleted.map(({ Key }) => Key).sort(), keys.map((key) => `k/${key}`).sort());
  await refused("NoSuchKey", 404, () => store.get("k/a b.mp4"));
});

checkForms("ranges and conditions", async (store) => {
  const data = noise(1000, 3);
  const put = await store.put("c/a", data);
  const { etag } = put.res.headers;
  const part = await store.get("c/a", { headers: { Range: "bytes=10-99" } });
  assert.equal(part.res.status, 206);
  assert.equal(part.res.headers["content-range"], "bytes 10-99/1000");
  assert.deepEqual(part.content, data.subarray(10, 100));
  assert.deepEqual((await store.get("c/a", { headers: { Range: "bytes=-7" } })).content, data.subarray(-7));
  // The default of the protocol: what cannot be satisfied is ignored.
  assert.equal((await store.get("c/a", { headers: { Range: "bytes=990-1000" } })).res.status, 200);
  assert.equal((await store.head("c/a", { headers: { "If-None-Match": etag } })).status, 304);
  assert.equal((await store.head("c/a", { headers: { "If-Match": etag } })).status, 200);
  const later = new Date(Date.now() + 60_000).toUTCString();
  assert.equal((await store.head("c/a", { headers: { "If-Modified-Since": later } })).status, 304);
  await refused("PreconditionFailed", 412, () => store.get("c/a", { headers: { "If-Match": '"00"' } }));
  await refused("PreconditionFailed", 412, () => store.head("c/a", { headers: { "If-Match": '"00"' } }));
  const taken = { headers: { "x-oss-forbid-overwrite": "true" } };
  await refused("FileAlreadyExists", 409, () => store.put("c/a", Buffer.from("x"), taken));
  await refused("InvalidDigest", 400, () =>
    store.put("c/b", data, { headers: { "Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg==" } }),
  );
  await refused("NoSuchKey", 404, () => store.get("c/b"));
  await clear(store, "c/");
});

checkForms("what is not there is told", async (store) => {
  const error = await refused("NoSuchKey", 404, () => store.get("none/a"));
  assert.equal(error.name, "NoSuchKeyError");
  assert.ok(error.hostId, "an error names the host");
  await refused("NoSuchKey", 404, () => store.head("none/a"));
  await refused("NoSuchKey", 404, () => store.getStream("none/a"));
  await refused("NoSuchKey", 404, () => store.copy("none/b", "none/a"));
  assert.equal((await store.delete("none/a")).res.status, 204);
});

checkForms("objects are copied", async (store) => {
  const data = noise(5000, 4);
  const put = await store.put("cp/a b.mp4", data, { meta: { a: "1" } });
  const copied = await store.copy("cp/b", "cp/a b.mp4");
  assert.equal(copied.data.etag, put.res.headers.etag);
  assert.ok(Date.parse(copied.data.lastModified));
  assert.deepEqual((await store.get("cp/b")).content, data);
  assert.deepEqual((await store.head("cp/b")).meta, { a: "1" });
  await store.copy("cp/c", "cp/a b.mp4", { meta: { b: "2" } });
  assert.deepEqual((await store.head("cp/c")).meta, { b: "2" });
  await store.copy("cp/d", "cp/a b.mp4", bucket);
  await store.putMeta("cp/d", { z: "9" });
  assert.deepEqual((await store.head("cp/d")).meta, { z: "9" });
  assert.deepEqual((await store.get("cp/d")).content, data);
  const stale = { headers: { "x-oss-copy-source-if-match": '"00"' } };
  await refused("PreconditionFailed", 412, () => store.copy("cp/e", "cp/b", stale));
  const taken = { headers: { "x-oss-forbid-overwrite": "true" } };
  await refused("FileAlreadyExists", 409, () => store.copy("cp/c", "cp/b", taken));
  await refused("NoSuchBucket", 404, () => store.copy("cp/e", "cp/b", "ali-oss-none"));
  await clear(store, "cp/");
});

checkForms("an object grows", async (store) => {
  const first = await store.append("log/a", Buffer.from("one"));
  assert.equal(first.nextAppendPosition, "3");
  const second = await store.append("log/a", Buffer.from("two"), { position: first.nextAppendPosition });
  assert.equal(second.nextAppendPosition, "6");
  assert.equal((await store.get("log/a")).content.toString(), "onetwo");
  assert.equal((await store.head("log/a")).res.headers["x-oss-object-type"], "Appendable");
  await refused("PositionNotEqualToLength", 409, () => store.append("log/a", Buffer.from("x"), { position: 1 }));
  await store.put("log/plain", Buffer.from("x"));
  await refused("ObjectNotAppendable", 409, () => store.append("log/plain", Buffer.from("x"), { position: 1 }));
  await clear(store, "log/");
});

checkForms("many objects are deleted", async (store) => {
  const keys = [...Array(7).keys()].map((n) => `many/ü & ${n}`);
  for (const key of keys) await store.put(key, Buffer.from(key));
  const { deleted } = await store.deleteMulti([...keys.slice(0, 3), "many/never was"]);
  assert.deepEqual(
    deleted.map(({ Key }) => Key),
    [...keys.slice(0, 3), "many/never was"],
  );
  const quiet = await store.deleteMulti(keys.slice(3, 5), { quiet: true });
  assert.equal(quiet.res.status, 200);
  assert.ok(!quiet.deleted?.length);
  assert.deepEqual(
    (await store.list({ prefix: "many/", "max-keys": 10 })).objects.map(({ name }) => name),
    keys.slice(5),
  );
  await clear(store, "many/");
});

checkForms("ACLs of objects", async (store) => {
  const url = `${endpoint}/${bucket}/acl/a`;
  await store.put("acl/a", Buffer.from("x"));
  assert.equal((await store.getACL("acl/a")).acl, "default");
  assert.equal((await fetched(url)).status, 403);
  await store.putACL("acl/a", "public-read");
  assert.equal((await store.getACL("acl/a")).acl, "public-read");
  assert.equal((await fetched(url)).text, "x");
  assert.equal((await fetched(url, { method: "PUT", body: "y" })).status, 403);
  await refused("NoSuchKey", 404, () => store.getACL("acl/none"));
  await refused("InvalidArgument", 400, () => store.putACL("acl/a", "everybody"));
  await clear(store, "acl/");
});

checkForms("tags of objects", async (store) => {
  await store.put("tag/a", Buffer.from("x"), { headers: { "x-oss-tagging": "who=me%20%2B%20you&k=" } });
  assert.deepEqual((await store.getObjectTagging("tag/a")).tag, { who: "me + you", k: "" });
  assert.equal((await store.head("tag/a")).res.headers["x-oss-tagging-count"], "2");
  await store.putObjectTagging("tag/a", { k: "v w" });
  assert.deepEqual((await store.getObjectTagging("tag/a")).tag, { k: "v w" });
  await store.deleteObjectTagging("tag/a");
  assert.deepEqual((await store.getObjectTagging("tag/a")).tag, {});
  const many = Object.fromEntries([...Array(11).keys()].map((n) => [`k${n}`, "v"]));
  const header = new URLSearchParams(many).toString();
  const tagged = { headers: { "x-oss-tagging": header } };
  await refused("InvalidTag", 400, () => store.put("tag/b", Buffer.from("x"), tagged));
  await clear(store, "tag/");
});

checkForms("what the server lacks it says", async (store) => {
  await store.put("lack/a", Buffer.from("x"));
  await refused("NotImplemented", 400, () => store.putSymlink("lack/b", "lack/a"));
  await refused("NotImplemented", 400, () => store.restore("lack/a"));
  await refused("NotImplemented", 400, () => store.get("lack/a", { process: "image/resize,w_200" }));
  await clear(store, "lack/");
});
