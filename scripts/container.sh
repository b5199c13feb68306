#!/usr/bin/env bash
# The container file builds, and what it builds serves: made and asked once where an engine is at hand.
set -euo pipefail
cd "$(dirname "$0")/.."
for engine in podman docker; do
	"$engine" info >/dev/null 2>&1 || continue
	"$engine" build -f packaging/Containerfile -t vodferry-test .
	id=$("$engine" run --detach --read-only --publish 127.0.0.1::9000 vodferry-test)
	trap '"$engine" rm --force "$id" >/dev/null' EXIT
	place=$("$engine" port "$id" 9000 | head -n 1)
	for _ in $(seq 100); do
		! curl -sf "http://$place/health/ready" || exit 0
		sleep 0.1
	done
	"$engine" logs "$id"
	exit 1
done
echo "skipped: the container: neither podman nor docker is at hand" | tee -a "${VODFERRY_SKIPPED:-/dev/null}"
