"""Restart all workloads that use a set: by one annotation, which the operator carries out by its own rules, once."""

from __future__ import annotations

from datetime import UTC, datetime

from secretset.actions.annotate import annotate
from secretset.actions.session import Session
from secretset.domain import names
from secretset.domain.set_view import SetView


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
    return SetView.parse(view.key.kind, await annotate(session, view, names.ANNOTATION_RESTART_NOW, at))
