"""The webhook's own certificate: made once for all replicas, trusted before it is served, renewed in time."""

from __future__ import annotations

import asyncio
import base64
import copy
import datetime as dt
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from kubelab import pki
from secretset.kube import errors
from secretset.kube.certificate import Certificate
from secretset.kube.client import JSON_PATCH, Client
from secretset.webhook import issue
from secretset.webhook.self_signed import SelfSigned

NAMES = ("secretset-webhook.ops.svc", "localhost")
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
SECRET = "/api/v1/namespaces/ops/secrets/secretset-webhook-tls"
GATE = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/secretset-gate"
SEAL = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/secretset-seal"


def leaf(content: issue.Content) -> x509.Certificate:
    return x509.load_pem_x509_certificate(content["tls.crt"])


def authorities(content: issue.Content) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(content["ca.crt"])


def test_it_is_renewed_after_two_thirds_of_its_life() -> None:
    assert issue.due({}, NAMES, NOW)
    made = issue.renewed({}, NAMES, NOW)
    assert not issue.due(made, NAMES, NOW)
    assert not issue.due(made, NAMES, NOW + issue.LIFETIME * 0.66)
    assert issue.due(made, NAMES, NOW + issue.LIFETIME * 0.67)
    assert issue.due(made, NAMES, NOW - dt.timedelta(days=1))
    assert leaf(made).extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    ) == list(NAMES)


@pytest.mark.parametrize("changed", ["tls.crt", "tls.key", "ca.crt"])
def test_what_does_not_belong_together_is_made_anew(changed: str) -> None:
    made, other = issue.renewed({}, NAMES, NOW), issue.renewed({}, NAMES, NOW)
    assert issue.due({**made, changed: other[changed]}, NAMES, NOW)
    assert issue.due({**made, changed: b""}, NAMES, NOW)
    assert issue.due({**made, changed: b"nonsense"}, NAMES, NOW)
    assert issue.due({key: value for key, value in made.items() if key != changed}, NAMES, NOW)
    assert issue.due(made, ["another.svc"], NOW)
    assert not issue.due(issue.renewed({"ca.crt": b"nonsense"}, NAMES, NOW), NAMES, NOW)
    assert issue.due({**made, "tls.crt": pki.Authority.create("x").serving().certificate}, NAMES, NOW)


def test_the_authority_before_stays_until_its_end() -> None:
    first = issue.renewed({}, NAMES, NOW)
    second = issue.renewed(first, NAMES, NOW + issue.LIFETIME * 0.7)
    assert authorities(second)[1:] == authorities(first)
    third = issue.renewed(second, NAMES, NOW + issue.LIFETIME * 1.4)
    assert authorities(third)[1:] == authorities(second)[:1]
    # Nobody has the key of an authority: it is not kept.
    assert set(third) == {"tls.crt", "tls.key", "ca.crt"}
    assert leaf(third).public_key() not in [each.public_key() for each in authorities(third)]


def configuration(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "webhooks": [{"name": "one", "clientConfig": {"service": {}}}]}


