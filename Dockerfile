# The image of logferry: the package as `npm pack` makes it, with the dependencies of package-lock.json.
#   docker build --tag logferry .
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm pack && tar -xzf logferry-*.tgz && chmod +x package/dist/cli/bin.js
RUN npm prune --omit=dev && mv node_modules package/

FROM node:24-slim
COPY --from=build /build/package /opt/logferry
# A new volume gets the owner of the directory that it is mounted on.
RUN ln -s /opt/logferry/dist/cli/bin.js /usr/local/bin/logferry && \
    mkdir -p /central /var/lib/logferry && \
    chown node:node /central /var/lib/logferry
# A shipper's state is in /var/lib/logferry/<host>; /central is for a receiver's --out.
ENV XDG_STATE_HOME=/var/lib
VOLUME /central /var/lib/logferry
USER node
# Node is process 1, and logferry handles SIGTERM itself: it commits and stops.
ENTRYPOINT ["logferry"]
CMD ["--help"]
