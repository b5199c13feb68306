"""Durable UploadPart of 1 MiB parts over 8 connections, beside a loop of 8 threads that writes, syncs, renames and syncs the folder.

Same bytes, same file system, one after the other in every round. The loop hashes nothing and receives nothing; the server also shares
the processors with whoever sends.
"""

import shutil

from harness import median

CONNECTIONS = 8


def run(bench):
    parts = min(bench.megabytes, 1024)
    loops, servers = [], []
    with bench.server() as url:
        for n in range(bench.rounds):
            folder = bench.place(f"loop-{n}")
            loops.append(float(bench.output(bench.binary("durable"), "loop", folder, str(parts), str(CONNECTIONS))))
            shutil.rmtree(folder)
            servers.append(float(bench.output(bench.binary("durable"), "server", url, "vod-media", str(parts), str(CONNECTIONS))))
    print(f"{parts} parts of 1 MiB, {CONNECTIONS} at once, {bench.rounds} interleaved rounds")
    print(f"{'':22}{'parts/s, median':>16}{'slowest':>10}{'fastest':>10}")
    for name, seconds in (("floor: plain loop", loops), ("UploadPart", servers)):
        print(f"{name:22}{parts / median(seconds):16.0f}{parts / max(seconds):10.0f}{parts / min(seconds):10.0f}")
    bench.target("durable parts per second, server ÷ plain loop", median(loops) / median(servers), 0.8, at_least=True)
