"""Runs the sections of the benchmark and ends with 3 when all of them ran and a target was missed.

Usage: run.py BINARIES GO_UPLOADERS SECTION… (GO_UPLOADERS: the program, or why there is none)
"""

import sys
import time

import checkpoint
import link
import memory
import objects
import server
import small
import upload
from harness import Bench

SECTIONS = {"upload": upload, "server": server, "objects": objects, "memory": memory, "checkpoint": checkpoint, "small": small, "link": link}


def main():
    binaries, uploaders, *wanted = sys.argv[1:]
    for name in wanted:
        if name not in SECTIONS:
            sys.exit(f"error: no section is called {name}; there are {', '.join(SECTIONS)}")
    bench = Bench(binaries, uploaders)
    try:
        for name in wanted or SECTIONS:
            began = time.monotonic()
            print(f"\n== {name}", flush=True)
            SECTIONS[name].run(bench)
            print(f"({time.monotonic() - began:.0f} s)", flush=True)
    finally:
        bench.close()
    print(f"\ntargets: {bench.met} met, {len(bench.missed)} missed, {bench.known} missed as explained; "
          f"skipped: {len(bench.skipped)}" + "".join(f"\n  {what}" for what in bench.skipped))
    sys.exit(3 if bench.missed else 0)


main()
