"""The API as a process: the hub's address, the server, health. Runs until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Iterable, Iterator

import structlog
import uvicorn
from fastapi import FastAPI

from secretset import telemetry
from secretset.api.app import Part, create_app
from secretset.api.config import ApiConfig
from secretset.api.protocol import Protocol
from secretset.controller import http
from secretset.domain.services import MANAGER
from secretset.kube import credentials, errors, supervise
from secretset.kube.callers import Callers
from secretset.kube.certificate import Certificate

log = structlog.get_logger(__name__)

"""The field manager of what callers write through us."""

_RETRY_SECONDS = 2.0
_STOP_SECONDS = 10
_KEEP_SECONDS = 75  # longer than the 60 s for which the common proxies keep a connection


class Server(uvicorn.Server):
    """uvicorn's, which leaves signals to us: it would raise SIGTERM again once it has ended."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def run(config: ApiConfig, parts: Iterable[Part] = ()) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        config: its settings.
        parts: what is served beside the API.

    Raises:
        ConfigError: there is no usable kubeconfig or certificate, or an address cannot be listened at.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(telemetry.nobody_waits)
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    address = await credentials.address(config.kubeconfig, config.context, config.hub_ca_file)
    # The request's own deadline comes first, and is told as such.
    callers = Callers(address, timeout=config.timeout + 5, manager=MANAGER)
    ready = asyncio.Event()
    certificate = await asyncio.to_thread(_certificate, config)
    listening = _listening(config)
    app = create_app(config, callers, parts)
    server = Server(_settings(config, app, certificate))
    health = await http.serve(
        telemetry.Process.API,
        host=config.host,
        port=config.health_port,
        healthy=lambda: True,
        ready=ready.is_set,
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    beside = [asyncio.create_task(_look(callers, ready))]
    if certificate is not None:
        beside.append(supervise.start("certificate", certificate.follow))
    ended = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        log.info("stopping")
    finally:
        ready.clear()
        server.should_exit = True
        for task in (*beside, ended):
            task.cancel()
        for end in app.state.ends:  # before the server's end, which waits for streams
            await end()
        await asyncio.gather(serving, *beside, ended, return_exceptions=True)
        await callers.close()
        await health.cleanup()


async def _look(callers: Callers, ready: asyncio.Event) -> None:
    """Be ready once the hub answers: with a wrong address or CA nobody is sent here. Later on, callers are told."""
    while True:
        try:
            async with callers.client(None) as nobody:
                await nobody.answers("/readyz", timeout=5.0)
            break
        except errors.Unauthorized:  # it answers, though not to strangers
            break
        except errors.KubeError as error:
            log.warning("the hub cannot be asked yet", error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
    ready.set()
    log.info("ready")


def _certificate(config: ApiConfig) -> Certificate | None:
    """What to serve with; None: plain HTTP.

    Raises:
        ConfigError: half of it is named, or it is none.
    """
    if config.tls_cert is None and config.tls_key is None:
        return None
    if config.tls_cert is None or config.tls_key is None:
        raise errors.ConfigError("a certificate has two files: name both (--tls-cert, --tls-key)")
    return Certificate(config.tls_cert, config.tls_key)


def _settings(config: ApiConfig, app: FastAPI, certificate: Certificate | None) -> uvicorn.Config:
    settings = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(config.trusted_proxies),
        forwarded_allow_ips=sorted(config.trusted_proxies),
        timeout_keep_alive=_KEEP_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
    )
    settings.load()
    return settings


def _listening(config: ApiConfig) -> socket.socket:
    """The socket to serve at; the port that was taken is logged.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        found = socket.create_server((config.host, config.port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise errors.ConfigError(f"cannot listen at {config.host}:{config.port} ({reason})") from None
    host, port = found.getsockname()[:2]
    scheme = "http" if config.tls_cert is None else "https"
    log.info("listening", api=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    if scheme == "http" and not ipaddress.ip_address(host).is_loopback:
        log.warning("tokens and values arrive in plain text: end TLS in front of this, or give it --tls-cert")
    return found
