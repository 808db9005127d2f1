# syntax=docker/dockerfile:1
# The service on the CPU. Build it with: docker build -t ddpm-inpaint .
ARG NODE=docker.io/library/node:24.21.0-bookworm-slim

FROM ${NODE} AS production
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No dependency needs its install script: native code comes prebuilt, in a package for each platform. onnxruntime-node
# is the exception: it contains the libraries of all platforms (288 MB), so those of other platforms are removed.
RUN npm ci --omit=dev --ignore-scripts --no-update-notifier \
 && npm cache clean --force \
 && cd node_modules/onnxruntime-node/bin/napi-v6 \
 && node -e 'const { platform, arch } = process; console.log(`./${platform}/${arch}`)' > /tmp/platform \
 && find . -mindepth 2 -maxdepth 2 ! -path "$(cat /tmp/platform)" -exec rm -r {} +

FROM ${NODE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-update-notifier
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build-page.js scripts/build-page.js
COPY src src
RUN npm run build

FROM ${NODE}
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="ddpm-inpaint" \
      org.opencontainers.image.description="A model server that fills holes in pictures with a denoising diffusion model" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.documentation="/app/README.md"
# These settings make glibc return freed memory to the system: bench/README.md, "Soak".
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=131072
WORKDIR /app
COPY LICENSE README.md package.json ./
COPY --from=production /app/node_modules node_modules
COPY models models
COPY docker/healthcheck.js docker/healthcheck.js
COPY --from=build /app/dist dist
USER 1000:1000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["node", "docker/healthcheck.js"]
# Node.js runs as process 1: it handles SIGTERM and waits for the workers that it started.
STOPSIGNAL SIGTERM
CMD ["node", "dist/main.js"]
