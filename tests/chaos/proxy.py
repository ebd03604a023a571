"""A relay that names and counts every request, and has faults happen to them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from chaos.faults import RETRY_AFTER, Fault, Where, status
from harness.relay import Relay, lose
from kubelab.plane import ControlPlane

_DELAY = 2.0  # seconds
_ALL_KEYS = {"key": "AA==", "range_end": "AA==", "limit": 1}
# Questions, heartbeats, and what is best effort: no writes that are counted.
_APART = frozenset({"events", "leases", "selfsubjectaccessreviews", "selfsubjectrulesreviews"})
# Told when there is time for it, so not as the nth of anything.
_LATER = frozenset({"regions/status"})
UNKNOWN = -1  # revision of a plane that is away
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(kw_only=True, eq=False)
class Request:
    """One request that came through.

    Attributes:
        at: time.monotonic() when it came.
        done: when the API server had answered; 0 if it was not asked, or has not.
        code: of the answer that the client got; 0: none.
        preconditions: of a DELETE.
        query: what it says besides, so who asks: each has their own.
        about: of a POST, the name of what is created, or what a review of rights asks.
        fault: what happened to it.
        told: for a status that says `ready`: the etcd revisions of all planes at that time.
    """

    plane: str
    at: float
    method: str
    path: str
    where: Where
    resource: str
    done: float = 0.0
    code: int = 0
    preconditions: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    about: str = ""
    fault: Fault | None = None
    told: dict[str, int] = field(default_factory=dict)

    @property
    def counted(self) -> bool:
        """Whether it changes something that is counted."""
        return self.where == "write" and self.resource not in _APART

    def __str__(self) -> str:
        """For people."""
        told = f" -> {self.code or 'no answer'}" + (f" ({self.fault})" if self.fault else "")
        return f"{self.plane}: {self.method} {self.path}{told}"


class FaultProxy(Relay):
    """Between the operator and one plane.

    Args:
        plane: it.
        kubeconfig: of the operator.
        name: `hub` or `far`.

    Attributes:
        requests: all of them, oldest first, until `forget`.
        on_crash: kills the operator.
        met: faults that have happened since `arm`.
        peers: planes whose revisions are noted when a status says `ready`.
        page: how many objects a page of a list has at most; 0: as many as were asked for.
        on_next_page: called before a page that is not the first.
    """

    def __init__(self, plane: ControlPlane, kubeconfig: Path, name: str) -> None:
        super().__init__(plane, kubeconfig)
        self.name = name
        self.requests: list[Request] = []
        self.on_crash: Callable[[], None] = lambda: None
        self.peers: dict[str, ControlPlane] = {}
        self.met: list[Fault] = []
        self.page = 0
        self.on_next_page: Callable[[], None] = lambda: None
        self._astray: tuple[str, frozenset[Where]] = ("", frozenset())
        self._armed: dict[Fault, int] = {}
        self._streams: dict[Request, web.Request] = {}
        self._hung: set[Request] = set()

    def arm(self, faults: Iterable[Fault]) -> None:
        """Have these happen from now on."""
        self.running.run(self._arm([fault for fault in faults if fault.plane == self.name]))

    def disarm(self) -> None:
        """Let nothing happen any more; watches that hang are cut."""
        self.running.run(self._disarm())

    def divert(self, server: str = "", *kinds: Where) -> None:
        """Send these kinds of requests to another API server from now on, none without one; watches are cut."""
        self._astray = server, frozenset(kinds)
        self.cut()

    def cut(self) -> None:
        """Cut all watches there are."""
        self.running.run(self._cut())

    def target(self, request: web.Request) -> URL:
        """Where a request goes to, in pages as small as they are to be."""
        url = super().target(request)
        server, kinds = self._astray
        if server and _kind(request) in kinds:
            other = URL(server)
            url = url.with_host(str(other.host)).with_port(other.port)
        if self.page and "limit" in url.query:
            url = url.update_query(limit=min(self.page, int(url.query["limit"])))
        return url

    def forget(self) -> None:
        """Begin a new account of requests."""
        self.requests = []

    def writes(self) -> list[Request]:
        """Those that change something, oldest first."""
        return [each for each in self.requests if each.counted]

    async def _arm(self, faults: list[Fault]) -> None:
        self._armed, self.met = dict.fromkeys(faults, 0), []
        for fault in faults:
            if fault.where == "watch" and fault.act == "refuse":
                for note, request in tuple(self._streams.items()):
                    if note.resource == fault.resource:
                        lose(request)

    async def _cut(self) -> None:
        for request in self._streams.values():
            lose(request)

    async def _disarm(self) -> None:
        self._armed = {}
        for note in self._hung & self._streams.keys():
            lose(self._streams[note])
        self._hung.clear()

    def _due(self, where: Where, resource: str) -> Fault | None:
        """The fault that is to happen now; counts. What is apart only happens to what names it."""
        due = None
        for fault, seen in self._armed.items():
            named = fault.resource == resource or (not fault.resource and resource not in _APART | _LATER)
            if fault.where == where and named:
                self._armed[fault] = seen + 1
                if due is None and fault.number <= seen + 1 < fault.number + fault.times:
                    due = fault
                    self.met.append(fault)
        return due

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, or have happen to it what is armed."""
        try:
            return await self._handle(request)
        except aiohttp.ClientError:
            return lose(request)  # the API server is gone

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        note = _note(self.name, request, body)
        self.requests.append(note)
        if note.where == "watch":
            return await self._watch(request, note)
        fault = note.fault = self._due(note.where, note.resource) if note.resource else None
        if b'"phase":"ready"' in body:
            note.told = {name: await self._revision(plane) for name, plane in self.peers.items()}
        if "continue" in request.query:
            await asyncio.to_thread(self.on_next_page)
        act = fault.act if fault else ""
        if act in {"drop", "crash-before"}:
            return self._lost(request, act)
        if fault is not None and act == "answer":
            note.code = fault.code
            return _refused(fault.code)
        if act == "delay":
            await asyncio.sleep(_DELAY)
        if act.startswith("duplicate"):
            return await self._twice(request, note, body, first=act == "duplicate")
        return await self._once(request, note, body, act)

    async def _once(self, request: web.Request, note: Request, body: bytes, act: str) -> web.StreamResponse:
        async with self.passed_on(request, body) as answer:
            content = await answer.read()
            note.done = time.monotonic()
            if act in {"lose", "crash-lost"}:
                return self._lost(request, act)
            note.code = answer.status
            response = self.begun(answer)
        whole = len(content)
        if act in {"truncate", "cut"}:
            content = content[: whole // 2]
        response.content_length = whole if act == "cut" else len(content)
        try:
            await response.prepare(request)
            await response.write(content)
            if act == "cut":
                return self._lost(request, act)
            await response.write_eof()
        except ConnectionError:
            pass  # the operator is gone
        if act == "crash-after":
            await asyncio.sleep(0.005)  # it has the answer
            self.on_crash()
        return response

    async def _twice(self, request: web.Request, note: Request, body: bytes, *, first: bool) -> web.StreamResponse:
        answers = []
        for _ in range(2):
            async with self.passed_on(request, body) as answer:
                answers.append((answer.status, await answer.read(), answer.content_type))
        note.done = time.monotonic()
        note.code, content, kind = answers[0 if first else 1]
        return web.Response(status=note.code, body=content, content_type=kind)

    async def _watch(self, request: web.Request, note: Request) -> web.StreamResponse:
        refused = next((f for f in self._armed if f.act == "refuse" and f.resource == note.resource), None)
        if refused is not None and self._armed[refused] < refused.number + refused.times - 1:
            self._armed[refused] += 1
            self.met.append(refused)
            note.fault, note.code = refused, refused.code
            return _refused(refused.code)
        self._streams[note] = request
        response = web.StreamResponse()
        try:
            async with self.passed_on(request, b"") as answer:
                note.code = answer.status
                response = self.begun(answer)
                await response.prepare(request)
                rest, held = b"", b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        held = await self._event(request, response, note, line + b"\n", held)
                        if request.transport is None or request.transport.is_closing():
                            return response
                await response.write_eof()
        except ConnectionError:
            pass  # the operator is gone
        finally:
            self._streams.pop(note)
        return response

    async def _event(
        self, request: web.Request, response: web.StreamResponse, note: Request, line: bytes, held: bytes
    ) -> bytes:
        """Pass an event on, and what was held back for after it; return what to hold back."""
        if note in self._hung:
            return held
        fault = None if b'"type":"BOOKMARK"' in line[:40] else self._due("watch", note.resource)
        note.fault = fault or note.fault
        act = fault.act if fault else ""
        if act in {"cut", "hang", "swallow"}:
            if act == "cut":
                lose(request)
            elif act == "hang":
                self._hung.add(note)
            return held
        if fault is not None and act == "error":
            event = {"type": "ERROR", "object": status(fault.code)}
            await response.write(orjson.dumps(event) + b"\n")
            await response.write_eof()
            lose(request)
            return held
        if act == "truncate":
            await response.write(line[: len(line) // 2])
            await asyncio.sleep(0.01)
            lose(request)
            return held
        await response.write(line + held + (line if act == "repeat" else b""))
        if act == "cut-after":
            await asyncio.sleep(0.01)
            lose(request)
        return line if act == "repeat-late" else b""

    def _lost(self, request: web.Request, act: str) -> web.StreamResponse:
        if act.startswith("crash"):
            self.on_crash()
        return lose(request)

    async def _revision(self, plane: ControlPlane) -> int:
        assert self._session is not None
        url = f"http://127.0.0.1:{plane.ports['etcd']}/v3/kv/range"
        try:
            async with self._session.post(url, json=_ALL_KEYS) as answer:
                return int(json.loads(await answer.read())["header"]["revision"])
        except aiohttp.ClientError:
            return UNKNOWN  # it is away


def _note(plane: str, request: web.Request, body: bytes) -> Request:
    where = _kind(request)
    found: dict[str, Any] = orjson.loads(body) if request.method == "DELETE" and body else {}
    return Request(
        plane=plane,
        at=time.monotonic(),
        method=request.method,
        path=request.path,
        where=where,
        resource=_resource(request.path),
        preconditions=found.get("preconditions") or {},
        query=request.query_string,
        about=_about(request, body) if request.method == "POST" else "",
    )


def _about(request: web.Request, body: bytes) -> str:
    found: dict[str, Any] = orjson.loads(body)
    return str(found["spec"] if request.path.endswith("reviews") else found.get("metadata", {}).get("name", ""))


def _kind(request: web.Request) -> Where:
    return "write" if request.method in _WRITES else "watch" if "watch" in request.query else "read"


def _resource(path: str) -> str:
    """Plural and subresource of a path of the API; empty for what is no resource."""
    parts = list(_parts(path))
    return "/".join([*parts[:1], *parts[2:3]])


def _parts(path: str) -> Iterator[str]:
    """What follows the group, the version and the namespace."""
    parts = path.strip("/").split("/")
    skip = {"api": 2, "apis": 3}.get(parts[0], len(parts))
    if parts[skip : skip + 1] == ["namespaces"] and len(parts) > skip + 2:
        skip += 2
    yield from parts[skip:]


def _refused(code: int) -> web.Response:
    headers = {"Retry-After": str(RETRY_AFTER)} if code == 429 else {}
    return web.Response(status=code, body=orjson.dumps(status(code)), content_type="application/json", headers=headers)
