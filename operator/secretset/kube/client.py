"""A small client of the Kubernetes API: JSON in, JSON out, errors by type, every request with a deadline.

It does not retry. Who calls it knows what a retry would mean; the queue comes back with backoff.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
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

# A ValueError is what aiohttp makes of a header that cannot be sent, such as a token with a line break in it.
_NO_ANSWER = (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError, ValueError)

CONNECTED = "CONNECTED"
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Client:
    """One cluster, one connection pool.

    Attributes:
        name: the region's name, or `hub`: the label of its metrics.
    """

    def __init__(self, credentials: Credentials, *, name: str, timeout: float = 15.0) -> None:
        self.name = name
        self._credentials = credentials
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

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
            ApiError: the server answered with an error.
            Unreachable: there was no answer within the deadline.
        """
        query = dict(params or {})
        if method in {"POST", "PUT", "PATCH"}:
            query.setdefault("fieldManager", names.FIELD_MANAGER)
        code = "error"
        try:
            async with self._connected().request(
                method,
                self._credentials.server + path,
                params=query,
                data=None if body is None else orjson.dumps(body),
                headers={"Content-Type": content_type, "Accept": accept or "application/json"},
                timeout=aiohttp.ClientTimeout(total=timeout or self._timeout, sock_connect=5),
            ) as response:
                raw = await response.read()
                code = str(response.status)
                if response.status >= 400:
                    failure = errors.from_status(response.status, _status(raw), response.headers.get("Retry-After"))
                    failure.verb, failure.resource = _VERBS[method], telemetry.resource_of(path)
                    raise failure
                return orjson.loads(raw)
        except _NO_ANSWER as error:
            raise errors.Unreachable(f"{method} failed: {type(error).__name__}") from None
        finally:
            telemetry.observe_request(self.name, method, code, path)

    async def watch(
        self, path: str, params: Mapping[str, str], *, accept: str | None = None, idle: float = 90.0
    ) -> AsyncIterator[dict[str, Any]]:
        """Follow the events of a list; the first event is of the type ``CONNECTED`` and has no object.

        Args:
            path: of the list.
            params: selectors and the version to begin at.
            accept: metadata only, or whole objects.
            idle: seconds without any event or bookmark after which the link counts as dead.

        Raises:
            Gone: the version is too old; list again.
            ApiError, Unreachable: as in `request`, also when the server says so in the stream.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", **params}
        code = "error"
        try:
            async with self._connected().get(
                self._credentials.server + path,
                params=query,
                headers={"Accept": accept or "application/json"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=idle),
                read_bufsize=2**18,
            ) as response:
                code = str(response.status)
                if response.status >= 400:
                    raw = await response.read()
                    raise errors.from_status(response.status, _status(raw), response.headers.get("Retry-After"))
                yield {"type": CONNECTED}
                async for event in _lines(response.content):
                    if event.get("type") == "ERROR":
                        status = event.get("object") or {}
                        raise errors.from_status(int(status.get("code") or 500), status)
                    yield event
        except asyncio.CancelledError:
            raise
        except _NO_ANSWER as error:
            raise errors.Unreachable(f"watch failed: {type(error).__name__}") from None
        finally:
            telemetry.observe_request(self.name, "WATCH", code, path)

    def _connected(self) -> aiohttp.ClientSession:
        if self._closed:
            raise errors.Unreachable("these credentials are not used any more")
        if self._session is None:
            self._session = self._credentials.session()
        return self._session


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


def _status(raw: bytes) -> Mapping[str, Any]:
    """The Status object of an error's body; empty if it is none (a proxy's page, a truncated answer)."""
    try:
        status = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return status if isinstance(status, dict) else {}
