# scopegate's image: Node and the program, which has its packages inside; no shell, no package manager, no node_modules.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No dependency needs an install script to work, so none may run one.
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY .ci/bundle.js .ci/page.js .ci/parts.js .ci/schemas.js .ci/
COPY src ./src
RUN npm run build
# A volume mounted over this folder takes its owner, so that `clients apply` can write without being root.
RUN mkdir credentials && chmod 0700 credentials

# The C library, libstdc++ and CA certificates, and nothing else: the base that distroless' own Node images stand on.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="scopegate" \
      org.opencontainers.image.description="OAuth2 introspection reverse proxy: Kyma APIRules, Ory Hydra tokens, one process" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
# The authorities of the system are trusted as well as Node's own, so that one that is added to the image or mounted counts.
ENV NODE_ENV=production PATH=/usr/local/bin:/usr/bin:/bin NODE_USE_SYSTEM_CA=1 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /app/package.json ./
# dist/sbom.cdx.json says what is inside, for scanners of images too.
COPY --from=build /app/dist ./dist
COPY --from=build --chown=65532:65532 /app/credentials /credentials
# The code belongs to root: the process cannot change what it runs. A number, so that runAsNonRoot can verify it.
USER 65532:65532
EXPOSE 4455
# Asks the admin port over loopback: it is never published, and the image has no curl. Each check starts a Node, so it is seldom
# and loads little: node:net takes 30 ms of CPU time, node:http 37, fetch 103. During the start Docker checks every 5 s.
HEALTHCHECK --interval=30s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "--eval", "require('node:net').connect(process.env.SCOPEGATE_LISTEN_ADMIN_PORT ?? 4456, '127.0.0.1', function () { this.write('GET /health/ready HTTP/1.0\\r\\n\\r\\n') }).once('data', (data) => process.exit(/^HTTP.1.1 200 /.test(data) ? 0 : 1)).on('close', () => process.exit(1)).on('error', () => process.exit(1))"]
# The exec form: Node is process 1 and gets SIGTERM itself.
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["serve", "--config", "/etc/scopegate/scopegate.yaml"]
