"""Follow sets as they change, through whatever happens to the link."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from secretset.actions.session import Session
from secretset.domain.names import Key, Kind
from secretset.domain.set_view import SetView
from secretset.kube import errors, paths
from secretset.kube.watch import Watch


async def follow_sets(
    session: Session, namespace: str | None, *, kinds: Sequence[Kind] = tuple(Kind), name: str | None = None
) -> AsyncGenerator[Mapping[Key, SetView]]:
    """All sets of an organization, or of all (None): once at first, then after each change.

    What is given out is one mapping, which changes. Close the iterator (``contextlib.aclosing``) to end the watches.

    Raises:
        KubeError: the hub refused or did not answer at first; later on it is asked again.
    """
    found: dict[Key, SetView] = {}
    changed = asyncio.Event()

    def watch(kind: Kind) -> Watch:
        def upsert(obj: dict[str, Any]) -> None:
            view = SetView.parse(kind, obj, keep=name is not None)
            found[view.key] = view
            changed.set()

        def gone(where: str, name: str, _: dict[str, Any] | None) -> None:
            found.pop(Key(kind, where, name), None)
            changed.set()

        return Watch(
            session.client,
            paths.custom_list(kind, namespace),
            on_upsert=upsert,
            on_delete=gone,
            field_selector=None if name is None else f"metadata.name={name}",
        )

    watches = [watch(kind) for kind in kinds]
    tasks = [asyncio.create_task(each.run()) for each in watches]
    try:
        for each in watches:
            await _begun(each)
        while True:
            changed.clear()
            yield found
            await changed.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def follow(session: Session, key: Key) -> AsyncGenerator[SetView | None]:
    """One set: as it is, then after each change; None while there is none of that name.

    Raises:
        KubeError: as above.
    """
    views = follow_sets(session, key.namespace, kinds=[key.kind], name=key.name)
    async with contextlib.aclosing(views) as seen:
        async for each in seen:
            yield each.get(key)


async def _begun(watch: Watch) -> None:
    """Wait for the first list.

    Raises:
        KubeError: it failed.
    """
    waits = [asyncio.ensure_future(event.wait()) for event in (watch.synced, watch.tried)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
    if not watch.synced.is_set():
        raise watch.failing or errors.Unreachable("no answer")
