"""What a change of some keys would restart: asked of the operator by an annotation, and answered in the status."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secretset.actions.errors import Refused, Why
from secretset.actions.follow import follow_sets
from secretset.actions.session import Session
from secretset.actions.sets import absent
from secretset.domain import names
from secretset.domain.set_view import SetView
from secretset.kube import errors, paths
from secretset.kube.client import MERGE_PATCH


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a change would mean to one workload."""

    kind: str
    name: str
    restarts: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The operator's answer.

    Attributes:
        restarts: how many workloads would be restarted.
        workloads: those that use the set, fifty at most.
    """

    restarts: int
    workloads: tuple[Verdict, ...]


async def explain(session: Session, view: SetView, keys: Sequence[str], *, seconds: float) -> Explanation | None:
    """Ask what a change of these keys would restart; nothing restarts.

    Args:
        session: the user's, who may change the set.
        view: the set that the user saw.
        keys: valid names of keys.
        seconds: to wait for the operator.

    Returns:
        Its answer; None: it has not answered in time.

    Raises:
        Refused: ``ABSENT``, or ``CONFLICT``: another set has its name now.
        KubeError: the hub refused or did not answer.
    """
    asked = sorted(set(keys))
    body = {"metadata": {"uid": view.uid, "annotations": {names.ANNOTATION_EXPLAIN: ",".join(asked)}}}
    try:
        await session.client.patch(paths.custom(view.key), body, MERGE_PATCH)
    except errors.NotFound:
        raise absent(view.organization, view.name) from None
    except errors.Conflict:
        raise Refused(Why.CONFLICT, f"another {view.key.kind} has the name '{view.name}' now") from None
    with contextlib.suppress(TimeoutError):
        async with (
            asyncio.timeout(seconds),
            contextlib.aclosing(
                follow_sets(session, view.organization, kinds=[view.key.kind], name=view.name)
            ) as states,
        ):
            async for state in states:
                found = state.get(view.key)
                if found is None:
                    raise absent(view.organization, view.name)
                if (answer := _answer(found.obj, asked)) is not None:
                    return answer
    return None


def _answer(obj: Mapping[str, Any], asked: Sequence[str]) -> Explanation | None:
    said = (obj.get("status") or {}).get("explanation") or {}
    if sorted(said.get("keys") or ()) != asked:
        return None
    return Explanation(
        restarts=said.get("restarts") or 0,
        workloads=tuple(
            Verdict(kind=each["kind"], name=each["name"], restarts=each["restarts"], why=each["why"])
            for each in said.get("workloads") or ()
        ),
    )
