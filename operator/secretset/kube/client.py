"""A small client of the Kubernetes API: JSON in, JSON out, errors by type, every request with a deadline.

It does not retry. Who calls it knows what a retry would mean; the queue comes back with backoff.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from secretset import telemetry
from secretset.domain import names
from secretset.kube import errors
from secretset.kube.credentials import Credentials

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
METADATA_ONLY_WATCH = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

# A ValueError is what aiohttp makes of a header that cannot be sent, such as a token with a line break in it, and a
# RuntimeError of reading on where the connection was closed meanwhile.
_NO_ANSWER = (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError, ValueError, RuntimeError)

_DISTRUST = (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)

CONNECTED = "CONNECTED"
# Longer answers are refused, so that no cluster can fill our memory; lists are asked for in smaller pages then.
_LONGEST_ANSWER = 32 * 2**20  # bytes
_ONE_PIECE = 2**20  # bytes
_LONGEST_PAUSE = 60.0  # seconds; who asks us to wait for a day is asked again before
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Client:
    """One cluster, one connection pool, and the breaker for it.

    A server that answers 429 with Retry-After is left alone that long: requests fail at once, without being sent.

    Args:
        credentials: where the cluster is, and who we are there.
        name: see below.
        timeout: seconds for one request.
        fence: called before each request that changes something; raises what forbids it (`errors.Fenced`).
        on_silence: called when a request got no answer.
        manager: the field manager of what is written (``managedFields``).

    Attributes:
        name: the region's name, or `names.AT_HUB`: the label of its metrics.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        name: str,
        timeout: float = 15.0,
        fence: Callable[[], None] | None = None,
        on_silence: Callable[[], None] | None = None,
        manager: str = names.FIELD_MANAGER,
    ) -> None:
        self.name = name
        self._credentials = credentials
        self._timeout = timeout
        self._fence = fence
        self._on_silence = on_silence or (lambda: None)
        self._manager = manager
        self._session: aiohttp.ClientSession | None = None
        self._waiting: set[asyncio.Timeout] = set()
        self._followed: set[aiohttp.ClientResponse] = set()
        self._closed = False
        self._not_before = 0.0

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._credentials.server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, for good: what still holds this client finds it unreachable."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def forget_connections(self) -> None:
        """Use new connections from now on: the present ones may lead nowhere, and would each have to time out.

        Who waits for an answer, or follows a list, is told at once that it is unreachable. The end of the session alone
        would tell neither: aiohttp goes on with attempts to connect, and who reads an answer waits for ever.
        """
        session, self._session = self._session, None
        waiting, self._waiting = self._waiting, set()
        for attempt in waiting:
            attempt.reschedule(asyncio.get_running_loop().time())
        for response in tuple(self._followed):
            response.close()
        if session is not None:
            await session.close()

    async def prepare(self) -> None:
        """Have credentials made, if there are none: what makes them may take longer than a request has.

        Raises:
            NoCredentials: they cannot be made now.
        """
        await self._credentials.prepare()

    async def answers(self, path: str, *, timeout: float) -> None:  # noqa: ASYNC109  (as in `request`)
        """Ask for a path that a healthy API server answers with `ok`; a pause that was asked for is not kept.

        Raises:
            Unreachable: also when what answers is no API server, such as a captive portal.
            KubeError: as in `request`; also when the server says that it is not ready.
        """
        try:
            raw = await self._send("GET", path, {}, None, "application/json", "*/*", timeout)
        except (errors.Forbidden, errors.NotFound, errors.Throttled):
            return  # an answer all the same
        if raw.strip() != b"ok":
            raise errors.Unreachable("what answers is no API server")

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, accept: str | None = None) -> Any:
        """GET an object or a list."""
        return await self.request("GET", path, params=params, accept=accept)

    async def create(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST an object, as our field manager."""
        return await self.request("POST", path, body=body)

    async def replace(self, path: str, body: Mapping[str, Any]) -> Any:
        """PUT an object; its metadata.resourceVersion guards it."""
        return await self.request("PUT", path, body=body)

    async def patch(self, path: str, body: Any, content_type: str) -> Any:
        """PATCH an object with one of the content types of this module."""
        return await self.request("PATCH", path, body=body, content_type=content_type)

    async def delete(self, path: str, *, uid: str, resource_version: str | None = None) -> Any:
        """DELETE the object of this uid, and, if given, of this version."""
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        return await self.request("DELETE", path, body=body)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  (a deadline for aiohttp, which has its own mechanism)
    ) -> Any:
        """Send one request and read its JSON answer.

        Raises:
            ApiError: the server answered with an error, or did so before and asked us to wait.
            Unreachable: there was no answer within the deadline.
            Retired: the credentials are not used any more.
            Fenced: this replica must not write.
            AnswerTooLong: the answer is longer than 32 MiB.
        """
        query = dict(params or {})
        if method in {"POST", "PUT", "PATCH"}:
            query.setdefault("fieldManager", self._manager)
        self._heed_pause()
        if self._fence is not None and telemetry.changes(method, path):
            self._fence()
        data = None if body is None else orjson.dumps(body)
        try:
            raw = await self._send(
                method, path, query, data, content_type, accept or "application/json", timeout or self._timeout
            )
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise self._silence(method, error) from None

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        data: bytes | None,
        content_type: str,
        accept: str,
        timeout: float,  # noqa: ASYNC109  (as in `request`)
    ) -> bytes:
        code, started = "error", time.monotonic()
        try:
            async with (
                self._given_up_with_the_session(),
                self._connected().request(
                    method,
                    self._credentials.server + path,
                    params=query,
                    # aiohttp warns of long bodies that come in one piece.
                    data=data if data is None or len(data) <= _ONE_PIECE else io.BytesIO(data),
                    headers={"Content-Type": content_type, "Accept": accept},
                    timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=5),
                ) as response,
            ):
                raw = await _bounded(response)
                code = str(response.status)
                if response.status >= 400:
                    failure = self._failure(response, raw)
                    failure.verb, failure.resource = _VERBS[method], telemetry.resource_of(path)
                    raise failure
                return raw
        except _NO_ANSWER as error:
            raise self._silence(method, error) from None
        finally:
            telemetry.observe_request(self.name, method, code, path, time.monotonic() - started)

    async def watch(
        self, path: str, params: Mapping[str, str], *, idle: float, accept: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Follow the events of a list; the first event is of the type ``CONNECTED`` and has no object.

        Args:
            path: of the list.
            params: selectors and the version to begin at.
            idle: seconds without any event or bookmark after which it ends, as if the server had ended it: API servers
                send no bookmarks of a kind of which nothing changes.
            accept: metadata only, or whole objects.

        Raises:
            Gone: the version is too old; list again.
            ApiError, Unreachable: as in `request`, also when the server says so in the stream.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", **params}
        self._heed_pause()
        code = "error"
        try:
            async with contextlib.AsyncExitStack() as stack:
                session = self._connected()
                async with self._given_up_with_the_session(self._timeout):
                    request = session.get(
                        self._credentials.server + path,
                        params=query,
                        headers={"Accept": accept or "application/json"},
                        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=idle),
                        read_bufsize=2**18,
                    )
                    response = await stack.enter_async_context(request)
                    code = str(response.status)
                    telemetry.observe_request(self.name, "WATCH", code, path)  # now: it may go on for hours
                    if response.status >= 400:
                        raise self._failure(response, await _bounded(response))
                if session is not self._session:  # forgotten in this very moment
                    raise TimeoutError
                self._followed.add(response)
                stack.callback(self._followed.discard, response)
                yield {"type": CONNECTED}
                with contextlib.suppress(aiohttp.SocketTimeoutError):
                    async for event in _lines(response.content):
                        if event.get("type") == "ERROR":
                            status = event.get("object") or {}
                            raise errors.from_status(int(status.get("code") or 500), status)
                        yield event
        except asyncio.CancelledError:
            raise
        except _NO_ANSWER as error:
            raise self._silence("watch", error) from None
        finally:
            if code == "error":
                telemetry.observe_request(self.name, "WATCH", code, path)

    @contextlib.asynccontextmanager
    async def _given_up_with_the_session(self, seconds: float | None = None) -> AsyncIterator[None]:
        """What is awaited in it ends with a TimeoutError when connections are forgotten, or after so many seconds."""
        async with asyncio.timeout(seconds) as attempt:
            self._waiting.add(attempt)
            try:
                yield
            finally:
                self._waiting.discard(attempt)

    def _failure(self, response: aiohttp.ClientResponse, raw: bytes) -> errors.ApiError:
        failure = errors.from_status(response.status, _status(raw), response.headers.get("Retry-After"))
        if isinstance(failure, errors.Throttled) and failure.retry_after:
            self._not_before = time.monotonic() + min(failure.retry_after, _LONGEST_PAUSE)
        return failure

    def _silence(self, what: str, error: Exception) -> errors.KubeError:
        """What no answer means. Its own text is not kept: it may tell what was sent."""
        if self._closed:
            return errors.Retired("these credentials are not used any more")
        self._on_silence()
        kind = errors.Untrusted if isinstance(error, _DISTRUST) else errors.Unreachable
        return kind(f"{what} failed: {type(error).__name__}")

    def _heed_pause(self) -> None:
        left = self._not_before - time.monotonic()
        if left > 0:
            raise errors.Throttled(429, retry_after=left)

    def _connected(self) -> aiohttp.ClientSession:
        if self._closed:
            raise errors.Retired("these credentials are not used any more")
        if self._session is None:
            self._session = self._credentials.session()
        return self._session


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body of an answer.

    Raises:
        AnswerTooLong: it does not end.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LONGEST_ANSWER:
            raise errors.AnswerTooLong(f"an answer of more than {_LONGEST_ANSWER // 2**20} MiB")
    return bytes(body)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Split a watch into its events; aiohttp's own line reader refuses lines over its buffer's size."""
    rest = bytearray()
    async for chunk in stream.iter_any():
        rest += chunk
        *lines, tail = rest.split(b"\n") if b"\n" in chunk else (rest,)
        for line in lines:
            if line:
                yield orjson.loads(line)
        rest = bytearray(tail)
        if len(rest) > _LONGEST_ANSWER:
            raise errors.AnswerTooLong("an event of a watch that does not end")


def _status(raw: bytes) -> Mapping[str, Any]:
    """The Status object of an error's body; empty if it is none (a proxy's page, a truncated answer)."""
    try:
        status = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return status if isinstance(status, dict) else {}
