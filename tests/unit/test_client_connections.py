"""Connections that lead nowhere: forgotten, closed, silent, or never made."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from secretset.kube import errors
from secretset.kube.client import Client
from secretset.kube.credentials import Credentials
from unit.served import THINGS, Served, followed, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as served:
        yield served


async def test_connections_can_be_forgotten_in_use(served: Served) -> None:
    began = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        began.set()
        await asyncio.sleep(60)
        return web.Response()

    served.answer = never
    request = asyncio.create_task(served.client.get(THINGS))
    await began.wait()
    await served.client.forget_connections()
    with pytest.raises(errors.Unreachable):
        await asyncio.wait_for(request, 5)
    served.answer = served.ok
    assert await served.client.get(THINGS) == {}


@pytest.mark.parametrize("lines", [b"", b'{"type":"BOOKMARK","object":{}}\n'])
async def test_who_follows_a_list_hears_that_its_connection_was_forgotten(served: Served, lines: bytes) -> None:
    async def follow(begun: asyncio.Event) -> None:
        async for _ in served.client.watch(THINGS, {}, idle=90.0):
            begun.set()

    served.hang(lines)
    begun = asyncio.Event()
    following = asyncio.create_task(follow(begun))
    reading = asyncio.create_task(served.client.get(THINGS))
    await begun.wait()
    await asyncio.sleep(0.05)
    await served.client.forget_connections()
    for task in (following, reading):
        with pytest.raises(errors.Unreachable):
            await asyncio.wait_for(task, 2)


async def test_a_watch_that_is_silent_for_long_ends_without_a_fault(served: Served) -> None:
    served.hang()
    assert [event["type"] async for event in served.client.watch(THINGS, {}, idle=0.1)] == ["CONNECTED"]
    assert served.silences == 0


async def test_a_watch_that_is_not_even_begun_is_no_silent_one(served: Served) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    served.answer = never
    served.client._timeout = 0.1
    with pytest.raises(errors.Unreachable):
        await followed(served.client)


async def test_who_was_busy_when_the_connection_was_closed_hears_it_when_reading_on(served: Served) -> None:
    served.hang()
    events = served.client.watch(THINGS, {}, idle=90.0)
    assert (await anext(events))["type"] == "CONNECTED"
    await served.client.close()
    with pytest.raises(errors.Retired):
        await anext(events)


async def test_attempts_to_connect_are_given_up_too() -> None:
    """A host that accepts and says nothing: TLS alone would keep each attempt for long."""

    async def nobody() -> None:
        return None

    accepted = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        while await reader.read(1024):
            pass
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tls = ssl.create_default_context()
    async with Client(Credentials(server=f"https://127.0.0.1:{port}", tls=tls, authorize=nobody), name="us") as client:
        tasks = [asyncio.create_task(client.get(THINGS)), asyncio.create_task(followed(client))]
        await asyncio.wait_for(accepted.wait(), 5)
        await asyncio.sleep(0.05)
        await client.forget_connections()
        for task in tasks:
            with pytest.raises(errors.Unreachable):
                await asyncio.wait_for(task, 1)
    server.close()
    await asyncio.sleep(0.05)