class Cluster:
    """A pretend API server with objects by path, which have versions."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.log: list[str] = []
        self.before_replace: list[Any] = []
        self.fault: Exception | None = None
        self.put(SECRET, {"metadata": {"name": "secretset-webhook-tls"}, "type": "Opaque"})
        self.put(SEAL, configuration("secretset-seal"))

    def put(self, path: str, obj: dict[str, Any]) -> None:
        version = int(self.objects.get(path, {"metadata": {}})["metadata"].get("resourceVersion", 0)) + 1
        self.objects[path] = copy.deepcopy({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}})

    async def get(self, path: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        if path not in self.objects:
            raise errors.Absent(404)
        return copy.deepcopy(self.objects[path])

    async def replace(self, path: str, body: dict[str, Any]) -> None:
        while self.before_replace:
            self.before_replace.pop()()
        self._same(path, body["metadata"]["resourceVersion"])
        self.log.append(path.rsplit("/", 1)[1])
        self.put(path, body)

    async def patch(self, path: str, patch: list[dict[str, Any]], content_type: str) -> None:
        assert content_type == JSON_PATCH
        version, *rest = patch
        assert version["path"] == "/metadata/resourceVersion"
        self._same(path, version["value"])
        obj = copy.deepcopy(self.objects[path])
        for operation in rest:
            _, webhooks, number, config, bundle = operation["path"].split("/")
            assert (webhooks, config, bundle) == ("webhooks", "clientConfig", "caBundle")
            obj["webhooks"][int(number)]["clientConfig"]["caBundle"] = operation["value"]
        self.log.append(path.rsplit("/", 1)[1])
        self.put(path, obj)

    def _same(self, path: str, version: str) -> None:
        if self.objects[path]["metadata"]["resourceVersion"] != version:
            raise errors.Conflict(409)

    def content(self) -> dict[str, bytes]:
        return {key: base64.b64decode(text) for key, text in self.objects[SECRET].get("data", {}).items()}

    def trusted(self, path: str) -> bytes:
        return base64.b64decode(self.objects[path]["webhooks"][0]["clientConfig"]["caBundle"])


def replica(cluster: Cluster, folder: Path, name: str = "a") -> SelfSigned:
    (folder / name).mkdir(exist_ok=True)
    return SelfSigned(cast("Client", cluster), "ops", folder / name, settles=0.05)


async def begun(*replicas: SelfSigned) -> None:
    async with asyncio.timeout(5):
        await asyncio.gather(*(each.begin(again=0.01) for each in replicas))


async def becomes(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.005)


async def test_replicas_agree_on_one_certificate(tmp_path: Path) -> None:
    cluster = Cluster()
    one, two = replica(cluster, tmp_path, "a"), replica(cluster, tmp_path, "b")
    await begun(one, two)
    content = cluster.content()
    assert one.file.read_bytes() == two.file.read_bytes() == content["tls.crt"] + content["tls.key"]
    assert one.file.stat().st_mode & 0o777 == 0o600
    assert cluster.trusted(SEAL) == content["ca.crt"]
    assert cluster.log == ["secretset-webhook-tls", "secretset-seal"]
    assert cluster.objects[SECRET]["type"] == "Opaque"
    # It is served as it is, and trusted with what the API server was told.
    client = ssl.create_default_context(cadata=cluster.trusted(SEAL).decode())
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=Certificate(one.file, one.file).context
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=NAMES[0])
        writer.close()


async def test_a_second_start_takes_what_is_there(tmp_path: Path) -> None:
    cluster = Cluster()
    await begun(replica(cluster, tmp_path, "a"))
    cluster.log.clear()
    cluster.put(GATE, configuration("secretset-gate"))  # installed since
    await begun(replica(cluster, tmp_path, "b"))
    assert cluster.log == ["secretset-gate"]
    assert cluster.trusted(GATE) == cluster.trusted(SEAL)


async def test_a_new_one_is_trusted_before_it_is_served(tmp_path: Path) -> None:
    cluster = Cluster()
    one = replica(cluster, tmp_path)
    await begun(one)
    before = one.file.read_bytes()
    aged = issue.renewed({}, NAMES, dt.datetime.now(dt.UTC) - issue.LIFETIME * 0.7)
    obj = copy.deepcopy(cluster.objects[SECRET])
    obj["data"] = {key: base64.b64encode(value).decode() for key, value in aged.items()}
    cluster.put(SECRET, obj)
    obj = cluster.objects[SECRET]
    follow = asyncio.create_task(one.follow(every=0.01))
    await becomes(lambda: cluster.objects[SECRET] != obj and cluster.trusted(SEAL) == cluster.content()["ca.crt"])
    assert one.file.read_bytes() == before
    await becomes(lambda: one.file.read_bytes() != before)
    follow.cancel()
    await asyncio.gather(follow, return_exceptions=True)
    content = cluster.content()
    assert one.file.read_bytes() == content["tls.crt"] + content["tls.key"]
    assert authorities(content)[1:] == authorities(aged)
    assert cluster.trusted(SEAL) == content["ca.crt"]


async def test_trouble_is_told_once_and_outlived(tmp_path: Path) -> None:
    cluster = Cluster()
    secret = cluster.objects.pop(SECRET)
    one = replica(cluster, tmp_path)
    with capture_logs() as logs:
        begin = asyncio.create_task(one.begin(again=0.01))
        await asyncio.sleep(0.1)
        cluster.fault = errors.Forbidden(403)
        await asyncio.sleep(0.1)
        cluster.fault = None
        cluster.put(SECRET, {**secret, "data": {"tls.crt": "nonsense"}})  # not even base64
        async with asyncio.timeout(5):
            await begin
    warnings = [entry["error"] for entry in logs if entry["log_level"] == "warning"]
    assert warnings == [
        "the Secret secretset-webhook-tls is missing: apply deploy/webhook-self-signed.yaml",
        "HTTP 403",
    ]
    assert "PRIVATE" not in json.dumps(logs, default=str)


async def test_of_two_changes_of_the_secret_the_first_wins(tmp_path: Path) -> None:
    cluster = Cluster()
    others = issue.renewed({}, NAMES, dt.datetime.now(dt.UTC))
    theirs = {key: base64.b64encode(value).decode() for key, value in others.items()}
    cluster.before_replace.append(
        lambda: cluster.put(SECRET, {**cluster.objects[SECRET], "data": theirs}),
    )
    one = replica(cluster, tmp_path)
    await begun(one)
    assert one.file.read_bytes() == others["tls.crt"] + others["tls.key"]
