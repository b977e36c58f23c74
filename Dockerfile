# syntax=docker/dockerfile:1

FROM swift:6.3-bookworm AS builder
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libhiredis-dev libmariadb-dev libsqlite3-dev libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The dependencies, fetched again only when the manifest changes.
COPY Package.* ./
RUN swift package resolve
COPY Sources Sources
# The page has the JavaScript client in it.
COPY sdk sdk
# The manifest names the test folders; they are not compiled.
COPY Tests Tests
COPY scripts/build scripts/release scripts/
RUN scripts/release && strip --strip-debug -o /luciq .build/release/luciq

FROM debian:bookworm-slim
# libmariadb3 has the plugins for MySQL 8's passwords; ca-certificates is for TLS, tzdata for the times in logs.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends \
        ca-certificates libmariadb3 libsqlite3-0 libssl3 tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin luciq \
    && install -d -o luciq -g luciq /data
COPY --from=builder /luciq /usr/local/bin/luciq
USER luciq
# Without DATABASE_URL the data is in data/luciq.sqlite under this folder: mount a volume there.
WORKDIR /data
# On this address a server starts only with LUCIQ_ADMIN_KEY, or with OPEN_APPLICATIONS=true (docs/access.md).
ENV HOST=0.0.0.0 PORT=3000
EXPOSE 3000
# Bash's own TCP, so that the image needs no curl. It asks OPS_PORT if that is set. It also works for a worker, whose
# WORKER_PORT must then equal PORT.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/${OPS_PORT:-$PORT} && printf 'GET /livez HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["luciq"]
CMD ["serve"]
