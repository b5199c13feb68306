#!/usr/bin/env bash
# Official SDKs, installed from their registries, as black-box clients of our server.
# Usage: official.sh [python] [node] [go] [java], without a name all of them. VODFERRY names a binary that is built already.
cd "$(dirname "$0")/.."
. scripts/setup.sh test
languages=("$@")
[ $# -gt 0 ] || languages=(python node go java)

skip() { # what, why; counted by suites.sh
	echo "skipped: $1: $2" >&2
	[ -z "${VODFERRY_SKIPPED:-}" ] || echo "skipped: $1: $2" >>"$VODFERRY_SKIPPED"
}

vodferry=${VODFERRY:-target/debug/vodferry}
[ -n "${VODFERRY:-}" ] && [ -x "$vodferry" ] || cargo build --quiet --locked -p vodferry-cli
scratch=$(mktemp -d)
log=$scratch/log
keys=$scratch/data/keys.toml
# Short-lived, so that a credential can be seen to expire (those of STS live longer); and callbacks may come back here.
printf '[serve]\ncredential_life = 8\n[serve.callback]\nallow = ["127.0.0.1"]\n[serve.cnames]\n"media.example.com" = "vod-media"\n' >"$scratch/config.toml"
"$vodferry" serve --config "$scratch/config.toml" --listen 127.0.0.1:0 --data "$scratch/data" >"$log" 2>"$log.err" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in $(seq 100); do
	url=$(sed -n 's/^listening on //p' "$log")
	[ -n "$url" ] && break
	kill -0 $server 2>/dev/null || { cat "$log.err" >&2; exit 1; }
	sleep 0.1
done
[ -n "$url" ] || { echo "error: the server did not come up" >&2; cat "$log.err" >&2; exit 1; }
failed=0

run_python() {
	local venv=target/official-venv check
	if ! "$venv/bin/python" -c 'import oss2, aliyunsdksts, alibabacloud_oss_v2, alibabacloud_sts20150401' 2>/dev/null; then
		python3 -m venv --clear "$venv"
		"$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/official/requirements.txt
	fi
	for check in oss2_check oss_v2_check sts_check acs3_check; do
		"$venv/bin/python" "tests/official/$check.py" "$url" vod-media "$keys" || failed=1
	done
}

run_node() {
	local folder=target/official-node lock=tests/official/node/package-lock.json
	if ! command -v npm >/dev/null 2>&1 || ! node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null; then
		skip ali-oss "there is no Node 18 or newer with npm here (https://nodejs.org)"
		return
	fi
	if ! cmp -s "$lock" "$folder/installed.json"; then
		mkdir -p "$folder"
		cp tests/official/node/package.json "$lock" "$folder/"
		(cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
		cp "$lock" "$folder/installed.json"
	fi
	OFFICIAL_NODE=$PWD/$folder node tests/official/node/ali_oss_check.mjs "$url" vod-media "$keys" || failed=1
}

run_go() {
	local go program=$PWD/target/official-go
	go=$(command -v go || true)
	[ -n "$go" ] || [ ! -x /usr/local/go/bin/go ] || go=/usr/local/go/bin/go
	if [ -z "$go" ] || ! printf 'go1.22\n%s\n' "$("$go" env GOVERSION)" | sort -CV; then
		skip "the Go SDKs" "there is no Go 1.22 or newer here (https://go.dev/dl)"
		return
	fi
	(cd tests/official/go && "$go" vet . && "$go" build -trimpath -buildvcs=false -o "$program" .)
	"$program" "$url" vod-media "$keys" || failed=1
}

run_java() {
	local folder=target/official-java pom=tests/official/java/pom.xml major
	major=$(javac -version 2>/dev/null | sed -n 's/^javac \([0-9]*\).*/\1/p')
	if ! command -v mvn >/dev/null 2>&1 || [ "${major:-0}" -lt 17 ]; then
		skip "the Java SDK" "there is no JDK 17 or newer with Maven here (apt-get install default-jdk-headless maven)"
		return
	fi
	if ! cmp -s "$pom" "$folder/installed.xml"; then
		rm -rf "$folder"
		mkdir -p "$folder"
		mvn --quiet --batch-mode --file "$pom" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
			-DoutputDirectory="$PWD/$folder/lib"
		cp "$pom" "$folder/installed.xml"
	fi
	javac -d "$folder/classes" -cp "$folder/lib/*" tests/official/java/official/*.java
	# Its log would tell each refusal that is wanted.
	java -Dorg.apache.commons.logging.Log=org.apache.commons.logging.impl.NoOpLog -cp "$folder/classes:$folder/lib/*" \
		official.Official "$url" vod-media "$keys" || failed=1
}

for language in "${languages[@]}"; do
	case $language in
	python | node | go | java) "run_$language" ;;
	*) echo "error: no SDK is tried in $language; there are python, node, go and java" >&2; exit 1 ;;
	esac
done
exit $failed
