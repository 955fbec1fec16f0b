#!/usr/bin/env bash
# Builds the image of the Dockerfile for tests/browser/compose.mjs, without a registry: from a program that is built
# already, and a root file system that debootstrap makes.
#
#   slipway-base:test      Debian's smallest, with certificates of authorities: the Dockerfile's BUILD_IMAGE
#   slipway-compose:one    Slipway's image
#   slipway-compose:two    the same as a newer one: another id
#
# Usage:  tests/compose/build.sh PROGRAM      (a path below the repository, as .dockerignore lets through)
#
# Wants root, debootstrap and a Docker engine; `test.sh` installs them.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${SLIPWAY_CACHE:-$repo/.cache}
mirror=${SLIPWAY_DEBIAN_MIRROR:-http://deb.debian.org/debian}
program=${1:?name the program, as in target/ci/slipway}
suite=bookworm

say() { printf 'compose: %s\n' "$*"; }

if ! docker image inspect slipway-base:test >/dev/null 2>&1; then
  root=$(mktemp -d "${TMPDIR:-/tmp}/slipway-base.XXXXXX")
  trap 'rm -rf "$root"' EXIT
  mkdir -p "$cache/debs"
  say "debootstrap $suite from $mirror"
  debootstrap --variant=minbase --cache-dir="$cache/debs" --include=ca-certificates "$suite" "$root" "$mirror" \
    >"$cache/debootstrap-base.log" 2>&1 || { tail -n 20 "$cache/debootstrap-base.log" >&2; exit 1; }
  tar -C "$root" --exclude=./var/cache --exclude=./var/lib/apt -c . | docker import --change 'CMD ["/bin/sh"]' - slipway-base:test >/dev/null
fi

# The engine's own builder, which every engine has: BuildKit wants a plugin of its own.
export DOCKER_BUILDKIT=0
cd "$repo"
docker build --quiet --build-arg BUILD_IMAGE=slipway-base:test --build-arg BINARY="$program" --tag slipway-compose:one . >/dev/null 2>"$cache/compose-image.log" ||
  { tail -n 20 "$cache/compose-image.log" >&2; exit 1; }
printf 'FROM slipway-compose:one\nLABEL version=two\n' | docker build --quiet --tag slipway-compose:two - >/dev/null 2>&1
say "slipway-compose:one has $(docker image inspect --format '{{.Size}}' slipway-compose:one | awk '{ printf "%.1f MiB", $1 / 1048576 }')"
