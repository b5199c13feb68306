"""What keeping a checkpoint costs in wall time: the same upload to the sink with and without a record directory, in turns.

The sink is the harshest place for it: nothing else waits for a disk. Pairs run one after the other, and the median of their ratios is
compared; the fastest of each stand beside.
"""

from harness import MIB, median


def run(bench):
    path, records = bench.file(), bench.place("records")
    walls = {"without": [], "with": []}
    with bench.sink() as sink:
        for n in range(4 * bench.rounds):
            pair = [("without", None), ("with", records)]
            # Whoever comes second finds the machine as the first one left it.
            for name, record in pair if n % 2 else pair[::-1]:
                command = bench.upload(sink, path, f"bench/checkpoint-{n}", part=MIB, parallel=5, record=record)
                walls[name].append(bench.run("vodferry", command)[1])
    print(f"{bench.megabytes} MiB in parts of 1 MiB, {len(walls['with'])} rounds in turns")
    print(f"{'':22}{'wall s, fastest':>16}{'median':>8}")
    for name, runs in walls.items():
        print(f"{name + ' a checkpoint':22}{min(runs):16.3f}{median(runs):8.3f}")
    pairs = [kept / free for kept, free in zip(walls["with"], walls["without"])]
    bench.target("wall, with ÷ without a checkpoint", median(pairs), 1.02)
