"""HTTPS for API servers: one path for each thing that they may ask, and nothing else."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web

from secretset.kube import supervise
from secretset.kube.errors import ConfigError
from secretset.webhook.review import Answer, NotAReview, Review

log = structlog.get_logger(__name__)

Handler = Callable[[Review], Awaitable[Answer]]

# An object and the one before it, each of at most 3 MiB (the API server's own limit of a request), in one review.
_LONGEST = 8 * 2**20
# Longer than the 90 s after which an API server closes a connection that it does not use: were we the first, a question
# that comes in that moment would be lost, and be answered by the failure policy.
_KEEP_SECONDS = 120.0


def application(handlers: Mapping[str, Handler]) -> web.Application:
    """The web application that asks a handler for the reviews of each path.

    What fails in a handler is answered with HTTP 500: the API server then does what the webhook's failurePolicy says.
    """
    app = web.Application(client_max_size=_LONGEST)
    for path, handler in handlers.items():
        app.router.add_post(path, _endpoint(path, handler))
    return app


async def serve(*, host: str, port: int, tls: ssl.SSLContext, handlers: Mapping[str, Handler]) -> web.AppRunner:
    """Begin to serve; the port that was taken is logged.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    runner = web.AppRunner(
        application(handlers), access_log=None, keepalive_timeout=_KEEP_SECONDS, shutdown_timeout=5.0
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"cannot listen at {host}:{port} ({error.strerror or type(error).__name__})") from None
    address = runner.addresses[0]
    log.info("listening", address=f"https://{address[0]}:{address[1]}", paths=sorted(handlers))
    return runner


def _endpoint(path: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        try:
            review = Review.parse(await request.read())
        except NotAReview:
            return web.Response(status=400, text="not an AdmissionReview of admission.k8s.io/v1")
        try:
            found = await handler(review)
        except Exception as error:  # noqa: BLE001  (its text may hold anything that is in the object)
            log.error("a review failed", path=path, error=supervise.where(error))  # noqa: TRY400
            return web.Response(status=500, text="the review failed; the webhook's log tells where")
        return web.Response(body=found.to(review.uid), content_type="application/json")

    return answer
