"""A watch of our own, and a client for it that fails as scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from secretset.kube.client import CONNECTED, METADATA_ONLY, Client
from secretset.kube.watch import Watch

Script = list[Any]


def item(name: str, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": str(version)}}


def page(*names: str, version: int = 10, more: str = "") -> dict[str, Any]:
    meta = {"resourceVersion": str(version)} | ({"continue": more} if more else {})
    return {"metadata": meta, "items": [item(name) for name in names]}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": item(name, version)}


class Faulty:
    """A client that answers each list and each watch as scripted, then holds the line.

    Args:
        lists: pages, or what is raised in their place.
        watches: events of each watch, or what is raised.
        looks: what the store's version is when it is asked for by itself; far ahead once there is none left.
    """

    name = "faulty"

    def __init__(self, lists: Script, watches: list[Script], looks: Script | None = None) -> None:
        self._lists, self._watches, self._looks = lists, watches, looks or []
        self.asked: list[tuple[str, str | None]] = []
        self.params: list[Mapping[str, str]] = []
        self.quiet = asyncio.Event()

    async def get(self, _: str, params: Mapping[str, str], *, accept: str | None = None) -> Any:
        self.params.append(params)
        if accept == METADATA_ONLY:
            self.asked.append(("look", None))
            assert params["limit"] == "1"
            look = self._looks.pop(0) if self._looks else 10**6
            if isinstance(look, Exception):
                raise look
            return page(version=look)
        self.asked.append(("list", params.get("continue")))
        if not self._lists:
            self.quiet.set()
            await asyncio.Event().wait()
        answer = self._lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch(self, _: str, params: Mapping[str, str], **__: Any) -> AsyncIterator[Any]:
        self.asked.append(("watch", params["resourceVersion"]))
        self.params.append(params)
        steps = self._watches.pop(0) if self._watches else None
        if not steps or not isinstance(steps[0], Exception):
            yield {"type": CONNECTED}
        if steps is None:
            self.quiet.set()
            await asyncio.Event().wait()
        for step in steps or ():
            if isinstance(step, Exception):
                raise step
            yield step


class Seen:
    """What the handlers were told, and how the link stood each time that it changed."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.deleted: list[Any] = []
        self.links: list[str] = []
        self.relists: list[int] = []
        self.watch: Watch

    def upsert(self, obj: dict[str, Any]) -> None:
        self.log.append(f"+{obj['metadata']['name']}@{obj['metadata']['resourceVersion']}")

    def delete(self, namespace: str, name: str, obj: dict[str, Any] | None) -> None:
        assert namespace == "ns"
        self.log.append(f"-{name}")
        self.deleted.append(obj)

    def relist(self) -> None:
        """Note how much had been handed over when a list began."""
        self.relists.append(len(self.log))

    def link(self) -> None:
        self.links.append(type(self.watch.failing).__name__)


@asynccontextmanager
async def following(
    lists: Script, watches: list[Script], *, looks: Script | None = None, **options: Any
) -> AsyncIterator[tuple[Seen, Faulty]]:
    """Follow until the client has nothing more to answer."""
    seen, client = Seen(), Faulty(lists, watches, looks)
    seen.watch = Watch(
        cast("Client", client),
        "/things",
        on_upsert=seen.upsert,
        on_delete=seen.delete,
        on_link=seen.link,
        on_relist=seen.relist,
        **options,
    )
    task = asyncio.create_task(seen.watch.run())
    quiet = asyncio.create_task(client.quiet.wait())
    async with asyncio.timeout(5):
        await asyncio.wait({task, quiet}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield seen, client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
