"""An emulated line of 100 Mbit/s and 200 ms (see `src/bin/link.rs`): how much of it an upload fills after its first 10 seconds."""

import os
import shutil
import tempfile

from harness import MIB

SETTLE, SECONDS = 10, 40
RATE = 100
SEEDS = (1, 5)
LARGE = (2, 16)


def run(bench):
    path = bench.place("line.bin")
    with open(path, "wb") as f:
        f.truncate(SECONDS * RATE * MIB)
    rows = [
        ("floor: TCP, 16 connections", 100, ["plain", "16"]),
        ("vodferry, 5 × 1 MiB", 100, upload(bench, *SEEDS)),
        ("vodferry, its defaults", 100, ["upload", bench.binary("vodferry")]),
        ("vodferry, 16 × 2 MiB", 100, upload(bench, *LARGE)),
        ("floor: TCP, 16 connections", 10_000, ["plain", "16"]),
        ("vodferry, 5 × 1 MiB", 10_000, upload(bench, *SEEDS)),
        ("vodferry, its defaults", 10_000, ["upload", bench.binary("vodferry")]),
        ("vodferry, 16 × 2 MiB", 10_000, upload(bench, *LARGE)),
    ]
    print(f"{RATE} Mbit/s, 200 ms, seconds {SETTLE} to {SECONDS} of each upload to our server")
    print(f"{'':30}{'loss':>8}{'Mbit/s':>9}{'of the line':>13}")
    for name, loss, what in rows:
        folder = tempfile.mkdtemp(prefix="line-", dir=bench.folder)
        said = bench.output(bench.binary("link"), folder, path, str(SECONDS), str(SETTLE), str(loss), *what)
        shutil.rmtree(folder, ignore_errors=True)
        if said.startswith("skipped"):
            bench.skip("the line", said.removeprefix("skipped: "))
            break
        share = float(said) / RATE
        print(f"{name:30}{loss / 10_000:7.2f}%{float(said):9.1f}{share:13.2f}", flush=True)
        if (name, loss) == (rows[2][0], 100):
            chosen = share
    else:
        bench.target("share of the line, defaults, 0.01 % loss", chosen, 0.85, at_least=True)
    os.remove(path)


def upload(bench, part, parallel):
    return ["upload", bench.binary("vodferry"), "--part-size", str(part * MIB), "--parallel", str(parallel)]
