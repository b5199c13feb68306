#!/usr/bin/env bash
# Defects on purpose: do the tests notice? First the list in mutants/list.toml, each entry by its named test; then every mutant that
# cargo-mutants makes of the engine, in a copy. SHARD=0/4 takes a quarter of the latter, SINCE=commit what changed since; ONLY=text
# some entries of the list. PARTS="list engine" restricts it to one of the two.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -c 'import tomllib' 2>/dev/null || { echo "mutants: needs Python 3.11 or newer"; exit 1; }
for part in ${PARTS:-list engine}; do
	case $part in
	list) nice -n 10 python3 mutants/defects.py ;;
	engine) nice -n 10 python3 mutants/engine.py ;;
	*) echo "mutants: no part named $part"; exit 2 ;;
	esac
done
