#!/usr/bin/env bash
# Builds Slipway from this source tree and runs it on this host, for a browser at https://localhost:8443/.
#
# Usage:  ./start.sh [--build-image] [--binary PATH] [-- ARGUMENTS OF `slipway serve`]
#
#   --build-image   build the image slipway-lab:local when the configured one is not to be had (root; 90 s)
#   --binary PATH   run this program instead of building one
#
# With a Docker engine each person's server is a container; without one it is a process on this host, from a
# Python environment that is prepared here. Settings are read from config/slipway.toml; SLIPWAY_<KEY> in the
# environment (SLIPWAY_LISTENER_HTTPS=127.0.0.1:9443) is stronger than the file and than what is chosen here.
# Ctrl-C stops Slipway cleanly; containers go on running and are found again at the next start.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$repo"
config=$repo/config/slipway.toml

say() { printf 'start: %s\n' "$*"; }
fail() { printf 'start: %s\n' "$*" >&2; exit 1; }

build_image=no
binary=
serve_arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --build-image) build_image=yes ;;
    --binary) [ $# -ge 2 ] || fail "--binary wants a path"; binary=$2; shift ;;
    --) shift; serve_arguments=("$@"); break ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) fail "no option '$1'; --help lists them" ;;
  esac
  shift
done

# These two speak to our scripts; to the program every SLIPWAY_<KEY> is a setting, and an unknown one an error.
cache=${SLIPWAY_CACHE:-$repo/.cache}
mirror=${SLIPWAY_DEBIAN_MIRROR:-}
unset SLIPWAY_CACHE SLIPWAY_DEBIAN_MIRROR SLIPWAY_KEEP_DOCKERD
mkdir -p "$cache"

