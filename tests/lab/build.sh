#!/usr/bin/env bash
# Builds the images that the tests and `start.sh --build-image` use, without a registry: debootstrap and pip
# into a folder, `docker import` of that folder.
#
#   slipway-lab:4.1 :5.4 :6.1   JupyterLab with jupyterhub-singleuser of that JupyterHub; :local is :6.1.
#                               One root file system of one layer; the tags differ in their settings alone.
#                               :6.1 and :local show notices (jupyterlab-notifications-extension); the others lack
#                               the extension, as many images of users do.
#   slipway-instant:test        answers 200 to everything a few ms after its start (tests/lab/stub.c)
#   slipway-exits:test          three lines on stderr, exit status 7
#   slipway-deaf:test           starts, never listens
#
# Usage:  tests/lab/build.sh [lab|stubs|all]        (default all)
#
# An image whose label holds the fingerprint of its recipe is kept, so a second run costs well under a second.
# Downloads are kept in ${SLIPWAY_CACHE:-<repo>/.cache}. Wants root (debootstrap, chroot), a Docker engine,
# debootstrap and, for the stubs, gcc; `test.sh` installs them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
cache=${SLIPWAY_CACHE:-$repo/.cache}
mirror=${SLIPWAY_DEBIAN_MIRROR:-http://deb.debian.org/debian}
label=io.slipway.recipe

# The parts of the recipe that change the image. The versions of everything below them are in constraints.txt,
# so that a release of some dependency never turns a green run red.
jupyterlab=4.6.6
ipykernel=7.4.0
notifications=1.2.29
declare -A hubs=([4.1]=4.1.6 [5.4]=5.4.2 [6.1]=6.1.1)

say() { printf 'lab: %s\n' "$*"; }
fail() { printf 'lab: %s\n' "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is not installed: apt-get install $2"; }

# ---- the recipe: every function here is part of the fingerprint -------------------------------------------

# Runs inside the new root (chroot). pip comes from Debian's wheel of it and then installs itself, since a
# notebook wants %pip; the compiled .pyc files stay, because the user of the container may not write them and
# JupyterLab's start takes seconds longer without.
inside() {
  set -euo pipefail
  pip() { PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) python3 -m pip --disable-pip-version-check "$@"; }
  rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
  pip install --quiet --constraint /build/constraints.txt pip "jupyterlab==$jupyterlab" "ipykernel==$ipykernel"
  local pair
  for pair in $hub_pairs; do          # 4=4.1.6 5=5.4.2 6=6.1.1
    # A venv that sees the system's packages: JupyterLab is there once, each hub's own few packages beside it.
    python3 -m venv --without-pip --system-site-packages "/opt/hub${pair%%=*}"
    python3 -m pip --disable-pip-version-check --python "/opt/hub${pair%%=*}/bin/python" install --quiet \
      --constraint /build/constraints.txt "jupyterhub==${pair#*=}"
  done
  # Beside one hub alone: a venv's settings and lab extensions are seen from that venv only.
  python3 -m pip --disable-pip-version-check --python /opt/hub6/bin/python install --quiet \
    --constraint /build/constraints.txt "jupyterlab-notifications-extension==$notifications"
  useradd --create-home --uid 1000 --user-group --shell /bin/bash jovyan
  # Volumes are mounted here: Docker gives a new volume the owner of the folder that it covers.
  install -d -o jovyan -g jovyan /home/jovyan/work /home/jovyan/.cache
}

