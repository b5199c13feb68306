"""What the server makes of many requests, beside nginx where that does the same, and beside a plain loop where it must be durable."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

from harness import BUCKET, MIB, median

CONNECTIONS = 8
SMALL, SMALL_COUNT = 4 << 10, 2_000
MANY = 10_000


def run(bench):
    small(bench)
    complete(bench)
    nginx = shutil.which("nginx") or os.environ.get("NGINX_PROGRAM")
    if not nginx:
        bench.skip("objects beside nginx", "nginx could not be had (Debian: nginx)")
        return
    with dav(bench, nginx) as (url, folder):
        put(bench, url, folder)
        get(bench, url, folder)


def small(bench):
    """PutObject of 4 KiB beside the loop that writes, syncs, renames and syncs the folder."""
    loops, servers = [], []
    with bench.server() as url:
        for n in range(bench.rounds):
            folder = bench.place(f"small-{n}")
            loops.append(seconds(bench, "durable", "loop", folder, SMALL_COUNT, CONNECTIONS, SMALL))
            bench.empty(folder)
            servers.append(seconds(bench, "objects", "put", url, BUCKET, SMALL_COUNT, CONNECTIONS, SMALL))
    table(f"objects of 4 KiB, {CONNECTIONS} at once, durable", SMALL_COUNT, {"floor: plain loop": loops, "PutObject": servers})
    bench.target("4 KiB PutObject per second, server ÷ plain loop", median(loops) / median(servers), 0.8, at_least=True)


def complete(bench):
    """Complete of 10,000 parts beside that of one part, which is little more than an empty durable transaction."""
    one, many = [], []
    for _ in range(bench.rounds):
        with bench.server() as url:
            one.append(seconds(bench, "objects", "complete", url, BUCKET, 1))
            many.append(seconds(bench, "objects", "complete", url, BUCKET, MANY))
    more = (median(many) - median(one)) * 1000
    print(f"Complete of {MANY} parts: {median(many) * 1000:.0f} ms; of one: {median(one) * 1000:.1f} ms; both durable")
    bench.target("Complete of 10,000 parts, ms more than of one", more, 300)


def put(bench, nginx, folder):
    """UploadPart of 1 MiB, not durable, beside nginx's DAV PUT, which is not durable either. What one wrote is emptied before the other
    begins: memory that was free a moment ago is cheaper than memory that nobody has touched yet."""
    count = min(bench.megabytes, 1024)
    ours, theirs = [], []
    for _ in range(bench.rounds):
        with bench.server(durable=False) as url:
            theirs.append(seconds(bench, "objects", "dav", nginx, count, CONNECTIONS, MIB))
            bench.empty(folder)
            ours.append(seconds(bench, "objects", "parts", url, BUCKET, count, CONNECTIONS, MIB))
    table(f"bodies of 1 MiB, {CONNECTIONS} at once, not durable", count, {"nginx, DAV PUT": theirs, "UploadPart": ours})
    bench.target("UploadPart, not durable, ÷ nginx's DAV PUT", median(theirs) / median(ours), 0.5, at_least=True)


def get(bench, nginx, folder):
    """GET of one large object by curl, from the page cache."""
    path, ours, theirs = bench.file(), [], []
    shutil.copy(path, os.path.join(folder, "large"))
    with bench.server() as url:
        bench.run("the upload", bench.upload(url, path, "bench/large", part=8 * MIB, parallel=4))
        presigned = bench.output(bench.binary("vodferry"), "url", f"{BUCKET}/bench/large", "--endpoint", url)
        for _ in range(bench.rounds):
            for place, walls in ((f"{nginx}/large", theirs), (presigned, ours)):
                walls.append(bench.run("curl", ["curl", "-sSf", "-o", "/dev/null", place])[1])
    table("one object, downloaded by curl, MiB/s", bench.megabytes, {"nginx": theirs, "GetObject": ours})
    bench.target("GET, server ÷ nginx", median(theirs) / median(ours), 0.6, at_least=True)


def seconds(bench, program, *arguments):
    return float(bench.output(bench.binary(program), *map(str, arguments)))


def table(title, count, rows):
    print(title)
    print(f"{'':22}{'per s, median':>16}{'slowest':>10}{'fastest':>10}")
    for name, walls in rows.items():
        print(f"{name:22}{count / median(walls):16.0f}{count / max(walls):10.0f}{count / min(walls):10.0f}")


CONFIG = """
worker_processes auto;
daemon off;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  client_max_body_size 0;
  client_body_temp_path {folder}/tmp;
  proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp; uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/root;
    dav_methods PUT;
    create_full_put_path on;
  }}
}}
"""


@contextmanager
def dav(bench, nginx):
    """nginx with a DAV folder on the same file system; its URL and that folder."""
    folder = os.path.abspath(bench.place("nginx"))
    os.makedirs(os.path.join(folder, "root"))
    os.chmod(bench.folder, 0o755)
    port = free_port()
    path = os.path.join(folder, "nginx.conf")
    user = "user root;\n" if os.geteuid() == 0 else ""
    with open(path, "w") as f:
        f.write(user + CONFIG.format(folder=folder, port=port))
    child = subprocess.Popen([nginx, "-e", "stderr", "-p", folder, "-c", path])
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            if subprocess.run(["curl", "-s", "-o", "/dev/null", url]).returncode == 0:
                break
            time.sleep(0.1)
        yield url, os.path.join(folder, "root")
    finally:
        child.terminate()
        child.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
