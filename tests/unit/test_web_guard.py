"""What surrounds the pages: the cookie becomes a token there alone, and other sites can do nothing."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from secretset.web.cookies import NAME, Sessions
from secretset.web.guard import Guard, is_page

SESSIONS = Sessions()
COOKIE = ("cookie", f"{NAME}={SESSIONS.seal('a-token')}")


async def ask(method: str, path: str, *headers: tuple[str, str]) -> tuple[int, dict[str, str], list[str] | None]:
    """Status and headers of the answer, and the tokens that came through; None: nothing did."""
    inside: list[str] | None = None
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside
        inside = [value.decode() for name, value in scope["headers"] if name == b"authorization"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    await Guard(app, sessions=SESSIONS)(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, inside


async def test_on_a_page_the_cookie_is_the_token_and_no_header_is() -> None:
    assert (await ask("GET", "/sets", COOKIE))[2] == ["Bearer a-token"]
    assert (await ask("GET", "/sets", COOKIE, ("authorization", "Bearer mine")))[2] == ["Bearer a-token"]
    assert (await ask("GET", "/sets", ("authorization", "Bearer mine")))[2] == []


@pytest.mark.parametrize("path", ["/v1", "/v1/organizations", "/openapi.json"])
async def test_to_the_api_a_cookie_is_nothing(path: str) -> None:
    status, headers, inside = await ask("POST", path, COOKIE, ("sec-fetch-site", "cross-site"))
    assert (status, headers, inside) == (200, {}, [])


@pytest.mark.parametrize("path", ["/", "/sets", "/v10", "/static/x", "/openapi.json/x"])
def test_all_else_is_a_page(path: str) -> None:
    assert is_page(path)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "none")],
        [("sec-fetch-site", "cross-site"), ("origin", "https://us.example"), ("host", "us.example")],
        [("origin", "https://evil.example"), ("host", "us.example")],
        [("origin", "null"), ("host", "us.example")],
        [("origin", "http://["), ("host", "us.example")],
        [("origin", "https://us.example")],
        [("origin", "https://"), ("host", "")],
        [("host", "us.example")],
    ],
)
async def test_another_site_can_do_nothing(headers: list[tuple[str, str]]) -> None:
    status, _, inside = await ask("POST", "/sets/shop/app/delete", COOKIE, *headers)
    assert (status, inside) == (403, None)


@pytest.mark.parametrize(
    "headers",
    [[("sec-fetch-site", "same-origin")], [("origin", "https://us.example:8443"), ("host", "us.example:8443")]],
)
async def test_a_page_of_ours_can(headers: list[tuple[str, str]]) -> None:
    assert (await ask("POST", "/sets/shop/app/delete", COOKIE, *headers))[0] == 200


async def test_nothing_is_loaded_from_elsewhere_and_nobody_frames_us() -> None:
    headers = (await ask("GET", "/"))[1]
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert {value for name, value in policy.items() if name.endswith("-src")} == {"'none'", "'self'"}
    assert headers["referrer-policy"] == "same-origin"
