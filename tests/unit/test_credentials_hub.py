"""The hub's own kubeconfig, which the installer gives: it may use everything."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from secretset.kube import credentials
from secretset.kube.client import Client
from secretset.kube.errors import ConfigError
from unit.kubeconfigs import AUTHORITY, CLIENT, TOKEN, b64, document, serving

INSECURE = {"insecure-skip-tls-verify": True}


def written(folder: Path, **changes: Any) -> str:
    (folder / "config").write_text(yaml.safe_dump(document(**changes)))
    return str(folder / "config")


async def test_files_and_another_name_of_the_server_are_used(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.certificate)
    (tmp_path / "jane.pem").write_bytes(CLIENT.certificate)
    (tmp_path / "jane.key").write_bytes(CLIENT.key)
    (tmp_path / "token").write_text(TOKEN)
    user = {"tokenFile": "token", "client-certificate": "jane.pem", "client-key": "jane.key"}
    async with serving("api.internal") as server:
        cluster = {"server": server.url, "certificate-authority": "ca.pem", "tls-server-name": "api.internal"}
        content = document(cluster=cluster, user=user)
        del content["clusters"][0]["cluster"]["certificate-authority-data"]
        (tmp_path / "config").write_text(yaml.safe_dump(content))
        async with Client(await credentials.load(str(tmp_path / "config")), name="hub") as client:
            await client.get("/version")
    assert [(seen.authorization, seen.subject) for seen in server.seen] == [(f"Bearer {TOKEN}", "jane")]


async def test_verification_can_be_turned_off_and_tls_left_out(tmp_path: Path) -> None:
    found = await credentials.load(written(tmp_path, cluster=INSECURE))
    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_NONE
    found = await credentials.load(written(tmp_path, cluster={"server": "http://127.0.0.1:8001"}))
    assert (found.server, found.tls) == ("http://127.0.0.1:8001", None)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\xfa", b"contexts: 5\ncurrent-context: a\n"])
async def test_what_cannot_be_used_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(content)
    with pytest.raises(ConfigError, match="no usable kubeconfig at"):
        await credentials.load(str(tmp_path / "config"))
    with pytest.raises(ConfigError, match="there is no kubeconfig at"):
        await credentials.load(str(tmp_path / "other"))


async def test_a_context_that_it_has_not_is_named(tmp_path: Path) -> None:
    says = "config' cannot be used: it has no context 'gone'; "
    with pytest.raises(ConfigError, match=says):
        await credentials.load(written(tmp_path), "gone")
    with pytest.raises(ConfigError, match=says):
        await credentials.load(written(tmp_path, current="gone"))


async def test_a_ca_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no usable kubeconfig at"):
        await credentials.load(written(tmp_path, cluster={"certificate-authority-data": b64(b"x")}))
