# syntax=docker/dockerfile:1
# docker build --build-arg VERSION=$(git describe --tags --always) -t cdc .

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=unknown
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=${VERSION}" \
    -o /out/cdc ./cmd/cdc \
 && install -d -m 0700 /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/cdc /usr/bin/cdc
COPY --from=build /src/schemas/views /etc/cdc/views
# A named volume mounted here takes over owner and mode.
COPY --from=build --chown=65532:65532 /out/data /var/lib/cdc
USER 65532:65532
VOLUME /var/lib/cdc
# The daemon drains on SIGTERM; exit status 2 and 3 say that a restart is useless.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/cdc"]
CMD ["run", "--config", "/etc/cdc/cdc.yaml"]
