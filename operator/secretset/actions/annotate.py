"""Ask something of the operator: by an annotation of the set that the user saw, and of no other of its name."""

from __future__ import annotations

from typing import Any

from secretset.actions.errors import Refused, Why
from secretset.actions.session import Session
from secretset.actions.sets import absent
from secretset.domain.set_view import SetView
from secretset.kube import errors, paths
from secretset.kube.client import MERGE_PATCH


async def annotate(session: Session, view: SetView, annotation: str, value: str) -> dict[str, Any]:
    """Put an annotation on a set; returns the object.

    Raises:
        Refused: ``ABSENT``, or ``CONFLICT``: another set has its name now.
        KubeError: the hub refused or did not answer.
    """
    body = {"metadata": {"uid": view.uid, "annotations": {annotation: value}}}
    try:
        obj: dict[str, Any] = await session.client.patch(paths.custom(view.key), body, MERGE_PATCH)
    except errors.NotFound:
        raise absent(view.organization, view.name) from None
    except errors.Conflict:
        raise Refused(Why.CONFLICT, f"another {view.key.kind} has the name '{view.name}' now") from None
    return obj
