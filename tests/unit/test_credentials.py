"""Kubeconfigs from Secrets: they may name no file, run no program and turn off no check."""

import ssl
import threading
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from secretset.kube import kubeconfig
from secretset.kube.credentials import from_secret
from secretset.kube.errors import ConfigError
from unit.kubeconfigs import (
    AUTHORITY,
    CLIENT,
    CLUSTER_API,
    KUBECONFIG,
    TOKEN,
    V1,
    b64,
    document,
    load,
    pair,
    secret,
    text,
)

NONE: frozenset[str] = frozenset()
CERTIFICATE = {"client-certificate-data": b64(CLIENT.certificate), "client-key-data": b64(CLIENT.key)}


async def test_a_kubeconfig_with_a_token_is_usable() -> None:
    found = await load(text())
    assert found.server == "https://us.example:6443"
    assert await found.authorize() == f"Bearer {TOKEN}"
    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert found.tls.check_hostname
    assert len(found.tls.get_ca_certs()) == 1
    assert (found.proxy, found.server_name, found.plugin) == (None, None, None)
    assert TOKEN not in repr(found)


async def test_a_kubeconfig_with_a_client_certificate_is_usable() -> None:
    found = await load(text(user=CERTIFICATE))
    assert await found.authorize() is None
    assert found.tls is not None


async def test_without_a_ca_those_of_the_system_are_trusted() -> None:
    found = await load(text(cluster={"certificate-authority-data": ""}))
    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert found.tls.cert_store_stats() == ssl.create_default_context().cert_store_stats()


async def test_a_name_for_the_certificate_and_a_proxy_are_kept() -> None:
    found = await load(text(cluster={"tls-server-name": "api.internal", "proxy-url": "http://proxy.example:3128"}))
    assert (found.server_name, found.proxy) == ("api.internal", "http://proxy.example:3128")


async def test_base64_may_have_line_breaks() -> None:
    coded = b64(AUTHORITY.certificate)
    lines = "\n".join(coded[start : start + 64] for start in range(0, len(coded), 64))
    assert (await load(text(cluster={"certificate-authority-data": lines}))).tls is not None


async def test_the_same_certificates_are_usable_again() -> None:
    """A rotated token comes with the old CA; two regions may share one."""
    for token in ("first", "second"):
        found = await load(text(user={"token": token}))
        assert await found.authorize() == f"Bearer {token}"


async def test_without_a_key_it_is_the_one_that_cluster_api_writes() -> None:
    found = await from_secret(CLUSTER_API, secret(value=text()), exec_plugins=NONE)
    assert found.server == "https://us.example:6443"
    with pytest.raises(ConfigError, match=r"^it lacks the key 'value'$"):
        await from_secret(CLUSTER_API, secret(kubeconfig=text()), exec_plugins=NONE)
    nothing: list[dict[str, Any]] = [{"metadata": {}}, {"metadata": {}, "data": None}]
    for empty in nothing:
        with pytest.raises(ConfigError, match=r"^it lacks the key 'kubeconfig'$"):
            await from_secret(KUBECONFIG, empty, exec_plugins=NONE)


def encrypted_key() -> str:
    key = serialization.load_pem_private_key(CLIENT.key, None)
    password = serialization.BestAvailableEncryption(TOKEN.encode())
    return b64(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, password))


