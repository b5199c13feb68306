"""Applies each defect of list.toml to a copy of the crates and demands that its test fails by an assertion.

Run by scripts/mutants.sh. Exit status: 0 when each test passes without a defect and fails with its own, else 1.
ONLY=text restricts it to the defects whose words hold the text. A defect that names a `rule` must break that promise in the simulation as
well, which shows that the promise is one.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "target" / "mutants"
COPY = PLACE / "defects"
# What the crates under test are built of; the rest of the workspace is not needed.
CRATES = ["client", "engine", "exchange", "lanes", "oss", "testkit", "vod"]
# A test that hangs on a defect is not an assertion.
PATIENCE_S = 300
SIMULATION = ("engine", "simulation", "every_promise_holds_in_every_world")
# Fewer than what the simulation wants to have seen everything in.
WORLDS = 1_900


def main() -> int:
    defects = tomllib.loads((ROOT / "mutants" / "list.toml").read_text())["defect"]
    only = os.environ.get("ONLY", "")
    defects = [defect for defect in defects if only in defect["what"]]
    lay_out()
    began = time.monotonic()
    tests = {test_of(defect) for defect in defects} | {SIMULATION for defect in defects if "rule" in defect}
    bad = sum(not passes(*test) for test in sorted(tests))
    if bad:
        print(f"defects: {bad} of the named tests do not pass without a defect")
        return 1
    survived = [defect["what"] for defect in defects if not is_caught(defect)]
    seconds = time.monotonic() - began
    print(f"defects: {len(defects) - len(survived)} of {len(defects)} caught in {seconds:.0f} s")
    for what in survived:
        print(f"  not caught: {what}")
    return 1 if survived or not defects else 0


def lay_out() -> None:
    """Copies what is needed; files that are alike stay, so that their builds stay too."""
    COPY.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *(f"crates/{name}" for name in CRATES)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    files = {Path(name) for name in listed if name and (ROOT / name).is_file()}
    for old in [path for path in COPY.glob("crates/**/*") if path.is_file()]:
        if old.relative_to(COPY) not in files:
            old.unlink()
    for name in files:
        put(COPY / name, (ROOT / name).read_bytes())
    manifest = (ROOT / "Cargo.toml").read_text()
    manifest = re.sub(r"^members = .*$", 'members = ["crates/client", "crates/engine", "crates/exchange", "crates/oss", "crates/vod"]', manifest, flags=re.M)
    manifest = re.sub(r"^exclude = .*\n", "", manifest, flags=re.M)
    put(COPY / "Cargo.toml", manifest.encode())
    # The testkit's own tests need the client, which is not copied.
    testkit = COPY / "crates/testkit/Cargo.toml"
    put(testkit, re.sub(r"^# Programs[^\n]*\n\[dev-dependencies\]\n(?:[^\n]+\n)*", "", testkit.read_text(), flags=re.M).encode())
    # Of the client those tests are run that need no server.
    client = COPY / "crates/client/Cargo.toml"
    put(client, re.sub(r"^vodferry-server[^\n]*\n", "", client.read_text(), flags=re.M).encode())
    shutil.copyfile(ROOT / "Cargo.lock", COPY / "Cargo.lock")


def put(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_of(defect: dict) -> tuple[str, str, str]:
    target, name = defect["test"].split(" ", 1)
    return defect.get("crate", defect["file"].split("/")[1]), target, name


def passes(crate: str, target: str, name: str) -> bool:
    binary, text = build(crate, target)
    if binary is None:
        print(f"  does not compile: {crate} {target}\n{text}")
        return False
    status, text = run(crate, binary, name)
    if status != 0 or "1 passed" not in text:
        print(f"  does not pass without a defect: {crate} {target} {name}\n{text}")
        return False
    return True


def is_caught(defect: dict) -> bool:
    path = COPY / defect["file"]
    original = path.read_text()
    crate, target, name = test_of(defect)
    began = time.monotonic()
    verdict, text = "", ""
    if original.count(defect["find"]) != 1:
        verdict = f"no longer applies: `find` stands {original.count(defect['find'])} times in {defect['file']}"
    else:
        path.write_text(original.replace(defect["find"], defect["replace"]))
        try:
            binary, text = build(crate, target)
            if binary is None:
                verdict = "does not compile"
            else:
                status, text = run(crate, binary, name)
                failed = status == 101 and "1 failed" in text and "panicked at" in text
                verdict = "" if failed else f"SURVIVED {name}" if status == 0 else f"no assertion failed (status {status})"
            if not verdict and "rule" in defect:
                verdict, text = breaks(defect["rule"])
        finally:
            path.write_text(original)
    print(f"  {time.monotonic() - began:5.1f} s  {'caught' if not verdict else verdict}: {defect['what']}", flush=True)
    if verdict and "SURVIVED" not in verdict and text:
        print("\n".join(text.splitlines()[-20:]))
    return not verdict


def breaks(rule: str) -> tuple[str, str]:
    crate, target, name = SIMULATION
    binary, text = build(crate, target)
    if binary is None:
        return "does not compile", text
    status, text = run(crate, binary, name)
    if status == 0:
        return f"SURVIVED the simulation, {rule!r} too", text
    broken = re.findall(r"^broken in \d+ worlds: (.*)$", text, flags=re.M)
    return ("" if rule in broken else f"{rule!r} holds in the simulation, and does not: {broken}"), ""


def build(crate: str, target: str) -> tuple[Path | None, str]:
    """The test binary of one target; None when it does not compile."""
    what = ["--lib"] if target == "lib" else ["--test", target]
    package = "vodferry" if crate == "client" else f"vodferry-{crate}"
    done = subprocess.run(
        ["cargo", "test", "-q", "--no-run", "--message-format=json-render-diagnostics", "-p", package, *what],
        cwd=COPY, capture_output=True, text=True, env=environment(),
    )
    if done.returncode != 0:
        return None, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = [message["executable"] for message in messages if message.get("executable") and message["profile"]["test"]]
    return (Path(found[-1]), "") if found else (None, "cargo named no test binary")


def run(crate: str, binary: Path, name: str) -> tuple[int, str]:
    try:
        done = subprocess.run(
            [binary, "--exact", name], cwd=COPY / "crates" / crate, capture_output=True, text=True, errors="replace",
            timeout=PATIENCE_S, env=environment(),
        )
        return done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        return -1, f"no end after {PATIENCE_S} s"


def environment() -> dict[str, str]:
    """Cheap builds: what is compiled here runs for a moment."""
    return os.environ | {
        "CARGO_TARGET_DIR": str(PLACE / "target"),
        "CARGO_PROFILE_DEV_OPT_LEVEL": "0",
        "CARGO_PROFILE_DEV_DEBUG": "false",
        "CARGO_INCREMENTAL": "1",
        "SEEDS": str(WORLDS),
        "RUSTFLAGS": os.environ.get("RUSTFLAGS", "") + " --cap-lints=warn",
    }


if __name__ == "__main__":
    sys.exit(main())
