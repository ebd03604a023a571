"""What a change of some keys would restart: asked of the operator by an annotation, and answered in the status."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from secretset.actions.annotate import annotate
from secretset.actions.follow import follow_sets
from secretset.actions.session import Session
from secretset.actions.sets import absent
from secretset.domain import names
from secretset.domain.models.status import Explanation
from secretset.domain.set_view import SetView


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
    await annotate(session, view, names.ANNOTATION_EXPLAIN, ",".join(asked))
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
    return Explanation.model_validate(said) if sorted(said.get("keys") or ()) == asked else None
