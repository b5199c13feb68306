"""Durable UploadPart of 1 MiB parts over 8 connections, beside a loop of 8 threads that writes, syncs, renames and syncs the folder.

Same bytes, same file system, one after the other in every round. The loop hashes nothing and receives nothing; the server also shares
the processors with whoever sends.
"""

import os

from harness import median

CONNECTIONS = 8
TARGET = 0.8


def run(bench):
    parts = min(bench.megabytes, 1024)
    loops, hashing, servers, cpu = [], [], [], []
    for n in range(bench.rounds):
        for how, seconds in (("loop", loops), ("hashing", hashing)):
            folder = bench.place(f"{how}-{n}")
            seconds.append(float(bench.output(bench.binary("durable"), how, folder, str(parts), str(CONNECTIONS))))
            bench.empty(folder)
        # A server for each round, so that its files, too, are emptied before the next.
        with bench.server() as url:
            before = bench.serving_cpu()
            servers.append(float(bench.output(bench.binary("durable"), "server", url, "vod-media", str(parts), str(CONNECTIONS))))
            cpu.append(bench.serving_cpu() - before)
    print(f"{parts} parts of 1 MiB, {CONNECTIONS} at once, {bench.rounds} interleaved rounds")
    print(f"{'':22}{'parts/s, median':>16}{'slowest':>10}{'fastest':>10}")
    for name, seconds in (("floor: plain loop", loops), ("loop that hashes too", hashing), ("UploadPart", servers)):
        print(f"{name:22}{parts / median(seconds):16.0f}{parts / max(seconds):10.0f}{parts / min(seconds):10.0f}")
    print(f"the server took {median(cpu) / parts * 1024:.1f} CPU-s/GiB, {median(cpu) / median(servers):.1f} of {os.cpu_count()} processors")
    hashed = median(loops) / median(hashing)
    why = f"a loop that hashes its parts, and receives none, reaches {hashed:.2f} itself: this disk outruns what {os.cpu_count()} processors can hash"
    bench.target("durable parts per second, server ÷ plain loop", median(loops) / median(servers), TARGET, at_least=True, known=why if hashed < TARGET else None)
