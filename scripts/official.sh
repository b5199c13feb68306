#!/usr/bin/env bash
# Official SDKs, installed from their registries, as black-box clients of our server. VODFERRY names a binary that is built already.
cd "$(dirname "$0")/.."
. scripts/setup.sh test
venv=target/official-venv
if ! "$venv/bin/python" -c 'import oss2, aliyunsdksts, alibabacloud_oss_v2' 2>/dev/null; then
	python3 -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/official/requirements.txt
fi
vodferry=${VODFERRY:-target/debug/vodferry}
[ -n "${VODFERRY:-}" ] && [ -x "$vodferry" ] || cargo build --quiet --locked -p vodferry-cli
data=$(mktemp -d)
log=$data.log
"$vodferry" serve --listen 127.0.0.1:0 --data "$data" >"$log" 2>"$log.err" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$data" "$log" "$log.err"' EXIT
for _ in $(seq 100); do
	url=$(sed -n 's/^listening on //p' "$log")
	[ -n "$url" ] && break
	kill -0 $server 2>/dev/null || { cat "$log.err" >&2; exit 1; }
	sleep 0.1
done
[ -n "$url" ] || { echo "error: the server did not come up" >&2; cat "$log.err" >&2; exit 1; }
failed=0
for check in oss2_check oss_v2_check sts_check; do
	"$venv/bin/python" "tests/official/$check.py" "$url" vod-media "$data/keys.toml" || failed=1
done
exit $failed
