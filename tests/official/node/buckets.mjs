/** Buckets: made, listed, looked at and deleted; listings of what is in them; their rules. */

import assert from "node:assert/strict";

import { bucket, check, checkForms, clear, client, endpoint, fetched, md5, refused } from "./harness.mjs";

checkForms("a bucket is made, looked at and deleted", async (store) => {
  const name = "ali-oss-second";
  const made = await store.putBucket(name, { acl: "public-read", storageClass: "IA" });
  assert.equal(made.bucket, name);
  const info = (await store.getBucketInfo(name)).bucket;
  assert.deepEqual([info.Name, info.StorageClass, info.AccessControlList.Grant], [name, "IA", "public-read"]);
  assert.equal(info.Location, "oss-cn-shanghai");
  assert.ok(info.Owner.ID && Date.parse(info.CreationDate));
  assert.equal((await store.getBucketLocation(name)).location, "oss-cn-shanghai");
  assert.equal((await store.getBucketACL(name)).acl, "public-read");
  await store.putBucketACL(name, "private");
  assert.equal((await store.getBucketACL(name)).acl, "private");
  store.useBucket(name);
  await store.put("a", Buffer.from("12345"));
  const { stat } = await store.getBucketStat(name);
  assert.deepEqual([stat.Storage, stat.ObjectCount, stat.MultipartUploadCount], ["5", "1", "0"]);
  await refused("BucketNotEmpty", 409, () => store.deleteBucket(name));
  await store.delete("a");
  await store.deleteBucket(name);
  await refused("NoSuchBucket", 404, () => store.getBucketInfo(name));
  await refused("NoSuchBucket", 404, () => store.deleteBucket(name));
  await refused("NoSuchBucket", 404, () => store.put("a", Buffer.from("x")));
  await refused("NoSuchBucket", 404, () => store.list({ "max-keys": 1 }));
});

checkForms("buckets are listed", async (store) => {
  const names = [0, 1, 2].map((n) => `ali-oss-list-${n}`);
  for (const name of names) await store.putBucket(name);
  const listed = [];
  let marker;
  do {
    const page = await store.listBuckets({ prefix: "ali-oss-list-", marker, "max-keys": 2 });
    listed.push(...page.buckets.map(({ name }) => name));
    assert.ok(page.owner.id);
    assert.ok(
      page.buckets.every(({ region, creationDate }) => region === "oss-cn-shanghai" && Date.parse(creationDate)),
    );
    marker = page.nextMarker;
  } while (marker);
  assert.deepEqual(listed, names);
  for (const name of names) await store.deleteBucket(name);
});

const KEYS = ["list/a b", "list/sub/1", "list/sub/2", "list/z+&", "list/测.mp4"];

async function listable(store) {
  for (const key of KEYS) await store.put(key, Buffer.from(key));
}

checkForms("objects are listed", async (store) => {
  await listable(store);
  const listed = [];
  // The usual loop: its first turn sends a marker that is undefined.
  let marker;
  do {
    const page = await store.list({ prefix: "list/", marker, "max-keys": 2 });
    listed.push(...page.objects);
    assert.equal(page.isTruncated, Boolean(page.nextMarker));
    marker = page.nextMarker;
  } while (marker);
  assert.deepEqual(
    listed.map(({ name }) => name),
    KEYS,
  );
  const [first] = listed;
  assert.deepEqual(
    [first.size, first.etag, first.type, first.storageClass],
    [8, `"${md5("list/a b")}"`, "Normal", "Standard"],
  );
  assert.ok(first.owner.id && Math.abs(Date.parse(first.lastModified) - Date.now()) < 900_000);
  for (const empty of [undefined, null, ""]) {
    const page = await store.list({ prefix: "list/", marker: empty, delimiter: empty, "max-keys": 10 });
    assert.equal(page.objects.length, KEYS.length);
  }
  const grouped = await store.list({ prefix: "list/", delimiter: "/", "max-keys": 10 });
  assert.deepEqual(
    grouped.objects.map(({ name }) => name),
    ["list/a b", "list/z+&", "list/测.mp4"],
  );
  assert.deepEqual(grouped.prefixes, ["list/sub/"]);
  assert.ok(!(await store.list({ prefix: "list/none", "max-keys": 10 })).objects?.length);
  await refused("InvalidArgument", 400, () => store.list({ "max-keys": 1001 }));
  await clear(store, "list/");
});

checkForms("objects are listed by version 2", async (store) => {
  await listable(store);
  const listed = [];
  let token;
  do {
    const page = await store.listV2({
      prefix: "list/",
      "continuation-token": token,
      "max-keys": 2,
      "fetch-owner": true,
    });
    listed.push(...page.objects);
    assert.equal(page.keyCount, page.objects.length);
    token = page.nextContinuationToken;
  } while (token);
  assert.deepEqual(
    listed.map(({ name }) => name),
    KEYS,
  );
  assert.ok(listed[0].owner.id);
  const after = await store.listV2({ prefix: "list/", "start-after": "list/sub/1", "max-keys": 10 });
  assert.deepEqual(
    after.objects.map(({ name }) => name),
    KEYS.slice(2),
  );
  assert.equal(after.objects[0].owner, null);
  const grouped = await store.listV2({ prefix: "list/", delimiter: "/", "max-keys": 10 });
  assert.deepEqual(grouped.prefixes, ["list/sub/"]);
  assert.equal(grouped.keyCount, 4);
  await clear(store, "list/");
});

