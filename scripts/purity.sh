#!/usr/bin/env bash
# The rules of the house: who may import whom, and that the pure crates stay pure. One line per check, non-zero when one fails.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=0
check() { # check NAME COMMAND...: the command says on its output what is wrong, and nothing when all is well
    local name=$1 wrong
    shift
    if wrong=$("$@" 2>&1) && [ -z "$wrong" ]; then
        echo "purity: ok   $name"
    else
        echo "purity: FAIL $name"
        printf '%s\n' "$wrong" | sed 's/^/    /'
        failed=1
    fi
}

# Direct dependencies among our own crates; those for tests do not count.
imports() { # imports CRATE [ALLOWED...]
    local crate=$1 tree
    shift
    tree=$(cargo tree -q --locked -p "$crate" -e normal,build --depth 1 --prefix none --format '{p}') || return 1
    for found in $(tail -n +2 <<<"$tree" | cut -d' ' -f1 | sort -u); do
        [[ $found == vodferry || $found == vodferry-* ]] || continue
        [[ " $* " == *" $found "* ]] || echo "$crate must not import $found"
    done
}

# Whatever they pull in, however deep.
without() { # without CRATE BANNED...
    local crate=$1 tree
    shift
    tree=$(cargo tree -q --locked -p "$crate" -e normal --prefix none --format '{p}') || return 1
    for banned in "$@"; do
        if cut -d' ' -f1 <<<"$tree" | grep -qx "$banned"; then
            echo "$crate pulls in $banned"
        fi
    done
}

# Non-test sources: every file up to its test module, but for the files that are test modules themselves.
sources() { # sources FOLDER
    local tests
    tests=$(grep -rhA1 '^#\[cfg(test)\]' "$1" | sed -n 's/^mod \([a-z_0-9]*\);.*/\1.rs/p')
    find "$1" -name '*.rs' | sort | while read -r file; do
        grep -qxF "$(basename "$file")" <<<"$tests" && continue
        sed '/^#\[cfg(test)\]/,$d' "$file" | grep -nE 'cfg(_attr)?\(.*target_arch|std::time|SystemTime|Instant::now|\{[a-z_0-9.]*:#?\?\}' |
            sed "s|^|$file:|"
    done
    grep -q '^#!\[no_std\]' "$1/lib.rs" || echo "$1/lib.rs: no #![no_std]"
}

builds_for_wasm() {
    cargo build -q -p vodferry-engine -p vodferry-oss -p vodferry-vod -p vodferry-exchange \
        --target wasm32-unknown-unknown
}

# Every member of the workspace stands below, so that a new crate has to be thought about.
members() {
    local listed=" bench checks cli client engine exchange lanes oss server testkit vod wasm "
    for manifest in crates/*/Cargo.toml bindings/*/Cargo.toml bench/Cargo.toml fuzz/checks/Cargo.toml; do
        [ -e "$manifest" ] || continue
        case "$listed" in
        *" $(basename "$(dirname "$manifest")") "*) ;;
        *) echo "$manifest is in no line of scripts/purity.sh" ;;
        esac
    done
}

E=vodferry-engine O=vodferry-oss V=vodferry-vod X=vodferry-exchange L=vodferry-lanes
check "every crate is listed"     members
check "engine imports none of ours"  imports $E
check "oss imports none of ours"     imports $O
check "lanes imports none of ours"   imports $L
check "vod imports oss"              imports $V $O
check "exchange imports engine, oss, vod" imports $X $E $O $V
check "client imports engine, exchange, lanes, oss, vod" imports vodferry $E $X $L $O $V
check "server imports lanes, oss, vod" imports vodferry-server $L $O $V
check "cli imports client, server"   imports vodferry-cli vodferry vodferry-server
check "testkit imports engine, exchange, oss, vod, server" imports vodferry-testkit $E $X $O $V vodferry-server
check "wasm imports engine, exchange, oss, vod" imports vodferry-wasm $E $X $O $V
check "fuzz checks import engine, oss, vod" imports vodferry-fuzz-checks $E $O $V

for crate in $E $O $V $X; do
    check "$crate pulls in no runtime, clock, randomness or serializer" \
        without $crate tokio futures-core async-std serde serde_json jiff time chrono web-time getrandom rand rand_core \
        wasm-bindgen js-sys crc-fast reqwest http
    check "$crate: no clock, no target_arch, no {:?}, no_std" sources "crates/${crate#vodferry-}/src"
done
check "engine, oss, vod, exchange build for wasm32-unknown-unknown" builds_for_wasm

exit $failed
