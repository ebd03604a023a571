"""The ready gate as an API server meets it: reviews over HTTP, a hub that answers, fails or hangs; no value is told."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY, generate_latest
from structlog.testing import capture_logs

from builders import SetBuilder, pull_secret, region, secret_set
from secretset.controller.store import HubStore
from secretset.domain.names import Kind
from secretset.kube import errors
from secretset.kube.client import Client
from secretset.webhook.gate import Gate
from secretset.webhook.review import Answer, NotAReview, Review
from secretset.webhook.server import application

PENDING = "Secret set 'app' is not yet ready. Retry once it has been provisioned."
CANARY = "cAnArY-of-a-plain-environment"
POD: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "env": [{"value": CANARY}]}]},
}


class Cluster:
    """A pretend API server: objects by path, and what is raised instead."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.asked: list[str] = []
        self.fault: Exception | None = None
        self.hangs = False

    async def get(self, path: str, params: Mapping[str, str] | None = None, **_: Any) -> Any:
        self.asked.append(path)
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        if path in self.objects:
            return self.objects[path]
        if "fieldSelector" in (params or {}):
            return {"metadata": {}, "items": self.named(path, (params or {})["fieldSelector"])}
        if path.endswith(("/replicasets", "/controllerrevisions")):
            return {"metadata": {}, "items": []}
        raise errors.Absent(404)

    def named(self, path: str, selector: str) -> list[Any]:
        """The objects of all namespaces that bear a name."""
        plural, name = path.rsplit("/", 1)[1], selector.split("=")[1]
        return [found for at, found in self.objects.items() if at.endswith(f"/{plural}/{name}")]

    def put(self, kind: Kind, built: SetBuilder, phase: str, reason: str = "", **more: Any) -> None:
        status = {"phase": phase, "reason": reason, "observedGeneration": 1, "region": "us", **more}
        obj = built.with_status(**status).object()
        meta = obj["metadata"]
        path = f"/apis/secretset.dev/v1alpha1/namespaces/{meta['namespace']}/{kind.plural}/{meta['name']}"
        self.objects[path] = obj


class Setup:
    """A gate of the hub with the organization `team`, whose namespace in the region `us` is `team-us`."""

    def __init__(self, *, organizations: tuple[str, ...] = ("team",), template: str = "", **options: Any) -> None:
        self.hub = Cluster()
        self.synced = True
        store = HubStore(lambda _: None, lambda _: None)
        us = region("us").with_template(template) if template else region("us")
        store.apply_region(us.record(), {})
        for name in organizations:
            store.apply_organization({"metadata": {"name": name, "creationTimestamp": "2026-03-01T00:00:00Z"}})
        self.gate = Gate(
            hub=cast("Client", self.hub),
            here=cast("Client", self.hub),
            store=store,
            regions_here=lambda: list(store.regions.values()),
            synced=lambda: self.synced,
            operator_namespace="secretset-system",
            **{"deadline": 0.2, **options},
        )

    @asynccontextmanager
    async def served(self) -> AsyncIterator[TestClient[Any, Any]]:
        async with TestClient(TestServer(application({"/gate": self.gate.answer}))) as client:
            yield client

    async def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        async with self.served() as client:
            response = await client.post("/gate", data=io.BytesIO(orjson.dumps(body)))
            assert response.status == 200
            review = await response.json()
        assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        assert review["response"]["uid"] == "question-1"
        return dict(review["response"])


def using(*names: str, **meta: Any) -> dict[str, Any]:
    """A pod template that takes whole Secrets into its environment, and has a plain value there."""
    container = {**POD["spec"]["containers"][0], "envFrom": [{"secretRef": {"name": name}} for name in names]}
    return {"metadata": {**POD["metadata"], **meta}, "spec": {"containers": [container]}}


def workload(template: Any, kind: str = "Deployment") -> dict[str, Any]:
    meta = {"name": "web", "namespace": "team-us", "uid": "u", "resourceVersion": "1", "generation": 1}
    selector = {"matchLabels": {"app": "web"}}
    return {"kind": kind, "metadata": meta, "spec": {"selector": selector, "template": template}}