checkForms("each object is listed as its one version", async (store) => {
  await listable(store);
  const listed = [];
  let keyMarker;
  do {
    const page = await store.getBucketVersions({ prefix: "list/", keyMarker, "max-keys": 2 });
    listed.push(...page.objects);
    keyMarker = page.nextKeyMarker;
  } while (keyMarker);
  assert.deepEqual(
    listed.map(({ name }) => name),
    KEYS,
  );
  assert.ok(listed.every(({ versionId, isLatest }) => versionId === "null" && isLatest));
  const { deleted } = await store.deleteMulti(listed.map(({ name, versionId }) => ({ key: name, versionId })));
  assert.equal(deleted.length, KEYS.length);
  assert.equal((await store.listChannels({ "max-keys": 10 })).channels.length, 0);
});

checkForms("CORS rules of a bucket", async (store) => {
  await refused("NoSuchCORSConfiguration", 404, () => store.getBucketCORS(bucket));
  await store.putBucketCORS(bucket, [
    {
      allowedOrigin: "https://*.example.com",
      allowedMethod: ["GET", "PUT"],
      allowedHeader: "*",
      exposeHeader: ["ETag", "x-oss-request-id"],
      maxAgeSeconds: "60",
    },
    { allowedOrigin: ["https://a.test", "https://b.test"], allowedMethod: "HEAD" },
  ]);
  const { rules } = await store.getBucketCORS(bucket);
  assert.deepEqual(rules[0], {
    allowedOrigin: "https://*.example.com",
    allowedMethod: ["GET", "PUT"],
    allowedHeader: "*",
    exposeHeader: ["ETag", "x-oss-request-id"],
    maxAgeSeconds: "60",
  });
  assert.deepEqual([rules[1].allowedOrigin, rules[1].allowedMethod], [["https://a.test", "https://b.test"], "HEAD"]);
  const asked = { origin: "https://app.example.com", "access-control-request-method": "PUT" };
  const preflight = await fetched(`${endpoint}/${bucket}/cors/a`, { method: "OPTIONS", headers: asked });
  assert.equal(preflight.status, 200);
  assert.equal(preflight.headers["access-control-allow-origin"], asked.origin);
  assert.match(preflight.headers["access-control-expose-headers"], /ETag/i);
  const stranger = { ...asked, origin: "https://example.org" };
  assert.equal((await fetched(`${endpoint}/${bucket}/cors/a`, { method: "OPTIONS", headers: stranger })).status, 403);
  const wrong = [{ allowedOrigin: "https://*.*.test", allowedMethod: "GET" }];
  await refused("InvalidArgument", 400, () => store.putBucketCORS(bucket, wrong));
  await store.deleteBucketCORS(bucket);
  await refused("NoSuchCORSConfiguration", 404, () => store.getBucketCORS(bucket));
});

checkForms("lifecycle rules of a bucket", async (store) => {
  await refused("NoSuchLifecycle", 404, () => store.getBucketLifecycle(bucket));
  await store.putBucketLifecycle(bucket, [
    { id: "old", prefix: "old/", status: "Enabled", expiration: { days: 365 } },
    {
      id: "frag",
      prefix: "frag/",
      status: "Disabled",
      expiration: { createdBeforeDate: "2020-01-01T00:00:00.000Z" },
      abortMultipartUpload: { days: 7 },
    },
    { id: "tag", prefix: "tag/", status: "Enabled", expiration: { days: 1 }, tag: [{ key: "k", value: "v" }] },
  ]);
  const { rules } = await store.getBucketLifecycle(bucket);
  assert.deepEqual(
    rules.map(({ id, prefix, status }) => [id, prefix, status]),
    [
      ["old", "old/", "Enabled"],
      ["frag", "frag/", "Disabled"],
      ["tag", "tag/", "Enabled"],
    ],
  );
  assert.equal(rules[0].expiration.days, "365");
  assert.equal(rules[1].expiration.createdBeforeDate, "2020-01-01T00:00:00.000Z");
  assert.equal(rules[1].abortMultipartUpload.days, "7");
  assert.deepEqual([rules[2].tag].flat(), [{ key: "k", value: "v" }]);
  const twice = [1, 2].map((days) => ({ id: "same", prefix: `p${days}/`, status: "Enabled", expiration: { days } }));
  await refused("InvalidArgument", 400, () => store.putBucketLifecycle(bucket, twice));
  await store.deleteBucketLifecycle(bucket);
  await refused("NoSuchLifecycle", 404, () => store.getBucketLifecycle(bucket));
});

check("what the server lacks of buckets it says", async () => {
  const store = client();
  const lacking = {
    getBucketWebsite: [],
    getBucketLogging: [],
    getBucketReferer: [],
    getBucketEncryption: [],
    getBucketVersioning: [],
    getBucketWorm: [],
    getBucketRequestPayment: [],
    putBucketTags: [{ a: "b" }],
    putBucketEncryption: [{ SSEAlgorithm: "AES256" }],
  };
  for (const [call, more] of Object.entries(lacking)) {
    const error = await store[call](bucket, ...more).then(
      () => ({ code: "success" }),
      (error) => error,
    );
    assert.deepEqual([call, error.code, error.status], [call, "NotImplemented", 400]);
  }
  // This one answers what came, whatever it was.
  const { status, data } = await store.putBucketVersioning(bucket, "Enabled");
  assert.equal(status, 400, data);
});
