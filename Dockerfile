# syntax=docker/dockerfile:1
# Two stages: the first builds the wheel and an environment with the pinned requirements, the second carries nothing else.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv /opt/secretset \
 && /opt/secretset/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY operator/ operator/
COPY crds/ crds/
RUN /opt/build/bin/python -m hatchling build -t wheel -d /dist \
 && /opt/secretset/bin/pip install --no-cache-dir --no-deps /dist/*.whl \
 && /opt/secretset/bin/pip uninstall -y setuptools pip \
 && /opt/secretset/bin/python -m compileall -q /opt/secretset/lib

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="secretset-operator" \
      org.opencontainers.image.description="Secret sets as native Kubernetes Secrets in many regions" \
      org.opencontainers.image.licenses="Apache-2.0"
# The base image's own pip is a build tool too.
RUN python -m pip uninstall -y pip setuptools wheel || true
COPY --from=build /opt/secretset /opt/secretset
ENV PATH=/opt/secretset/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
USER 65532:65532
# Works with a read-only root file system; /tmp must be writable (an emptyDir in memory).
ENTRYPOINT ["secretset"]
CMD ["operator"]
