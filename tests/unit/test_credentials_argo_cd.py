"""Cluster Secrets of Argo CD as a source of credentials."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretset.kube.credentials import Credentials, from_secret
from secretset.kube.errors import ConfigError
from unit.kubeconfigs import ARGO_CD, AUTHORITY, CLIENT, TOKEN, V1, Program, b64, secret

LABELS = {"argocd.argoproj.io/secret-type": "cluster"}
TLS = {"insecure": False, "caData": b64(AUTHORITY.certificate)}


async def argo(
    config: Any = None, *plugins: str, server: str = "https://us.example:6443/", labels: dict[str, str] | None = None
) -> Credentials:
    """What becomes of a cluster Secret as Argo CD's documentation shows it."""
    shown = {"bearerToken": TOKEN, "tlsClientConfig": TLS} if config is None else config
    data = {"name": b"us", "server": server.encode(), "config": json.dumps(shown).encode()}
    return await from_secret(
        ARGO_CD, secret(LABELS if labels is None else labels, **data), exec_plugins=frozenset(plugins)
    )


async def test_a_token() -> None:
    found = await argo()
    assert (found.server, found.proxy, found.server_name) == ("https://us.example:6443", None, None)
    assert await found.authorize() == f"Bearer {TOKEN}"
    assert found.tls is not None
    assert len(found.tls.get_ca_certs()) == 1


async def test_a_client_certificate_a_name_and_a_proxy() -> None:
    tls = {**TLS, "certData": b64(CLIENT.certificate), "keyData": b64(CLIENT.key), "serverName": "api.internal"}
    found = await argo({"tlsClientConfig": tls, "proxyUrl": "http://proxy:3128", "disableCompression": True})
    assert await found.authorize() is None
    assert (found.server_name, found.proxy) == ("api.internal", "http://proxy:3128")


async def test_an_exec_plugin(tmp_path: Any) -> None:
    program = Program(tmp_path, 'echo "$ROLE" > "$0.role"', '/bin/cat "$0.json"')
    program.gives(json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": TOKEN}}))
    section = {"command": str(program.path), "args": ["x"], "env": {"ROLE": "r"}, "apiVersion": V1, "installHint": "?"}
    config = {"execProviderConfig": section, "tlsClientConfig": TLS}
    found = await argo(config, str(program.path))
    assert await found.authorize() == f"Bearer {TOKEN}"
    assert (tmp_path / "plugin.role").read_text() == "r\n"
    with pytest.raises(ConfigError, match=r"not allowed to run \(--exec-plugins\)"):
        await argo(config)


REFUSED: dict[str, dict[str, Any]] = {
    "verification of TLS certificates": {"bearerToken": TOKEN, "tlsClientConfig": {"insecure": True}},
    "user name and password": {"username": "jane", "password": TOKEN},
    "'awsAuthConfig', which needs a program of Argo CD: use 'execProviderConfig' or": {
        "awsAuthConfig": {"clusterName": TOKEN}
    },
    "neither a token nor": {"tlsClientConfig": TLS},
    "'caData' is not base64": {"bearerToken": TOKEN, "tlsClientConfig": {"caData": f"!{TOKEN}"}},
    "'caData' is no certificate": {"bearerToken": TOKEN, "tlsClientConfig": {"caData": b64(TOKEN.encode())}},
    "'caData' is not text": {"bearerToken": TOKEN, "tlsClientConfig": {"caData": 7}},
    "'certData' and 'keyData' without": {"tlsClientConfig": {**TLS, "keyData": b64(CLIENT.key)}},
    "'serverName' is no name": {"bearerToken": TOKEN, "tlsClientConfig": {"serverName": f"{TOKEN}/"}},
    "'proxyUrl' is not an http": {"bearerToken": TOKEN, "proxyUrl": f"socks5://{TOKEN}:1"},
    "'bearerToken' is not text": {"bearerToken": [TOKEN]},
    "'tlsClientConfig' is not a JSON object": {"tlsClientConfig": TOKEN},
    "'env' of its 'execProviderConfig'": {"execProviderConfig": {"command": "x", "env": [TOKEN]}},
    "exec plugin and other credentials": {"bearerToken": TOKEN, "execProviderConfig": {"command": "sh"}},
}


@pytest.mark.parametrize("why", REFUSED)
async def test_what_has_no_counterpart_is_refused_in_argo_cds_own_words(why: str) -> None:
    with pytest.raises(ConfigError, match=why) as raised:
        await argo(REFUSED[why], "sh")
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("labels", [{}, {"argocd.argoproj.io/secret-type": "repository"}])
async def test_only_what_argo_cd_takes_for_a_cluster_is_read(labels: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^it is not labelled argocd\.argoproj\.io/secret-type=cluster$"):
        await argo(labels=labels)


@pytest.mark.parametrize(
    "server", ["https://kubernetes.default.svc", "https://kubernetes.default.svc:443/", "https://kubernetes.default"]
)
async def test_argo_cds_own_cluster_is_the_hub(server: str) -> None:
    with pytest.raises(ConfigError, match=r"leave out spec\.cluster"):
        await argo({"tlsClientConfig": {"insecure": False}}, server=server)


async def test_a_server_without_tls_is_refused() -> None:
    with pytest.raises(ConfigError, match="not an https address"):
        await argo(server="http://us.example")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "it lacks the key 'server'"),
        ({"server": b"https://x"}, "it lacks the key 'config'"),
        ({"server": b"https://x", "config": TOKEN.encode()}, "its key 'config' is not JSON"),
        ({"server": b"https://x", "config": b"[]"}, "its key 'config' is not a JSON object"),
    ],
)
async def test_an_incomplete_secret_is_refused_by_its_keys(data: dict[str, bytes], why: str) -> None:
    with pytest.raises(ConfigError, match=f"^{why}$"):
        await from_secret(ARGO_CD, secret(LABELS, **data), exec_plugins=frozenset())


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
FIELDS = {
    "bearerToken": junk,
    "tlsClientConfig": junk
    | st.fixed_dictionaries({}, optional={"caData": junk, "certData": junk, "serverName": junk}),
    "execProviderConfig": junk | st.fixed_dictionaries({"command": junk | st.just("sh"), "env": junk, "args": junk}),
    "proxyUrl": junk,
}


@given(junk | st.fixed_dictionaries({}, optional=FIELDS))
async def test_any_config_is_usable_or_a_configuration_error(config: Any) -> None:
    try:
        await argo({} if config is None else config, "sh")
    except ConfigError:
        return
