"""What surrounds the pages: the cookie becomes the caller's token, other sites can do nothing, and nobody frames us."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from secretset.api import errors
from secretset.api.config import ROOT
from secretset.web.cookies import Sessions

_SAFE = frozenset({"GET", "HEAD"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}


def is_page(path: str) -> bool:
    """Whether a path is of the dashboard: all are that are not of the API."""
    return not (path == ROOT or path.startswith(f"{ROOT}/") or path == "/openapi.json")


class Guard:
    """A middleware; what is not of the dashboard passes untouched, so that a cookie is nothing to the API."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http" or not is_page(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        if scope["method"] not in _SAFE and not _same_site(Headers(scope=scope)):
            refusal = errors.forbidden("That did not come from a page of this dashboard: open it, and try again")
            await refusal.response()(scope, receive, answer)
            return
        token = self._sessions.token(scope["headers"])
        # In place: whoever tells of the request later looks at this scope.
        scope["headers"] = [
            *((name, value) for name, value in scope["headers"] if name != b"authorization"),
            *([(b"authorization", f"Bearer {token}".encode())] if token else []),
        ]
        await self._app(scope, receive, answer)


def _same_site(headers: Headers) -> bool:
    """Whether a page of ours sent this (Fetch Metadata; of browsers that do not tell, by the origin)."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    try:
        return urlsplit(headers.get("origin", "")).netloc == headers["host"] != ""
    except (KeyError, ValueError):
        return False
