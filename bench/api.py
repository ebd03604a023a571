"""The bare client: the least that a Python program can do to write to an API server. It is the floor.

It shares nothing with the operator's client on purpose, so that a slow client of ours would show. aiohttp, orjson and
uvloop are what the operator uses as well; a floor of something slower would flatter it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Self, TypeVar

import aiohttp
import orjson

from kubelab import ControlPlane

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
CONCURRENCY = 8

T = TypeVar("T")


class Refused(RuntimeError):
    """An answer that is an error; its code is ``status``."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """The administrator's requests to one control plane."""

    def __init__(self, plane: ControlPlane) -> None:
        folder = plane.data_dir / "pki"
        self._server = plane.server
        self._tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._tls.load_cert_chain(str(folder / "admin.crt"), str(folder / "admin.key"))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            base_url=self._server,
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls, keepalive_timeout=60),
            headers={"User-Agent": "bench"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Send one request and read its answer.

        Raises:
            Refused: the API server did.
        """
        assert self._session is not None
        data = None if body is None else orjson.dumps(body)
        async with self._session.request(method, path, data=data, headers={"Content-Type": content_type}) as response:
            raw = await response.read()
            if response.status >= 400:
                said = raw[:300].decode(errors="replace")
                raise Refused(response.status, f"{method} {path}: HTTP {response.status} {said}")
            return orjson.loads(raw)

    async def pages(self, path: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Read a whole list, page by page: of 50,000 objects few are in memory."""
        token = ""
        while True:
            page = await self.send("GET", f"{path}?limit=1000" + (f"&continue={token}" if token else ""))
            yield page["items"]
            token = page["metadata"].get("continue") or ""
            if not token:
                return

    async def items(self, path: str) -> list[dict[str, Any]]:
        """Read a whole list."""
        return [item async for page in self.pages(path) for item in page]

    async def text(self, path: str) -> str:
        """Read something that is no JSON, such as metrics."""
        assert self._session is not None
        async with self._session.get(path) as response:
            return await response.text()

    async def watch(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Follow a list from now on."""
        assert self._session is not None
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(f"{path}?watch=true", timeout=timeout, read_bufsize=2**20) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield orjson.loads(line)


class Seen(NamedTuple):
    """One cause and what came of it, in seconds since the epoch: as the audit log has it, to be laid beside that."""

    answered: float
    at: float

    @property
    def seconds(self) -> float:
        """From the answer to the event; that may overtake the answer to the request that caused it."""
        return max(0.0, self.at - self.answered)


class Follower:
    """Tells when an object came to be as it should, as a user's own watch would.

    It is used for single objects only: decoding thousands of events would take the machine away from the operator.
    """

    def __init__(self, api: Api, path: str) -> None:
        self._events = api.watch(path)
        self._waiting: list[tuple[Callable[[dict[str, Any]], bool], asyncio.Future[float]]] = []
        self._task = asyncio.create_task(self._run())

    async def until(self, so: Callable[[dict[str, Any]], bool], cause: Awaitable[Any], seconds: float = 60.0) -> Seen:
        """Carry out a cause, wait until an object is so, and return when either was."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append((so, future))
        await cause
        answered = time.time()
        return Seen(answered, await asyncio.wait_for(future, seconds))

    async def stop(self) -> None:
        """End the watch."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        async for event in self._events:
            now = time.time()
            for so, future in tuple(self._waiting):
                if so(event["object"]):
                    self._waiting.remove((so, future))
                    if not future.done():
                        future.set_result(now)


async def side_by_side(jobs: Iterable[T], work: Callable[[T], Awaitable[Any]], width: int = CONCURRENCY) -> float:
    """Work on jobs, so many at a time; return the seconds that it took."""
    rest = iter(jobs)

    async def worker() -> None:
        for job in rest:
            await work(job)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(width):
            tasks.create_task(worker())
    return time.perf_counter() - started
