"""One cached file to a sink and to our server, beside curl, oss2 and both official Go SDKs: CPU, wall, resident memory.

Every row runs in every round, one after the other. curl sends no digest: it and `floor`, which only computes MD5 + CRC64 of as many
bytes, are the floors. All others compute CRC64; vodferry alone sends Content-MD5, unless said otherwise. The sink tells no CRC64, so that nobody can compare it there.
"""

import os
import sys

from harness import BUCKET, GIB, MIB, REGION, median

PART, THREADS = MIB, 5

OSS2 = f"""
import importlib, os, sys, tempfile, oss2
assert importlib.import_module("crcmod.crcmod")._usingExtension, "crcmod runs without its C extension: the comparison would be unfair"
endpoint, bucket, key, path = sys.argv[1:5]
b = oss2.Bucket(oss2.Auth(os.environ["VODFERRY_ACCESS_KEY_ID"], os.environ["VODFERRY_ACCESS_KEY_SECRET"]), endpoint, bucket)
with tempfile.TemporaryDirectory() as records:
    oss2.resumable_upload(b, key, path, store=oss2.ResumableStore(root=records), part_size={PART},
                          multipart_threshold={PART}, num_threads={THREADS})
"""


def run(bench):
    path = bench.file()
    go = bench.uploaders if os.access(bench.uploaders, os.X_OK) else None
    if go is None:
        bench.skip("the Go SDKs", bench.uploaders)
    results = {}
    with bench.sink() as sink:
        for n in range(bench.rounds):
            # A server for each round: what they all store would fill small disks.
            with bench.server() as server:
                for row, command in rows(bench, path, go, sink, server):
                    results.setdefault(row, []).append(bench.run(row[0], command))
    report(bench, results)


def rows(bench, path, go, sink, server):
    """Name and place of each row, and its command."""
    yield ("floor: MD5 + CRC64", "-"), [bench.binary("floor"), str(bench.megabytes)]
    yield ("floor: CRC64", "-"), [bench.binary("floor"), str(bench.megabytes), "crc64"]
    yield ("floor: curl -T", "sink"), ["curl", "-sS", "-o", "/dev/null", "-T", path, f"{sink}/{BUCKET}/bench/curl"]
    for place, url in (("sink", sink), ("server", server)):
        yield ("vodferry", place), bench.upload(url, path, "bench/ours", part=PART, parallel=THREADS)
        yield ("vodferry without MD5", place), bench.upload(url, path, "bench/bare", "--no-md5", part=PART, parallel=THREADS)
        yield ("oss2", place), [sys.executable, "-c", OSS2, url, BUCKET, "bench/oss2", path]
        for sdk in ("v1", "v2") if go else ():
            yield (f"Go SDK {sdk}", place), [go, sdk, url, REGION, BUCKET, f"bench/go-{sdk}", path, str(PART), str(THREADS)]


def report(bench, results):
    scale = GIB / bench.size
    cpu = {row: median(r[0] for r in runs) * scale for row, runs in results.items()}
    curl, hashes, crc = cpu["floor: curl -T", "sink"], cpu["floor: MD5 + CRC64", "-"], cpu["floor: CRC64", "-"]
    peers = [name for name in ("oss2", "Go SDK v1", "Go SDK v2") if (name, "sink") in cpu]
    best = {place: min(cpu[name, place] for name in peers) for place in ("sink", "server")}
    print(f"{bench.megabytes} MiB, parts of {PART // MIB} MiB, {THREADS} at once, medians of {bench.rounds} interleaved rounds")
    print(f"{'':22}{'to':8}{'CPU-s/GiB':>10}{'÷ curl':>8}{'÷ best SDK':>12}{'wall s':>8}{'MiB resident':>14}")
    for (name, place), runs in results.items():
        row = name, place
        wall, memory = median(r[1] for r in runs), max(r[2] for r in runs) / MIB
        beside = f"{cpu[row] / best[place]:12.2f}" if place in best else f"{'':12}"
        print(f"{name:22}{place:8}{cpu[row]:10.2f}{cpu[row] / curl:8.2f}{beside}{wall:8.2f}{memory:14.1f}")
    bench.target("CPU to the sink, vodferry ÷ (curl + hash floor)", cpu["vodferry", "sink"] / (curl + hashes), 1.3)
    for place in ("sink", "server"):
        for name, digests in (("vodferry without MD5", crc), ("vodferry", hashes)):
            floor = (curl + digests) / best[place]
            why = f"moving the bytes (curl, one connection) and hashing them alone cost {floor:.2f} of the best SDK"
            bench.target(f"CPU to the {place}, {name} ÷ best SDK", cpu[name, place] / best[place], 0.5, known=why if floor > 0.5 else None)
