"""Runs cargo-mutants over vodferry-engine, in a copy, and compares what no test catches with survivors.md.

Two passes, because a mutant costs what is built for it: first every mutant against the unit tests alone (one crate is built), then
those that they miss against the simulation. Run by scripts/mutants.sh. From the environment: SHARD=0/4 takes a quarter, SINCE=main~20
what changed since then, SEEDS=300 sets the worlds of the simulation, JOBS=2 the mutants at once.

Exit status 1: a survivor is not explained, or fewer than 90 % are caught.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from defects import ROOT, put

PLACE = ROOT / "target" / "mutants"
COPY = PLACE / "engine"
TOOLS = ROOT / "target" / "tools"
# Of the viable mutants.
LEAST_CAUGHT = 90


def main() -> int:
    tool = installed()
    began = time.monotonic()
    lay_out(["engine"])
    units = mutate(tool, "units", ["--lib"], some() + ["--timeout", "40"])
    missed = units["missed"]
    if missed:
        lay_out(["engine", "testkit"])
        chosen = [arg for name in missed for arg in ("-F", f"^{re.escape(name)}$")]
        missed = mutate(tool, "worlds", ["--tests"], chosen + ["--timeout", "120"])["missed"]
    viable = sum(len(units[kind]) for kind in ("caught", "missed", "timeout"))
    if viable == 0:
        print("engine: no mutant was tested")
        return 1
    rate = 100 * (viable - len(missed)) / viable
    print(f"engine: {viable - len(missed)} of {viable} mutants caught ({rate:.1f} %), {len(units['unviable'])} do not compile, "
          f"{time.monotonic() - began:.0f} s")
    explained = set(re.findall(r"^- `([^`]+)`: \S", (ROOT / "mutants" / "survivors.md").read_text(), flags=re.M))
    strangers = sorted({without_line(name) for name in missed} - explained)
    for name in strangers:
        print(f"  survived, not explained in mutants/survivors.md: {name}")
    if rate < LEAST_CAUGHT:
        print(f"  fewer than {LEAST_CAUGHT} % are caught")
    return 1 if strangers or rate < LEAST_CAUGHT else 0


def installed() -> str:
    found = shutil.which("cargo-mutants") or str(TOOLS / "bin" / "cargo-mutants")
    if not Path(found).exists():
        print("installing: cargo-mutants (into target/tools)", flush=True)
        build = TOOLS / "build-mutants"
        subprocess.run(["cargo", "install", "cargo-mutants", "--locked", "--debug", "--quiet", "--root", TOOLS, "--target-dir", build], check=True)
        shutil.rmtree(build, ignore_errors=True)
    return found


def lay_out(crates: list[str]) -> None:
    """A workspace of these crates alone; without the testkit the engine has its unit tests only."""
    shutil.rmtree(COPY / "crates", ignore_errors=True)
    alone = "testkit" not in crates
    for crate in crates:
        shutil.copytree(ROOT / "crates" / crate, COPY / "crates" / crate)
        if alone or crate == "testkit":
            shutil.rmtree(COPY / "crates" / crate / "tests", ignore_errors=True)
    manifest = (ROOT / "Cargo.toml").read_text()
    members = ", ".join(f'"crates/{crate}"' for crate in crates)
    manifest = re.sub(r"^members = .*$", f"members = [{members}]", manifest, flags=re.M)
    put(COPY / "Cargo.toml", re.sub(r"^exclude = .*\n", "", manifest, flags=re.M).encode())
    shutil.copyfile(ROOT / "Cargo.lock", COPY / "Cargo.lock")
    if alone:
        path = COPY / "crates/engine/Cargo.toml"
        path.write_text(re.sub(r"^vodferry-testkit.*\n", "", path.read_text(), flags=re.M))
    else:
        path = COPY / "crates/testkit/Cargo.toml"
        # Its own tests and examples need the network and the client; so does what they check, which stands behind features.
        text = re.sub(r"^# Programs[^\n]*\n\[dev-dependencies\]\n(?:[^\n]+\n)*", "", path.read_text(), flags=re.M)
        text = re.sub(r"^\[\[(?:test|example)\]\]\n(?:[^\n]+\n)*", "", text, flags=re.M)
        text = re.sub(r"^vodferry-oss = .*\n", "", text, flags=re.M)
        path.write_text(text.replace(', "dep:vodferry-oss"', ""))
        shutil.rmtree(COPY / "crates/testkit/examples", ignore_errors=True)


def some() -> list[str]:
    shard, since = os.environ.get("SHARD"), os.environ.get("SINCE")
    asked = ["--shard", shard] if shard else []
    if since:
        changes = PLACE / "since.diff"
        changes.write_bytes(subprocess.check_output(["git", "diff", since, "--", "crates/engine/src"], cwd=ROOT))
        asked += ["--in-diff", str(changes)]
    return asked


def mutate(tool: str, name: str, tests: list[str], options: list[str]) -> dict[str, list[str]]:
    """What became of each mutant. The unmutated tests run first, so that a test that fails anyway is no catch."""
    out = PLACE / name
    (PLACE / "tmp").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    environment = os.environ | {
        "SEEDS": os.environ.get("SEEDS", "300"),
        "PROPTEST_CASES": "32",
        # Not inside the tree that is copied.
        "TMPDIR": str(PLACE / "tmp"),
        "CARGO_PROFILE_DEV_OPT_LEVEL": "0" if name == "units" else "1",
        "CARGO_PROFILE_DEV_DEBUG": "false",
        "CARGO_INCREMENTAL": "1",
    }
    command = [tool, "mutants", "-d", COPY, "-p", "vodferry-engine", "-j", os.environ.get("JOBS", "2"), "--baseline", "run",
               "--config", ROOT / ".cargo" / "mutants.toml", "--colors", "never", "--no-times", "-o", out, *options, "--", *tests]
    done = subprocess.run(command, env=environment)
    # 2 and 3: some were missed, or took too long. Anything else is no result.
    if done.returncode not in (0, 2, 3):
        sys.exit(f"engine: cargo-mutants failed with status {done.returncode}")
    return {kind: (out / "mutants.out" / f"{kind}.txt").read_text().splitlines() for kind in ("caught", "missed", "timeout", "unviable")}


def without_line(name: str) -> str:
    """Code moves: a mutant is known by its file, function and change."""
    return re.sub(r"\.rs:\d+:\d+: ", ".rs: ", name)


if __name__ == "__main__":
    sys.exit(main())
