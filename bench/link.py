"""Emulated lines of 200 ms (see `src/bin/link.rs`): how much of each an upload fills after its first 10 seconds."""

import os
import shutil
import sys
import tempfile

from harness import BUCKET, MIB, median
from upload import OSS2

SETTLE, SECONDS = 10, 40
# In turns, where a target is judged: `LINK_ROUNDS`.
ROUNDS = int(os.environ.get("LINK_ROUNDS", "3"))
HERE = os.path.dirname(os.path.abspath(__file__))
# Mbit/s, packets of a million lost, whether the defaults have a target here.
LINES = ((100, 100, True), (100, 10_000, False), (1_000, 10, True))
TARGET, GAIN = 0.85, 2.0


def run(bench):
    print(f"200 ms; payload that reached our server in seconds {SETTLE} to {SECONDS}")
    print(f"{'':30}{'line':>8}{'loss':>8}{'Mbit/s':>9}{'of the line':>13}   from, to")
    for rate, loss, counts in LINES:
        path = bench.place("line.bin")
        with open(path, "wb") as f:
            # More than the line can carry in the time; holes cost nothing.
            f.truncate(SECONDS * rate * MIB // 6)
        seen = {}
        for _ in range(ROUNDS if counts else 1):
            for name, what in rows(bench, path):
                folder = tempfile.mkdtemp(prefix="line-", dir=bench.folder)
                said = bench.output(bench.binary("link"), folder, str(SECONDS), str(SETTLE), str(rate), str(loss), *what)
                shutil.rmtree(folder, ignore_errors=True)
                if said.startswith("skipped"):
                    bench.skip("the line", said.removeprefix("skipped: "))
                    return
                seen.setdefault(name, []).append(float(said))
        os.remove(path)
        share = {name: median(runs) / rate for name, runs in seen.items()}
        for name, runs in seen.items():
            print(f"{name:30}{rate:8}{loss / 10_000:7.3f}%{median(runs):9.1f}{share[name]:13.2f}   {min(runs):.0f} to {max(runs):.0f}", flush=True)
        if counts:
            verdicts(bench, rate, share)


def rows(bench, path):
    """Name of each row and what runs over the line."""
    yield "floor: TCP, 16 connections", ["plain", "16"]
    yield "vodferry, 5 × 1 MiB", ours(bench, path, "--part-size", str(MIB), "--parallel", "5")
    yield "vodferry, its defaults", ours(bench, path)
    yield "vodferry, 16 × 2 MiB", ours(bench, path, "--part-size", str(2 * MIB), "--parallel", "16")
    yield "oss2, 5 × 1 MiB", with_keys(bench, sys.executable, "-c", OSS2, "{url}", BUCKET, "bench/oss2", path)
    modules = os.path.abspath(os.path.join(os.path.dirname(bench.binaries), "official-node"))
    if shutil.which("node") and os.path.isdir(os.path.join(modules, "node_modules")):
        script = os.path.join(HERE, "ali_oss.mjs")
        yield "ali-oss, 5 × 1 MiB", with_keys(bench, "node", script, modules, "{url}", BUCKET, "bench/ali-oss", path, str(MIB), "5")
    else:
        bench.skip("ali-oss on the line", "it is not installed (make official installs it)")


def ours(bench, path, *flags):
    binary = bench.binary("vodferry")
    return ["upload", binary, binary, "upload", path, "--quiet", "--no-record", "--endpoint", "{url}", "--bucket", BUCKET,
            "--key", "bench/link", "--keys-file", "{keys}", *flags]


def with_keys(bench, *command):
    return ["upload", bench.binary("vodferry"), sys.executable, os.path.join(HERE, "with_keys.py"), "{keys}", *command]


def verdicts(bench, rate, share):
    floor, chosen = share["floor: TCP, 16 connections"], share["vodferry, its defaults"]
    narrow = f"TCP alone fills {floor:.2f} of it here: two ends, the emulator and both programs share the processors"
    known = narrow if floor < TARGET / 0.95 else None
    bench.target(f"share of the line of {rate} Mbit/s, defaults", chosen, TARGET, at_least=True, known=known)
    if rate >= 1_000:
        gain = chosen / share["vodferry, 5 × 1 MiB"]
        bench.target(f"line of {rate} Mbit/s, defaults ÷ 5 × 1 MiB", gain, GAIN, at_least=True)
