"""Signing in and out: a token is pasted once, tried on the hub, and kept in the user's own cookie alone."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from secretset.api.auth import Hub, bearer
from secretset.kube import errors, whoami
from secretset.web.cookies import Sessions, TooLong
from secretset.web.templates import address, page
from secretset.web.views import Views

router = APIRouter()

_FIELDS_MAX = 4
_REFUSED = (
    "The hub does not accept this token. Is it whole, and has it not expired? `secretset tokens create` makes one."
)
_TOO_LONG = "This token is too long for a cookie: use one of a service account (`secretset tokens create`)."


@router.get("/sign-in")
async def show(request: Request, next: str = "/") -> Response:  # noqa: A002  (the name of a parameter of the address)
    """The form."""
    return page(request, "signin.html", next=_here(next), error="")


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Try a token; with one that the hub accepts, go on to where the user wanted to go."""
    hub: Hub = request.app.state.hub
    sessions: Sessions = request.app.state.sessions
    fields = await form(request)
    wanted = _here(fields.get("next", "/"))
    token = bearer([(b"authorization", b"Bearer " + "".join(fields.get("token", "").split()).encode())])
    if token is None:
        return page(request, "signin.html", 400, next=wanted, error="That can be no token.")
    try:
        async with hub.callers.client(token) as client:
            try:
                name = await whoami.username(client)
            except errors.Forbidden:
                name = ""
        hub.known.remember(token, name)
        request.state.who = name
        cookie = sessions.seal(token)
    except errors.Unauthorized:
        return page(request, "signin.html", 401, next=wanted, error=_REFUSED)
    except TooLong:
        return page(request, "signin.html", 400, next=wanted, error=_TOO_LONG)
    return _go(wanted, sessions.header(cookie))


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Take the cookie away, and end what was followed with its token, which itself is the user's."""
    sessions: Sessions = request.app.state.sessions
    _end_view(request)
    return _go("/sign-in", sessions.header(""))


def again(request: Request) -> Response:
    """To the form, from a page that needs a token which the hub accepts; and back to it afterwards.

    Browsers send no cookie along with what another site leads to (SameSite=Strict): such a page leads to itself, and
    then they do.
    """
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method == "GET" and request.headers.get("sec-fetch-site", "") in {"cross-site", "same-site"}:
        return page(request, "again.html", wanted=_here(wanted))
    sessions: Sessions = request.app.state.sessions
    signed_in = _end_view(request)
    target = address("/sign-in", {"next": wanted}) if request.method == "GET" and wanted != "/" else "/sign-in"
    return _go(target, sessions.header("") if signed_in else None)


async def form(request: Request, most: int = _FIELDS_MAX) -> dict[str, str]:
    """The fields of a form, of which there may be so many; of a field that stands twice the last one.

    The body is bounded before it is read (`api.limits`). What is no form has no fields.
    """
    try:
        text = (await request.body()).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=most))
    except ValueError:
        return {}


def _end_view(request: Request) -> bool:
    """End what is followed with the token of a request; whether it has one."""
    hub: Hub = request.app.state.hub
    views: Views = request.app.state.views
    token = bearer(request.headers.raw)
    if token is not None:
        views.drop(hub.known.digest(token))
    return token is not None


def _go(target: str, cookie: str | None) -> Response:
    return RedirectResponse(target, status_code=303, headers={"Set-Cookie": cookie} if cookie else None)


def _here(target: str) -> str:
    """A path of ours; `/` for anything that leads elsewhere."""
    usable = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if usable else "/"
