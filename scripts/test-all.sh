#!/usr/bin/env bash
# `make test` and what takes longer, in an hour and a quarter on two cores. Stops at the first failure; ends with the seconds of each suite and what
# it skipped. The 200 power losses and the official clients in Python and JavaScript are part of `make test` already.
cd "$(dirname "$0")/.."
. scripts/setup.sh test
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto} CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
. scripts/suites.sh

suite test scripts/test.sh
suite official-clients-compiled env VODFERRY=target/debug/vodferry scripts/official.sh go java
# The whole workspace, as other features would build the world again.
suite 40-kills-of-each-end env KILLS=40 cargo test --workspace --locked --test e2e faults:: -- --nocapture
suite 20-kills-in-200-uploads-and-500-uploads-at-once env ROUNDS=20 UPLOADS=200 LOAD=500 cargo test --workspace --locked --test e2e storm:: -- --nocapture --test-threads 1
suite 200-power-losses-under-the-server env POWER_ROUNDS=200 cargo test --workspace --locked --test http power:: -- --nocapture
suite two-GiB-voyage env SIZE_MB=2048 cargo test --workspace --locked --test e2e expiries:: -- --nocapture --test-threads 1
suite 12-GiB-in-parts env SPARSE_GIB=12 cargo test --workspace --locked --test bucket large:: -- --nocapture
suite 3-minutes-of-expiries env EXPIRY_LIFE=20 EXPIRY_SECONDS=180 cargo test --workspace --locked --test bucket expiry:: -- --nocapture
suite fuzz env SECONDS_EACH=60 scripts/fuzz.sh
# What cargo-mutants makes of the engine takes longer than all of this: `make mutants`.
suite mutants env PARTS=list scripts/mutants.sh
suite soak env SEEDS=1000000 MINUTES=10 scripts/soak.sh
suite container scripts/container.sh
# What does not depend on how busy the machine is.
suite memory env SIZE_MB=256 ROUNDS=3 ONLY=memory scripts/bench.sh
# Whether it runs: of a short look on a busy machine no figure is a reason to fail. The long line takes a quarter of an hour by itself.
short_bench() { SIZE_MB=256 ROUNDS=3 ONLY=upload,server,objects,checkpoint scripts/bench.sh || [ $? = 3 ]; }
suite bench short_bench
summarize
