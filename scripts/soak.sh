#!/usr/bin/env bash
# The long run. First SEEDS (1,000,000) simulated worlds from FIRST (0) on, on all cores; the first seed that fails is printed with the command that replays it.
# Then, for MINUTES (10; 0 leaves it out), the real server under load by the real client: many uploads at once, some stopped and gone on with,
# some broken off and resumed, some begun and abandoned, credentials that live for six seconds, a janitor that comes every five seconds, takes
# abandoned uploads after half a minute and their bytes twenty seconds later; some must have been taken. Every finished object is fetched and compared by CRC64. At the end the server's memory and open files must be flat (the
# last quarter of the time beside the second), its log without a panic, and `vodferry fsck` clean.
# The server is not killed here, as its memory could not be watched then: the end-to-end tests and `make demo` kill it.
# PROFILE=dev takes the quicker build. WORKERS, RATE and SEED are those of crates/testkit/examples/load.rs.
cd "$(dirname "$0")/.."
. scripts/setup.sh soak
seeds=${SEEDS:-1000000} minutes=${MINUTES:-10} profile=${PROFILE:-release}
folder=$([ "$profile" = dev ] && echo debug || echo "$profile")
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
case "$seeds$minutes" in *[!0-9]*) die "SEEDS and MINUTES are whole numbers" ;; esac

echo "== $seeds simulated worlds"
began=$SECONDS
FIRST=${FIRST:-0} SEEDS=$seeds cargo test --quiet --locked --profile "$profile" -p vodferry-engine --test simulation -- every_promise --nocapture
echo "simulation: $seeds worlds in $((SECONDS - began)) s"
[ "$minutes" -gt 0 ] || exit 0

echo "== the server under load for $minutes minutes"
cargo build --quiet --locked --profile "$profile" -p vodferry-cli
cargo build --quiet --locked --profile "$profile" -p vodferry-testkit --example load
work=$(mktemp -d "${TMPDIR:-/tmp}/vodferry-soak.XXXXXX")
server='' load=''
cleanup() {
	if [ -n "$load" ]; then kill "$load" 2>/dev/null || true; fi
	if [ -n "$server" ]; then kill -9 "$server" 2>/dev/null || true; fi
	wait 2>/dev/null || true
	if [ -n "${KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT
cat >"$work/server.toml" <<-END
	[serve]
	listen = "127.0.0.1:0"
	data = "$work/data"
	credential_life = 6
	upload_life = 30
	janitor_interval = 5
	garbage_age = 20
	metrics_listen = "127.0.0.1:0"
END
"target/$folder/vodferry" serve --config "$work/server.toml" >"$work/server.log" 2>"$work/server.err" &
server=$!
for _ in $(seq 200); do
	url=$(sed -n 's/^listening on //p' "$work/server.log")
	[ -z "$url" ] || break
	kill -0 "$server" 2>/dev/null || break
	sleep 0.1
done
[ -n "$url" ] || { cat "$work/server.err" >&2; die "the server did not come up"; }
key() { # member of the operator's access key
	sed -n '/^\[\[access_key\]\]/,/^$/p' "$work/data/keys.toml" | sed -n "s/^$1 *= *\"\(.*\)\"/\1/p" | head -1
}

VODFERRY_ACCESS_KEY_ID=$(key id) VODFERRY_ACCESS_KEY_SECRET=$(key secret) \
	"target/$folder/examples/load" "$url" "$work" $((minutes * 60)) &
load=$!
: >"$work/samples" # resident KiB, open files
while kill -0 "$load" 2>/dev/null; do
	sleep 3
	kill -0 "$server" 2>/dev/null || break
	echo "$(awk '/^VmRSS/ { print $2 }' "/proc/$server/status") $(find "/proc/$server/fd" -mindepth 1 2>/dev/null | wc -l)" >>"$work/samples"
done
if kill -0 "$server" 2>/dev/null; then alive=1; else alive=''; fi
wait "$load" || { load=''; tail -20 "$work/server.err" >&2; die "the load program failed"; }
load=''
[ -n "$alive" ] || { tail -20 "$work/server.err" >&2; die "the server died"; }

median() { # column, first and last sample: its median there
	sed -n "$2,$3p" "$work/samples" | cut -d' ' -f"$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
count=$(wc -l <"$work/samples")
[ "$count" -ge 8 ] || die "only $count samples"
flat() { # name, unit, column, percent and amount that it may grow by
	local early late most
	early=$(median "$3" $((count / 4 + 1)) $((count / 2)))
	late=$(median "$3" $((count * 3 / 4 + 1)) "$count")
	most=$((early * (100 + $4) / 100 + $5))
	echo "$1: median of the second quarter $early$2, of the last $late$2 (at most $most$2)"
	[ "$late" -le "$most" ] || die "$1 of the server grows"
}
flat "resident memory" " KiB" 1 10 4096
flat "open files" "" 2 10 8

metrics=$(sed -n 's,^metrics on http://\([^/]*\)/metrics$,\1,p' "$work/server.err")
counted() { # what the janitor counts under this name, asked without curl, which not every machine has
	exec 3<>"/dev/tcp/${metrics%:*}/${metrics##*:}"
	printf 'GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$metrics" >&3
	tr -d '\r' <&3 | sed -n "s/^vodferry_janitor_$1_total \([0-9]*\).*/\1/p"
	exec 3>&-
}
expired=$(counted expired_uploads) deleted=$(counted deleted_blobs)
echo "janitor: $(counted rounds) rounds, $expired uploads expired, $deleted blobs deleted"
[ "${expired:-0}" -gt 0 ] && [ "${deleted:-0}" -gt 0 ] || die "no upload expired: the run says nothing about the janitor"

kill "$server"
wait "$server" || die "the server ended badly"
server=''
if grep -n "panicked at" "$work/server.err" "$work/server.log"; then die "the server panicked"; fi
echo "fsck:"
"target/$folder/vodferry" fsck --data "$work/data" --verify-hashes || die "fsck is not clean"
echo "data at the end: $(du -sm "$work/data" | cut -f1) MB"
