"""Peak resident memory of the client with 16 parts in flight, small and large (VmHWM, as wait4 tells it)."""

from harness import MIB, median

PARALLEL = 16
BUDGET = 64


def run(bench):
    path = bench.place("zeros.bin")
    with open(path, "wb") as f:
        f.truncate(max(bench.megabytes, 512) * MIB)
    peaks = {}
    with bench.sink() as sink:
        for _ in range(min(bench.rounds, 3)):
            for part in (1, 4, 16):
                for flags in ((), ("--no-md5",)):
                    command = bench.upload(sink, path, "bench/memory", *flags, part=part * MIB, parallel=PARALLEL)
                    peaks.setdefault((part, flags), []).append(bench.run("vodferry", command)[2] / MIB)
    print(f"{'':34}{'MiB, highest':>13}{'median':>8}")
    for (part, flags), runs in peaks.items():
        name = f"{PARALLEL} × {part} MiB{' without MD5' if flags else ''}"
        print(f"{name:34}{max(runs):13.1f}{median(runs):8.1f}")
    for part in (1, 16):
        bench.target(f"MiB resident, {PARALLEL} × {part} MiB in flight", max(max(r) for (p, _), r in peaks.items() if p == part), 64)
    bench.target(f"MiB resident, any of them, beside max_buffered ({BUDGET}) + 32", max(max(r) for r in peaks.values()), BUDGET + 32)
