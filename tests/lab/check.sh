#!/usr/bin/env bash
# Proves the lab images without Slipway: each version's jupyterhub-singleuser starts against a hub of twenty
# lines, answers `…/api`, sends a stranger to the hub's sign-in, and finds JupyterLab's pages and a kernel.
#
# Usage:  tests/lab/check.sh [4.1 5.4 6.1]      prints a line per image with its seconds to ready
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
versions=${*:-4.1 5.4 6.1}
work=$(mktemp -d)
containers=()
hub=
finish() {
  [ -n "$hub" ] && kill "$hub" 2>/dev/null || true
  [ ${#containers[@]} = 0 ] || docker rm -f "${containers[@]}" >/dev/null 2>&1 || true
  docker network rm "$network" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT

# A network of its own: engine 20.10 names no gateway for the default bridge.
network=slipway-check-$$
docker network create "$network" >/dev/null
gateway=$(docker network inspect "$network" --format '{{(index .IPAM.Config 0).Gateway}}')
python3 -u "$here/fake_hub.py" "$gateway" >"$work/hub.log" 2>"$work/port" &
hub=$!
for _ in $(seq 100); do [ -s "$work/port" ] && break; kill -0 "$hub"; sleep 0.05; done
port=$(head -n 1 "$work/port")

failed=0
for version in $versions; do
  begun=$(date +%s%N)
  container=$(docker run -d --network "$network" \
    -e JUPYTERHUB_API_TOKEN=0123456789abcdef0123456789abcdef \
    -e JUPYTERHUB_CLIENT_ID=jupyterhub-user-alice \
    -e JUPYTERHUB_OAUTH_CALLBACK_URL=/user/alice/oauth_callback \
    -e JUPYTERHUB_SERVICE_PREFIX=/user/alice/ \
    -e JUPYTERHUB_SERVICE_URL=http://0.0.0.0:8888/user/alice/ \
    -e "JUPYTERHUB_API_URL=http://$gateway:$port/hub/api" \
    -e "JUPYTERHUB_ACTIVITY_URL=http://$gateway:$port/hub/api/users/alice/activity" \
    -e JUPYTERHUB_BASE_URL=/ -e JUPYTERHUB_HOST= -e JUPYTERHUB_USER=alice -e JUPYTERHUB_SERVER_NAME= \
    -e 'JUPYTERHUB_OAUTH_ACCESS_SCOPES=["access:servers!server=alice/", "access:servers!user=alice"]' \
    "slipway-lab:$version")
  containers+=("$container")
  server=http://$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$container"):8888/user/alice
  ready=no
  # 60 s, JupyterHub's own start limit; a poll each 100 ms.
  for _ in $(seq 600); do
    if curl -fs -o "$work/api" -D "$work/head" --max-time 2 "$server/api"; then ready=yes; break; fi
    [ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ] || break
    sleep 0.1
  done
  took=$(( ($(date +%s%N) - begun) / 1000000 ))
  says=$(sed -n 's/^X-JupyterHub-Version: *//Ip' "$work/head" 2>/dev/null | tr -d '\r')
  # The visitor's token is one that the hub of twenty lines knows as alice's.
  lab=$(curl -s -o "$work/lab" -w '%{http_code}' -H 'Authorization: token visitor' "$server/lab" || true)
  kernel=$(curl -s -o "$work/kernel" -w '%{http_code}' -X POST -H 'Authorization: token visitor' "$server/api/kernels" || true)
  stranger=$(curl -s -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Sec-Fetch-Mode: navigate' "$server/lab" || true)
  if [ $ready = yes ] && [ "$lab" = 200 ] && [ "$kernel" = 201 ] && [[ $stranger == 302*/hub/api/oauth2/authorize?* ]] \
     && grep -q 'jupyter-config-data' "$work/lab" && [[ $says == "$version".* ]]; then
    printf 'lab: slipway-lab:%s ready in %d ms, says JupyterHub %s; /lab %s, kernel %s, stranger %s\n' "$version" "$took" "$says" "$lab" "$kernel" "${stranger%%\?*}"
  else
    printf 'lab: slipway-lab:%s FAILED: ready %s after %d ms, version "%s", /lab %s, kernel %s, stranger %s\n' "$version" "$ready" "$took" "$says" "$lab" "$kernel" "$stranger"
    docker logs --tail 40 "$container"
    failed=1
  fi
done
[ $failed = 0 ] || { echo 'lab: what the hub was asked:'; cat "$work/hub.log"; }
exit $failed
