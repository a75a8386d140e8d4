# syntax=docker/dockerfile:1

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
# Includes .git, from which the binary takes its version.
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/damsync ./cmd/damsync

FROM alpine:3.22
# Certificates for https to the CMP, time zones for schedules that name one.
RUN apk add --no-cache ca-certificates tzdata \
    && adduser -S -D -H -u 10001 -s /sbin/nologin damsync \
    && install -d -o 10001 -g 65533 /var/lib/damsync /srv/dam
COPY --from=build /out/damsync /usr/local/bin/damsync
USER 10001
WORKDIR /var/lib/damsync
VOLUME ["/var/lib/damsync", "/srv/dam"]
EXPOSE 8080
# The image has no PostgreSQL: set database.url, and http.listen to ":8080".
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/healthz"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["damsync"]
CMD ["serve", "--config", "/etc/damsync/config.yaml"]
