#!/usr/bin/env bash
# Brings up Slipway as a container with Docker Compose (v2, or v1 from 1.28 on), and takes compose_override.yml along.
#
# Usage:  ./compose.sh [up|down|pull|logs|check|…] [arguments of that command]      (default up)
#
#   up       as `docker compose up --detach`, then waits until Slipway is well and prints its address and, while
#            nobody administers, the setup link
#   down     takes the stack away; users' servers, volumes and the network they are on stay
#   check    the settings in force, each with where it came from; every other word is a command of Slipway's, too:
#            slipway …   as in ./compose.sh slipway user list
#   pull, logs, ps, restart, config, …   are handed to Compose as they are
#
# What Compose needs to know of this host, the group of the engine's socket, goes into .env (DOCKER_GID); every other
# line of that file is yours. Linux alone: on Windows run it in WSL 2.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf 'compose: %s\n' "$*"; }
fail() { printf 'compose: %s\n' "$*" >&2; exit 1; }

case ${1:-} in -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;; esac

command -v docker >/dev/null || fail "no docker command here: install Docker Engine (Debian: apt-get install docker.io)"
if docker compose version >/dev/null 2>&1; then compose=(docker compose)
elif command -v docker-compose >/dev/null; then compose=(docker-compose)
else fail "no Docker Compose here: install the plugin docker-compose-plugin (Debian 12: docker-compose)"; fi

files=(-f compose.yml)
# The name of always first; then the one that Compose itself would take if no file were named.
for override in compose_override.yml compose_override.yaml compose.override.yml compose.override.yaml; do
  [ ! -e "$override" ] || files+=(-f "$override")
done
run() { "${compose[@]}" "${files[@]}" "$@"; }

# A line of .env, the last one if there are several; what the shell says wins, as it does with Compose.
setting() { # NAME default
  local value=${!1:-}
  [ -n "$value" ] || value=$(sed -n "s/^$1=//p" .env 2>/dev/null | tail -n 1)
  printf '%s' "${value:-$2}"
}

# Writes the group of the engine's socket into .env, where it is not there yet or has become another.
write_group() {
  local socket group
  socket=$(setting DOCKER_SOCKET /var/run/docker.sock)
  [ -S "$socket" ] || fail "no Docker engine's socket at $socket: start the engine, or name its socket in .env (DOCKER_SOCKET=/run/user/1000/docker.sock)"
  group=$(stat -Lc %g "$socket")
  [ "$(sed -n 's/^DOCKER_GID=//p' .env 2>/dev/null | tail -n 1)" != "$group" ] || return 0
  if grep -q '^DOCKER_GID=' .env 2>/dev/null; then sed -i "s/^DOCKER_GID=.*/DOCKER_GID=$group/" .env
  else
    # A last line without its end would swallow ours.
    [ ! -s .env ] || [ -z "$(tail -c 1 .env)" ] || echo >>.env
    printf '# The group of %s, for group_add: written by compose.sh\nDOCKER_GID=%s\n' "$socket" "$group" >>.env
  fi
  say "wrote DOCKER_GID=$group into .env"
}

# Slipway is user 1000 in its container and cannot serve a key that only root may read.
check_keys() {
  local file
  for file in certs/*; do
    [ -f "$file" ] && [ "$(stat -Lc %u "$file")" != 1000 ] && [ $((0$(stat -Lc %a "$file") & 4)) = 0 ] || continue
    say "warning: $file cannot be read by user 1000, who Slipway is in its container: chown 1000 $file"
  done
}

# ./config is mounted read-only: a file of an override can only be mounted over one that is there.
make_folders() {
  mkdir -p certs config
  [ -e config/slipway.toml ] || { : >config/slipway.toml; say "made an empty config/slipway.toml for settings of yours"; }
}

container() { run ps -q slipway 2>/dev/null | head -n 1; }

# Waits for Slipway's own word that it is well. 120 s: an engine's first start pulls nothing here, but a disk may be slow.
await_health() {
  local id state until=$((SECONDS + 120))
  while :; do
    id=$(container)
    state=$(docker inspect --format '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$id" 2>/dev/null) || state=
    case $state in
      "running healthy") return ;;
      exited* | dead* | restarting*) break ;;
    esac
    [ $SECONDS -lt $until ] || break
    sleep 0.3
  done
  docker logs --tail 20 "$id" >&2 || true
  fail "Slipway is not well (${state:-no container}); its last lines are above, all of them: ./compose.sh logs slipway"
}

greet() {
  local id port base url link
  id=$(container)
  port=$(docker port "$id" 443/tcp 2>/dev/null | sed -n 's/.*://p' | head -n 1)
  # What is in force there, whoever said it: file, environment or old names.
  base=$(docker exec "$id" slipway check 2>/dev/null | sed -n 's/^base_url = "\([^"]*\)".*/\1/p')
  url=$(docker exec "$id" slipway check 2>/dev/null | sed -n 's/^public_url = "\([^"]*\)".*/\1/p')
  [[ $base = /* ]] || base=/$base
  [[ $base = */ ]] || base=$base/
  [ -n "$url" ] || url=https://localhost$([ "${port:-443}" = 443 ] || printf ':%s' "$port")
  say "Slipway is at ${url%/}$base"
  # It is there while nobody administers, and made anew by each start.
  link=$(docker cp "$id:/data/setup-link" - 2>/dev/null | tar -xO 2>/dev/null) || link=
  if [ -n "$link" ]; then
    say "make the administrator's account with this link, and keep it to yourself until then:"
    say "  ${url%/}${base}hub/signup?code=${link##*code=}"
  fi
}

command=${1:-up}
[ $# = 0 ] || shift
case $command in
  up)
    write_group
    make_folders
    check_keys
    run up --detach "$@"
    await_health
    greet
    ;;
  down)
    status=0
    run down "$@" || status=$?
    # v1 takes it for an error that users' servers are still on the network.
    [ $status = 0 ] || [ -n "$(container)" ] || { say "users' servers run on, and so their network stays"; status=0; }
    exit $status
    ;;
  check) run exec -T slipway slipway check "$@" ;;
  slipway)
    if [ -t 0 ] && [ -t 1 ]; then run exec slipway slipway "$@"; else run exec -T slipway slipway "$@"; fi
    ;;
  *)
    write_group
    run "$command" "$@"
    ;;
esac
