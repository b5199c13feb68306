#!/usr/bin/env bash
# Licences, bans and sources of the dependency tree against deny.toml. Builds cargo-deny once into target/tools when absent.
set -euo pipefail
cd "$(dirname "$0")/.."
deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
	deny=target/tools/bin/cargo-deny
	if [ ! -x "$deny" ]; then
		echo "installing: cargo-deny (into target/tools)"
		cargo install cargo-deny --locked --debug --no-default-features --quiet --root target/tools --target-dir target/tools/build
		rm -rf target/tools/build
	fi
fi
"$deny" --log-level error check licenses bans sources
