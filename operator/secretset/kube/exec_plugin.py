"""Runs an exec plugin for credentials, and keeps what it gives until shortly before that expires.

`kubernetes.aio` has a runner too. It waits for ever, knows no expiry, and puts what the program writes into errors and
logs, so it is not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import re
import signal
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import orjson
import structlog

from secretset.kube import supervise
from secretset.kube.errors import NoCredentials
from secretset.kube.exec_spec import ExecSpec

log = structlog.get_logger(__name__)

# Seconds for one run: less than a pass gives a request, so that the request can tell what failed. What has less time (a
# probe, the renewal of a Lease) waits for a run only if nothing is valid, and a link waits for it before it asks.
DEADLINE = 10.0
_MARGIN = 60.0  # seconds before the expiry that the program is run again, beside the requests
_PAUSE = 5.0  # seconds after a failure, or a run whose result was refused at once, without another run
_MOST_OUTPUT = 2**20  # bytes

TOKEN = re.compile(r"[\x21-\x7e]+")  # what a header can carry

MakeContext = Callable[[bytes, bytes], ssl.SSLContext]


@dataclass(frozen=True, kw_only=True, repr=False)
class Issued:
    """What a run gave.

    Attributes:
        header: the Authorization header; None if it is a certificate that tells who we are.
        tls: the TLS context with that certificate; None if there is none.
        since: when it was made.
        renew: from when on another one should be made.
        until: when it expires. All of them monotonic, in seconds.
    """

    header: str | None
    tls: ssl.SSLContext | None
    since: float
    renew: float
    until: float


class ExecPlugin:
    """Credentials that a program makes.

    What it gave is renewed while it is still valid, and used meanwhile: requests wait only if nothing is valid. At most
    one run is under way in each event loop; no request that is cancelled ends it.

    Args:
        spec: what to run.
        make_context: makes the TLS context for a client certificate and its key, both PEM; raises ValueError.
        deadline: seconds for one run.
    """

    def __init__(self, spec: ExecSpec, make_context: MakeContext, *, deadline: float = DEADLINE) -> None:
        self._spec = spec
        self._make_context = make_context
        self._deadline = deadline
        self._issued: Issued | None = None
        self._runs: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
        self._failure = ""
        self._not_before = float("-inf")

    async def issued(self) -> Issued:
        """What the program gave and is valid; waits for a run only if there is nothing.

        Raises:
            NoCredentials: the program failed, now or a few seconds ago, and nothing that it gave before is valid still.
        """
        if present := self._valid():
            now = time.monotonic()
            if now >= present.renew and now >= self._not_before:
                self._run()
            return present
        if time.monotonic() >= self._not_before:
            await asyncio.shield(self._run())
            if present := self._valid():
                return present
        raise NoCredentials(self._failure)

    def _valid(self) -> Issued | None:
        issued = self._issued
        return issued if issued is not None and time.monotonic() < issued.until else None

    def rejected(self, issued: Issued) -> None:
        """The API server answered 401: have the program run again, but not for each request of one that rejects all."""
        if issued is self._issued and time.monotonic() - issued.since > _PAUSE:
            self._issued = None

    def _run(self) -> asyncio.Task[None]:
        """The run that is under way in this loop, or else a new one."""
        loop = asyncio.get_running_loop()
        run = self._runs.get(loop)
        if run is None or run.done():
            self._runs = {each: other for each, other in list(self._runs.items()) if not each.is_closed()}
            run = self._runs[loop] = loop.create_task(self._renew(), name=f"exec plugin {self._spec.name}")
        return run

    async def _renew(self) -> None:
        try:
            self._issued = self._read(await self._output())
        except NoCredentials as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001  (nobody may be waiting whom it could reach)
            log.error("exec plugin", error=supervise.where(error))  # noqa: TRY400
            self._failed(f"exec plugin '{self._spec.name}' could not be run")

    def _failed(self, why: str) -> None:
        self._failure = why
        self._not_before = time.monotonic() + _PAUSE
        log.warning("no credentials", why=why)

    async def _output(self) -> bytes:
        """Run the program and return what it writes.

        Raises:
            NoCredentials: it did not start, did not end in time, wrote too much, or failed.
        """
        spec = self._spec
        try:
            # Not by asyncio: cancelled while it starts a program (3.11), it waits for ever, and so does our own end.
            process = subprocess.Popen(  # noqa: ASYNC220  (asyncio forks in the loop too; it is allowed by now)
                (spec.program, *spec.args),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **spec.env},
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, ValueError):
            raise NoCredentials(f"exec plugin '{spec.name}' could not be started") from None
        ended = False
        try:
            async with asyncio.timeout(self._deadline):
                output = await _bounded(process.stdout)
                ended = output is not None and await _over(process, self._deadline)
        except TimeoutError:
            raise NoCredentials(f"exec plugin '{spec.name}' did not end within {self._deadline:g} s") from None
        finally:
            if not ended:
                await _kill(process)
        if output is None:
            raise NoCredentials(f"exec plugin '{spec.name}' wrote more than {_MOST_OUTPUT // 2**20} MiB")
        if process.returncode:
            raise NoCredentials(f"exec plugin '{spec.name}' failed")
        return output

    def _read(self, output: bytes) -> Issued:
        """Turn the program's answer into credentials.

        Raises:
            NoCredentials: it is no ExecCredential of the version that was asked for, or has expired already.
        """
        useless = NoCredentials(f"exec plugin '{self._spec.name}' gave no usable ExecCredential")
        now = time.monotonic()
        try:
            answer: Any = orjson.loads(output)
            if (answer["apiVersion"], answer["kind"]) != (self._spec.api_version, "ExecCredential"):
                raise useless
            status = answer["status"]
            token, certificate, key = (
                _text(status, name) for name in ("token", "clientCertificateData", "clientKeyData")
            )
            left = _seconds_left(_text(status, "expirationTimestamp"))
            if bool(certificate) is not bool(key) or not (token or key) or (token and not TOKEN.fullmatch(token)):
                raise useless
            tls = self._make_context(certificate.encode(), key.encode()) if key else None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise useless from None
        if left <= 0:
            raise NoCredentials(f"exec plugin '{self._spec.name}' gave credentials that have expired")
        renew = now + left - min(_MARGIN, left / 2)
        return Issued(header=f"Bearer {token}" if token else None, tls=tls, since=now, renew=renew, until=now + left)


def _text(status: Any, name: str) -> str:
    value = status.get(name) or ""
    if not isinstance(value, str):
        raise TypeError(name)
    return value.strip() if name == "token" else value


def _seconds_left(timestamp: str) -> float:
    """Seconds until an RFC 3339 time; infinite without one."""
    if not timestamp:
        return float("inf")
    until = datetime.datetime.fromisoformat(timestamp)
    if until.tzinfo is None:
        raise ValueError("no time zone")
    return (until - datetime.datetime.now(datetime.UTC)).total_seconds()


async def _bounded(pipe: IO[bytes] | None) -> bytes | None:
    """All that a pipe brings, which is closed then; None if it is too much."""
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), pipe
    )
    output = bytearray()
    try:
        while chunk := await stream.read(2**16):
            output += chunk
            if len(output) > _MOST_OUTPUT:
                return None
    finally:
        transport.close()
    return bytes(output)


async def _over(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end of a program, so long at most; whether it came."""
    try:
        await asyncio.to_thread(process.wait, seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return True


async def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it started: they are a process group of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        await _over(process, 1.0)
