"""The dashboard as a part of the API's application: all paths that are none of the API's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from secretset.actions.errors import Refused
from secretset.api import errors
from secretset.api.app import Part
from secretset.api.auth import Hub
from secretset.kube.errors import KubeError
from secretset.web import boards, sets, signin, stream, values
from secretset.web.cookies import Sessions
from secretset.web.guard import Guard, is_page
from secretset.web.templates import asset, page
from secretset.web.views import Views

_SAYS = {404: "There is no such page, or you may not see it"}


class Assets(StaticFiles):
    """Files whose address changes with what they hold."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One of them."""
        found = await super().get_response(path, scope)
        # While two versions run side by side, one may be asked for a file of the other's.
        asked = f"{scope['path']}?{scope['query_string'].decode('latin-1')}"
        if found.status_code == 200 and asked == asset(path):
            found.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return found


class Pages(Mount):
    """Where the pages are: beside the API, whose own routes tell which methods they know."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for a page."""
        return super().matches(scope) if scope["type"] == "http" and is_page(scope["path"]) else (Match.NONE, {})


def dashboard(sessions: Sessions) -> Part:
    """The dashboard.

    Args:
        sessions: makes its cookies, and reads them.
    """

    def install(app: FastAPI, hub: Hub) -> Callable[[], Awaitable[None]]:
        pages = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        pages.state.hub = hub
        pages.state.sessions = sessions
        pages.state.views = views = Views(hub.callers)
        for router in (signin.router, boards.router, sets.router, values.router, stream.router):
            pages.include_router(router)
        pages.mount("/static", Assets(directory=str(resources.files("secretset.web") / "static")))
        for kind in (errors.Answer, Refused, KubeError, RequestValidationError, HTTPException):
            pages.add_exception_handler(kind, _failed)
        app.router.routes.append(Pages("", app=pages))
        app.add_middleware(Guard, sessions=sessions)
        return views.close

    return install


async def _failed(request: Request, error: Exception) -> Response:
    """What a person is told: the same words as a program, on a page, and the form where nobody is signed in."""
    answer = errors.answer_to(request, error)
    if answer.status == 401:
        return signin.again(request)
    says = _SAYS.get(answer.status) if isinstance(error, HTTPException) else None
    found = page(request, "error.html", answer.status, says=says or str(answer), number=answer.status)
    found.headers.update(answer.headers)
    return found
