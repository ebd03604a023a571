"""The server in distress says what an API server would, and can be reached by its kubeconfig, also through a proxy."""

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import FaultyServer, Proxy, faulty

PODS = "/api/v1/namespaces/a/pods"


def ask(config: Path, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, str], str]:
    """One request, as the kubeconfig has it."""
    cluster = yaml.safe_load(config.read_text())["clusters"][0]["cluster"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(cluster["server"] + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5, context=trust) as response:
            return response.status, dict(response.headers), response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


def test_throttling_spares_what_a_client_asks_first(tmp_path: Path) -> None:
    review = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {"verb": "get"}}}
    with FaultyServer(faulty.throttling(retry_after=7)) as server:
        config = server.kubeconfig(tmp_path / "config")
        began = time.monotonic()
        status, headers, text = ask(config, f"{PODS}?limit=1")
        body = json.loads(text)
        assert (status, headers["Retry-After"]) == (429, "7")
        assert (body["kind"], body["reason"], body["details"]) == (
            "Status",
            "TooManyRequests",
            {"retryAfterSeconds": 7},
        )
        assert json.loads(ask(config, "/version")[2])["gitVersion"]
        assert ask(config, "/readyz")[2] == "ok"
        status, _, text = ask(config, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        assert (status, json.loads(text)) == (201, review | {"status": {"allowed": True}})
        rules = ask(config, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"kind": "SelfSubjectRulesReview"})
        assert json.loads(rules[2])["status"]["resourceRules"][0]["verbs"] == ["*"]
        assert server.counts[("GET", PODS)] == 1
        assert server.counts.total() == 5
        assert began <= server.times("GET", PODS)[0] <= time.monotonic()


def test_other_faults_and_a_change_between_them(tmp_path: Path) -> None:
    with FaultyServer(faulty.unauthorized()) as server:
        config = server.kubeconfig(tmp_path / "config")
        assert [ask(config, path)[0] for path in ("/version", PODS)] == [401, 401]
        server.fault = faulty.failing(503)
        assert [ask(config, path)[0] for path in ("/version", PODS)] == [200, 503]
        server.fault = faulty.garbage()
        status, headers, text = ask(config, PODS)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert faulty.SAID in text


def test_tls_is_verified_also_through_a_proxy(tmp_path: Path) -> None:
    with FaultyServer(faulty.failing()) as server, Proxy("127.0.0.1", server.port) as link:
        config = link.kubeconfig(server.kubeconfig(tmp_path / "config"))
        assert ask(config, PODS)[0] == 500
        assert link.accepted == 1
        assert config.stat().st_mode & 0o777 == 0o600


def test_a_serving_certificate_may_have_expired(tmp_path: Path) -> None:
    with FaultyServer(faulty.garbage(), valid_seconds=-60) as server:
        with pytest.raises(urllib.error.URLError, match="certificate has expired"):
            ask(server.kubeconfig(tmp_path / "config"), PODS)
        assert server.requests == []
