"""Settings of the REST API."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from secretset.domain import names

ROOT = "/v1"
"""Before all paths, and of those that have no organization in them."""
ORGANIZATION = f"{ROOT}/organizations/{{organization}}"
"""Before the paths of one organization."""


@dataclass(frozen=True, kw_only=True)
class ApiConfig:
    """Settings of the REST API; each is a flag of `secretset api`.

    Attributes:
        kubeconfig: where the hub is; who its users are is not read.
        context: of that file.
        hub_ca_file: in a pod: the CA of the hub's API server, where the pod has no service account's.
        operator_namespace: where the operator publishes its keys.
        host: address to listen at.
        port: of the API; 0 for a free one.
        health_port: of health and metrics; 0 for a free one.
        tls_cert: file with the certificate to serve with; None: plain HTTP, for a proxy that ends TLS.
        tls_key: file with its key.
        trusted_proxies: addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
        max_body_bytes: of a request.
        rate: how often one token may ask, in the notation of `limits`: ``1200/minute``, or several with ``;``.
        concurrency: requests that are answered at a time.
        timeout: seconds for one request.
        body_timeout: seconds of these for its body to arrive.
        reserved_keys: names that no key may have.
        services: also serve the paths of Pipecat's deploy calls.
    """

    kubeconfig: str | None = None
    context: str | None = None
    hub_ca_file: Path | None = None
    operator_namespace: str = "secretset-system"
    host: str = "127.0.0.1"
    port: int = 8000
    health_port: int = 8080
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: frozenset[str] = frozenset()
    max_body_bytes: int = 2 * 2**20
    rate: str = "1200/minute"
    concurrency: int = 100
    timeout: float = 30.0
    body_timeout: float = 10.0
    reserved_keys: frozenset[str] = names.RESERVED_KEYS
    services: bool = False
