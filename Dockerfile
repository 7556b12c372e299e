# The gateway, the CPU worker and the demo model on Debian 12.
#   docker build -t dormouse .
#   docker run --network host -v dormouse:/var/lib/dormouse dormouse        http://127.0.0.1:8080
# Without --network host it has to listen beyond loopback, and wants keys and TLS or a proxy then (docs/exposure.md).
FROM debian:12 AS build
WORKDIR /src
COPY tools/install_deps.sh tools/
RUN tools/install_deps.sh build && apt-get install -y --no-install-recommends dpkg-dev file
COPY . .
RUN tools/build.sh release dormouse dormouse-worker && cd build/release && cpack

FROM debian:12-slim
COPY --from=build /src/build/release/dormouse_*.deb /tmp/
RUN apt-get update \
 && apt-get install -y --no-install-recommends /tmp/dormouse_*.deb \
 && rm -rf /tmp/dormouse_*.deb /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/dormouse --create-home dormouse
USER 10001
VOLUME /var/lib/dormouse
EXPOSE 8080
# Over its own socket: no port, no key, nothing to install.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["dormouse", "--data-dir", "/var/lib/dormouse", "ps"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["dormouse", "--data-dir", "/var/lib/dormouse"]
CMD ["serve", "--demo"]
