/** Multipart uploads: by hand, by multipartUpload, interrupted and resumed from its checkpoint, and copied. */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { bucket, check, checkForms, clear, client, md5, noise, refused } from "./harness.mjs";

const PART = 102_400;

/** Runs with a file of this content. */
async function withFile(data, run) {
  const folder = await mkdtemp(join(tmpdir(), "ali-oss-"));
  try {
    const path = join(folder, "movie.mp4");
    await writeFile(path, data);
    await run(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

checkForms("multipart by hand", async (store) => {
  const data = noise(3 * PART + 7, 10);
  const {
    uploadId,
    bucket: place,
    name,
  } = await store.initMultipartUpload("m/a b.mp4", { mime: "video/mp4", meta: { a: "1" } });
  assert.deepEqual([place, name], [bucket, "m/a b.mp4"]);
  assert.match(uploadId, /^[0-9A-F]{32}$/);
  const parts = [];
  await withFile(data, async (path) => {
    for (const number of [1, 2, 3]) {
      const start = (number - 1) * PART;
      const { etag } = await store.uploadPart(name, uploadId, number, path, start, start + PART);
      assert.equal(etag, `"${md5(data.subarray(start, start + PART))}"`);
      parts.push({ number, etag });
    }
    const { etag } = await store.uploadPart(name, uploadId, 4, path, 3 * PART, data.length);
    parts.push({ number: 4, etag });
  });
  const first = await store.listParts(name, uploadId, { "max-parts": 3 });
  assert.deepEqual(
    first.parts.map(({ PartNumber }) => PartNumber),
    ["1", "2", "3"],
  );
  assert.deepEqual([first.isTruncated, first.nextPartNumberMarker], ["true", "3"]);
  const second = await store.listParts(name, uploadId, {
    "max-parts": 3,
    "part-number-marker": first.nextPartNumberMarker,
  });
  const [last] = [second.parts].flat();
  assert.deepEqual([last.PartNumber, last.Size, last.ETag], ["4", "7", parts[3].etag]);
  const { uploads } = await store.listUploads({ prefix: "m/", "max-uploads": 10 });
  assert.deepEqual(
    uploads.map((upload) => [upload.name, upload.uploadId]),
    [[name, uploadId]],
  );
  const done = await store.completeMultipartUpload(name, uploadId, parts);
  const bare = parts.map(({ etag }) => etag.replaceAll('"', "")).join("");
  assert.equal(done.etag, `"${md5(bare)}-4"`);
  assert.deepEqual([done.bucket, done.name], [bucket, name]);
  const { content, res } = await store.get(name);
  assert.deepEqual(content, data);
  assert.deepEqual([res.headers["content-type"], res.headers["x-oss-object-type"]], ["video/mp4", "Multipart"]);
  assert.equal((await store.head(name)).meta.a, "1");
  await clear(store, "m/");
});

checkForms("parts that do not fit are refused", async (store) => {
  // From a buffer: of a file that is refused before it was read the SDK neither sends the rest nor lets go.
  const data = noise(PART, 11);
  const { uploadId } = await store.initMultipartUpload("bad/a");
  const part = (id, number, length) => store.uploadPart("bad/a", id, number, data, 0, length);
  const complete = (...parts) => store.completeMultipartUpload("bad/a", uploadId, parts);
  const small = { number: 1, etag: (await part(uploadId, 1, 1000)).etag };
  const full = { number: 2, etag: (await part(uploadId, 2, PART)).etag };
  await refused("EntityTooSmall", 400, () => complete(small, full));
  await refused("InvalidPart", 400, () => complete({ ...full, etag: small.etag }));
  await refused("InvalidPart", 400, () => complete({ ...full, number: 3 }));
  await refused("InvalidArgument", 400, () => part(uploadId, 10_001, PART));
  const unknown = "0".repeat(32);
  await refused("NoSuchUpload", 404, () => part(unknown, 1, PART));
  await refused("NoSuchUpload", 404, () => store.listParts("bad/a", unknown));
  await refused("NoSuchUpload", 404, () => store.abortMultipartUpload("bad/a", unknown));
  assert.equal((await store.abortMultipartUpload("bad/a", uploadId)).res.status, 204);
  await refused("NoSuchUpload", 404, () => part(uploadId, 1, PART));
  await refused("NoSuchUpload", 404, () => complete(full));
  await refused("NoSuchKey", 404, () => store.head("bad/a"));
});

checkForms("an interrupted upload goes on from its checkpoint", async (store, form) => {
  const data = noise(12 * PART + 123, 12);
  await withFile(data, async (path) => {
    let kept;
    const interrupt = (_, checkpoint) => {
      kept = JSON.stringify(checkpoint);
      if (checkpoint?.doneParts.length >= 5) store.cancel();
    };
    const options = { partSize: PART, parallel: 2, mime: "video/mp4", meta: { a: "1" } };
    const failed = await store.multipartUpload("r/movie", path, { ...options, progress: interrupt }).catch((e) => e);
    assert.equal(failed.name, "cancel");
    assert.ok(store.isCancel());
    await refused("NoSuchKey", 404, () => client(form).head("r/movie"));

    const checkpoint = JSON.parse(kept);
    const before = checkpoint.doneParts.map(({ number }) => number);
    assert.ok(before.length >= 5 && before.length < 13, `${before.length} parts`);
    const other = client(form);
    const held = (await other.listParts("r/movie", checkpoint.uploadId)).parts;
    const sent = [];
    // The last call, after Complete, has no checkpoint.
    const progress = (_, checkpoint) => checkpoint && sent.push(checkpoint.doneParts.at(-1).number);
    await other.multipartUpload("r/movie", path, { ...options, checkpoint: { ...checkpoint, file: path }, progress });
    const all = [...before, ...sent].sort((a, b) => a - b);
    assert.deepEqual(
      all,
      [...Array(13).keys()].map((n) => n + 1),
      "each part once",
    );
    assert.ok(held.length >= before.length);
    assert.deepEqual((await other.get("r/movie")).content, data);
    assert.equal((await other.head("r/movie")).meta.a, "1");
  });
  await clear(client(form), "r/");
});

checkForms("small, large and buffered files go by multipartUpload", async (store) => {
  const data = noise(5 * PART + 1, 13);
  // Below the part size it is one PutObject.
  await store.multipartUpload("mu/small", data.subarray(0, 1000), { partSize: PART });
  assert.equal((await store.head("mu/small")).res.headers["x-oss-object-type"], "Normal");
  await store.multipartUpload("mu/buffer", data, { partSize: PART, parallel: 5 });
  assert.deepEqual((await store.get("mu/buffer")).content, data);
  const done = await store.multipartUpload("mu/again", data, { partSize: 2 * PART });
  assert.match(done.etag, /^"[0-9A-F]{32}-3"$/);
  const taken = { partSize: PART, headers: { "x-oss-forbid-overwrite": "true" } };
  await refused("FileAlreadyExists", 409, () => store.multipartUpload("mu/again", data, taken));
  await clear(store, "mu/");
});

check("an upload that is aborted meanwhile ends", async () => {
  const data = noise(8 * PART, 14);
  const store = client();
  // Its own abort cancels what is under way; that of another client is found by the next part.
  for (const [by, name] of [
    [client(), "abort"],
    [store, "cancel"],
  ]) {
    let aborted;
    const progress = async (_, checkpoint) => {
      if (checkpoint && !aborted) aborted = await by.abortMultipartUpload(checkpoint.name, checkpoint.uploadId);
    };
    const error = await store.multipartUpload("ab/a", data, { partSize: PART, parallel: 1, progress }).catch((e) => e);
    assert.equal(error.name, name);
    assert.equal(aborted.res.status, 204);
    await refused("NoSuchKey", 404, () => client().head("ab/a"));
  }
});

checkForms("parts and whole objects are copied in parts", async (store) => {
  const data = noise(4 * PART + 9, 15);
  await store.put("pc/source +", data, { mime: "video/mp4" });
  const { uploadId } = await store.initMultipartUpload("pc/by-hand");
  const parts = [];
  for (const [number, range] of [
    [1, `0-${2 * PART - 1}`],
    [2, `${2 * PART}-${data.length - 1}`],
  ]) {
    const source = { sourceKey: "pc/source +", sourceBucketName: bucket };
    parts.push({ number, etag: (await store.uploadPartCopy("pc/by-hand", uploadId, number, range, source)).etag });
  }
  assert.equal(parts[0].etag, `"${md5(data.subarray(0, 2 * PART))}"`);
  const elsewhere = { sourceKey: "pc/none", sourceBucketName: bucket };
  await refused("NoSuchKey", 404, () => store.uploadPartCopy("pc/by-hand", uploadId, 3, "0-9", elsewhere));
  await store.completeMultipartUpload("pc/by-hand", uploadId, parts);
  assert.deepEqual((await store.get("pc/by-hand")).content, data);

  let kept;
  const source = { sourceKey: "pc/source +", sourceBucketName: bucket };
  const progress = (_, checkpoint) => (kept = checkpoint ?? kept);
  await store.multipartUploadCopy("pc/whole", source, { partSize: PART, progress });
  assert.equal(kept.doneParts.length, 5);
  assert.deepEqual((await store.get("pc/whole")).content, data);
  await clear(store, "pc/");
});
