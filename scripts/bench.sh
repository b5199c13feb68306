#!/usr/bin/env bash
# Ratios of one run beside the floors under them; bench/README.md says what each row means.
# SIZE_MB (1024) and ROUNDS (5) may be smaller for a look; ONLY=upload,server,objects,memory,checkpoint,small,link runs some of the sections.
cd "$(dirname "$0")/.."
. scripts/setup.sh bench
venv=target/official-venv
if ! "$venv/bin/python" -c 'import oss2' 2>/dev/null; then
	python3 -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/official/requirements.txt
fi
cargo build --quiet --locked --release -p vodferry-cli -p vodferry-bench
target=$(cargo metadata --quiet --locked --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
# The Go SDKs come from the module proxy, pinned by go.sum; without Go, or without the proxy, their rows are skipped.
go=$(command -v go || true)
[ -n "$go" ] || [ ! -x /usr/local/go/bin/go ] || go=/usr/local/go/bin/go
uploaders="there is no Go here (https://go.dev/dl)"
if [ -n "$go" ]; then
	uploaders=$target/release/go-uploaders
	rm -f "$uploaders"
	said=$(cd bench/go && "$go" build -trimpath -buildvcs=false -o "$uploaders" . 2>&1) || uploaders="they could not be built: $(tail -n 1 <<<"$said")"
fi
# nginx stands beside the server; from its Debian package, unpacked and not installed, so that no service is started.
if ! command -v nginx >/dev/null 2>&1; then
	NGINX_PROGRAM=$target/tools/nginx/usr/sbin/nginx
	if [ ! -x "$NGINX_PROGRAM" ]; then
		mkdir -p "$target/tools/nginx" && (cd "$target/tools/nginx" && apt-get download -qq nginx >/dev/null 2>&1 && dpkg -x nginx_*.deb . && rm nginx_*.deb) || true
	fi
	"$NGINX_PROGRAM" -v >/dev/null 2>&1 && export NGINX_PROGRAM || unset NGINX_PROGRAM
fi
IFS=, read -ra sections <<<"${ONLY:-}"
"$venv/bin/python" bench/run.py "$target/release" "$uploaders" "${sections[@]}"
