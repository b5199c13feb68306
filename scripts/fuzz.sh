#!/usr/bin/env bash
# Fuzzes each target for SECONDS_EACH seconds (60), as many at a time as there are cores, from the seeds in fuzz/corpus and from what
# earlier runs found (target/fuzz/found). A finding is minimised and printed with the commands that replay it.
# Usage: fuzz.sh [TARGET...]; all of them when none is named.
set -euo pipefail
cd "$(dirname "$0")/.."
export SECONDS_EACH=${SECONDS_EACH:-60}

one() { # one TARGET: a line that says how it went; non-zero after a finding
	local target=$1 began=$SECONDS
	local found=target/fuzz/found/$target log=target/fuzz/log/$target crash=target/fuzz/crash-$target
	mkdir -p "$found" target/fuzz/log
	rm -f "$crash" "$crash.min"
	if "$programs/$target" "$found" "fuzz/corpus/$target" -dict=fuzz/words.dict -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
		-max_total_time="$SECONDS_EACH" -exact_artifact_path="$crash" -print_final_stats=1 >"$log" 2>&1; then
		printf '%5s s  %-12s %s runs, %s features\n' $((SECONDS - began)) "$target" \
			"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
			"$(sed -n 's/.* ft: \([0-9]*\) .*/\1/p' "$log" | tail -1)"
		return
	fi
	printf '%5s s  %-12s FAILED, all of it in %s\n' $((SECONDS - began)) "$target" "$log"
	grep -m1 -A2 -E "panicked at|ERROR: " "$log" || tail -5 "$log"
	[ -e "$crash" ] || return 1
	"$programs/$target" -minimize_crash=1 -max_total_time=30 -exact_artifact_path="$crash.min" "$crash" >>"$log" 2>&1 || true
	[ -s "$crash.min" ] || cp "$crash" "$crash.min"
	echo "    the input, minimised:"
	od -A d -c "$crash.min" | head -20
	echo "    replay: $programs/$target $crash.min"
	echo "    on stable, for good: cp $crash.min fuzz/corpus/$target/NAME && cargo test -p vodferry-fuzz-checks"
	return 1
}
if [ "${1:-}" = --one ]; then
	one "$2"
	exit
fi

. scripts/setup.sh fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
export programs=target/fuzz/$host/release # for --one
command -v c++ >/dev/null 2>&1 || { printf 'missing: a C++ compiler\nhint: sudo apt-get install g++\n' >&2; exit 1; }
if ! rustc +nightly --version >/dev/null 2>&1; then
	printf 'missing: a nightly toolchain, as the fuzzer needs instrumentation that stable does not have\n' >&2
	printf 'hint: rustup toolchain install nightly --profile minimal\n' >&2
	exit 1
fi
fuzz=$(command -v cargo-fuzz || true)
if [ -z "$fuzz" ]; then
	fuzz=target/tools/bin/cargo-fuzz
	if [ ! -x "$fuzz" ]; then
		echo "installing: cargo-fuzz (into target/tools)"
		cargo install cargo-fuzz --locked --debug --quiet --root target/tools --target-dir target/tools/build-fuzz
		rm -rf target/tools/build-fuzz
	fi
fi
mkdir -p target/fuzz
echo "building (target/fuzz/build.log)"
RUSTUP_TOOLCHAIN=nightly "$fuzz" build --fuzz-dir fuzz --target "$host" --target-dir target/fuzz >target/fuzz/build.log 2>&1 ||
	{ tail -30 target/fuzz/build.log; exit 1; }

targets=("$@")
[ $# -gt 0 ] || for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} scripts/fuzz.sh --one {}
