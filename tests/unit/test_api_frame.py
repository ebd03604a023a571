"""What surrounds each request: ids, headers, limits, the last resort. What is inside is a function of a test."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from secretset.api import audit, errors
from secretset.api.app import create_app
from secretset.api.auth import Known
from secretset.api.config import ApiConfig
from secretset.api.limits import REST, Limits, Rate
from secretset.kube.callers import Callers
from secretset.kube.errors import ConfigError
from secretset.kube.identity import Credentials

CANARY = "canary-in-a-request"
Inside = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: Inside,
    *headers: tuple[str, str],
    body: Sequence[bytes] = (b"",),
    client: str = "192.0.2.1",
    method: str = "GET",
    path: str = f"/{CANARY}",
) -> Answered:
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": (client, 1),
    }
    parts, sent = list(body), list[Message]()

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    begin, *rest = sent
    return Answered(
        status=begin["status"],
        headers={name.decode().lower(): value.decode() for name, value in begin["headers"]},
        body=b"".join(part["body"] for part in rest),
    )


async def nobody() -> None: ...


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("fine")(scope, receive, send)


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        while (await receive()).get("more_body"):
            pass
    except errors.BodyTooLarge as error:
        await errors.too_large(error.limit).response()(scope, receive, send)
        return
    await fine(scope, receive, send)


def limited(inside: Inside, known: Known | None = None, **settings: Any) -> Limits:
    config = ApiConfig(**{"rate": "1000/second", **settings})
    return Limits(inside, config=config, rate=Rate(config.rate), known=known or Known())


async def test_ids_of_requests() -> None:
    app = audit.Audit(fine)
    assert (await ask(app, ("x-request-id", "from-me_1.2"))).headers["x-request-id"] == "from-me_1.2"
    for odd in ("", "a b", "a\nb", "é", "x" * 65, "<script>"):
        given = (await ask(app, ("x-request-id", odd))).headers["x-request-id"]
        assert given != odd
        assert len(given) == 16
    headers = (await ask(app)).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


async def test_a_defect_is_told_without_its_text() -> None:
    async def defect(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError(CANARY)

    with capture_logs() as logs:
        answered = await ask(audit.Audit(defect), ("authorization", f"Bearer {CANARY}"))
    assert answered.status == 500
    assert json.loads(answered.body) == {"error": "Internal server error", "code": "INTERNAL"}
    assert answered.headers["cache-control"] == "no-store"
    assert [line["event"] for line in logs] == ["a request failed", "request"]
    assert logs[0]["error"].startswith("RuntimeError at test_api_frame.py:")
    assert logs[1]["outcome"] == 500
    assert CANARY not in repr(logs)


async def test_who_did_not_wait_is_told() -> None:
    async def gone(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    with capture_logs() as logs, pytest.raises(ValueError, match="not enough values"):
        await ask(audit.Audit(gone))
    assert [line["outcome"] for line in logs] == [499]


async def test_only_names_of_keys_are_told() -> None:
    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] |= {"keys": ("A", f"{CANARY} is no key"), "who": "ann", "organization": "team"}
        scope["path_params"] = {"name": f"{CANARY}!"}
        await fine(scope, receive, send)

    with capture_logs() as logs:
        await ask(audit.Audit(named), method="PROPFIND")
    (line,) = logs
    assert (line["keys"], line["set"], line["who"], line["organization"]) == (["A"], None, "ann", "team")
    assert (line["action"], line["source"]) == ("other none", "192.0.2.1")
    assert CANARY not in repr(logs)


async def test_what_a_request_concerns_is_told() -> None:
    async def told(named: dict[str, str], **concerned: Any) -> tuple[Any, ...]:
        async def inside(scope: Scope, receive: Receive, send: Send) -> None:
            scope["path_params"] = named
            audit.concerns(Request(scope), **concerned)
            await fine(scope, receive, send)

        with capture_logs() as logs:
            await ask(audit.Audit(inside))
        (line,) = logs
        assert CANARY not in repr(line)
        return line["region"], line["service"], line["bound"]

    assert await told({"region": "us-west"}) == ("us-west", None, [])
    assert await told({"service": "a"}) == (None, "a", [])
    assert await told({}, region="us-west", service="agent", sets=["app", "pull"]) == (
        "us-west",
        "agent",
        ["app", "pull"],
    )
    odd = f"{CANARY}!"
    assert await told({"region": odd, "service": odd}) == (None, None, [])
    assert await told({}, region=odd, service=odd, sets=["app", odd]) == (None, None, ["app"])


@pytest.fixture
def half_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of limits begin with the hour, or the day, of the wall clock: none is to end in the middle of a test."""
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0 + 1800)


