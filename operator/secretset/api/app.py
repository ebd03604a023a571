"""The application: what surrounds requests, and the routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from fastapi import Depends, FastAPI

from secretset import __version__
from secretset.actions.session import KeyCache
from secretset.api import auth, bodies, docs, errors, organizations, region_admin, services, sets
from secretset.api.audit import Audit
from secretset.api.auth import Hub, Known
from secretset.api.config import ORGANIZATION, ROOT, ApiConfig
from secretset.api.limits import Limits, Rate
from secretset.api.models import Asked
from secretset.kube.callers import Callers

Part = Callable[[FastAPI, Hub], Callable[[], Awaitable[None]]]
"""Something that is served beside the API: it adds itself to the application, and gives what ends it."""


def create_app(config: ApiConfig, callers: Callers, parts: Iterable[Part] = ()) -> FastAPI:
    """The application; its ``state.ends`` are to be called in the end.

    Args:
        config: its settings.
        callers: makes clients of the hub; whoever made it closes it.
        parts: what is served beside the API.

    Raises:
        ConfigError: a setting is none.
    """
    hub = Hub(config=config, callers=callers, keys=KeyCache(), known=Known())
    app = FastAPI(
        title="secretset",
        version=__version__,
        openapi_url="/openapi.json",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.hub = hub
    errors.install(app)
    # The one that is added last sees a request first.
    app.add_middleware(Limits, config=config, rate=Rate(config.rate), known=hub.known)
    app.include_router(organizations.of_caller, prefix=ROOT)
    of_organization = [Depends(auth.named)]
    for router in (sets.router, organizations.router):
        app.include_router(router, prefix=ORGANIZATION, dependencies=of_organization)
        app.include_router(router, prefix=ROOT)
    for router in (region_admin.router, *([services.router] if config.services else [])):
        app.include_router(router, prefix=ORGANIZATION, dependencies=of_organization)
    forms: list[type[Asked]] = [*bodies.FORMS, region_admin.RegionRequest]
    docs.install(app, [*forms, services.ServiceRequest] if config.services else forms)
    app.state.ends = [part(app, hub) for part in parts]
    app.add_middleware(Audit)
    return app
