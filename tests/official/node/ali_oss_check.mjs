/**
 * ali-oss as a black box against our server: every call that it offers for what the server has, signed by V1 and V4, with
 * an IP as endpoint and with sldEnable, by keys and by tokens of its own STS client.
 *
 * Usage: OFFICIAL_NODE=FOLDER node ali_oss_check.mjs ENDPOINT BUCKET KEYS_FILE
 * FOLDER is where the SDK is installed. Prints a line per check and `N passed, N failed`.
 */

import { report } from "./harness.mjs";
import "./objects.mjs";
import "./buckets.mjs";
import "./uploads.mjs";
import "./signed.mjs";
import "./tokens.mjs";
import "./callbacks.mjs";

await report();
