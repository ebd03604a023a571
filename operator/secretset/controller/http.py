"""Health, readiness and metrics over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from secretset import telemetry
from secretset.kube.errors import ConfigError

log = structlog.get_logger(__name__)


async def serve(
    process: telemetry.Process,
    *,
    host: str,
    port: int,
    healthy: Callable[[], bool],
    ready: Callable[[], bool],
    component: str = "",
) -> web.AppRunner:
    """Begin to serve `/healthz`, `/readyz` and `/metrics`; the port that was taken is logged.

    Args:
        process: whose metrics are served.
        host: address to listen at.
        port: 0 for a free one.
        healthy: what `/healthz` tells.
        ready: what `/readyz` tells.
        component: what it calls itself in its metrics, if not by the name of the process.

    Raises:
        ConfigError: the address cannot be listened at.
    """

    def probe(check: Callable[[], bool]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(text="ok") if check() else web.Response(text="no", status=503)

        return answer

    registry = telemetry.registry(process, component)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", probe(healthy))
    app.router.add_get("/readyz", probe(ready))
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"cannot listen at {host}:{port} ({error.strerror or type(error).__name__})") from None
    address = runner.addresses[0]
    log.info("listening", address=f"http://{address[0]}:{address[1]}")
    return runner
