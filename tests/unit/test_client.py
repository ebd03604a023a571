"""The client's own rules, against a server that answers as a test says: pauses, the fence, answers without end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from secretset.kube import client as module
from secretset.kube import errors
from unit.served import SAID, THINGS, Served, followed, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as served:
        yield served


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the client's clock on by so many seconds."""
    shift = 0.0
    real = time.monotonic

    def ahead(seconds: float) -> None:
        nonlocal shift
        shift += seconds

    class Time:
        @staticmethod
        def monotonic() -> float:
            return real() + shift

        perf_counter = staticmethod(time.perf_counter)

    monkeypatch.setattr(module, "time", Time)
    return ahead


# --- a server that asks to wait


async def test_who_asks_to_wait_is_left_alone_that_long(served: Served, clock: Callable[[float], None]) -> None:
    served.refuse_with(429, Retry_After="30")
    with pytest.raises(errors.Throttled) as caught:
        await served.client.get(THINGS)
    assert caught.value.retry_after == 30.0
    served.answer = served.ok
    for seconds in (0.0, 20.0, 9.0):
        clock(seconds)
        for attempt in (
            served.client.get(THINGS),
            served.client.create(THINGS, {}),
            followed(served.client),
        ):
            with pytest.raises(errors.Throttled) as caught:
                await attempt
            assert 0.0 < caught.value.retry_after <= 30.0
    assert served.seen == [f"GET {THINGS}"]
    assert caught.value.retry_after <= 1.0
    clock(1.0)
    assert await served.client.get(THINGS) == {}
    assert served.silences == 0, "it answered"


async def test_a_watch_that_is_told_to_wait_holds_up_all(served: Served) -> None:
    served.refuse_with(429, Retry_After="30")
    with pytest.raises(errors.Throttled):
        await followed(served.client)
    with pytest.raises(errors.Throttled):
        await served.client.get(THINGS)
    assert len(served.seen) == 1


async def test_who_asks_for_a_day_is_asked_again_within_a_minute(
    served: Served, clock: Callable[[float], None]
) -> None:
    served.refuse_with(429, Retry_After="86400")
    with pytest.raises(errors.Throttled):
        await served.client.get(THINGS)
    served.answer = served.ok
    clock(60.1)
    assert await served.client.get(THINGS) == {}


@pytest.mark.parametrize("headers", [{}, {"Retry_After": "0"}, {"Retry_After": "soon"}])
async def test_without_a_time_nothing_is_paused(served: Served, headers: dict[str, str]) -> None:
    served.refuse_with(429, **headers)
    for _ in range(2):
        with pytest.raises(errors.Throttled):
            await served.client.get(THINGS)
    assert len(served.seen) == 2


async def test_other_errors_pause_nothing(served: Served) -> None:
    served.refuse_with(503, Retry_After="30")
    for _ in range(2):
        with pytest.raises(errors.ServerError):
            await served.client.get(THINGS)
    assert len(served.seen) == 2


# --- the probe


async def test_the_probe_goes_through_a_pause(served: Served) -> None:
    served.refuse_with(429, Retry_After="30")
    with pytest.raises(errors.Throttled):
        await served.client.get(THINGS)
    await served.client.answers("/readyz", timeout=1.0)
    assert served.seen == [f"GET {THINGS}", "GET /readyz"]


@pytest.mark.parametrize("code", [403, 404, 429])
async def test_a_refusal_of_the_probe_is_an_answer(served: Served, code: int) -> None:
    served.refuse_with(code)
    await served.client.answers("/readyz", timeout=1.0)


@pytest.mark.parametrize(("code", "error"), [(401, errors.Unauthorized), (500, errors.ServerError)])
async def test_what_the_probe_does_not_take_for_well(served: Served, code: int, error: type[Exception]) -> None:
    served.refuse_with(code)
    with pytest.raises(error):
        await served.client.answers("/readyz", timeout=1.0)


async def test_a_page_for_people_is_no_api_server(served: Served) -> None:
    served.say("ok\n")
    await served.client.answers("/readyz", timeout=1.0)
    served.say(f"<html>{SAID}</html>")
    with pytest.raises(errors.Unreachable) as caught:
        await served.client.answers("/readyz", timeout=1.0)
    assert SAID not in str(caught.value)


async def test_the_probe_has_a_deadline_of_its_own(served: Served) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    served.answer = never
    with pytest.raises(errors.Unreachable):
        await served.client.answers("/readyz", timeout=0.1)
    assert served.silences == 1


# --- the fence


async def test_a_replica_without_a_lease_starts_no_write_and_still_reads(served: Served) -> None:
    served.fenced = True
    attempts = (
        served.client.create(THINGS, {}),
        served.client.replace(f"{THINGS}/a", {}),
        served.client.patch(f"{THINGS}/a", {}, module.MERGE_PATCH),
        served.client.delete(f"{THINGS}/a", uid="1"),
    )
    for attempt in attempts:
        with pytest.raises(errors.Fenced):
            await attempt
    assert served.seen == []
    await served.client.get(THINGS)
    await served.client.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {})
    assert len(served.seen) == 2
    served.fenced = False
    await served.client.create(THINGS, {})


# --- answers without end


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with_no_line_break = b"x" * 2**16
    while True:
        await response.write(with_no_line_break)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_ANSWER", 2**20)


@pytest.mark.usefixtures("short")
async def test_an_answer_that_does_not_end_is_given_up(served: Served) -> None:
    served.answer = endless
    with pytest.raises(errors.AnswerTooLong):
        await served.client.get(THINGS)
    with pytest.raises(errors.AnswerTooLong):
        await followed(served.client)
    served.answer = served.ok
    assert await served.client.get(THINGS) == {}, "the connection is as good as new"


@pytest.mark.usefixtures("short")
async def test_a_watch_may_tell_more_than_one_answer_can_hold(served: Served) -> None:
    async def many(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(40):
            await response.write(b'{"type":"ADDED","object":{"x":"' + b"x" * 2**16 + b'"}}\n')
        return response

    served.answer = many
    assert len(await followed(served.client)) == 41


# --- what is not an API server's answer


async def test_what_is_no_json_is_silence_and_is_not_told(served: Served) -> None:
    served.say(f"<html>{SAID}</html>")
    with pytest.raises(errors.Unreachable) as caught:
        await served.client.get(THINGS)
    assert SAID not in str(caught.value)
    served.say(f"<html>{SAID}</html>\n")
    with pytest.raises(errors.Unreachable) as caught:
        await followed(served.client)
    assert SAID not in str(caught.value)
    assert served.silences == 2


async def test_what_an_error_says_is_not_kept(served: Served) -> None:
    served.refuse_with(422)
    with pytest.raises(errors.Invalid) as caught:
        await served.client.get(THINGS)
    assert SAID not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_after_the_end_there_is_nobody(served: Served) -> None:
    await served.client.get(THINGS)
    await served.client.close()
    with pytest.raises(errors.Retired):
        await served.client.get(THINGS)
    with pytest.raises(errors.Retired):
        await followed(served.client)
    assert served.silences == 0
