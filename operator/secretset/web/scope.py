"""What of the hub a user may follow: which kinds of sets, of which organizations, and whether regions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from secretset.actions import organizations
from secretset.actions.session import Session
from secretset.domain import names
from secretset.domain.names import Kind
from secretset.kube import access

ORGANIZATIONS = 10
"""Of a user who may not follow the sets of all at once: each takes two connections to the hub."""

_VERBS = ("list", "watch")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What may be followed.

    Attributes:
        sets: kinds with their organization; None for all.
        regions: whether regions may be.
        more: organizations that the user may see besides, and that are not followed.
    """

    sets: frozenset[tuple[Kind, str | None]]
    regions: bool
    more: int = 0

    @property
    def only(self) -> str:
        """The one organization that may be followed; empty if there are more, or may be."""
        places = {place for _, place in self.sets}
        return (next(iter(places)) or "") if len(places) == 1 and not self.more else ""


async def scope_of(session: Session, own: str | None, named: tuple[str, ...] = ()) -> Scope:
    """Ask the hub what a user may follow.

    Args:
        session: the user's.
        own: the namespace that a service account lives in.
        named: organizations that the user asked for by name: Kubernetes does not tell who may not list namespaces in
            which ones they may do something. The first ones are followed.

    Raises:
        KubeError: the hub refused or did not answer.
    """
    regions, everywhere = await asyncio.gather(_may(session, "regions", None), _kinds(session, None))
    if everywhere:
        return Scope(sets=frozenset((kind, None) for kind in everywhere), regions=regions)
    visible = await organizations.visible(session, own=own)
    chosen = list(dict.fromkeys((*named, *visible)))
    places = chosen[:ORGANIZATIONS]
    kinds = await asyncio.gather(*(_kinds(session, place) for place in places))
    return Scope(
        sets=frozenset((kind, place) for place, found in zip(places, kinds, strict=True) for kind in found),
        regions=regions,
        more=len(chosen) - len(places),
    )


async def may(session: Session, verb: str, kind: Kind, organization: str) -> bool:
    """Whether the user may do something with the sets of an organization."""
    return await access.may(session.client, verb, kind.plural, group=names.GROUP, namespace=organization)


async def _kinds(session: Session, place: str | None) -> list[Kind]:
    answers = await asyncio.gather(*(_may(session, kind.plural, place) for kind in Kind))
    return [kind for kind, yes in zip(Kind, answers, strict=True) if yes]


async def _may(session: Session, resource: str, place: str | None) -> bool:
    asked = (access.may(session.client, verb, resource, group=names.GROUP, namespace=place) for verb in _VERBS)
    return all(await asyncio.gather(*asked))
