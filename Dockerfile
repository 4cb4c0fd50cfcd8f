# Builder and runtime are the same Debian release: a binary linked against a newer C library does not
# start on an older one. Cache mounts keep the crates and the compiled dependencies between builds, so
# that a change in src compiles our own crate only; each platform has its own, and is built on itself
# (`docker buildx build --platform linux/arm64 .`). What is copied: .dockerignore.

FROM rust:1.95-slim-trixie AS build
WORKDIR /build
COPY . .
ARG TARGETPLATFORM
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=amber-target-$TARGETPLATFORM,target=/build/target,sharing=locked \
    cargo build --release --locked --bin amber && cp target/release/amber /usr/local/bin/amber

FROM debian:trixie-slim
# The roots that TLS connections are checked against; openssl for stack/certificates.sh.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates openssl && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/amber /usr/local/bin/amber
# A place for a SQLite database; with PostgreSQL nothing is written and the root may be read-only.
RUN install -d -o 10001 -g 10001 /var/lib/amber
WORKDIR /var/lib/amber
USER 10001:10001
EXPOSE 9583
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["amber", "health"]
ENTRYPOINT ["amber"]
CMD ["run"]
