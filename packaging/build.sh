#!/usr/bin/env bash
# Lays Slipway out as a package does: the program, its manual pages and completions (written by the program itself),
# the systemd units and the configuration.
#
# Usage:  packaging/build.sh BINARY FOLDER
#
#   packaging/build.sh target/release/slipway /tmp/slipway    then copy /tmp/slipway/* to /
set -euo pipefail

[ $# = 2 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
binary=$1 root=$2
[ -x "$binary" ] || { echo "build.sh: $binary is not a program" >&2; exit 1; }

install -Dm755 "$binary" "$root/usr/bin/slipway"
install -d "$root/usr/share/man/man1"
"$binary" man "$root/usr/share/man/man1"
gzip -9nf "$root"/usr/share/man/man1/*.1

completions() { install -d "$root/$2" && "$binary" completions "$1" >"$root/$2/$3"; }
completions bash usr/share/bash-completion/completions slipway
completions zsh usr/share/zsh/site-functions _slipway
completions fish usr/share/fish/vendor_completions.d slipway.fish

for unit in slipway.service slipway.socket slipway-http.socket; do
  install -Dm644 "$repo/packaging/$unit" "$root/usr/lib/systemd/system/$unit"
done
install -Dm644 "$repo/packaging/slipway.sysusers" "$root/usr/lib/sysusers.d/slipway.conf"
install -Dm644 "$repo/config/slipway.toml" "$root/etc/slipway/slipway.toml"
install -Dm644 "$repo/LICENSE" "$root/usr/share/doc/slipway/copyright"
install -Dm644 "$repo/docs/third-party.md" "$root/usr/share/doc/slipway/third-party.md"
