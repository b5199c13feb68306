/** What the checks of ali-oss share: its clients, the list of checks, and how a refusal must look. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import dns from "node:dns";
import { readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";

// The SDK stands where official.sh installed it, not beside this file.
export const OSS = createRequire(`${process.env.OFFICIAL_NODE}/package.json`)("ali-oss");

// The server listens on IPv4, and `localhost` may be ::1 first.
dns.setDefaultResultOrder("ipv4first");

export const [endpoint, bucket, keysFile] = process.argv.slice(2);
export const { hostname, port } = new URL(endpoint);
/** The region that the server tells when it was not told another. */
export const region = "oss-cn-shanghai";
export const [accessKeyId, accessKeySecret] = accessKey(keysFile);

/** The first access key of a keys.toml, without a TOML library. */
function accessKey(path) {
  const section = readFileSync(path, "utf8").split("[[access_key]]")[1].split("[[")[0];
  return ["id", "secret"].map((name) => section.match(new RegExp(`^${name} = "(.*)"$`, "m"))[1]);
}

/**
 * How a client signs and addresses. With an IP as endpoint ali-oss connects to it, leaves the bucket out of the path and
 * says `Host: BUCKET.REGION.aliyuncs.com`; with `sldEnable` the bucket is in the path.
 */
export const FORMS = [
  { name: "V1, IP and Host", v4: false, sld: false },
  { name: "V1, sldEnable", v4: false, sld: true },
  { name: "V4, IP and Host", v4: true, sld: false },
  { name: "V4, sldEnable", v4: true, sld: true },
];

export function client({ v4 = true, sld = false, ...more } = {}) {
  const addressed = sld ? { endpoint: `http://localhost:${port}`, sldEnable: true } : { endpoint };
  return new OSS({ accessKeyId, accessKeySecret, region, bucket, authorizationV4: v4, ...addressed, ...more });
}

const checks = [];

/** A check that runs once. */
export function check(name, run) {
  checks.push({ name, run });
}

/** A check that runs with a client of each form. */
export function checkForms(name, run) {
  for (const form of FORMS) {
    checks.push({ name: `${name} (${form.name})`, run: () => run(client(form), form) });
  }
}

/** Runs all of them; a check that fails is told, and the others still run. */
export async function report() {
  let failed = 0;
  for (const { name, run } of checks) {
    try {
      await run();
      console.log(`ali-oss … ok ${name}`);
    } catch (error) {
      failed += 1;
      const where = error.stack?.split("\n").find((line) => line.includes("tests/official")) ?? "";
      console.log(`ali-oss … FAILED ${name}: ${error.name}: ${error.message} ${where.trim()}`);
    }
  }
  console.log(`ali-oss: ${checks.length - failed} passed, ${failed} failed`);
  // Not when the last idle connection ends.
  process.exit(failed ? 1 : 0);
}

/** The call fails with this code, status and a request id; gives the error. */
export async function refused(code, status, call) {
  const error = await call().then(
    () => assert.fail(`${code} was not answered`),
    (error) => error,
  );
  assert.equal(error.code, code, `${error.code} ${error.message}`);
  assert.equal(error.status, status);
  assert.match(error.requestId ?? "", /^[0-9A-F]{24}$/);
  return error;
}

/**
 * Sends a request that no SDK makes: to the server, with the Host that the URL names. Gives status, headers and text.
 */
export async function fetched(url, { method = "GET", headers = {}, body } = {}) {
  const { host, pathname, search } = new URL(url);
  const options = { host: hostname, port, method, path: pathname + search, headers: { host, ...headers } };
  return new Promise((resolve, reject) => {
    const request = http.request(options, (reply) => {
      const read = [];
      reply.on("data", (bytes) => read.push(bytes));
      reply.on("error", reject);
      reply.on("end", () => {
        resolve({ status: reply.statusCode, headers: reply.headers, text: Buffer.concat(read).toString() });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Leaves nothing under the prefix: objects and uploads. */
export async function clear(store, prefix) {
  for (;;) {
    const { objects } = await store.listV2({ prefix, "max-keys": 1000 });
    if (!objects?.length) break;
    await store.deleteMulti(
      objects.map(({ name }) => name),
      { quiet: true },
    );
  }
  const { uploads } = await store.listUploads({ prefix, "max-uploads": 1000 });
  for (const { name, uploadId } of uploads) await store.abortMultipartUpload(name, uploadId);
}

/** Bytes that repeat nowhere, the same for the same seed. */
export function noise(length, seed) {
  const blocks = [];
  let block = Buffer.from(`seed ${seed}`);
  for (let made = 0; made < length; made += block.length) {
    block = createHash("sha512").update(block).digest();
    blocks.push(block);
  }
  return Buffer.concat(blocks).subarray(0, length);
}

export function md5(data) {
  return createHash("md5").update(data).digest("hex").toUpperCase();
}
