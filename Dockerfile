# One image, a command for each program. docs/docker.md says how they belong together.

FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates gcc libarchive-dev libbz2-dev libc6-dev libcivetweb-dev libcjson-dev \
        libcurl4-openssl-dev libjwt-dev liblzma-dev libpq-dev libseccomp-dev libssl-dev libwslay-dev \
        libzstd-dev make mmdebstrap musl-tools nettle-dev zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile ./
COPY scripts scripts
COPY include include
COPY lib lib
COPY migrations migrations
COPY server server
COPY monitor monitor
COPY worker worker
COPY launcher launcher
COPY agent agent
COPY archive archive
COPY cli cli
RUN make -j"$(nproc)" all && install -d /out/programs && install -s build/bin/* /out/programs
# The image that sandboxes run from: mmdebstrap needs no privilege for it in here.
COPY images images
RUN ATOLL_STATE_DIR=/out/state build/bin/atoll image build base

FROM debian:bookworm-slim AS runtime
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates e2fsprogs libcivetweb1 libcjson1 libcurl4 libjwt0 libpq5 libseccomp2 libssl3 libwslay1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 9070 atoll \
    && useradd --uid 9070 --gid atoll --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin atoll \
    && install -d -m 0755 /run/atoll \
    && install -d -m 0755 -o atoll -g atoll /run/atoll/server
COPY --from=build /out/programs/ /usr/bin/
COPY --from=build /out/state/ /var/lib/atoll/
COPY scripts/compose-launcher scripts/compose-secrets /usr/lib/atoll/
EXPOSE 8070
CMD ["atoll-server"]
