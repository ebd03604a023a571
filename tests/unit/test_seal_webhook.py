"""Sealing as an API server meets it: reviews over HTTP, public keys that come, change and go wrong; nothing is told."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY, generate_latest
from structlog.testing import capture_logs

from secretset.domain.names import Kind
from secretset.domain.sealing import Opener, Place, PrivateKey, new_seed
from secretset.domain.sealing_keys import PublicKeys, PublishedKey
from secretset.kube import errors
from secretset.kube.client import Client
from secretset.webhook.public_keys import PublishedKeys
from secretset.webhook.seal import Seal
from secretset.webhook.server import application

CANARY = "cAnArY-of-a-value"
OLD, NEW = PrivateKey.from_seed(new_seed()), PrivateKey.from_seed(new_seed())


def document(*keys: PrivateKey, installation: str = "here") -> PublicKeys:
    """The newest last."""
    made = [PublishedKey(public=key.public, created=datetime(2026, 1, n + 1, tzinfo=UTC)) for n, key in enumerate(keys)]
    return PublicKeys.of(installation, made)


def review(data: Any, **changes: Any) -> dict[str, Any]:
    request = {
        "uid": "question-1",
        "kind": {"group": "secretset.dev", "version": "v1alpha1", "kind": "SecretSet"},
        "operation": "CREATE",
        "namespace": "team",
        "object": {"metadata": {"name": "app"}, "spec": {"data": data}},
        "oldObject": None,
        **changes,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


async def ask(keys: PublicKeys | None, body: dict[str, Any]) -> dict[str, Any]:
    async with TestClient(TestServer(application({"/seal": Seal(lambda: keys).answer}))) as client:
        response = await client.post("/seal", data=io.BytesIO(orjson.dumps(body)))
        assert response.status == 200
        found = (await response.json())["response"]
    assert found.pop("uid") == "question-1"
    return dict(found)


@pytest.fixture(autouse=True)
def _nothing_is_told() -> Iterator[None]:
    with capture_logs() as logs:
        yield
    assert CANARY not in repr(logs)
    assert CANARY.encode() not in generate_latest(REGISTRY)


async def test_the_answer_is_a_json_patch_with_the_newest_key() -> None:
    answer = await ask(document(OLD, NEW), review({"A": {"value": CANARY}}))
    assert (answer["allowed"], answer["patchType"]) == (True, "JSONPatch")
    (operation,) = orjson.loads(base64.b64decode(answer["patch"]))
    assert (operation["op"], operation["path"]) == ("replace", "/spec/data/A")
    place = Place("here", Kind.SECRET_SET, "team", "app", "A")
    assert Opener([NEW]).open(place, operation["value"]["sealed"]) == CANARY.encode()


async def test_what_needs_nothing_is_allowed_as_it_is() -> None:
    data = {"A": {"value": CANARY}}
    other = {"group": "apps", "version": "v1", "kind": "SecretSet"}
    for body in (
        review({"A": {"valueFrom": {}}}),
        review(data, operation="DELETE", object=None),
        review(data, operation="DELETE"),
        review(data, subResource="status"),
        review(data, kind=other),
        review(data, kind={**other, "group": "secretset.dev", "kind": "Region"}),
    ):
        assert await ask(document(NEW), body) == {"allowed": True}


async def test_a_refusal_is_no_conflict_and_not_invalid() -> None:
    """Of both, `kubectl apply --force` would delete the set."""
    answer = await ask(document(NEW), review({"A": {"value": [CANARY]}}))
    assert answer["allowed"] is False
    assert (answer["status"]["code"], answer["status"]["reason"]) == (422, "Forbidden")
    assert answer["status"]["message"].startswith("spec.data.A.value: must be text")
    assert CANARY not in repr(answer)


@pytest.mark.parametrize("keys", [None, document(), replace(document(NEW), held=False)])
async def test_without_a_key_it_is_refused_for_a_moment(keys: PublicKeys | None) -> None:
    answer = await ask(keys, review({"A": {"value": CANARY}}))
    assert (answer["allowed"], answer["status"]["code"]) == (False, 503)
    assert "secretset-public-keys" in answer["status"]["message"]


async def test_what_fails_in_it_is_told_without_the_object() -> None:
    app = application({"/seal": Seal(lambda: document(NEW)).answer})
    async with TestClient(TestServer(app)) as client:
        body = orjson.dumps(
            review({"A": {"value": CANARY}}, object={"metadata": [CANARY], "spec": {"data": {"A": {"value": CANARY}}}})
        )
        response = await client.post("/seal", data=io.BytesIO(body))
        assert response.status == 500
        assert CANARY not in await response.text()


class Hub:
    """A pretend API server with one ConfigMap."""

    def __init__(self) -> None:
        self.answer: Any = errors.Absent(404)
        self.looks = 0

    async def get(self, path: str) -> Any:
        assert path == "/api/v1/namespaces/secretset-system/configmaps/secretset-public-keys"
        self.looks += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def publishes(self, keys: PublicKeys) -> None:
        self.answer = {"data": {"keys.json": keys.render()}}


@asynccontextmanager
async def followed(hub: Hub, **options: float) -> AsyncIterator[PublishedKeys]:
    keys = PublishedKeys(cast("Client", hub), "secretset-system", **options)
    task = asyncio.create_task(keys.follow(every=0.01, without=0.01))
    try:
        async with asyncio.timeout(5):
            await keys.tried.wait()
            yield keys
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_after_a_look_that_failed_the_next_one_comes_soon() -> None:
    """A single failure must not use up a third of the time for which keys count."""
    hub = Hub()
    hub.publishes(document(OLD))
    keys = PublishedKeys(cast("Client", hub), "secretset-system")
    await keys._look()
    hub.answer = errors.Unreachable("away")
    task = asyncio.create_task(keys.follow(every=3600.0, without=0.01))
    try:
        async with asyncio.timeout(5):
            while hub.looks < 4:  # noqa: ASYNC110  (nobody tells)
                await asyncio.sleep(0.01)
            assert keys.known == document(OLD)
            hub.publishes(document(NEW))
            await becomes(keys, document(NEW))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_who_drains_nodes_leaves_a_replica() -> None:
    found = yaml.safe_load_all((Path(__file__).parents[2] / "deploy/webhook.yaml").read_text())
    by_kind = {each["kind"]: each for each in found}
    budget, deployment = by_kind["PodDisruptionBudget"]["spec"], by_kind["Deployment"]["spec"]
    assert budget["selector"] == deployment["selector"]
    assert budget["maxUnavailable"] < deployment["replicas"]


async def becomes(keys: PublishedKeys, wanted: PublicKeys) -> None:
    while keys.known != wanted:  # noqa: ASYNC110  (nobody tells)
        await asyncio.sleep(0.01)


async def test_what_cannot_be_read_again_is_not_gone_by_for_long() -> None:
    """An older key may have been retired by then: what is sealed for it would be lost."""
    hub = Hub()
    hub.publishes(document(OLD))
    async with followed(hub, keep=0.5) as keys:
        await becomes(keys, document(OLD))
        await asyncio.sleep(0.7)
        assert keys.known == document(OLD)  # it was read again and again
        hub.answer = errors.Unreachable("away")
        while keys.known is not None:  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.01)
        hub.publishes(document(OLD, NEW))
        await becomes(keys, document(OLD, NEW))


async def test_keys_are_followed_and_kept_through_trouble() -> None:
    hub = Hub()
    with capture_logs() as logs:
        async with followed(hub) as keys:
            assert keys.known is None
            hub.publishes(document(OLD))
            await becomes(keys, document(OLD))
            troubles: list[Any] = [
                errors.Unreachable("away"),
                {"data": {}},
                {},
                {"data": {"keys.json": "{"}},
                {"data": None},
            ]
            for hub.answer in troubles:
                await asyncio.sleep(0.05)
                assert keys.known == document(OLD)
            hub.publishes(document(OLD, NEW))
            await becomes(keys, document(OLD, NEW))
            # A hub that was put back has another installation, and so other places.
            hub.publishes(document(OLD, NEW, installation="there"))
            await becomes(keys, document(OLD, NEW, installation="there"))
    told = [entry["error"] for entry in logs if entry["log_level"] == "warning"]
    assert told == [
        "HTTP 404",
        "away",
        "the ConfigMap has no document",
        "the document of public keys is damaged",
        "the ConfigMap has no document",
    ]
    assert [entry["kid"] for entry in logs if entry["event"] == "public key"] == [OLD.kid, NEW.kid]
