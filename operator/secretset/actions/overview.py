"""All that a user may know of one set at a glance: the set, its region, its keys and its events, read at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from secretset.actions import events
from secretset.actions.errors import Refused
from secretset.actions.events import EventView
from secretset.actions.session import RegionView, Session
from secretset.domain import advice
from secretset.domain.regions import RegionRecord
from secretset.domain.sealing_keys import PublicKeys, text_of
from secretset.domain.set_view import KeyView, SetView
from secretset.kube import errors, paths


@dataclass(frozen=True, kw_only=True)
class Sealing:
    """The key that a value is sealed for.

    Attributes:
        kid: its id.
        state: ``current``, ``opens`` for an older one, ``missing`` for one that the operator does not publish, and
            ``unknown`` where nothing is published, or may be seen.
        created: when it was made; None if it is not published.
    """

    kid: str
    state: str
    created: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "kid": self.kid,
            "state": self.state,
            **({} if self.created is None else {"created": text_of(self.created)}),
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class Overview:
    """What there is to say of a set.

    Attributes:
        region: that it lives in; None: there is none, or the user may not see it.
        keys: that are published; None: none are, or the user may not see them.
        events: the last ones, the oldest first; None: the user may not see them.
    """

    view: SetView
    region: RegionView | None
    keys: PublicKeys | None
    events: list[EventView] | None

    @property
    def to_do(self) -> str:
        """What to do about it; empty if there is nothing."""
        return advice.of_set(self.view)

    @property
    def region_trouble(self) -> str:
        """What is wrong with its region, if anything; a set stays ready while its region is away."""
        return advice.of_region(self.region.status) if self.region is not None else ""

    def sealing(self, key: KeyView) -> Sealing | None:
        """What the value of a key is sealed for; None if it is not sealed."""
        if key.sealed_for is None:
            return None
        if self.keys is None:
            return Sealing(kid=key.sealed_for, state="unknown")
        for number, each in enumerate(self.keys.keys):
            if each.kid == key.sealed_for:
                return Sealing(kid=each.kid, state="opens" if number else "current", created=each.created)
        return Sealing(kid=key.sealed_for, state="missing")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values for machines; what is not known is left out."""
        keys = [{**key.to_json(), **_named("sealingKey", self.sealing(key))} for key in self.view.keys]
        found: dict[str, Any] = {
            **self.view.to_json(),
            "toDo": self.to_do or None,
            "regionTrouble": self.region_trouble or None,
            "keys": keys,
            "conditions": [dict(each) for each in self.view.conditions],
            "events": None if self.events is None else [event.to_json() for event in self.events],
        }
        return {name: value for name, value in found.items() if value is not None}


async def overview(session: Session, view: SetView) -> Overview:
    """Look at a set.

    Raises:
        KubeError: the hub did not answer.
    """
    region, keys, told = await asyncio.gather(
        _region(session, view.region), _keys(session), events.recent(session, view)
    )
    return Overview(view=view, region=region, keys=keys, events=told)


async def _region(session: Session, name: str | None) -> RegionView | None:
    if name is None:
        return None
    try:
        obj: Mapping[str, Any] = await session.client.get(paths.region(name))
    except (errors.NotFound, errors.Forbidden, ValueError):
        return None
    record = RegionRecord.parse(obj)
    return None if record is None else RegionView(record=record, status=obj.get("status") or {}, obj=obj)


async def _keys(session: Session) -> PublicKeys | None:
    try:
        return await session.public_keys()
    except (Refused, errors.Forbidden):
        return None


def _named(name: str, found: Sealing | None) -> dict[str, Any]:
    return {} if found is None else {name: found.to_json()}
