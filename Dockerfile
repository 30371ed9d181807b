# The image of every role: `docker build -t tracker-platform .`, then `tracker-platform api`, `worker`, `edge`, `migrate`.
# The base is named by version. Whoever builds for production pins its digest too, which only a registry can tell:
#   docker build --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:… .
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /src
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && python -m venv /opt/tracker
COPY requirements.lock ./
RUN /opt/tracker/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY commands commands
COPY domain domain
COPY migrations migrations
COPY projections projections
COPY queries queries
COPY runtime runtime
COPY tracker_edge tracker_edge
# The edge's hot modules become native code here, where a compiler is. The lock has exact versions and hashes of
# everything, tools of development included; those do not go into the image.
RUN /opt/tracker/bin/pip install --no-build-isolation --no-deps . \
 && cd / && /opt/tracker/bin/python -m tracker_edge.compiled \
 && /opt/tracker/bin/pip uninstall --yes \
      aiosmtpd bencode.py html5lib httpx hypothesis libtorrent mypy pip-tools pytest pytest-xdist ruff types-html5lib types-psutil

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 tracker \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tracker \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/tracker /backups
COPY --from=build /opt/tracker /opt/tracker
# Settings are looked for where config/ is; a file with secrets is mounted as /app/.env.
COPY config /app/config
WORKDIR /app
ENV PATH=/opt/tracker/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 APP__DATA_DIR=/var/lib/tracker
USER 10001:10001
EXPOSE 8080/tcp 6969/tcp 6969/udp 9090/tcp
STOPSIGNAL SIGTERM
ENTRYPOINT ["tracker"]
CMD ["--help"]
