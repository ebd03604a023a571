"""Bind a workload to sets: with the user's own rights in the cluster of their region, which need not be the hub."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from secretset.actions.errors import Refused, Why
from secretset.actions.session import Session
from secretset.domain import binding
from secretset.domain.binding import Binding
from secretset.domain.names import NAME_PATTERN, Kind
from secretset.domain.regions import RegionRecord
from secretset.domain.set_view import SetView
from secretset.domain.workloads import DEPLOYMENT, WORKLOAD_KINDS, WorkloadKind
from secretset.kube import errors, paths
from secretset.kube.client import JSON_PATCH, Client
from secretset.kube.cluster_id import cluster_id

_ATTEMPTS = 6
_PAUSE = 0.05  # seconds before the second attempt; longer with each
_SHORT = {"deploy": "Deployment", "sts": "StatefulSet", "ds": "DaemonSet"}  # as kubectl has them


class WorkloadName(NamedTuple):
    """A workload in the namespace of its region."""

    kind: WorkloadKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.kind.lower()}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> WorkloadName:
        """Read ``NAME`` of a Deployment, or ``KIND/NAME`` as kubectl takes it.

        Raises:
            Refused: it is neither (``INVALID``).
        """
        word, separator, name = text.rpartition("/")
        kind = next((each for each in WORKLOAD_KINDS if _called(each, word)), None) if separator else DEPLOYMENT
        if kind is None:
            kinds = ", ".join(each.kind.lower() for each in WORKLOAD_KINDS)
            raise Refused(
                Why.INVALID, f"a workload is NAME of a Deployment, or KIND/NAME, where KIND is one of {kinds}"
            )
        if not NAME_PATTERN.fullmatch(name):
            raise Refused(Why.INVALID, f"that can be no name of a {kind.kind}")
        return cls(kind, name)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the workloads run that can use some sets.

    Attributes:
        region: its name.
        namespace: in its cluster.
        on_hub: whether that cluster is the hub; None: the user may not see the Region.
        cluster_id: what the operator found the cluster to be; empty if it did not.
        annotated: the annotation ``secretset.dev/bind`` may have an effect there.
        annotatable: it has.
    """

    region: str
    namespace: str
    on_hub: bool | None
    cluster_id: str = ""
    annotated: bool = True
    annotatable: bool = False


async def place_of(session: Session, views: Sequence[SetView]) -> Place:
    """The one place where these sets are, which are delivered.

    Raises:
        Refused: they are not all in one, or one of them is nowhere (``INVALID``).
        KubeError: the hub did not answer.
    """
    first, *others = views
    ref = first.secret_ref
    if ref is None or any(each.secret_ref is None for each in others):
        raise Refused(Why.INVALID, "the operator does not say where these sets are")
    for other in others:
        if (other.region, (other.secret_ref or {}).get("namespace")) != (first.region, ref["namespace"]):
            raise Refused(
                Why.INVALID,
                f"'{first.name}' lives in region '{first.region}', and '{other.name}' in '{other.region}': a workload "
                "uses sets of its own region",
            )
    region = str(first.region)
    try:
        obj = await session.client.get(paths.region(region))
    except (errors.Forbidden, errors.NotFound):
        return Place(region=region, namespace=ref["namespace"], on_hub=None)
    record, status = RegionRecord.parse(obj), obj.get("status") or {}
    policy = next((c.get("status") for c in status.get("conditions") or () if c.get("type") == "BindPolicy"), "Unknown")
    return Place(
        region=region,
        namespace=ref["namespace"],
        on_hub=None if record is None else record.on_hub,
        cluster_id=str(status.get("clusterId") or ""),
        annotated=policy != "False",
        annotatable=policy == "True",
    )


async def check_cluster(client: Client, place: Place) -> None:
    """Make sure that a client leads to the cluster of a place, as far as either tells.

    Raises:
        Refused: it does not (``INVALID``).
        KubeError: the cluster did not answer.
    """
    found = await cluster_id(client)
    if found and place.cluster_id and found != place.cluster_id:
        raise Refused(
            Why.INVALID,
            f"that is not the cluster of region '{place.region}': another one than its sets are delivered to",
        )