@pytest.mark.usefixtures("half_past")
async def test_what_a_limit_refuses_is_told() -> None:
    nowhere = Credentials(server="http://192.0.2.9", tls=None, authorize=nobody)
    app = create_app(ApiConfig(rate="1/hour"), Callers(nowhere, timeout=1.0))
    app.state.hub.known.remember("ann", "ann")

    async def told(path: str) -> tuple[Any, ...]:
        with capture_logs() as logs:
            await ask(app, ("authorization", "Bearer ann"), method="PUT", path=path)
        (line,) = [each for each in logs if each["event"] == "request"]
        return line["action"], line["who"], line["outcome"]

    await ask(app, ("authorization", "Bearer ann"), path="/v1/none")
    assert await told("/v1/secrets/app") == ("PUT /v1/secrets/{name}", "ann", 429)
    place = "/v1/organizations/{organization}"
    assert await told("/v1/organizations/team/secrets/app") == (f"PUT {place}/secrets/{{name}}", "ann", 429)
    assert await told(f"/v1/organizations/team/regions/{CANARY}") == (f"PUT {place}/regions/{{region}}", "ann", 429)
    assert await told(f"/{CANARY}") == ("PUT none", "ann", 429)


@pytest.mark.parametrize("headers", [(("content-length", "11"),), ()])
async def test_long_bodies(headers: tuple[tuple[str, str], ...]) -> None:
    app = limited(reading, max_body_bytes=10)
    answered = await ask(app, *headers, body=[b"x" * 6, b"x" * 5])
    assert (answered.status, json.loads(answered.body)["code"]) == (413, "BODY_TOO_LARGE")
    assert (await ask(app, ("content-length", "10"), body=[b"x" * 6, b"x" * 4])).status == 200


async def test_slow_requests() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    answered = await ask(limited(slow, timeout=0.01))
    assert (answered.status, json.loads(answered.body)["code"]) == (504, "TIMEOUT")


async def test_a_timeout_of_something_else_is_no_deadline() -> None:
    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await ask(limited(other))


async def test_many_at_a_time() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await go.wait()
        await fine(scope, receive, send)

    app = limited(waiting, concurrency=1)
    first = asyncio.create_task(ask(app))
    await begun.wait()
    second = await ask(app)
    assert (second.status, second.headers["retry-after"]) == (503, "1")
    go.set()
    assert (await first).status == 200
    assert (await ask(app)).status == 200


