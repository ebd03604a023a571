"""Objects with every status that the operator can give them, and what tools are to make of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders import at, region
from secretset.domain import status
from secretset.domain.marks import KeyMark, Marks
from secretset.domain.models.status import INITIAL_STATUS, WorkloadsStatus
from secretset.domain.names import Key, Kind
from secretset.domain.reasons import Phase, Problem, Reason, region_not_ready, region_unreachable
from secretset.domain.region_status import LinkState, region_status
from secretset.domain.rights import Missing, Right
from secretset.domain.rollout_status import Told

GENERATION = 3
SETS = [kind.value for kind in Kind]
# By phase: kstatus' word, and Argo CD's.
PROGRESS, FAILED, DONE = ("InProgress", "Progressing"), ("Failed", "Degraded"), ("Current", "Healthy")
_WORDS = {Phase.PENDING: PROGRESS, Phase.FAILED: FAILED, Phase.READY: DONE}
_DELETED = ("Terminating", "Progressing")
ROLLED = ("True", "RolloutComplete", "All pods run with it.")
HELD = ("False", "RolloutHeld", "Deployment 'web' waits: it is paused.")
STALLED = ("False", "RolloutStalled", "Deployment 'web' does not get on.")


@dataclass(frozen=True, kw_only=True)
class Case:
    """An object, and what is to be made of it.

    Attributes:
        obj: as the API server has it.
        kstatus: its word for it.
        argo: Argo CD's word for it.
        says: how Argo CD's message begins.
    """

    obj: dict[str, Any]
    kstatus: str
    argo: str
    says: str


def obj(kind: str, told: Mapping[str, Any] | None, **meta: Any) -> dict[str, Any]:
    """An object of generation 3."""
    spec: dict[str, Any] = {} if kind == "Region" else {"data": {"A": {"sealed": "hpke1.x"}}}
    place = {} if kind == "Region" else {"namespace": "team"}
    found: dict[str, Any] = {
        "apiVersion": "secretset.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "app", **place, "generation": GENERATION, **meta},
        "spec": spec,
    }
    return found if told is None else {**found, "status": dict(told)}


def ready(rollout: tuple[Any, str, str] = ROLLED, *, generation: int = GENERATION) -> dict[str, Any]:
    """The status of a set that is ready."""
    mark = KeyMark("k1:0", at(1), at(1))
    owner = Key(Kind.SECRET_SET, "team", "app")
    return status.synced(
        generation=generation,
        place=status.Place(region="us", namespace="team-us", name="app"),
        marks=Marks(installation="i", owner=owner, owner_uid="u", revision=1, keys={"A": mark}, updated=at(1)),
        rollout=Told(WorkloadsStatus(bound=1, current=1, restarting=0, stalled=0, held=0), rollout),
        previous=None,
        timestamp=at(2),
    )


def unready(reason: Reason, *, deleting: bool = False, previous: Any = None) -> dict[str, Any]:
    """The status of a set that is not."""
    problem = Problem(reason, "Why, and what to do.")
    return status.unsynced(
        problem, generation=GENERATION, region="us", previous=previous, timestamp=at(3), deleting=deleting
    )


def region_told(link: LinkState, *, generation: int = GENERATION, **spec: Any) -> dict[str, Any]:
    """The status of a Region."""
    record = region("app").with_meta(generation=generation).with_spec(**spec).record()
    return region_status(record, link=link, sets=(), defaults=(), previous=None, timestamp=at(2))


def every() -> dict[str, Case]:
    """Every case, by what it is."""
    return {**dict(_of_all()), **dict(_of_sets()), **dict(_of_regions())}


def _of_all() -> Iterator[tuple[str, Case]]:
    unseen = "The operator has not seen this generation yet"
    deleted = {"deletionTimestamp": at(9), "finalizers": ["secretset.dev/cleanup"]}
    for kind in (*SETS, "Region"):
        # The CRD gives every new object a status.
        yield f"{kind} new", _case(obj(kind, INITIAL_STATUS), PROGRESS, unseen)
        old = region_told(_UP, generation=2) if kind == "Region" else ready(generation=2)
        yield f"{kind} changed", _case(obj(kind, old), PROGRESS, unseen)
        yield f"{kind} deleted", _case(obj(kind, old, **deleted), _DELETED, "Being deleted")


def _of_sets() -> Iterator[tuple[str, Case]]:
    for kind in SETS:
        done = "Synced: The Secret is in place."
        yield f"{kind} ready", _case(obj(kind, ready()), DONE, done)
        for rollout in (HELD, STALLED):
            says = f"{done} {rollout[1]}: {rollout[2]}"
            yield f"{kind} {rollout[1]}", _case(obj(kind, ready(rollout)), DONE, says)
        for reason in Reason:
            if reason.phase is Phase.READY:
                continue
            words, says = _WORDS[reason.phase], f"{reason.value}: Why, and what to do."
            yield f"{kind} {reason.value}", _case(obj(kind, unready(reason)), words, says)
            before = unready(reason, previous=ready(HELD))
            yield f"{kind} {reason.value}, delivered before", _case(obj(kind, before), words, says)
        blocked = obj(kind, unready(Reason.REGION_UNREACHABLE, deleting=True), deletionTimestamp=at(9))
        yield f"{kind} blocked", _case(blocked, _DELETED, "Deletion waits. RegionUnreachable: ")


_UP = LinkState(problem=None, answered=True, missing=(), replica="one")


def _of_regions() -> Iterator[tuple[str, Case]]:
    gone = LinkState(problem=region_not_ready("app", "it is decommissioned."), replica="one")
    lacking = LinkState(problem=None, answered=True, missing=(Missing(Right("get", "", "secrets"), "x"),), replica="a")
    away = LinkState(problem=region_unreachable("app"), answered=False, replica="one")
    refused = LinkState(problem=region_not_ready("app", "no."), answered=True, refused=True, replica="one")
    for name, link, words, says in (
        ("up", _UP, DONE, "Reachable: Sets can be delivered there."),
        ("lacks a right", lacking, DONE, "PermissionDenied: The operator "),
        ("away", away, PROGRESS, "RegionUnreachable: "),
        ("not served", LinkState(problem=region_not_ready("app", "none.")), PROGRESS, "RegionNotReady: "),
        ("refused", refused, FAILED, "RegionNotReady: "),
        ("without credentials", LinkState(problem=refused.problem, replica="one"), FAILED, "RegionNotReady: "),
    ):
        yield f"Region {name}", _case(obj("Region", region_told(link)), words, says)
    retired = obj("Region", region_told(gone, decommissioned=True))
    retired["spec"] = {"decommissioned": True}
    yield "Region decommissioned", _case(retired, DONE, "Decommissioned: ")


def _case(found: dict[str, Any], words: tuple[str, str], says: str) -> Case:
    return Case(obj=found, kstatus=words[0], argo=words[1], says=says)