async def bind(
    client: Client,
    workload: WorkloadName,
    place: Place,
    views: Sequence[SetView],
    *,
    annotate: bool = False,
    image: str | None = None,
) -> Binding:
    """Bind a workload to sets; one read and one write, and none where it is bound already.

    Args:
        client: of the cluster of the place.
        workload: in its namespace.
        place: of the sets.
        views: the sets; pull secrets become ``imagePullSecrets``.
        annotate: by annotation, see `binding.bind`.
        image: of the Deployment that is made where there is none; None: none is made.

    Returns:
        What was changed.

    Raises:
        Refused: ``ABSENT``, ``INVALID``, or ``CONFLICT``: it changes all the time.
        KubeError: the cluster refused or did not answer.
    """
    path = paths.workloads(workload.kind, place.namespace, workload.name)
    seen: Any = None
    for attempt in range(_ATTEMPTS):
        obj = await _read(client, path)
        if obj is None:
            with contextlib.suppress(errors.AlreadyExists):
                return await _created(client, workload, place, views, image)
            continue
        version = (obj["metadata"]["uid"], obj["metadata"].get("generation"))
        if version == seen:  # nobody changed it, so it was not for one of our tests
            raise _unwelcome(workload, place)
        change = _change(obj, workload, place, views, annotate=annotate)
        if not change.operations:
            return change
        try:
            await client.patch(path, list(change.operations), JSON_PATCH)
        except errors.Conflict as error:
            if error.reason == "Forbidden":  # no conflict, but what the ready gate answers with (docs/gate.md)
                raise _unwelcome(workload, place) from None
        except errors.Invalid:
            seen = version
        except errors.NotFound:
            continue
        else:
            return change
        await asyncio.sleep(_PAUSE * 2**attempt)
    raise Refused(Why.CONFLICT, f"{workload} is changed by somebody else all the time; try again")


async def _read(client: Client, path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await client.get(path)
    except errors.NotFound:
        return None
    return found


async def _created(
    client: Client, workload: WorkloadName, place: Place, views: Sequence[SetView], image: str | None
) -> Binding:
    """Make the Deployment that is not there.

    Raises:
        Refused: no image is named for it, or the cluster does not let us.
        AlreadyExists: somebody else has made it meanwhile.
    """
    if image is None or workload.kind is not DEPLOYMENT:
        raise Refused(Why.ABSENT, f"there is no {workload} in namespace '{place.namespace}' of region '{place.region}'")
    by_kind = _by_kind(views)
    obj = binding.created(
        workload.name,
        place.namespace,
        image,
        sets=by_kind[Kind.SECRET_SET],
        pull_secrets=by_kind[Kind.IMAGE_PULL_SECRET],
    )
    try:
        await client.create(paths.workloads(workload.kind, place.namespace), obj)
    except (errors.Invalid, errors.Conflict):
        raise _unwelcome(workload, place) from None
    return Binding(operations=({"op": "add", "path": "", "value": obj},), touched=("a new Deployment",))


def _unwelcome(workload: WorkloadName, place: Place) -> Refused:
    return Refused(
        Why.INVALID, f"the cluster of region '{place.region}' refuses the change of {workload}, by rules of its own"
    )


def _change(
    obj: dict[str, Any], workload: WorkloadName, place: Place, views: Sequence[SetView], *, annotate: bool
) -> Binding:
    by_kind = _by_kind(views)
    try:
        return binding.bind(
            obj,
            sets=by_kind[Kind.SECRET_SET],
            pull_secrets=by_kind[Kind.IMAGE_PULL_SECRET],
            annotate=annotate,
            annotated=place.annotated,
        )
    except binding.Unbindable as error:
        raise Refused(Why.INVALID, f"{workload} cannot be bound: {error}") from None


def _by_kind(views: Sequence[SetView]) -> dict[Kind, list[str]]:
    """Names of the managed Secrets."""
    return {kind: [_secret(view) for view in views if view.key.kind is kind] for kind in Kind}


def _secret(view: SetView) -> str:
    return (view.secret_ref or {}).get("name") or view.name


def _called(kind: WorkloadKind, word: str) -> bool:
    return word.lower() in {kind.kind.lower(), kind.plural} or _SHORT.get(word.lower()) == kind.kind
