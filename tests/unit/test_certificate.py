"""The webhook's certificate: served over real TLS, renewed while it is served, and not lost to a bad one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kubelab import pki
from secretset.kube.certificate import Certificate
from secretset.kube.errors import ConfigError
from secretset.webhook import server
from secretset.webhook.review import ALLOWED, Answer, Review

OLD, NEW = pki.Authority.create("old"), pki.Authority.create("new")


def put(folder: Path, authority: pki.Authority, *, only: str = "") -> None:
    """Write a certificate of this authority, or only one file of it."""
    pair = authority.serving()
    if only != "key":
        pki.write_private(folder / "tls.crt", pair.certificate)
    if only != "crt":
        pki.write_private(folder / "tls.key", pair.key)


async def allow(_: Review) -> Answer:
    return ALLOWED


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[int]:
    certificate = Certificate(folder / "tls.crt", folder / "tls.key")
    runner = await server.serve(host="127.0.0.1", port=0, tls=certificate.context, handlers={"/gate": allow})
    follow = asyncio.create_task(certificate.follow(every=0.02))
    try:
        yield int(runner.addresses[0][1])
    finally:
        follow.cancel()
        await asyncio.gather(follow, return_exceptions=True)
        await runner.cleanup()


async def trusts(port: int, authority: pki.Authority, *, name: str | None = "localhost") -> bool:
    """Whether a client that trusts this authority alone is let in; without a name, it asks for an address."""
    context = ssl.create_default_context(cadata=authority.pair.certificate.decode())
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "127.0.0.1")
    except ssl.SSLCertVerificationError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def becomes(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await check():  # noqa: ASYNC110  (nobody else tells)
            await asyncio.sleep(0.02)


async def test_a_new_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    put(tmp_path, OLD)
    async with serving(tmp_path) as port:
        assert await trusts(port, OLD)
        assert await trusts(port, OLD, name=None)
        assert not await trusts(port, NEW)
        put(tmp_path, NEW)
        await becomes(lambda: trusts(port, NEW))
        assert await trusts(port, NEW, name=None)
        assert not await trusts(port, OLD)


async def test_what_cannot_be_used_is_told_once_and_not_served(tmp_path: Path) -> None:
    put(tmp_path, OLD)
    with capture_logs() as logs:
        async with serving(tmp_path) as port:
            put(tmp_path, NEW, only="crt")
            await asyncio.sleep(0.2)
            assert await trusts(port, OLD)
            (tmp_path / "tls.key").unlink()
            await asyncio.sleep(0.2)
            assert await trusts(port, OLD)
            put(tmp_path, NEW)
            await becomes(lambda: trusts(port, NEW))
    events = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert len(events) == 2
    assert "PRIVATE" not in repr(logs)


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_start_without_a_certificate_is_refused(tmp_path: Path, content: bytes | None) -> None:
    put(tmp_path, OLD)
    if content is None:
        (tmp_path / "tls.key").unlink()
    else:
        (tmp_path / "tls.key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"tls\.key"):
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
