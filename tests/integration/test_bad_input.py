"""What users get wrong: each is told in one event and one sentence, harms nothing else, and can be mended."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from harness import OperatorProcess, Org, eventually, guarded, value_from
from kubelab.plane import ControlPlane
from secretset.domain.sealing import TEXT_MIN

BINARY = bytes(range(256))
DAMAGED = {"sealed": "hpke1.".ljust(TEXT_MIN, "A")}
A = value_from("src", "a")


class Case(NamedTuple):
    """A bad object: what is told of it, and its spec once it was mended (where not only a source was bad)."""

    name: str
    outcome: str
    says: str
    spec: dict[str, Any]
    mended: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        return "ImagePullSecret" if "host" in self.spec else "SecretSet"

    def manifest(self, spec: dict[str, Any]) -> dict[str, Any]:
        meta = {"name": self.name}
        return {"apiVersion": "secretset.dev/v1alpha1", "kind": self.kind, "metadata": meta, "spec": spec}


def pull(password: dict[str, Any] = A, host: str = "ghcr.io") -> dict[str, Any]:
    return {"host": host, "username": "bot", "password": password}


CASES = [
    Case("nowhere", "failed/RegionUnknown", "'bad-nowhere'", {"region": "bad-nowhere", "data": {"A": A}}),
    Case(
        "large", "failed/TooLarge", "'BIG' is longer than 16,384", {"data": {"A": A, "BIG": value_from("src", "big")}}
    ),
    Case("absent", "pending/SourceMissing", "Secret 'absent'", {"data": {"A": value_from("absent", "a")}}),
    Case("no-key", "pending/SourceMissing", "Key 'b' of Secret 'src'", {"data": {"A": value_from("src", "b")}}),
    Case("hidden", "failed/SourceForbidden", "secretset.dev/source=true", {"data": {"A": value_from("hidden", "a")}}),
    Case("sealed", "failed/UnsealFailed", "'KEY'", {"data": {"KEY": DAMAGED}}, {"data": {"KEY": A}}),
    Case(
        "reserved",
        "failed/InvalidSpec",
        "Reserved by the platform, remove from spec.data: 'LIVEKIT_API_KEY', 'LIVEKIT_URL'.",
        {"data": {"A": A, "LIVEKIT_URL": A, "LIVEKIT_API_KEY": A}},
        {"data": {"A": A}},
    ),
    Case("ftp-host", "failed/InvalidSpec", "spec.host", pull(host="ftp://ghcr.io"), pull()),
    Case("no-host", "failed/InvalidSpec", "spec.host", pull(host="https:///v1/"), pull()),
    Case("latin", "failed/InvalidSpec", "password is not UTF-8", pull(value_from("src", "latin"))),
    Case("pull-sealed", "failed/UnsealFailed", "'password'", pull(DAMAGED), pull()),
    Case("pull-absent", "pending/SourceMissing", "Secret 'absent'", pull(value_from("absent", "a"))),
]
EACH_CASE = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


class Told(NamedTuple):
    """What was told of the cases, by name."""

    status: dict[str, dict[str, Any]]
    events: dict[str, list[tuple[str, str]]]
    writes: list[str]


@pytest.fixture
def org(org: Org) -> Iterator[Org]:
    with guarded(org):
        yield org


@pytest.fixture(scope="module")
def bad(hub: ControlPlane, operator: OperatorProcess, canaries: list[str]) -> Iterator[Org]:
    """One organization for all cases: what one does must not harm another."""
    assert operator.running
    with guarded(Org(hub, "badinput", canaries).create()) as org:
        yield org


@pytest.fixture(scope="module")
def told(bad: Org) -> Told:
    """What the operator says to all cases, and goes on saying."""
    bad.source("src", a=bad.canary(), big="x" * 17 * 1024, latin=b"caf\xe9", bytes=BINARY)
    bad.source("hidden", labelled=False)
    bad.kubectl("apply", "-f", "-", input=json.dumps(_list([case.manifest(case.spec) for case in CASES])))
    eventually(lambda: all(s.get("reason") not in {None, "Accepted"} for s in _statuses(bad).values()))
    time.sleep(1.5)
    events = defaultdict(list)
    for item in json.loads(bad.kubectl("get", "events", "-o", "json").stdout)["items"]:
        events[item["involvedObject"]["name"]].append((item["reason"], item["message"]))
    return Told(_statuses(bad), events, bad.writes())


@EACH_CASE
def test_a_failure_is_told_once(case: Case, told: Told) -> None:
    status = told.status[case.name]
    phase, reason = case.outcome.split("/")
    assert (status["phase"], status["reason"]) == (phase, reason)
    assert case.says in status["message"]
    assert status["observedGeneration"] == 1
    conditions = {condition["type"]: condition for condition in status["conditions"]}
    assert {name: c["status"] for name, c in conditions.items()} == {
        "Ready": "False",
        "Stalled" if phase == "failed" else "Reconciling": "True",
    }
    assert {(c["reason"], c["message"]) for c in conditions.values()} == {(reason, status["message"])}
    assert told.events[case.name] == [(f"Failed{reason}" if phase == "failed" else reason, status["message"])]
    # One status; before it the finalizer, which has no place where there is no region; and nothing in the region.
    plural = f"{case.kind.lower()}s"
    finalizer = [] if reason == "RegionUnknown" else [f"patch {plural} {case.name}"]
    written = [write for write in told.writes if write.endswith(f" {case.name}")]
    assert written == [*finalizer, f"update {plural}/status {case.name}"]


@pytest.fixture(scope="module")
def mended(bad: Org, told: Told) -> None:
    """Everything put right, at once."""
    assert told
    values = {"a": bad.canary(), "b": bad.canary(), "big": "x" * 16 * 1024, "latin": "café"}
    for name in ("src", "hidden", "absent"):
        bad.source_of(values, name=name)
    bad.region("bad-nowhere", namespace=bad.regional)
    better = [case.manifest(case.mended) for case in CASES if case.mended]
    bad.kubectl("apply", "-f", "-", input=json.dumps(_list(better)))


@EACH_CASE
@pytest.mark.usefixtures("mended")
def test_what_was_mended_is_ready_without_being_asked_again(case: Case, bad: Org) -> None:
    # None of these reasons has a timer: only a watch can have told.
    bad.reaches("ready", "Synced", name=case.name, kind=case.kind)
    assert bad.managed(case.name) is not None


def test_binary_data_is_good_for_a_set_and_bad_for_a_password(org: Org) -> None:
    org.source("src", a=BINARY)
    org.secret_set()
    org.apply({**Case("pull", "", "", pull()).manifest(pull()), "metadata": {"name": "pull", "namespace": org.name}})
    org.reaches("ready")
    assert org.values() == {"A": BINARY}
    org.stumbles("failed/InvalidSpec", "not UTF-8", name="pull", kind="imagepullsecret")


# --- what the API server refuses


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({f"KEY_{number}": A for number in range(300)}, "spec.data: Too many: 300: must have at most 256 items"),
        ({"a.b": A}, "spec.data: Invalid value: a key is 1 to 64 letters, digits, '_' and '-'"),
        ({"A": "plain"}, "spec.data[A].value: Forbidden: plain text is never stored: seal it with 'secretset seal'"),
    ],
    ids=["300-keys", "dot", "plain-text"],
)
def test_refused_at_the_door(bad: Org, data: dict[str, Any], says: str) -> None:
    canary = bad.canary()
    values = {key: {"value": canary} if value == "plain" else value for key, value in data.items()}
    body = Case("refused", "", "", {}).manifest({"data": values})
    done = bad.kubectl("apply", "-f", "-", input=json.dumps(body), check=False)
    assert says in done.stderr
    assert canary not in done.stdout + done.stderr
    assert bad.get("secretset", "refused") is None


@pytest.mark.parametrize("how", ["--server-side=false", "--server-side"])
@pytest.mark.parametrize("form", ["hpke1.{}", "hpke1.0123456789abcdef.{}"])
def test_plain_text_that_begins_as_what_is_sealed_does_is_not_stored(bad: Org, how: str, form: str) -> None:
    canary = bad.canary()
    entry = {"sealed": form.format(canary)}
    for spec, where in (({"data": {"A": entry}}, "spec.data[A]"), (pull(entry), "spec.password")):
        case = Case("prefixed", "", "", spec)
        done = bad.kubectl("apply", how, "-f", "-", input=json.dumps(case.manifest(spec)), check=False)
        assert f"{where}.sealed: Forbidden: must begin with 'hpke1.' and be 1,879 characters long at least" in (
            done.stderr
        )
        assert canary not in done.stdout + done.stderr
        assert bad.get(case.kind.lower(), "prefixed") is None


@pytest.mark.parametrize("spec", [{"region": "us-west"}, {}], ids=["named", "by-default"])
def test_the_region_cannot_be_changed(org: Org, spec: dict[str, Any]) -> None:
    org.source()
    org.secret_set(**spec)
    org.reaches("ready")
    patch = ("patch", "secretset", "app", "--type=merge", "-p", '{"spec":{"region":"us-east"}}')
    done = org.kubectl(*patch, check=False)
    assert "Secret already exists in region 'us-west'. Cannot change region to 'us-east'." in done.stderr
    assert org.reaches("ready")["region"] == "us-west"


# --- names that are taken


def test_a_secret_of_somebody_else_is_left_alone(org: Org) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "app", "namespace": org.regional, "labels": {"team": "other"}},
        "stringData": {"A": "theirs"},
    }
    org.apply(foreign)
    before = org.managed()
    org.source()
    org.secret_set()
    org.stumbles("failed/NameConflict", f"Secret 'app' in namespace '{org.regional}' of region 'us-west' belongs to")
    org.kubectl("delete", "secretset", "app", "--timeout=10s")
    assert org.managed() == before
    org.secret_set()
    org.reaches("failed", "NameConflict")
    assert org.managed() == before
    org.plane.kubectl("delete", "secret", "app", "-n", org.regional)
    org.poke()
    org.reaches("ready", "Synced")
    assert set(org.values()) == {"A"}


@pytest.mark.parametrize("older", ["secretset", "imagepullsecret"])
def test_both_kinds_share_names(org: Org, older: str) -> None:
    org.source()
    specs = {"secretset": {"data": {"A": A}}, "imagepullsecret": pull()}
    younger = next(kind for kind in specs if kind != older)
    manifests = {kind: json.dumps(Case("app", "", "", spec).manifest(spec)) for kind, spec in specs.items()}
    org.kubectl("apply", "-f", "-", input=manifests[older])
    first, secret = org.reaches("ready", kind=older), org.managed()
    time.sleep(1.0)  # ages are told in seconds
    org.kubectl("apply", "-f", "-", input=manifests[younger])
    named = {"secretset": "SecretSet", "imagepullsecret": "ImagePullSecret"}[older]
    org.stumbles("failed/NameConflict", f"the older {named} 'app'", kind=younger)
    assert org.managed() == secret
    assert org.status(kind=older) == first
    org.kubectl("delete", older, "app", "--timeout=10s")
    org.reaches("ready", "Synced", kind=younger)
    assert (org.managed() or {})["type"] != (secret or {})["type"]


def _list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _statuses(org: Org) -> dict[str, dict[str, Any]]:
    items = json.loads(org.kubectl("get", "secretsets,imagepullsecrets", "-o", "json").stdout)["items"]
    return {item["metadata"]["name"]: item["status"] for item in items}