# What nobody reads in a container: manuals, translations, package lists, source maps, packages' own tests, and
# the fonts and scripts of JupyterHub's own pages, which a single-user server has no use for.
slim() {
  local root=$1
  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/* "$root"/tmp/* "$root"/build \
    "$root"/usr/share/{doc,man,info,locale,lintian,doc-base,bug}/* "$root"/usr/share/python-wheels \
    "$root"/root/.cache
  rm -rf "$root"/opt/hub*/share/jupyterhub/static/{components,scss}
  find "$root"/usr/local/lib -path '*/babel/locale-data/*' ! -name 'en*' ! -name root.dat ! -name '*.py*' -type f -delete
  find "$root"/usr/local "$root"/opt -name '*.js.map' -delete
  find "$root"/usr/local/lib "$root"/opt -depth -type d \( -name tests -o -name test \) \
    -path '*-packages/*' -exec rm -rf {} +
  # Shared libraries of wheels carry symbols; Debian's own are stripped already.
  if command -v strip >/dev/null; then
    find "$root"/usr/local "$root"/opt -name '*.so*' -type f -exec strip --strip-unneeded {} + 2>/dev/null || true
  fi
}

lab_settings() { # version of the hub → what `docker commit --change` is told
  local major=${1%%.*}
  printf '%s\n' "USER 1000:1000" "WORKDIR /home/jovyan" 'CMD ["jupyterhub-singleuser"]' "EXPOSE 8888" \
    "ENV PATH=/opt/hub$major/bin:/usr/local/bin:/usr/bin:/bin" "ENV HOME=/home/jovyan" "ENV SHELL=/bin/bash" \
    "ENV LANG=C.UTF-8" "ENV PYTHONUNBUFFERED=1"
}

packages=python3,python3-pip-whl
suite=bookworm

# ---- end of the recipe ------------------------------------------------------------------------------------

hub_pairs=$(for version in 4.1 5.4 6.1; do printf '%s=%s ' "${version%%.*}" "${hubs[$version]}"; done)

# `declare -f` prints a function without its comments, so that a better comment rebuilds nothing.
lab_fingerprint=$( { declare -f inside slim lab_settings; echo "$jupyterlab $ipykernel $notifications $hub_pairs $packages $suite"
                     grep -v "^#" "$here/constraints.txt"; } | sha256sum | cut -c1-16)
stub_fingerprint=$(sha256sum <"$here/stub.c" | cut -c1-16)

has() { # image fingerprint
  [ "$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null)" = "$2" ]
}

build_root() { # folder
  local root=$1
  need debootstrap debootstrap
  mkdir -p "$cache/debs" "$cache/pip"
  # Removing a half-made root is safe only when nothing is mounted in it; the mounts below live in a mount
  # namespace of their own and are gone with it, whatever kills us.
  rm -rf "$root"
  say "debootstrap $suite from $mirror"
  debootstrap --variant=minbase --cache-dir="$cache/debs" --include="$packages" "$suite" "$root" "$mirror" \
    >"$cache/debootstrap.log" 2>&1 || { tail -n 20 "$cache/debootstrap.log" >&2; fail "debootstrap failed"; }

  say "pip: jupyterlab $jupyterlab, jupyterhub ${hubs[4.1]}, ${hubs[5.4]}, ${hubs[6.1]}"
  mkdir -p "$root/build/pip-cache"
  cp "$here/constraints.txt" "$root/build/"
  { declare -f inside; echo inside; } >"$root/build/inside.sh"
  # The host knows how to reach PyPI (resolver, certificates, proxy, another index); the root is told the same.
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  local certificates=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
  [ -r "$certificates" ] && cp -L "$certificates" "$root/build/ca.crt"
  unshare --mount bash -c '
    set -e
    mount --bind "$1/pip" "$2/build/pip-cache"
    mount -t proc proc "$2/proc"
    shift 2; exec "$@"' - "$cache" "$root" \
    env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 HOME=/root \
      PIP_CACHE_DIR=/build/pip-cache PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1 PIP_DEFAULT_TIMEOUT=180 \
      ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} ${https_proxy:+https_proxy="$https_proxy"} \
      ${http_proxy:+http_proxy="$http_proxy"} $([ -r "$root/build/ca.crt" ] && echo PIP_CERT=/build/ca.crt) \
      jupyterlab="$jupyterlab" ipykernel="$ipykernel" notifications="$notifications" hub_pairs="$hub_pairs" \
      chroot "$root" bash /build/inside.sh
  # What was installed, for whoever renews constraints.txt.
  find "$root"/usr/local/lib "$root"/opt -name '*.dist-info' -printf '%f\n' | sed 's/\.dist-info$//; s/-/==/' \
    | grep -v -E '^(jupyterhub|jupyterlab|ipykernel|jupyterlab_notifications_extension)==' | sort -u >"$cache/lab-packages.txt"
  slim "$root"
  : >"$root/etc/resolv.conf"
}

