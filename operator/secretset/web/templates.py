"""Pages of HTML: every text is escaped (Jinja's autoescape), none is marked as safe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from secretset import __version__
from secretset.domain import ages, board

_SCRIPT = "dashboard.js"
_environment = Environment(
    loader=PackageLoader("secretset.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@cache
def asset(name: str) -> str:
    """The address of a file of ``static/``: it changes with the file, so that browsers may keep it for ever."""
    content = (resources.files("secretset.web") / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


@cache
def script() -> str:
    """The address of the dashboard's script; empty where the package was built without it (`make dashboard`)."""
    built = resources.files("secretset.web") / "static" / _SCRIPT
    return asset(_SCRIPT) if built.is_file() else ""


def address(path: str, parameters: Mapping[str, str] | None = None) -> str:
    """A path with parameters."""
    return f"{path}?{urlencode(parameters)}" if parameters else path


def page(request: Request, name: str, status: int = 200, *, live: str = "", **context: Any) -> HTMLResponse:
    """A page.

    Args:
        request: that it answers.
        name: of its template.
        status: of HTTP.
        live: the address of a stream that tells when what is shown has changed; empty for none.
        **context: what the template shows.
    """
    now = datetime.now(UTC)
    text = _environment.get_template(name).render(
        who=getattr(request.state, "who", None),
        path=request.url.path,
        version=__version__,
        live=live,
        age=lambda moment: ages.age(moment, now),
        now=now,
        **context,
    )
    return HTMLResponse(text, status_code=status)


def _short(who: str) -> str:
    """A user's name, without what all service accounts have in common."""
    return who.removeprefix("system:serviceaccount:").replace(":", "/")


def _path(*parts: str) -> str:
    """A path of these parts, each of which may hold anything."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


_environment.globals.update(
    {
        "asset": asset,
        "script": script,
        "address": address,
        "path_of": _path,
        "short": _short,
        "phase_of": board.phase,
        "used": board.used,
    }
)