def review(new: Any, old: Any = None, **changes: Any) -> dict[str, Any]:
    request = {
        "uid": "question-1",
        "kind": {"group": "apps", "version": "v1", "kind": (new or old)["kind"]},
        "operation": "UPDATE" if old else "CREATE",
        "namespace": "team-us",
        "object": new,
        "oldObject": old,
        **changes,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


CREATE = review(workload(using("app")))


async def test_pending_and_failed_are_refused_ready_is_not() -> None:
    setup = Setup()
    assert await setup.ask(CREATE) == {"uid": "question-1", "allowed": True}  # no set of ours

    setup.hub.put(Kind.SECRET_SET, secret_set(), "pending", "SourceMissing")
    refused = await setup.ask(CREATE)
    assert refused["allowed"] is False
    assert refused["status"] == {"status": "Failure", "code": 409, "reason": "Forbidden", "message": PENDING}

    setup.hub.put(Kind.SECRET_SET, secret_set(), "failed", "TooLarge", message="The value of 'A' is too long.")
    refused = await setup.ask(CREATE)
    assert refused["status"]["code"] == 409
    assert refused["status"]["message"].startswith("Secret set 'app' has failed: TooLarge. The value of 'A' is too")

    setup.hub.put(Kind.SECRET_SET, secret_set(), "ready", "Synced")
    assert (await setup.ask(CREATE))["allowed"]


async def test_pull_secrets_count_too() -> None:
    setup = Setup()
    setup.hub.put(Kind.IMAGE_PULL_SECRET, pull_secret("app"), "pending")
    template = {**POD, "spec": {**POD["spec"], "imagePullSecrets": [{"name": "app"}]}}
    assert (await setup.ask(review(workload(template))))["status"]["message"] == PENDING


async def test_a_dry_run_is_answered_the_same() -> None:
    setup = Setup()
    setup.hub.put(Kind.SECRET_SET, secret_set(), "pending")
    assert not (await setup.ask(review(workload(using("app")), dryRun=True)))["allowed"]


@pytest.mark.parametrize(
    "asked",
    [
        review(workload(POD)),
        review(workload(using("app")), workload(using("app"))),
        review(workload(using("app", annotations={"a": "b"})), workload(using("app", "app2"))),
        review(workload(POD), workload(using("app"))),
        review(None, workload(using("app")), operation="DELETE"),
        review(workload(using("app")), subResource="scale"),
        review(workload(using("app")), subResource="status"),
        review(workload(using("app"), "Job")),
        review(workload(using("app")), kind={"group": "mine.example", "version": "v1", "kind": "Deployment"}),
        review(workload(using("app")), namespace="elsewhere"),
        review(workload(using("../../x"))),
        review({"kind": "Deployment", "spec": {}}),
    ],
)
async def test_what_is_none_of_its_business_costs_no_request(asked: dict[str, Any]) -> None:
    setup = Setup(fail_closed=True)
    setup.hub.fault = errors.Unreachable("away")
    assert await setup.ask(asked) == {"uid": "question-1", "allowed": True}
    assert setup.hub.asked == []


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Rollout"])
async def test_an_update_is_refused_unless_its_template_ran_before(kind: str) -> None:
    setup = Setup()
    setup.hub.put(Kind.SECRET_SET, secret_set(), "failed", "TooLarge")
    group = "argoproj.io" if kind == "Rollout" else "apps"
    asked = review(
        workload(using("app"), kind), workload(POD, kind), kind={"group": group, "version": "v1", "kind": kind}
    )
    assert not (await setup.ask(asked))["allowed"]

    meta = {"ownerReferences": [{"uid": "u", "controller": True}]}
    template = using("app", annotations={"secretset.dev/restarted-for": "w"})
    revision = {"metadata": meta, "data": {"spec": {"template": template}}}
    replica_set = {"metadata": meta, "spec": {"template": template}}
    root = "/apis/apps/v1/namespaces/team-us"
    setup.hub.objects[f"{root}/controllerrevisions"] = {"metadata": {}, "items": [revision]}
    setup.hub.objects[f"{root}/replicasets"] = {"metadata": {}, "items": [replica_set]}
    assert (await setup.ask(asked))["allowed"]
    assert setup.hub.asked[-1].endswith("replicasets" if kind in {"Deployment", "Rollout"} else "controllerrevisions")


async def test_many_organizations_of_one_namespace_are_asked_at_once() -> None:
    names = tuple(f"team{number}" for number in range(200))
    setup = Setup(organizations=names, template="team-us")
    assert (await setup.ask(CREATE))["allowed"]
    setup.hub.put(Kind.SECRET_SET, secret_set().in_("stranger"), "pending")
    assert (await setup.ask(CREATE))["allowed"]
    setup.hub.put(Kind.SECRET_SET, secret_set().in_("team7"), "pending")
    assert (await setup.ask(CREATE))["status"]["message"] == PENDING
    assert len(setup.hub.asked) == 6


@pytest.mark.parametrize(
    "fault", [errors.Unreachable("away"), errors.Forbidden(403), errors.Throttled(429), errors.ServerError(500), None]
)
async def test_a_hub_that_cannot_tell(fault: Exception | None) -> None:
    """Without a fault it hangs."""
    for fail_closed in (False, True):
        setup = Setup(fail_closed=fail_closed)
        setup.hub.fault, setup.hub.hangs = fault, fault is None
        answer = await setup.ask(CREATE)
        if fail_closed:
            assert answer["status"]["code"] == 503
            assert "could not be found out" in answer["status"]["message"]
            assert not answer["allowed"]
        else:
            assert answer["allowed"]
            (warning,) = answer["warnings"]
            assert "let through" in warning
            assert len(warning) <= 120


async def test_before_the_regions_are_known_nothing_can_be_told() -> None:
    setup = Setup()
    setup.hub.put(Kind.SECRET_SET, secret_set(), "pending")
    setup.synced = False
    assert (await setup.ask(CREATE))["warnings"]
    assert (await setup.ask(review(workload(POD)))) == {"uid": "question-1", "allowed": True}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        orjson.dumps({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {}}),
        orjson.dumps(review(workload(using("app")), uid=5)),
        orjson.dumps(review(workload(using("app")), object=CANARY)),
        orjson.dumps(review(workload(using("app")), kind="Deployment")),
    ],
)
async def test_what_is_no_review_is_told_so(body: bytes) -> None:
    with pytest.raises(NotAReview) as raised:
        Review.parse(body)
    assert str(raised.value) == ""
    async with Setup().served() as client:
        response = await client.post("/gate", data=body)
        assert response.status == 400
        assert CANARY not in await response.text()
        assert (await client.get("/gate")).status == 405
        assert (await client.post("/other", data=body)).status == 404


