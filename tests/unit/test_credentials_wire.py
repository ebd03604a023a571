"""What a server is sent, over real TLS: who we are, to which name, by which proxy, and nothing to anybody else."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from secretset.kube import credentials, exec_plugin, identity
from secretset.kube.client import Client
from secretset.kube.credentials import Credentials
from secretset.kube.errors import ConfigError, KubeError, NoCredentials, Unauthorized, Unreachable
from unit.kubeconfigs import AUTHORITY, CLIENT, TOKEN, V1, Pair, Program, Server, b64, load, pair, serving, text


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


def to(server: Server, user: dict[str, Any] | None = None, cluster: dict[str, str] | None = None) -> bytes:
    return text(cluster={"server": server.url, **(cluster or {})}, user=user)


async def ask(found: Credentials, path: str = "/version", times: int = 1) -> None:
    async with Client(found, name="us") as client:
        for _ in range(times):
            await client.get(path)


def gives(program: Program, *, token: str | None = None, identity: Pair | None = None, **more: str) -> None:
    status: dict[str, Any] = {"token": token, **more}
    if identity is not None:
        status |= {"clientCertificateData": identity.certificate.decode(), "clientKeyData": identity.key.decode()}
    program.gives(json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}))


async def test_a_token_is_sent(server: Server) -> None:
    await ask(await load(to(server)))
    assert [(seen.authorization, seen.subject) for seen in server.seen] == [(f"Bearer {TOKEN}", None)]


async def test_a_client_certificate_is_shown(server: Server) -> None:
    user = {"client-certificate-data": b64(CLIENT.certificate), "client-key-data": b64(CLIENT.key)}
    await ask(await load(to(server, user)))
    assert [(seen.authorization, seen.subject) for seen in server.seen] == [(None, "jane")]


async def test_a_path_of_the_server_is_kept(server: Server) -> None:
    await ask(await load(text(cluster={"server": f"{server.url}/k8s/clusters/c-1/"})))
    assert [seen.path for seen in server.seen] == ["/k8s/clusters/c-1/version"]


async def test_the_name_of_the_certificate_can_be_another() -> None:
    async with serving("api.internal") as server:
        with pytest.raises(Unreachable):
            await ask(await load(to(server)))
        with pytest.raises(Unreachable):
            await ask(await load(to(server, cluster={"tls-server-name": "other.internal"})))
        await ask(await load(to(server, cluster={"tls-server-name": "api.internal"})))
        assert len(server.seen) == 1


async def test_requests_go_by_the_proxy_and_stay_secret_to_it(server: Server) -> None:
    heard: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = heard[0].split()[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(2**16):
            writer.write(chunk)
        writer.close()

    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with proxy:
        port = proxy.sockets[0].getsockname()[1]
        await ask(await load(to(server, cluster={"proxy-url": f"http://127.0.0.1:{port}"})))
    assert heard[0].startswith(b"CONNECT 127.0.0.1:")
    assert TOKEN.encode() not in heard[0]
    assert server.seen[0].authorization == f"Bearer {TOKEN}"


async def test_a_silent_connection_is_asked_whether_it_is_still_there(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[socket.socket] = []

    def recorded(address: aiohttp.AddrInfoType, make: Any = identity._socket) -> socket.socket:
        made.append(make(address))
        return made[-1]

    monkeypatch.setattr(identity, "_socket", recorded)
    async with Client(await load(to(server)), name="us") as client:
        await client.get("/version")
        assert [each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for each in made] == [1]
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) for each in made] == [30]


async def test_no_redirect_leads_to_another_server(server: Server) -> None:
    with pytest.raises(Unreachable, match="redirects"):
        await ask(await load(to(server)), "/away")


async def test_a_plugins_token_is_sent(server: Server, tmp_path: Path) -> None:
    program = Program(tmp_path)
    gives(program, token=TOKEN)
    await ask(await program.load({"server": server.url}), times=3)
    assert {seen.authorization for seen in server.seen} == {f"Bearer {TOKEN}"}
    assert program.runs == 1


async def test_a_plugins_certificate_is_shown_and_the_next_one_on_new_connections(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_plugin, "_PAUSE", 0.0)
    program = Program(tmp_path)
    gives(program, identity=CLIENT)
    found = await program.load({"server": server.url})
    async with Client(found, name="us") as client:
        await client.get("/version")
        gives(program, identity=pair("joe"))
        await client.get("/version")
        server.status = 401
        with pytest.raises(Unauthorized):
            await client.get("/version")
        server.status = 200
        await client.get("/version")
    assert [seen.subject for seen in server.seen] == ["jane", "jane", "jane", "joe"]
    assert program.runs == 2


async def test_a_failing_plugin_sends_nothing(server: Server, tmp_path: Path) -> None:
    found = await Program(tmp_path, f"echo {TOKEN} >&2", "exit 1").load({"server": server.url})
    with pytest.raises(NoCredentials, match=r"failed$"):
        await ask(found)
    assert server.seen == []


async def test_nothing_of_it_is_in_any_error_log_or_text(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []
    program = Program(tmp_path, f"echo {TOKEN}", f"echo {TOKEN} >&2")
    for found in (
        await load(to(server)),
        await load(to(server, cluster={"proxy-url": f"http://{TOKEN}:{TOKEN}@127.0.0.1:1"})),
        await load(to(server, cluster={"tls-server-name": "other"})),
        await program.load({"server": server.url}, args=[TOKEN], env=[{"name": "ROLE", "value": TOKEN}]),
    ):
        assert found.tls is not None
        shown += [found, found.plugin, found.plugin and found.plugin._spec]
        server.status = 500
        with pytest.raises(KubeError) as raised:
            await ask(found)
        shown += [raised.value, raised.value.args]
        assert raised.value.__suppress_context__ or raised.value.__context__ is None
    printed = capfd.readouterr()
    text = "\n".join([*(f"{each!r} {each}" for each in shown), caplog.text, printed.out, printed.err])
    assert TOKEN not in text
    assert "PRIVATE KEY" not in text


async def test_a_session_is_for_any_loop(server: Server, tmp_path: Path) -> None:
    """The hub's credentials are used by the thread of kopf too."""
    program = Program(tmp_path)
    gives(program, token=TOKEN, expirationTimestamp="2999-01-01T00:00:00Z")
    found = await program.load({"server": server.url})

    async def once() -> int:
        async with found.session() as session, session.get(f"{server.url}/x", timeout=aiohttp.ClientTimeout(5)) as got:
            return got.status

    here, there = await asyncio.gather(once(), asyncio.to_thread(asyncio.run, once()))
    assert (here, there) == (200, 200)


async def test_a_pod_uses_its_own_account(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match="does not run in a pod"):
        credentials.in_cluster()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.url.rpartition(":")[2])
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path)
    with pytest.raises(ConfigError, match="service account cannot be read"):
        credentials.in_cluster()
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.certificate)
    found = credentials.in_cluster()
    with pytest.raises(NoCredentials, match="token cannot be read"):
        await ask(found)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    await ask(found)
    (tmp_path / "token").unlink()
    await ask(found)
    assert [seen.authorization for seen in server.seen] == [f"Bearer {TOKEN}"] * 2
