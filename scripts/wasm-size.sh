#!/usr/bin/env bash
# Builds the browser's wasm module, prints its size and fails when it is too large or imports anything.
set -euo pipefail
cd "$(dirname "$0")/.."

# Of the 60 KB that a page loads in all; the rest is for the shell around it.
limit=$((50 * 1024))
target=${CARGO_TARGET_DIR:-target}/wasm32-unknown-unknown/wasm
out=$target/vodferry_wasm.opt.wasm

command -v wasm-opt >/dev/null || {
    echo "wasm-size: wasm-opt is missing: apt-get install binaryen" >&2
    exit 1
}
# As a cdylib alone: beside the rlib that its tests link, cargo leaves out the link-time optimization.
cargo rustc -q -p vodferry-wasm --lib --crate-type cdylib --target wasm32-unknown-unknown --profile wasm

# What rustc's output uses by default; an older wasm-opt wants to be told.
# Flattened once, its passes find more to share; functions that call one another lie side by side for gzip.
wasm-opt --flatten --rereloop --merge-similar-functions -Oz --converge --reorder-functions \
    --enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int \
    --enable-reference-types --enable-sign-ext \
    --strip-debug --strip-producers --strip-target-features \
    "$target/vodferry_wasm.wasm" -o "$out"

raw=$(stat -c %s "$target/vodferry_wasm.wasm")
opt=$(stat -c %s "$out")
gz=$(gzip -9 -n -c "$out" | wc -c)
echo "wasm: raw $raw, after wasm-opt $opt, gzip $gz bytes (at most $limit)"

failed=0
wasm-dis --all-features "$out" -o "$out.wat"
if grep -E '^ *\(import ' "$out.wat" >&2; then
    echo "wasm: FAIL the module imports the above; it must import nothing" >&2
    failed=1
else
    echo "wasm: ok imports nothing"
fi
# Names of files come in with the messages of panics, which must not be there.
if grep -aoE "[[:print:]]*(${CARGO_HOME:-$HOME/.cargo}|/rustc/|$HOME/|$PWD|/src/)[[:print:]]*" "$out" >&2; then
    echo "wasm: FAIL the module names the above files of the machine that built it" >&2
    failed=1
else
    echo "wasm: ok names no files"
fi
if [ "$gz" -gt "$limit" ]; then
    echo "wasm: FAIL $((gz - limit)) bytes too large" >&2
    failed=1
fi
exit $failed
