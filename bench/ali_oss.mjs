/** One file by ali-oss's multipartUpload. Usage: node ali_oss.mjs MODULES URL BUCKET KEY FILE PART_SIZE PARALLEL */

import { createRequire } from "node:module";

const [modules, endpoint, bucket, key, path, partSize, parallel] = process.argv.slice(2);
const OSS = createRequire(`${modules}/package.json`)("ali-oss");
const store = new OSS({
  accessKeyId: process.env.VODFERRY_ACCESS_KEY_ID,
  accessKeySecret: process.env.VODFERRY_ACCESS_KEY_SECRET,
  bucket,
  endpoint,
});
await store.multipartUpload(key, path, { partSize: Number(partSize), parallel: Number(parallel), timeout: 600_000 });
