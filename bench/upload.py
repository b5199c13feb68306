"""One cached file to a sink and to our server: client CPU, wall time and resident memory beside curl and oss2.

Every row runs in every round, one after the other (interleaved), and the table shows medians and ratios within this
run: absolute figures mean little on a shared machine. curl sends no digest at all: it is the floor, together with
`floor`, which only computes MD5 + CRC64 of as many bytes. oss2 checks CRC64 and sends no Content-MD5.

Usage: upload.py VODFERRY FLOOR SINK SERVER_URL KEYS_FILE FILE ROUNDS
"""

import os
import statistics
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "tests", "official"))
from keys import access_key  # noqa: E402

vodferry, floor, sink_url, server_url, keys_file, path = sys.argv[1:7]
rounds = int(sys.argv[7])
size = os.path.getsize(path)
GIB, MIB = 1 << 30, 1 << 20
PART, THREADS = MIB, 5

key_id, key_secret = access_key(keys_file)
env = dict(os.environ, VODFERRY_ACCESS_KEY_ID=key_id, VODFERRY_ACCESS_KEY_SECRET=key_secret)

OSS2 = f"""
import importlib, os, sys, tempfile, oss2
assert importlib.import_module("crcmod.crcmod")._usingExtension, "crcmod runs without its C extension: the comparison would be unfair"
endpoint, bucket, key, path = sys.argv[1:5]
b = oss2.Bucket(oss2.Auth(os.environ["VODFERRY_ACCESS_KEY_ID"], os.environ["VODFERRY_ACCESS_KEY_SECRET"]), endpoint, bucket)
oss2.resumable_upload(b, key, path, store=oss2.ResumableStore(root=tempfile.mkdtemp()), part_size={PART},
                      multipart_threshold={PART}, num_threads={THREADS})
"""


def ours(url, *flags):
    def command(n):
        return [vodferry, "upload", path, "--quiet", "--no-record", "--endpoint", url, "--bucket", "vod-media", "--key",
                f"bench/ours-{n}", "--part-size", str(PART), "--parallel", str(THREADS), *flags]
    return command


def oss2(url):
    return lambda n: [sys.executable, "-c", OSS2, url, "vod-media", f"bench/oss2-{n}", path]


rows = {
    "floor: MD5 + CRC64 of 1 GiB": lambda n: [floor],
    "curl -T, sink": lambda n: ["curl", "-sS", "-o", "/dev/null", "-T", path, f"{sink_url}/vod-media/bench/curl-{n}"],
    "vodferry, sink": ours(sink_url),
    "vodferry without MD5, sink": ours(sink_url, "--no-md5"),
    "oss2, sink": oss2(sink_url),
    "vodferry, server": ours(server_url),
    "oss2, server": oss2(server_url),
}


def measure(name, command):
    began = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    if status != 0:
        sys.exit(f"error: {name} ended with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024


results = {name: [] for name in rows}
for n in range(rounds):
    for name, make in rows.items():
        results[name].append(measure(name, make(n)))

scale = GIB / size
cpu = {name: statistics.median(r[0] for r in runs) * (1 if name.startswith("floor") else scale) for name, runs in results.items()}
curl = cpu["curl -T, sink"]
hashes = cpu["floor: MD5 + CRC64 of 1 GiB"]
allowed = curl + 1.5 * hashes
print("curl sends no digest at all, oss2 checks CRC64 and sends no Content-MD5, vodferry does both unless said otherwise")
print(f"{size / MIB:.0f} MiB, parts of {PART // MIB} MiB, {THREADS} at once, median of {rounds} interleaved rounds")
print(f"{'':32} {'CPU-s/GiB':>10} {'÷ curl':>8} {'÷ oss2':>8} {'wall s':>8} {'MiB resident':>13}")
for name, runs in results.items():
    peer = cpu["oss2, server" if name.endswith("server") else "oss2, sink"]
    wall = statistics.median(r[1] for r in runs)
    memory = max(r[2] for r in runs) / MIB
    print(f"{name:32} {cpu[name]:10.2f} {cpu[name] / curl:8.2f} {cpu[name] / peer:8.2f} {wall:8.2f} {memory:13.1f}")

memory = max(r[2] for name in rows if name.startswith("vodferry") for r in results[name]) / MIB
verdicts = [
    ("CPU, vodferry to the sink ÷ (curl + 1.5 × floor)", cpu["vodferry, sink"] / allowed, 1.0),
    ("resident memory, vodferry ÷ 96 MiB", memory / 96, 1.0),
]
failed = 0
for name, ratio, target in verdicts:
    ok = ratio <= target
    failed += not ok
    print(f"{'met   ' if ok else 'MISSED'} {name}: {ratio:.2f} (target ≤ {target:.2f})")
sys.exit(1 if failed else 0)
