"""What the sections share: where things are, processes measured, servers, tables, verdicts."""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "tests", "official"))
from keys import access_key  # noqa: E402

GIB, MIB = 1 << 30, 1 << 20
BUCKET = "vod-media"
REGION = "cn-shanghai"

median = statistics.median


class Bench:
    """Programs, sizes, a folder for everything, and what came out."""

    def __init__(self, binaries, uploaders):
        self.binaries = binaries
        self.uploaders = uploaders
        self.megabytes = int(os.environ.get("SIZE_MB", "1024"))
        self.rounds = int(os.environ.get("ROUNDS", "5"))
        # Beside the build, which is on a disk; a folder for temporary files may be memory, where a sync costs nothing.
        self.folder = tempfile.mkdtemp(prefix="bench-", dir=os.path.dirname(binaries))
        self.env = dict(os.environ, VODFERRY_ACCESS_KEY_ID="bench", VODFERRY_ACCESS_KEY_SECRET="bench")
        for name in [name for name in self.env if name.startswith("VODFERRY_") and "ACCESS_KEY" not in name]:
            del self.env[name]
        self.missed, self.met, self.known, self.skipped = [], 0, 0, []
        self.serving = None
        self._file = None

    def binary(self, name):
        return os.path.join(self.binaries, name)

    def place(self, name):
        return os.path.join(self.folder, name)

    def file(self):
        """A file of SIZE_MB random MiB, in the page cache."""
        if self._file is None:
            self._file = self.place("file.bin")
            with open(self._file, "wb") as f:
                for _ in range(self.megabytes):
                    f.write(os.urandom(MIB))
        return self._file

    @property
    def size(self):
        return self.megabytes * MIB

    def upload(self, url, path, key, *flags, part, parallel, record=None):
        """Our command line."""
        record = ["--record-dir", record] if record else ["--no-record"]
        return [self.binary("vodferry"), "upload", path, "--quiet", *record, "--endpoint", url, "--bucket", BUCKET,
                "--key", key, "--part-size", str(part), "--parallel", str(parallel), *flags]

    def run(self, name, command):
        """CPU seconds, wall seconds and peak resident bytes of a process, its children included."""
        began = time.monotonic()
        child = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        if status != 0:
            sys.exit(f"error: {name} ended with status {os.waitstatus_to_exitcode(status)}")
        return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024

    def serving_cpu(self):
        """CPU seconds that the sink or server started last has used so far; nothing where the system does not tell."""
        try:
            with open(f"/proc/{self.serving}/stat") as f:
                user, system = f.read().rsplit(")", 1)[1].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0.0

    def output(self, *command):
        """What a program prints, one line."""
        done = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"error: {os.path.basename(command[0])} ended with status {done.returncode}")
        return done.stdout.strip()

    def empty(self, folder):
        """Gives its space back and keeps its files until the end: ext4 without a journal passes by inodes that were deleted in the last
        minutes, one by one, and whoever makes files next would pay for that."""
        for where, _, names in os.walk(folder):
            for name in names:
                os.truncate(os.path.join(where, name), 0)

    @contextlib.contextmanager
    def sink(self):
        """A store that keeps nothing, for as long as it is needed; its URL."""
        with self._running([self.binary("sink")]) as url:
            yield url

    @contextlib.contextmanager
    def server(self, durable=True):
        """Our server with a fresh data folder, for as long as it is needed; its URL. Its keys go to the programs."""
        data = tempfile.mkdtemp(prefix="data-", dir=self.folder)
        config = os.path.join(data, "config.toml")
        with open(config, "w") as f:
            f.write(f"[serve]\ndurable = {str(durable).lower()}\n")
        try:
            with self._running([self.binary("vodferry"), "serve", "--config", config, "--listen", "127.0.0.1:0", "--data", data]) as url:
                key = access_key(os.path.join(data, "keys.toml"))
                self.env["VODFERRY_ACCESS_KEY_ID"], self.env["VODFERRY_ACCESS_KEY_SECRET"] = key
                yield url
        finally:
            self.empty(data)

    @contextlib.contextmanager
    def _running(self, command):
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.serving = child.pid
        try:
            said = child.stdout.readline().strip()
            if not said.startswith("listening on "):
                sys.exit(f"error: {os.path.basename(command[0])} did not come up")
            yield said[len("listening on "):]
        finally:
            child.terminate()
            child.wait()

    def target(self, name, value, limit, at_least=False, known=None):
        """Prints whether a figure is where it should be. `known`: why a target is out of reach; missing it is no failure then."""
        ok = value >= limit if at_least else value <= limit
        sign = "≥" if at_least else "≤"
        word = "met" if ok else "missed" if known else "MISSED"
        print(f"{word:7}{name}: {value:.2f} (target {sign} {limit:.2f})" + (f": {known}" if known and not ok else ""))
        if ok:
            self.met += 1
        elif known:
            self.known += 1
        else:
            self.missed.append(name)

    def skip(self, what, why):
        print(f"skipped {what}: {why}")
        self.skipped.append(what)
        # Counted by scripts/suites.sh.
        if listed := os.environ.get("VODFERRY_SKIPPED"):
            with open(listed, "a") as lines:
                lines.write(f"skipped: {what}: {why}\n")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
