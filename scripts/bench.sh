#!/usr/bin/env bash
# Client CPU, wall and memory beside curl and oss2, as ratios of one run. SIZE_MB (1024) and ROUNDS (5) may be smaller for a look.
cd "$(dirname "$0")/.."
. scripts/setup.sh bench
venv=target/official-venv
if ! "$venv/bin/python" -c 'import oss2' 2>/dev/null; then
	python3 -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/official/requirements.txt
fi
cargo build --quiet --locked --release -p vodferry-cli -p vodferry-bench
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
url_of() { # log: waits for the line that names the address
	for _ in $(seq 100); do
		sed -n 's/^listening on //p' "$1" | grep . && return
		sleep 0.1
	done
	echo "error: no server came up" >&2
	return 1
}
target/release/vodferry serve --listen 127.0.0.1:0 --data "$work/data" >"$work/server.log" 2>"$work/server.err" & pids+=($!)
target/release/sink >"$work/sink.log" & pids+=($!)
server=$(url_of "$work/server.log")
sink=$(url_of "$work/sink.log")
head -c "$((${SIZE_MB:-1024} << 20))" /dev/urandom >"$work/file.bin"
cat "$work/file.bin" >/dev/null
"$venv/bin/python" bench/upload.py target/release/vodferry target/release/floor "$sink" "$server" "$work/data/keys.toml" "$work/file.bin" "${ROUNDS:-5}"
