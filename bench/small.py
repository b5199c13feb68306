"""Many small files: ours through one uploader, sixteen at once, beside oss2's loop of put_object, which sends one after the other.

To our server every file is durable when it is acknowledged, so that a loop waits for the disk as often as there are files; the sink keeps
nothing, and shows the clients alone.
"""

import os
import shutil
import sys

from harness import BUCKET, MIB, median

FILES, SIZE, AT_ONCE = 10_000, 4096, 16

OSS2 = """
import os, sys, oss2
endpoint, bucket, folder = sys.argv[1:4]
b = oss2.Bucket(oss2.Auth(os.environ["VODFERRY_ACCESS_KEY_ID"], os.environ["VODFERRY_ACCESS_KEY_SECRET"]), endpoint, bucket)
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name), "rb") as f:
        b.put_object("oss2/" + name, f.read())
"""


def run(bench):
    folder = bench.place("small")
    os.mkdir(folder)
    for n in range(FILES):
        with open(os.path.join(folder, f"{n:05}.bin"), "wb") as f:
            f.write(os.urandom(SIZE))
    results = {}
    for _ in range(min(bench.rounds, 3)):
        with bench.sink() as sink, bench.server() as server:
            for place, url in (("sink", sink), ("server", server)):
                ours = [bench.binary("small"), url, BUCKET, folder, str(AT_ONCE)]
                loop = [sys.executable, "-c", OSS2, url, BUCKET, folder]
                for name, command in (("vodferry", ours), ("oss2, a loop", loop)):
                    results.setdefault((name, place), []).append(bench.run(name, command))
    shutil.rmtree(folder)
    print(f"{FILES} files of {SIZE} bytes, ours {AT_ONCE} at once, medians of {min(bench.rounds, 3)} rounds")
    print(f"{'':18}{'to':8}{'files/s':>9}{'CPU s':>8}{'MiB resident':>14}")
    rate = {}
    for (name, place), runs in results.items():
        rate[name, place] = FILES / median(r[1] for r in runs)
        cpu, memory = median(r[0] for r in runs), max(r[2] for r in runs) / MIB
        print(f"{name:18}{place:8}{rate[name, place]:9.0f}{cpu:8.2f}{memory:14.1f}")
    bench.target("files per second to the server, vodferry ÷ oss2's loop", rate["vodferry", "server"] / rate["oss2, a loop", "server"], 5, at_least=True)
    bench.target(f"MiB resident, {FILES} files in one list", max(max(r[2] for r in runs) for (name, _), runs in results.items() if name == "vodferry") / MIB, 200)