PLUGIN = {"command": "sh", "apiVersion": V1}
REFUSED = {
    r"the exec plugin 'sh', which the operator is not allowed to run \(--exec-plugins\)": text(user={"exec": PLUGIN}),
    "neither a program's name nor": text(user={"exec": {**PLUGIN, "command": f"sh -c {TOKEN}"}}),
    "'auth-provider'": text(user={"auth-provider": {"name": "oidc"}}),
    "'tokenFile'": text(user={"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}),
    "'client-certificate'": text(user={"token": TOKEN, "client-certificate": "/etc/passwd"}),
    "'client-key'": text(user={"token": TOKEN, "client-key": "/etc/passwd"}),
    "'certificate-authority'": text(cluster={"certificate-authority": "/etc/passwd"}),
    "verification of TLS": text(cluster={"insecure-skip-tls-verify": True}),
    "not an https address": text(cluster={"server": "http://us.example"}),
    "more than a host, a port": text(cluster={"server": f"https://x:{TOKEN}@us.example"}),
    "'tls-server-name' is no name": text(cluster={"tls-server-name": f"{TOKEN}/"}),
    "'proxy-url' is not an http": text(cluster={"proxy-url": f"socks5://{TOKEN}:1"}),
    "not a usable kubeconfig: its current": text(current="missing"),
    "impersonates": text(user={"token": TOKEN, "as": "admin"}),
    "user name and password": text(user={"username": "jane", "password": TOKEN}),
    "neither a token nor": text(user={}),
    "characters that no request": text(user={"token": f"{TOKEN}\nX-Other: 1"}),
    "'token' is not text": text(user={"token": 7}),
    "without the other": text(user={"client-key-data": b64(CLIENT.key)}),
    "no certificate with its unencrypted": text(user={**CERTIFICATE, "client-key-data": encrypted_key()}),
    "are no certificate with its": text(user={**CERTIFICATE, "client-key-data": b64(pair("other").key)}),
    "'certificate-authority-data' is no": text(cluster={"certificate-authority-data": b64(TOKEN.encode())}),
    "'certificate-authority-data' is not base64": text(cluster={"certificate-authority-data": f"!{TOKEN}"}),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_what_reaches_outside_of_the_kubeconfig_is_refused_by_name(why: str) -> None:
    with pytest.raises(ConfigError, match=why) as raised:
        await load(REFUSED[why])
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("sneaky", [{"exec": {"command": "sh"}}, {"tokenFile": "/x"}])
async def test_a_user_that_is_not_the_current_one_is_looked_at_too(sneaky: dict[str, Any]) -> None:
    other = document()
    other["users"].append({"name": "other", "user": sneaky})
    with pytest.raises(ConfigError, match=next(iter(sneaky))):
        await load(yaml.safe_dump(other).encode())


async def test_two_users_of_one_name_are_refused() -> None:
    other = document()
    other["users"] += document()["users"]
    with pytest.raises(ConfigError, match="two users of one name"):
        await load(yaml.safe_dump(other).encode())


async def test_a_client_certificate_needs_a_folder_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(**_: Any) -> None:
        raise FileNotFoundError(TOKEN)

    monkeypatch.setattr("tempfile.TemporaryDirectory", nowhere)
    assert await (await load(text())).authorize()
    with pytest.raises(ConfigError, match="no folder for temporary files"):
        await load(text(user=CERTIFICATE))


def edited(part: str, value: Any) -> bytes:
    return yaml.safe_dump(document() | {part: value}).encode()


GARBAGE = {
    "empty": b"",
    "text": b"hello",
    "no UTF-8": b"\xff\xfe\xfa",
    "no YAML": b"{",
    "a list": b"[]",
    "an unknown tag": b"!!python/object/apply:os.system [ls]",
    "nested too deep": b"[" * 5_000,
    "a date that is none": b"clusters: 2024-13-45",
    "a truth that is none": b"a: !!bool x",
    "a time that is none": b"a: !!timestamp x",
    "a number without an end": b"a: 1" + b":1" * 30_000 + b".5",
    "blocks nested too deep": b"- " * 30_000,
    "no users": edited("users", []),
    "clusters: a number": edited("clusters", 5),
    "clusters: a map": edited("clusters", {"name": "c"}),
    "clusters: of text": edited("clusters", ["c"]),
    "cluster: text": edited("clusters", [{"name": "c", "cluster": "x"}]),
    "users: of nothing": edited("users", [None]),
    "contexts: of text": edited("contexts", ["x"]),
    "context: text": edited("contexts", [{"name": "x", "context": "y"}]),
    "context: nothing": edited("contexts", [{"name": "x"}]),
    "current-context: a list": edited("current-context", ["x"]),
    "no server": edited("clusters", [{"name": "c", "cluster": {}}]),
    "a port that is none": text(cluster={"server": "https://us.example:x"}),
    "no certificate": text(cluster={"certificate-authority-data": b64(b"x")}),
    "no base64": text(cluster={"certificate-authority-data": "x"}),
    "a certificate that is a number": text(cluster={"certificate-authority-data": 7}),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_a_configuration_error_and_nothing_else(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        await load(GARBAGE[name])
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


ALIASES = "it has YAML aliases ('*'), which are not supported"
MERGES = "it has YAML merge keys ('<<'), which are not supported"
COSTLY = {
    "an alias": (b"a: &a [1]\nb: *a", ALIASES),
    "one of itself": (b"&a [*a]", ALIASES),
    "laughs": (b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 99)), ALIASES),
    "a merge": (b"a: {<<: {b: 1}}", MERGES),
    "a merge by its tag": (b"a: {!!merge x: {b: 1}}", MERGES),
    "too long": (text() + b"#" * 2**16, "it is longer than 64 KiB"),
}


@pytest.mark.parametrize("name", COSTLY)
async def test_what_could_cost_much_is_refused_by_name(name: str) -> None:
    content, says = COSTLY[name]
    with pytest.raises(ConfigError) as raised:
        await load(content)
    assert str(raised.value) == says


@pytest.mark.parametrize("name", [*GARBAGE, *COSTLY])
def test_so_it_is_without_the_c_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "_LOADER", yaml.SafeLoader)
    content = GARBAGE[name] if name in GARBAGE else COSTLY[name][0]
    with pytest.raises(ConfigError):
        kubeconfig.credentials(kubeconfig.parse(content), exec_plugins=NONE)


async def test_the_loop_goes_on_while_a_kubeconfig_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    parse = kubeconfig.parse

    def noted(content: bytes) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return parse(content)

    monkeypatch.setattr(kubeconfig, "parse", noted)
    await load(text())
    assert threads
    assert threading.main_thread() not in threads


async def test_a_secret_whose_data_is_not_base64_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^its key 'kubeconfig' is not base64$"):
        await from_secret(KUBECONFIG, {"data": {"kubeconfig": "!"}}, exec_plugins=NONE)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(["clusters", "users", "contexts", "current-context"]), junk, st.booleans(), st.data())
async def test_any_document_is_usable_or_a_configuration_error(
    part: str, value: Any, inside: bool, data: st.DataObject
) -> None:
    changed = document(cluster={"tls-server-name": "a", "proxy-url": "http://p"}, user={"token": TOKEN, "exec": {}})
    if inside and part != "current-context":
        entry = changed[part][0]
        if data.draw(st.booleans()):
            entry = entry[part[:-1]]
        entry[data.draw(st.sampled_from(sorted(entry)))] = value
    else:
        changed[part] = value
    try:
        await load(yaml.safe_dump(changed).encode(), "sh")
    except ConfigError:
        return
