"""The dashboard with many sets: its first page, the pages after it, and what a user who looks costs the server."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import yaml

from bench import goals
from bench.api import Api
from bench.objects import OPERATOR_NAMESPACE
from bench.process import Program
from bench.rows import Row
from kubelab import ControlPlane

_PART = "dashboard"
_DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
_ACCOUNT = "looks"
_LOOKS = 20
_PATIENCE = 30.0  # seconds until a page has to be complete
_INCOMPLETE = "Not everything is known"


async def measure(plane: ControlPlane, api: Api, sets: int, say: Callable[[str], None]) -> list[Row]:
    """Look at all sets of a furnished plane, as somebody who may see them all."""
    say(f"{sets} sets: the dashboard")
    token = await _token(plane, api)
    options = ("--kubeconfig", str(plane.kubeconfig), "--port", "0", "--health-port", "0", "--log-format", "json")
    async with Program("api", *options, "--dashboard", "--rate", "1000000/minute") as server:
        await server.until("ready")
        begun = server.pss()
        async with aiohttp.ClientSession(server.logged("listening")["api"]) as session:
            cookie = await _signed_in(session, token)
            first, size = await _first(session, cookie)
            complete = await _complete(session, cookie)
            times = {path: [await _timed(session, path, cookie) for _ in range(_LOOKS)] for path in ("/", "/sets")}
        grown = server.pss() - begun
    what = f"{sets} sets"
    return [
        Row(part=_PART, what=f"{what}: first page", unit="s", ours=first, goal=goals.FIRST_PAGE),
        Row(
            part=_PART, what=f"{what}: first page, with what it loads", unit="kB", ours=size / 1e3, goal=goals.PAGE_SIZE
        ),
        Row(part=_PART, what=f"{what}: until a page shows all", unit="s", ours=complete),
        *(
            Row(part=_PART, what=f"{what}: {path}, median", unit="ms", ours=statistics.median(found) * 1e3)
            for path, found in times.items()
        ),
        Row(part=_PART, what=f"{what}: memory for one user who looks", unit="MB PSS", ours=grown),
    ]


async def _token(plane: ControlPlane, api: Api) -> str:
    await asyncio.to_thread(plane.kubectl, "apply", "-f", str(_DEPLOY / "user-roles.yaml"))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _ACCOUNT}}
    await api.send("POST", f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/serviceaccounts", account)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": _ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "secretset-viewer"},
        "subjects": [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": OPERATOR_NAMESPACE}],
    }
    await api.send("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    path = await asyncio.to_thread(plane.service_account_kubeconfig, OPERATOR_NAMESPACE, _ACCOUNT)
    token: str = yaml.safe_load(path.read_text())["users"][0]["user"]["token"]
    return token


async def _signed_in(session: aiohttp.ClientSession, token: str) -> dict[str, str]:
    headers = {"Sec-Fetch-Site": "same-origin"}
    async with session.post("/sign-in", data={"token": token}, headers=headers, allow_redirects=False) as reply:
        return {"Cookie": reply.headers["Set-Cookie"].partition(";")[0]}


async def _first(session: aiohttp.ClientSession, cookie: dict[str, str]) -> tuple[float, int]:
    """Seconds and bytes of the first page, with its style, its script and its icon."""
    began = time.monotonic()
    async with session.get("/", headers=cookie) as reply:
        text = await reply.text()
    size = len(text.encode())
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', text):
        async with session.get(address) as reply:
            size += len(await reply.read())
    return time.monotonic() - began, size


async def _complete(session: aiohttp.ClientSession, cookie: dict[str, str]) -> float:
    """Seconds until a page shows everything."""
    began = time.monotonic()
    while time.monotonic() - began < _PATIENCE:
        async with session.get("/", headers=cookie) as reply:
            if _INCOMPLETE not in await reply.text():
                return time.monotonic() - began
    raise TimeoutError("no page was complete")


async def _timed(session: aiohttp.ClientSession, path: str, cookie: dict[str, str]) -> float:
    began = time.monotonic()
    async with session.get(path, headers=cookie) as reply:
        await reply.read()
    return time.monotonic() - began
