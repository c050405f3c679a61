# One image, one binary; compose and Kubernetes choose the verb.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --package upnext-cli \
 && cp target/dist/upnext /usr/local/bin/upnext

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates redis-server \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --create-home --home-dir /var/lib/upnext upnext
COPY --from=build /usr/local/bin/upnext /usr/local/bin/upnext
USER upnext
WORKDIR /var/lib/upnext
ENTRYPOINT ["upnext"]
CMD ["--help"]
