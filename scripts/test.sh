#!/usr/bin/env bash
# Everything CI runs, one suite after the other; ends with the seconds of each and what it skipped. Stops at the first failure.
cd "$(dirname "$0")/.."
. scripts/setup.sh test
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto} CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
# The long tests wait more than they compute.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-6}
. scripts/suites.sh

# Each Rust brings new lints. Those of a Rust newer than this are told, and nobody's fresh clone fails for them.
linted_with=1.95
strict=(-D warnings)
if ! printf '%s\n' "$(rustc --version | cut -d' ' -f2)" "$linted_with.999" | sort -CV; then
	strict=()
	echo "note: $(rustc --version) is newer than $linted_with: its warnings are no failures"
fi

suite formatting cargo fmt --all --check
suite lints cargo clippy --workspace --all-targets --locked -- "${strict[@]}"
suite docs env RUSTDOCFLAGS="${strict[*]}" cargo doc --workspace --no-deps --locked --quiet
suite purity scripts/purity.sh
suite licences scripts/licences.sh
suite wasm-size scripts/wasm-size.sh
suite tests cargo test --workspace --locked
# The tests have built the binary; building it alone would build the world again with fewer features.
# Those that are compiled first are tried by test-all.sh.
suite official-clients env VODFERRY=target/debug/vodferry scripts/official.sh python node

summarize
