#!/usr/bin/env bash
# Installs what the build needs, or says exactly how to: Rust by rustup when absent, Debian packages through apt when root.
# Usage: setup.sh [test|demo|bench]. Sourced by the other scripts, so that PATH reaches them; quick when nothing is missing.
set -euo pipefail

packages=()
need() { # command, Debian package
	command -v "$1" >/dev/null 2>&1 || packages+=("$2")
}

# The compiler alone is not enough: linking and C libraries need libc's headers, which gcc only recommends.
echo '#include <stdio.h>' | cc -x c -c -o /dev/null - 2>/dev/null || packages+=(gcc libc6-dev)
need curl curl
need make make
case "${1:-test}" in
test)
	need wasm-opt binaryen
	# The order of syncs; without it that test says that it is skipped.
	[ "$(uname)" != Linux ] || need strace strace
	# The link emulator's tests need root anyway; without it they say that they are skipped.
	[ "$(id -u)" != 0 ] || { need ip iproute2; need unshare util-linux; need nsenter util-linux; need find findutils; }
	python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
	;;
demo) need ffmpeg ffmpeg ;;
bench)
	# The emulated line; without root it is skipped.
	[ "$(id -u)" != 0 ] || { need ip iproute2; need unshare util-linux; need nsenter util-linux; need find findutils; }
	python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
	# oss2's CRC needs its C extension built, or the comparison would be unfair.
	python3 -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null || packages+=(python3-dev)
	;;
esac

if [ ${#packages[@]} -gt 0 ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
		echo "installing: ${packages[*]}"
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -qq >/dev/null
		apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
	else
		echo "missing: ${packages[*]}" >&2
		echo "hint: sudo apt-get install ${packages[*]}" >&2
		exit 1
	fi
fi

if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
	export PATH="$HOME/.cargo/bin:$PATH"
fi
if ! command -v cargo >/dev/null 2>&1; then
	echo "installing: Rust (rustup, stable, into ~/.cargo)"
	# The script behind sh.rustup.rs, from the host that rustup itself downloads from.
	curl --proto '=https' --tlsv1.2 -sSf https://static.rust-lang.org/rustup/rustup-init.sh |
		sh -s -- -y -q --profile minimal --default-toolchain stable -c clippy -c rustfmt >/dev/null || {
		echo "error: Rust could not be installed" >&2
		echo "hint: install it by rustup (https://rustup.rs), then run this again" >&2
		exit 1
	}
	export PATH="$HOME/.cargo/bin:$PATH"
fi
needed=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
if ! printf '%s\n' "$needed" "$(rustc --version | cut -d' ' -f2 | cut -d- -f1)" | sort -CV; then
	echo "error: Rust $needed or newer is needed, here is $(rustc --version)" >&2
	echo "hint: rustup update stable, or install Rust by rustup (https://rustup.rs)" >&2
	exit 1
fi
if [ "${1:-test}" = test ] && ! rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null | xargs -r test -d; then
	if command -v rustup >/dev/null 2>&1; then
		rustup -q target add wasm32-unknown-unknown >/dev/null 2>&1 || { echo "error: rustup could not add the target wasm32-unknown-unknown" >&2; exit 1; }
	else
		echo "hint: install Rust by rustup (https://rustup.rs), then: rustup target add wasm32-unknown-unknown" >&2
		exit 1
	fi
fi
