"""Where the hub is, without who we are there: nothing of a kubeconfig's users, or of a pod's account, is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kubelab import pki
from secretset.kube import credentials
from secretset.kube.errors import ConfigError


def written(folder: Path, user: dict[str, object], **cluster: object) -> str:
    file = folder / "config"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "hub",
                "clusters": [{"name": "hub", "cluster": {"server": "https://hub.example:6443/", **cluster}}],
                "contexts": [{"name": "hub", "context": {"cluster": "hub", "user": "me"}}],
                "users": [{"name": "me", "user": user}],
            }
        )
    )
    return str(file)


@pytest.mark.parametrize(
    "user",
    [
        {},
        {"token": "t"},
        {"tokenFile": "/nowhere"},
        {"client-certificate": "/nowhere", "client-key": "/nowhere"},
        {"client-certificate-data": "bm9uZQ==", "client-key-data": "bm9uZQ=="},
        {"username": "a", "password": "b"},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/false"}},
        {"auth-provider": {"name": "oidc", "config": {}}},
    ],
)
async def test_users_of_a_kubeconfig_are_not_looked_at(tmp_path: Path, user: dict[str, object]) -> None:
    found = await credentials.address(written(tmp_path, user))
    assert found.server == "https://hub.example:6443"
    assert await found.authorize() is None
    assert found.plugin is None


async def test_what_leads_there_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, {"token": "t"}, **{"proxy-url": "http://proxy:3128", "tls-server-name": "hub"})
    found = await credentials.address(path)
    assert (found.proxy, found.server_name) == ("http://proxy:3128", "hub")


async def test_in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path / "none")
    ca = tmp_path / "ca.crt"
    with pytest.raises(ConfigError, match="the file with the hub's CA cannot be read"):
        await credentials.address(ca_file=ca)
    ca.write_bytes(pki.Authority.create("hub").pair.certificate)
    found = await credentials.address(ca_file=ca)
    assert found.server == "https://[fd00::1]:443"
    assert await found.authorize() is None


async def test_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no kubeconfig"):
        await credentials.address(str(tmp_path / "none"))