build_lab() {
  local version all_there=yes
  for version in 4.1 5.4 6.1 local; do has "slipway-lab:$version" "$lab_fingerprint" || all_there=no; done
  if [ "$all_there" = yes ]; then
    say "slipway-lab: up to date ($lab_fingerprint)"
    return
  fi
  [ "$(id -u)" = 0 ] || fail "building slipway-lab needs root (debootstrap, chroot): run it with sudo"
  local root=$cache/lab-root started=$SECONDS base container settings
  build_root "$root"
  say "docker import"
  base=$(tar --numeric-owner -C "$root" -c . | docker import --change "LABEL $label=$lab_fingerprint" -)
  rm -rf "$root"
  for version in 4.1 5.4 6.1; do
    container=$(docker create "$base" true)
    settings=()
    while IFS= read -r line; do settings+=(--change "$line"); done < <(lab_settings "$version")
    docker commit "${settings[@]}" "$container" "slipway-lab:$version" >/dev/null
    docker rm "$container" >/dev/null
  done
  docker tag slipway-lab:6.1 slipway-lab:local
  # What these tags named before. Only untagged images with our label, and none that a container uses.
  docker image prune --force --filter "label=$label" >/dev/null
  say "slipway-lab: built in $((SECONDS - started)) s, $(docker image inspect --format '{{.Size}}' slipway-lab:local | awk '{printf "%.0f MB", $1/1e6}')"
}

build_stubs() {
  local mode folder
  if has slipway-instant:test "$stub_fingerprint" && has slipway-exits:test "$stub_fingerprint" \
     && has slipway-deaf:test "$stub_fingerprint"; then
    say "stubs: up to date ($stub_fingerprint)"
    return
  fi
  need gcc "gcc libc6-dev"
  folder=$(mktemp -d)
  mkdir -p "$folder"/{usr/local/bin,tmp,home/jovyan/work,home/jovyan/.cache}
  chmod 1777 "$folder/tmp"
  chown -R 1000:1000 "$folder/home/jovyan" 2>/dev/null || true
  gcc -static -Os -s -Wall -o "$folder/stub" "$here/stub.c"
  # The same program under the name that a spawner may ask for.
  ln -s /stub "$folder/usr/local/bin/jupyterhub-singleuser"
  for mode in instant exits deaf; do
    tar --numeric-owner -C "$folder" -c . | docker import --change 'CMD ["/stub"]' --change "ENV SLIPWAY_STUB=$mode" \
      --change "ENV PATH=/usr/local/bin" --change "EXPOSE 8888" --change "LABEL $label=$stub_fingerprint" - "slipway-$mode:test" >/dev/null
  done
  rm -rf "$folder"
  say "stubs: built slipway-instant:test, slipway-exits:test, slipway-deaf:test"
}

# One build at a time: two would share the folder, and one would prune what the other has just imported.
mkdir -p "$cache"
exec 9>"$cache/lab.lock"
flock 9

need docker docker.io
docker info >/dev/null 2>&1 || fail "no Docker engine answers: start one (test.sh does) or check DOCKER_HOST"
case "${1:-all}" in
  lab) build_lab ;;
  stubs) build_stubs ;;
  all) build_stubs; build_lab ;;
  *) fail "usage: $0 [lab|stubs|all]" ;;
esac
