"""Serve HTTPS on loopback, with a certificate of our own."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from aiohttp import web

from kubelab import pki


def serving_context(pair: pki.KeyPair) -> ssl.SSLContext:
    """For a server that has this certificate, and asks clients for none."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:  # the only way in is by files
        pki.save(Path(folder), "serving", pair)
        context.load_cert_chain(Path(folder) / "serving.crt", Path(folder) / "serving.key")
    return context


async def listen(app: web.Application, context: ssl.SSLContext) -> tuple[web.AppRunner, int]:
    """Serve an application on a free port of 127.0.0.1; what ends it, and the port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return runner, int(runner.addresses[0][1])
