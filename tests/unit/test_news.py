"""What kopf gets to hear: lists and watches without what is known, in order, and never less than what is new."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from secretset.domain.names import Kind
from secretset.handlers import news


def event(kind: str, name: str, version: int, **more: Any) -> dict[str, Any]:
    """One of a watch; `kind` is its type and the object's kind: `MODIFIED SecretSet`."""
    what, _, of = kind.partition(" ")
    meta = {"namespace": "team", "name": name, "resourceVersion": str(version)}
    return {"type": what, "object": {"kind": of or "SecretSet", "metadata": meta, **more}}


class Memory:
    """Knows the versions that it is told of, and which writes are under way."""

    def __init__(self) -> None:
        self.known: set[tuple[str, str]] = set()
        self.written: set[str] = set()
        self.asked: asyncio.Event = asyncio.Event()

    def knows(self, _: Kind, metadata: Mapping[str, Any]) -> bool:
        return (metadata["name"], metadata["resourceVersion"]) in self.known

    def awaits(self, _: Kind, metadata: Mapping[str, Any]) -> bool:
        if metadata["name"] in self.written:
            self.asked.set()
        return metadata["name"] in self.written


class Hub:
    """A server that sends the lines that it is given, and hears what of them kopf would."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.items: list[dict[str, Any]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"kind": "SecretSetList", "metadata": {"continue": "x"}, "items": self.items})
        response = web.StreamResponse()
        await response.prepare(request)
        while (line := await self.lines.get()) is not None:
            await response.write(line)
        return response

    def send(self, *events: dict[str, Any]) -> None:
        """All in one piece."""
        self.lines.put_nowait(b"".join(orjson.dumps(each) + b"\n" for each in events))

    @asynccontextmanager
    async def heard(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of a watch as kopf reads them."""
        async with (
            aiohttp.ClientSession(response_class=news.of(self.memory)) as session,
            session.get(self.url, params={"watch": "true"}) as response,
        ):
            yield aiter(response.content.iter_chunked(2**20))


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub(Memory())
    app = web.Application()
    app.router.add_get("/", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    made.lines.put_nowait(None)
    await runner.cleanup()


def named(piece: bytes) -> list[str]:
    """Type, name and version of the events in a piece."""
    assert piece.endswith(b"\n")
    found = []
    for line in piece.splitlines():
        one = orjson.loads(line)
        meta = one["object"].get("metadata") or {}
        found.append(f"{one['type']} {meta.get('name', '')} {meta.get('resourceVersion', '')}")
    return found


async def test_a_list_is_told_without_the_versions_that_are_known(hub: Hub) -> None:
    hub.memory.known = {("seen", "5"), ("changed", "5")}
    hub.items = [event("ADDED", name, 5 + (name == "changed"))["object"] for name in ("seen", "changed", "new")]
    async with (
        aiohttp.ClientSession(response_class=news.of(hub.memory)) as session,
        session.get(hub.url) as response,
    ):
        body = await response.json()
    assert [item["metadata"]["name"] for item in body["items"]] == ["changed", "new"]
    assert body["metadata"] == {"continue": "x"}


async def test_a_watch_is_told_without_the_versions_that_are_known(hub: Hub) -> None:
    hub.memory.known = {("app", "5"), ("app", "9")}
    async with hub.heard() as pieces:
        hub.send(event("MODIFIED", "app", 5), event("MODIFIED", "app", 6), event("ADDED", "app", 9))
        assert named(await anext(pieces)) == ["MODIFIED app 6"]


async def test_ends_bookmarks_errors_and_other_kinds_are_told_whatever_is_known(hub: Hub) -> None:
    hub.memory.known = {("app", "5")}
    sent = [
        event("DELETED", "app", 5),
        {"type": "BOOKMARK", "object": {"kind": "SecretSet", "metadata": {"resourceVersion": "7"}}},
        {"type": "ERROR", "object": {"kind": "Status", "code": 410}},
        event("MODIFIED Region", "app", 5),
    ]
    async with hub.heard() as pieces:
        hub.send(*sent)
        assert [orjson.loads(line) for line in (await anext(pieces)).splitlines()] == sent


async def test_what_may_be_an_echo_is_told_or_not_once_the_write_was_answered(hub: Hub) -> None:
    hub.memory.written = {"app"}
    async with hub.heard() as pieces:
        hub.send(event("MODIFIED", "other", 3), event("MODIFIED", "app", 5), event("MODIFIED", "app", 6))
        assert named(await anext(pieces)) == ["MODIFIED other 3"]
        rest = asyncio.ensure_future(anext(pieces))
        await hub.memory.asked.wait()
        assert not rest.done()
        hub.memory.known.add(("app", "5"))
        hub.memory.written.clear()
        assert named(await rest) == ["MODIFIED app 6"]


async def test_nothing_overtakes_what_may_be_an_echo(hub: Hub) -> None:
    """A set that is gone would come back, if its last change were told after its end."""
    hub.memory.written = {"app"}
    async with hub.heard() as pieces:
        hub.send(event("MODIFIED", "app", 5), event("DELETED", "app", 6), event("ADDED", "new", 7))
        rest = asyncio.ensure_future(anext(pieces))
        await hub.memory.asked.wait()
        hub.memory.written.clear()
        assert named(await rest) == ["MODIFIED app 5", "DELETED app 6", "ADDED new 7"]


async def test_a_write_that_nobody_answers_does_not_hold_up_the_watch(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "_MOMENTS", 2)
    hub.memory.written = {"app"}
    async with hub.heard() as pieces:
        hub.send(event("MODIFIED", "app", 5))
        assert named(await anext(pieces)) == ["MODIFIED app 5"]


async def test_events_that_come_in_pieces_are_put_together_and_what_is_none_is_handed_on(hub: Hub) -> None:
    text = orjson.dumps(event("ADDED", "app", 5)) + b"\n"
    async with hub.heard() as pieces:
        for part in (text[:7], text[7:30], text[30:], b"no event\n"):
            hub.lines.put_nowait(part)
            await asyncio.sleep(0.01)
        hub.lines.put_nowait(b"the end")
        hub.lines.put_nowait(None)
        told = b"".join([piece async for piece in pieces])
    assert told == text + b"no event\n" + b"the end"