async def test_slow_bodies() -> None:
    """The time is counted from where the body is first waited for; what comes after it has all the time."""

    async def slow(*parts: bytes) -> int:
        left = [{"type": "http.request", "body": part, "more_body": True} for part in parts]

        async def receive() -> Message:
            if left:
                return left.pop(0)
            await asyncio.Event().wait()
            raise AssertionError

        app, sent = limited(reading, body_timeout=0.02), list[Message]()

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "PUT", "path": "/", "headers": [], "client": ("192.0.2.1", 1)}
        try:
            await app(scope, receive, send)
        except errors.BodyTooSlow as error:
            answer = errors.answer_to(Request({**scope, "query_string": b""}), error)
            assert (answer.code, answer.headers) == ("BODY_TIMEOUT", {"Connection": "close"})
            return answer.status
        return 0

    assert await slow() == 408
    assert await slow(b"x", b"y") == 408

    async def long(scope: Scope, receive: Receive, send: Send) -> None:
        await reading(scope, receive, send)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await receive()

    ended = asyncio.Event()

    async def receive() -> Message:
        if ended.is_set():
            await asyncio.Event().wait()
        ended.set()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Message) -> None: ...

    scope = {"type": "http", "method": "PUT", "path": "/", "headers": [], "client": ("192.0.2.1", 1)}
    await limited(long, body_timeout=0.01)(scope, receive, send)


async def test_no_one_has_all_the_room() -> None:
    go = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await fine(scope, receive, send)

    known = Known()
    known.remember("ann", "ann")
    app = limited(waiting, known, concurrency=4)
    ann = ("authorization", "Bearer ann")
    running = [asyncio.create_task(ask(app, ann)) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await ask(app, ann)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    # Those without a token that is known count by where they come from: ann's own is no other's.
    running += [asyncio.create_task(ask(app, client="192.0.2.2")) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await ask(app, client="192.0.2.3")).status == 503
    go.set()
    assert {(await each).status for each in running} == {200}
    assert not app._running
    assert (await ask(app, ann)).status == 200


@pytest.mark.usefixtures("half_past")
async def test_made_up_tokens_keep_nobody_out_who_asked_in_the_last_hour() -> None:
    now = 0.0
    known = Known(clock=lambda: now)
    known.remember("ann", "ann")
    app = limited(fine, known, rate="3/day")
    now = 3500.0
    assert known.name("ann") is None
    assert [(await ask(app, ("authorization", f"Bearer guess{n}"))).status for n in range(4)] == [200, 200, 200, 429]
    assert (await ask(app, ("authorization", "Bearer ann"))).status == 200
    known.forget("ann")
    assert (await ask(app, ("authorization", "Bearer ann"))).status == 429


@pytest.mark.usefixtures("half_past")
async def test_rates() -> None:
    known = Known()
    known.remember("ann", "ann")
    known.remember("bob", "bob")
    app = limited(fine, known, rate="3/hour")

    async def asked(token: str, client: str = "192.0.2.1") -> list[int]:
        return [(await ask(app, ("authorization", f"Bearer {token}"), client=client)).status for _ in range(4)]

    assert await asked("ann") == [200, 200, 200, 429]
    assert await asked("bob") == [200, 200, 200, 429]
    # Tokens that nobody knows share what their address may ask.
    assert await asked("guess1") == [200, 200, 200, 429]
    assert await asked("guess2") == [429] * 4
    assert await asked("guess3", client="192.0.2.2") == [200, 200, 200, 429]
    refused = await ask(app, ("authorization", "Bearer ann"))
    assert 1 <= int(refused.headers["retry-after"]) <= 3600


def test_a_rate_that_is_none() -> None:
    with pytest.raises(ConfigError, match="is no rate"):
        Rate("often")


async def test_a_request_that_only_waits_counts_for_nobody_and_has_no_deadline() -> None:
    resting, ends = asyncio.Event(), asyncio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stream":
            scope["state"][REST]()
            resting.set()
            await ends.wait()
        await fine(scope, receive, send)

    app = limited(stream, concurrency=1, timeout=0.05)
    with capture_logs() as logs:
        waiting = asyncio.create_task(ask(audit.Audit(app), path="/stream"))
        await resting.wait()
        await asyncio.sleep(0.2)
        assert (await ask(app)).status == 200
        ends.set()
        assert (await waiting).status == 200
    assert logs[0]["milliseconds"] < 100, "an alert on slow answers is not for those who wait"
    assert (await ask(app)).status == 200, "what no longer counts is not uncounted twice"
