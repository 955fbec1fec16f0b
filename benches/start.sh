#!/usr/bin/env bash
# Measures what docs/figures.md reports: starts, memory, adoption, a herd, sign-in, CPU for each proxied request.
#
# Usage:  benches/start.sh [--quick] [PART …]
#
#   --quick   fewer rounds and 20 adopted containers: under 2 minutes instead of under 6
#   PART      starts lab memory adoption herd proxy; without one: all of them
#
# Wants root, a running Docker engine, python3, npm, openssl, nginx and wrk, and the images of tests/lab/build.sh.
# JupyterHub, DockerSpawner and configurable-http-proxy are installed under .cache/ at the first run. SLIPWAY_BINARY
# names a built program; without it one is built with --release. Containers, volumes and the network it makes are
# called slipwayfigures…, and it removes only those.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repo"
case ${1:-} in -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;; esac

fail() { printf 'figures: %s\n' "$*" >&2; exit 1; }
for tool in docker python3 npm openssl nginx wrk; do
  command -v "$tool" >/dev/null || fail "$tool is missing"
done
for image in slipway-instant:test slipway-lab:6.1; do
  docker image inspect "$image" >/dev/null 2>&1 || fail "image $image is missing: run tests/lab/build.sh"
done

cache=$repo/.cache
mkdir -p "$cache"
if [ ! -e "$cache/jupyterhub/installed" ]; then
  python3 -m venv "$cache/jupyterhub"
  "$cache/jupyterhub/bin/pip" install --quiet 'jupyterhub==6.1.1' 'dockerspawner==14.*'
  touch "$cache/jupyterhub/installed"
fi
if [ ! -e "$cache/chp/installed" ]; then
  mkdir -p "$cache/chp"
  (cd "$cache/chp" && npm install --no-audit --no-fund --loglevel=error --prefix . configurable-http-proxy@5)
  touch "$cache/chp/installed"
fi

if [ -z "${SLIPWAY_BINARY:-}" ]; then
  cargo build --locked --release
  SLIPWAY_BINARY=$repo/target/release/slipway
fi
binary=$(realpath "$SLIPWAY_BINARY")
# To the program every SLIPWAY_<KEY> is a setting.
unset SLIPWAY_BINARY
exec python3 "$repo/benches/start/run.py" --binary "$binary" --cache "$cache" "$@"