async def test_large_objects_are_read() -> None:
    setup = Setup()
    setup.hub.put(Kind.SECRET_SET, secret_set(), "pending")
    template = using("app", annotations={"note": "x" * 3_000_000})
    assert not (await setup.ask(review(workload(template))))["allowed"]
    assert not (await setup.ask(review(workload(template), workload({**POD, "metadata": template["metadata"]}))))[
        "allowed"
    ]


async def test_a_defect_is_left_to_the_failure_policy_and_tells_nothing() -> None:
    """A Rollout is stored by a schema that need not be ours."""
    broken = {"spec": {"containers": [{"envFrom": [{"secretRef": CANARY}]}]}}
    with capture_logs() as logs:
        async with Setup().served() as client:
            response = await client.post("/gate", data=orjson.dumps(review(workload(broken))))
            assert response.status == 500
            assert CANARY not in await response.text()
    assert CANARY not in repr(logs)
    assert [entry["event"] for entry in logs] == ["a review failed"]


async def test_no_value_is_told() -> None:
    """Neither in an answer, nor in a log, nor in a metric, nor by printing what holds it."""
    setup = Setup()
    setup.hub.put(Kind.SECRET_SET, secret_set(), "pending")
    before = REGISTRY.get_sample_value("secretset_gate_decisions_total", {"outcome": "refused"}) or 0.0
    with capture_logs() as logs:
        answers = [await setup.ask(CREATE)]
        setup.hub.fault = errors.Unreachable("away")
        answers.append(await setup.ask(CREATE))
    assert [entry["event"] for entry in logs] == ["refused", "not judged"]
    parsed = Review.parse(orjson.dumps(CREATE))
    for text in (repr(answers), repr(logs), generate_latest().decode(), repr(parsed), f"{parsed}"):
        assert CANARY not in text
    assert REGISTRY.get_sample_value("secretset_gate_decisions_total", {"outcome": "refused"}) == before + 1


def test_an_answer_says_what_it_has_to() -> None:
    response = orjson.loads(Answer(allowed=True, warnings=("w",)).to("u"))["response"]
    assert response == {"uid": "u", "allowed": True, "warnings": ["w"]}
