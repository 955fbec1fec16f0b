#!/usr/bin/env bash
# A root file system in FOLDER in which `wstest`, the Autobahn suite, runs: it wants a Python 2.7, which Debian 11 was the last to have.
#
# Usage:  tests/rig/autobahn-root.sh FOLDER        Kept when it is up to date. Wants root, debootstrap, Debian's mirror and PyPI.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$1
mirror=${SLIPWAY_DEBIAN_MIRROR:-http://deb.debian.org/debian}
packages=python2.7,python2.7-dev,gcc,libc6-dev
pip=20.3.4

fail() { printf 'autobahn: %s\n' "$*" >&2; exit 1; }
# Written last, so it is there only when everything else is.
made=$root/.made
fingerprint=$(cat "$here/autobahn-root.sh" "$here/autobahn-requirements.txt" | sha256sum | cut -c1-16)
[ "$(cat "$made" 2>/dev/null)" != "$fingerprint" ] || exit 0

[ "$(id -u)" = 0 ] || fail "its root file system needs root (debootstrap, chroot): run it with sudo"
command -v debootstrap >/dev/null || fail "debootstrap is not installed: apt-get install debootstrap"
rm -rf "$root"
mkdir -p "$root"
debootstrap --variant=minbase --include="$packages" bullseye "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; fail "debootstrap failed"; }

# pip installs itself from its own wheel, which the newer pip outside fetches.
mkdir "$root/build"
python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary=:all: --python-version 2.7 --dest "$root/build" "pip==$pip"
cp "$here/autobahn-requirements.txt" "$root/build/"
# The host knows how to reach PyPI (resolver, certificates, proxy, another index); the root is told the same.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
certificates=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
[ -r "$certificates" ] && cp -L "$certificates" "$root/build/ca.crt"
inside() { # [NAME=VALUE…] COMMAND…: in the root; what it says goes to the log
  env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 HOME=/root PYTHONWARNINGS=ignore \
    PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_DEFAULT_TIMEOUT=180 \
    ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} ${https_proxy:+https_proxy="$https_proxy"} ${http_proxy:+http_proxy="$http_proxy"} \
    $([ -r "$root/build/ca.crt" ] && echo PIP_CERT=/build/ca.crt) chroot "$root" env "$@" >>"$root.log" 2>&1 \
    || { tail -n 20 "$root.log" >&2; fail "in the root failed: $*"; }
}
inside PYTHONPATH="/build/pip-$pip-py2.py3-none-any.whl" python2.7 -m pip install "pip==$pip" setuptools==44.1.1 wheel==0.37.1
inside python2.7 -m pip install --no-deps --requirement /build/autobahn-requirements.txt
inside wstest --help
rm -rf "$root/build" "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
printf '%s' "$fingerprint" >"$made"
