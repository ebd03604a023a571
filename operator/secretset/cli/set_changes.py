"""How commands change sets: what would be refused is known before anybody is asked; what is stored is waited for."""

from __future__ import annotations

from secretset.actions import sets
from secretset.actions.errors import Refused, Why
from secretset.actions.session import Session
from secretset.actions.sets import Wanted
from secretset.cli.waiting import until_delivered
from secretset.domain.names import Key
from secretset.domain.set_view import SetView


async def foreseen(session: Session, key: Key, region: str | None) -> SetView | None:
    """The set that is to be changed; None: it would be made.

    Raises:
        Refused: neither would work, as `sets.put` says.
        KubeError: the hub refused or did not answer.
    """
    await session.public_keys()
    try:
        return (await sets.put(session, key, Wanted(region=region))).view  # changes nothing
    except Refused as error:
        if error.why is not Why.ABSENT:
            raise
    await session.region_for(key.namespace, region)
    return None


async def changed(session: Session, key: Key, wanted: Wanted, timeout: float | None) -> tuple[str, SetView]:  # noqa: ASYNC109
    """Make or change a set.

    Args:
        session: the user's.
        key: of the set.
        wanted: of it.
        timeout: seconds to wait until it is ready; None: do not wait.

    Returns:
        What was done, as a participle, and the set as it is then.

    Raises:
        CommandError: it was stored, and is not ready, or could not be followed (`until_delivered`).
        Refused: it was not stored.
        KubeError: the hub refused or did not answer; nothing is known to be stored.
    """
    stored = await sets.put(session, key, wanted)
    done = "created" if stored.created else "changed" if stored.changed else "unchanged"
    if timeout is None:
        return done, stored.view
    return done, await until_delivered(session, stored.view, timeout=timeout)
