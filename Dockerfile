# The image of Slipway: the program, the C library that it needs, certificates of authorities, and nothing else.
#
#   docker build -t slipway .                                                       from source, some minutes
#   docker build -t slipway --build-arg BUILD_IMAGE=debian:bookworm-slim \
#                --build-arg BINARY=target/release/slipway .                        of a program that is built already
#
# It uses nothing that only BuildKit knows, and each image that it stands on is an argument, so that it can be built
# without a registry: tests/compose does, from a root file system that debootstrap makes.

# Where the program is built, or, with BINARY, where its libraries are taken from: glibc, a shell, coreutils, grep.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
# What lies below the program. Another one (debian:bookworm-slim) brings a shell to look around with.
ARG FINAL_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
# A program that is there already, by its path in this folder: nothing is compiled then.
ARG BINARY=
# `ci` is built in half the time and nearly as fast.
ARG PROFILE=release
WORKDIR /source
COPY . .
RUN set -eu; \
    if [ -z "$BINARY" ]; then cargo build --locked --profile "$PROFILE" --bin slipway; BINARY=target/$PROFILE/slipway; fi; \
    mkdir -p /image/usr/bin /image/etc/ssl/certs /image/etc/slipway/config /image/etc/slipway/certs /image/usr/share/doc/slipway; \
    install -m 755 "$BINARY" /image/usr/bin/slipway; \
    ln -s slipway /image/usr/bin/configurable-http-proxy; \
    # The libraries that it is linked with, and those that NVIDIA's, loaded at run time, asks for beside them.
    libc=$(ldd /image/usr/bin/slipway | grep -o '/[^ ]*/libc\.so\.6'); \
    for file in $(ldd /image/usr/bin/slipway | grep -o '/[^ ]*') \
                "${libc%/*}/libdl.so.2" "${libc%/*}/libpthread.so.0" "${libc%/*}/librt.so.1" "${libc%/*}/libm.so.6"; do \
      [ -e "/image$file" ] || cp -L --parents "$file" /image; \
    done; \
    # Whom the program believes when it asks another host, as ACME does.
    cp -L /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ 2>/dev/null || true; \
    echo 'root:x:0:0:root:/:/sbin/nologin\nslipway:x:1000:1000:slipway:/data:/sbin/nologin' >/image/etc/passwd; \
    echo 'root:x:0:\nslipway:x:1000:' >/image/etc/group; \
    echo 'hosts: files dns' >/image/etc/nsswitch.conf; \
    cp config/platform.toml /image/etc/slipway/; \
    cp LICENSE docs/third-party.md /image/usr/share/doc/slipway/; \
    mkdir -p /owned/data /owned/mnt/shared /owned/tmp; \
    chmod 700 /owned/data; chmod 2775 /owned/mnt/shared; chmod 1777 /owned/tmp

FROM ${FINAL_IMAGE}
COPY --from=build /image /
# Named volumes take over the owner of the folder that they cover, the first time.
COPY --from=build --chown=1000:1000 /owned /
# No root: the engine's socket is reached by its group (`group_add` in compose.yml). 1000 is the usual first account of
# a host, so it can read what lies in ./certs and ./config there.
USER 1000:1000
# ./config and ./certs of a compose file are mounted here.
WORKDIR /etc/slipway
# What holds in this image unless config/slipway.toml, or the environment, says otherwise.
ENV SLIPWAY_DEFAULTS=/etc/slipway/platform.toml HOME=/data
EXPOSE 80 443
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/bin/slipway", "health"]
ENTRYPOINT ["/usr/bin/slipway"]
CMD ["serve"]