# What a setting is before we choose anything: environment, file, default. It reads the simple `key = "value"`
# lines of the file, which is all it needs; `slipway check` tells the whole truth.
setting() { # section key default
  local name=SLIPWAY_${1:+${1}_}$2
  name=${name//./_}
  name=${name^^}
  if [ -n "${!name:-}" ]; then printf '%s' "${!name}"; return; fi
  local found=
  if [ -r "$config" ]; then
    found=$(awk -v section="$1" -v key="$2" '
      /^[[:space:]]*\[/ { here = $0; gsub(/^[[:space:]]*\[|\].*$/, "", here); next }
      here == section && $0 ~ "^[[:space:]]*" key "[[:space:]]*=" {
        sub(/^[^=]*=[[:space:]]*/, ""); sub(/[[:space:]]+#.*$/, ""); gsub(/^\[?[[:space:]]*"|"[[:space:]]*\]?[[:space:]]*$/, ""); print; exit
      }' "$config")
  fi
  printf '%s' "${found:-$3}"
}

# ---- which backend ----------------------------------------------------------------------------------------

# Where Slipway will look for the engine; Docker's own client is told the same. Slipway does not read DOCKER_HOST
# itself, so that is handed on as its setting.
DOCKER_HOST=$(setting spawner.docker host "${DOCKER_HOST:-unix:///var/run/docker.sock}")
export DOCKER_HOST SLIPWAY_SPAWNER_DOCKER_HOST=$DOCKER_HOST

# The engine's API: a socket, or tcp:// without TLS.
engine() { # path
  case $DOCKER_HOST in
    unix://*) curl -fs --max-time 10 --unix-socket "${DOCKER_HOST#unix://}" "http://docker$1" ;;
    tcp://*) curl -fs --max-time 10 "http://${DOCKER_HOST#tcp://}$1" ;;
    *) return 1 ;;
  esac
}
engine_answers() {
  if command -v docker >/dev/null; then timeout 10 docker info >/dev/null 2>&1
  else command -v curl >/dev/null && engine /_ping >/dev/null; fi
}
image_is_here() {
  if command -v docker >/dev/null; then docker image inspect "$1" >/dev/null 2>&1
  else engine "/images/$1/json" >/dev/null; fi
}
# Asks the registry for the image's digest, through the engine where we can: nothing is downloaded yet, since
# Slipway pulls at the first start and shows how far it is.
image_can_be_pulled() {
  if command -v curl >/dev/null && [[ $DOCKER_HOST = unix://* ]]; then engine "/distribution/$1/json" >/dev/null
  else timeout 20 docker manifest inspect "$1" >/dev/null 2>&1; fi
}

build_lab_image() {
  if ! command -v debootstrap >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing debootstrap, which makes the image's file system"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends debootstrap; } \
      >"$cache/apt.log" 2>&1 </dev/null || fail "apt-get could not install debootstrap; see $cache/apt.log"
  fi
  SLIPWAY_CACHE=$cache SLIPWAY_DEBIAN_MIRROR=$mirror "$repo/tests/lab/build.sh" lab
}

# Leaves the choice in $backend and, for Docker, in $image.
choose_backend() {
  backend=$(setting spawner backend auto)
  image=$(setting spawner.docker image quay.io/jupyter/base-notebook)
  [ "$backend" != process ] || return 0
  if ! engine_answers; then
    [ "$backend" = auto ] || fail "spawner.backend is $backend, but no Docker engine answers at $DOCKER_HOST: start one, or leave the setting out for servers as processes"
    if [ -S "${DOCKER_HOST#unix://}" ] && [ ! -w "${DOCKER_HOST#unix://}" ]; then
      say "a Docker engine is here, but $(id -un) may not use it (group docker): servers will be processes"
    else
      say "no Docker engine answers: servers will be processes on this host"
    fi
    backend=process
    return
  fi
  if image_is_here "$image"; then backend=docker; return; fi
  if image_can_be_pulled "$image"; then
    say "the image $image is not here yet; Slipway pulls it at the first start of a server"
    backend=docker
    return
  fi

  say "the image $image is neither on this host nor to be had from its registry"
  if [ -n "${SLIPWAY_SPAWNER_DOCKER_IMAGE:-}" ]; then
    # Asked for by name: another one behind their back would be worse than an error on the start page.
    say "going on, since SLIPWAY_SPAWNER_DOCKER_IMAGE asks for it: servers will not start until it is there"
    backend=docker
    return
  fi
  if [ "$build_image" = no ] && ! image_is_here slipway-lab:local && [ -t 0 ] && [ -t 1 ]; then
    read -rp 'start: build slipway-lab:local here from Debian and PyPI (needs root, about 2 minutes)? [y/N] ' reply || true
    [[ ${reply:-} != [yY]* ]] || build_image=yes
  fi
  if [ "$build_image" = yes ]; then build_lab_image; fi
  if image_is_here slipway-lab:local; then
    say "using slipway-lab:local instead"
    image=slipway-lab:local
    backend=docker
  elif [ "$backend" = docker ]; then
    fail "no image to start servers from: ./start.sh --build-image makes one, or name yours in SLIPWAY_SPAWNER_DOCKER_IMAGE"
  else
    say "servers will be processes on this host; ./start.sh --build-image makes an image from Debian and PyPI instead"
    backend=process
  fi
}

# ---- what the process backend needs -----------------------------------------------------------------------

wanted_packages=$(sed -n 's/^jupyterlab=\(.*\)/jupyterlab==\1/p; s/^ipykernel=\(.*\)/ipykernel==\1/p; s/.*\[6\.1\]=\([0-9.]*\).*/jupyterhub==\1/p' tests/lab/build.sh | paste -sd ' ')

# Runs a command as the account that servers run as. The shell between is no detour: setpriv itself still holds
# root's capabilities when it looks its command up, and would run a Python below /root that the account cannot.
as_account() {
  if [ -n "$account" ]; then
    setpriv --reuid="$account" --regid="$(id -g "$account")" --clear-groups -- sh -c '"$@"' sh "$@"
  else "$@"; fi
}

prepare_account() {
  account=
  [ "$(id -u)" = 0 ] || return 0
  # Servers run what their owners type, so never as root.
  account=$(setting spawner.process run_as slipway-lab)
  if ! id "$account" >/dev/null 2>&1; then
    [ "$account" = slipway-lab ] || fail "spawner.process.run_as names the account $account, which does not exist"
    useradd --system --user-group --home-dir /var/lib/slipway --no-create-home --shell /bin/bash slipway-lab
    say "made the system account slipway-lab, which servers run as (remove it with: userdel slipway-lab)"
  fi
}

prepare_venv() {
  local python candidate
  venv=$cache/venv
  # The account must be able to walk to it, which it cannot when the repository lies under /root.
  mkdir -p "$venv"
  if ! as_account test -x "$venv"; then
    rmdir "$venv" 2>/dev/null || true
    venv=/var/lib/slipway/venv
    install -d -m 755 /var/lib/slipway "$venv"
    say "the account $account cannot reach $cache: the Python environment is in $venv"
  fi
  if [ "$(cat "$venv/.ready" 2>/dev/null)" = "$wanted_packages" ] && as_account "$venv/bin/python" -c '' 2>/dev/null; then return; fi

  # The first Python that the account may run; root's own (pyenv) is not one of them.
  python=
  for candidate in python3 /usr/bin/python3; do
    candidate=$(command -v "$candidate") || continue
    if as_account "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then python=$candidate; break; fi
  done
  if [ -z "$python" ] || ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      fail "Python 3.10 or later with its venv module is not here: install it (Debian: sudo apt-get install python3-venv)"
    fi
    say "installing python3-venv"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv; } \
      >"$cache/apt.log" 2>&1 </dev/null || fail "apt-get could not install python3-venv; see $cache/apt.log"
    python=/usr/bin/python3
  fi
  say "preparing a Python environment in $venv ($wanted_packages): a minute, once"
  rm -rf "$venv"
  # Readable for everybody whatever our umask: the account runs it and may not write it.
  (
    umask 022
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input $wanted_packages
  ) </dev/null || fail "the Python environment could not be made; the lines above say why"
  printf '%s' "$wanted_packages" >"$venv/.ready"
}

# ---- the program ------------------------------------------------------------------------------------------

build_program() {
  command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
  command -v cargo >/dev/null || fail "no cargo: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or later from https://rustup.rs"
  command -v cc >/dev/null || fail "no C compiler: install one (Debian: apt-get install gcc libc6-dev)"
  say "building (some minutes the first time)"
  cargo build --release --locked
  binary=${CARGO_TARGET_DIR:-$repo/target}/release/slipway
}

[ -n "$binary" ] || build_program
[ -x "$binary" ] || fail "$binary is not a program"

choose_backend
export SLIPWAY_SPAWNER_BACKEND=$backend
if [ "$backend" = docker ]; then
  export SLIPWAY_SPAWNER_DOCKER_IMAGE=$image
  say "servers are containers of $image"
else
  prepare_account
  if [ -z "${SLIPWAY_SPAWNER_PROCESS_COMMAND:-}" ]; then
    prepare_venv
    export SLIPWAY_SPAWNER_PROCESS_COMMAND=$venv/bin/jupyterhub-singleuser
    [ -n "${SLIPWAY_SPAWNER_PROCESS_PATH:-}" ] || export SLIPWAY_SPAWNER_PROCESS_PATH=$venv/bin:/usr/local/bin:/usr/bin:/bin
  fi
  [ -z "$account" ] || export SLIPWAY_SPAWNER_PROCESS_RUN_AS=$account
  say "servers are processes${account:+ of the account $account} on this host: for one person, or people who trust each other"
fi
data_dir=$(setting "" data_dir "$repo/data")
# Servers have their homes in data_dir, so the account must be able to walk there: it cannot when the repository lies
# under /root. Somebody who names a data_dir is told by Slipway instead.
if [ "$backend" = process ] && [ -n "$account" ] && [ "$data_dir" = "$repo/data" ] && ! as_account test -x "$repo"; then
  data_dir=/var/lib/slipway/data
  say "the account $account cannot reach $repo: users and their files are in $data_dir"
fi
certs_dir=$(setting "" certs_dir "$repo/certs")
export SLIPWAY_DATA_DIR=$data_dir SLIPWAY_CERTS_DIR=$certs_dir

# For the words below alone; one address or a list of them.
listen=$(setting listener https '[::]:8443')
listen=${listen#'["'}
port=${listen%%[\",]*}
port=${port##*:}
base=$(setting "" base_url /)
[[ $base = /* ]] || base=/$base
[[ $base = */ ]] || base=$base/
link_file=$data_dir/setup-link
# Slipway writes the link anew at each start while there is no administrator; an older one is worth nothing.
begun=$(mktemp)
trap 'rm -f "$begun"' EXIT

# A process group of its own (set -m): Ctrl-C then reaches this script alone, which asks once and waits, where
# the terminal and we would both have asked and Slipway taken the second time for impatience.
set -m
"$binary" serve --config "$config" "${serve_arguments[@]}" </dev/null &
slipway=$!
set +m
asked_to_stop=no
stop() {
  printf '\n'
  if [ $asked_to_stop = no ]; then say "stopping"; else say "stopping at once"; fi
  asked_to_stop=yes
  # Slipway takes a second signal for impatience, and drops what is still open.
  kill -TERM "$slipway" 2>/dev/null || true
}
trap stop INT TERM HUP

# 60 s: opening the store, asking the engine, adopting what runs. Nothing depends on it but the words below.
for _ in $(seq 600); do
  kill -0 "$slipway" 2>/dev/null && [ $asked_to_stop = no ] || break
  if (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    # Written as the last step of the start, just after the port opens: 1 s is plenty.
    for _ in $(seq 10); do [ ! "$link_file" -nt "$begun" ] || break; sleep 0.1; done
    printf '\n'
    say "Slipway is at https://localhost:$port$base"
    if ! compgen -G "$certs_dir/*" >/dev/null; then
      say "its certificate is self-signed, so the browser asks once; one of yours goes into $certs_dir"
    fi
    if [ "$link_file" -nt "$begun" ]; then
      say "make the administrator's account with this link, and keep it to yourself until then:"
      say "  $(cat "$link_file")"
    else
      say "sign in there; without an account, sign up and ask the administrator to approve"
    fi
    say "Ctrl-C stops it"
    printf '\n'
    break
  fi
  sleep 0.1
done

# `wait` returns early when a signal comes, and the program is not done yet then.
status=0
while :; do
  wait "$slipway" && status=0 || status=$?
  kill -0 "$slipway" 2>/dev/null || break
done
[ $asked_to_stop = no ] || say "stopped"
exit $status
