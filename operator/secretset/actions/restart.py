"""Restart all workloads that use a set: by one annotation, which the operator carries out by its own rules, once."""

from __future__ import annotations

from datetime import UTC, datetime

from secretset.actions.errors import Refused, Why
from secretset.actions.session import Session
from secretset.actions.sets import absent
from secretset.domain import names
from secretset.domain.set_view import SetView
from secretset.kube import errors, paths
from secretset.kube.client import MERGE_PATCH


async def restart(session: Session, view: SetView) -> SetView:
    """Ask for a restart of all workloads that use the set which was seen.

    Returns:
        The set with the request on it; nothing has restarted yet.

    Raises:
        Refused: ``ABSENT``, or ``CONFLICT``: another set has its name now.
        KubeError: the hub refused or did not answer.
    """
    # Two requests within a second are two (vault-secrets-operator#1228).
    at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    body = {"metadata": {"uid": view.uid, "annotations": {names.ANNOTATION_RESTART_NOW: at}}}
    try:
        obj = await session.client.patch(paths.custom(view.key), body, MERGE_PATCH)
    except errors.NotFound:
        raise absent(view.organization, view.name) from None
    except errors.Conflict:
        raise Refused(Why.CONFLICT, f"another {view.key.kind} has the name '{view.name}' now") from None
    return SetView.parse(view.key.kind, obj)
