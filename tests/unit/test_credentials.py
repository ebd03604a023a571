"""Kubeconfigs from Secrets: they may name no file, run no program and turn off no check."""

import base64
import datetime
import ssl
from functools import cache
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from secretset.kube.credentials import from_kubeconfig
from secretset.kube.errors import ConfigError

TOKEN = "hunter2hunter2"


@cache
def identity() -> tuple[str, str]:
    """A certificate and its key, as kubeconfigs carry them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return base64.b64encode(certificate).decode(), base64.b64encode(secret).decode()


def document(**changes: Any) -> dict[str, Any]:
    cluster = {"server": "https://us.example:6443/", "certificate-authority-data": identity()[0]}
    return {
        "clusters": [{"name": "c", "cluster": cluster | changes.get("cluster", {})}],
        "users": [{"name": "u", "user": changes.get("user", {"token": TOKEN})}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": changes.get("current", "x"),
    }


def text(**changes: Any) -> bytes:
    return yaml.safe_dump(document(**changes)).encode()


async def test_a_kubeconfig_with_a_token_is_usable() -> None:
    found = await from_kubeconfig(text())
    assert found.server == "https://us.example:6443"
    assert await found.authorize() == f"Bearer {TOKEN}"
    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert found.tls.check_hostname
    assert len(found.tls.get_ca_certs()) == 1
    assert TOKEN not in repr(found)


async def test_a_kubeconfig_with_a_client_certificate_is_usable() -> None:
    certificate, key = identity()
    found = await from_kubeconfig(text(user={"client-certificate-data": certificate, "client-key-data": key}))
    assert await found.authorize() is None
    assert found.tls is not None


async def test_the_same_certificates_are_usable_again() -> None:
    """A rotated token comes with the old CA; two regions may share one."""
    for token in ("first", "second"):
        found = await from_kubeconfig(text(user={"token": token}))
        assert await found.authorize() == f"Bearer {token}"


REFUSED = {
    "exec": text(user={"exec": {"command": "sh", "apiVersion": "client.authentication.k8s.io/v1"}}),
    "auth-provider": text(user={"auth-provider": {"name": "oidc"}}),
    "tokenFile": text(user={"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}),
    "client-certificate": text(user={"token": TOKEN, "client-certificate": "/etc/passwd"}),
    "client-key": text(user={"token": TOKEN, "client-key": "/etc/passwd"}),
    "certificate-authority": text(cluster={"certificate-authority": "/etc/passwd"}),
    "verification": text(cluster={"insecure-skip-tls-verify": True}),
    "https": text(cluster={"server": "http://us.example"}),
    "not a usable kubeconfig": text(current="missing"),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_what_reaches_outside_of_the_kubeconfig_is_refused_by_name(why: str) -> None:
    with pytest.raises(ConfigError, match=why) as raised:
        await from_kubeconfig(REFUSED[why])
    assert TOKEN not in str(raised.value)


async def test_a_user_or_cluster_that_is_not_the_current_one_is_looked_at_too() -> None:
    sneaky = document()
    sneaky["users"].append({"name": "other", "user": {"exec": {"command": "sh"}}})
    with pytest.raises(ConfigError, match="exec"):
        await from_kubeconfig(yaml.safe_dump(sneaky).encode())


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
    "no users": edited("users", []),
    "clusters: a number": edited("clusters", 5),
    "clusters: a map": edited("clusters", {"name": "c"}),
    "clusters: of text": edited("clusters", ["c"]),
    "cluster: text": edited("clusters", [{"name": "c", "cluster": "x"}]),
    "users: of nothing": edited("users", [None]),
    "contexts: of text": edited("contexts", ["x"]),
    "context: text": edited("contexts", [{"name": "x", "context": "y"}]),
    "context: nothing": edited("contexts", [{"name": "x"}]),
    "no server": edited("clusters", [{"name": "c", "cluster": {}}]),
    "no certificate": text(cluster={"certificate-authority-data": base64.b64encode(b"x").decode()}),
    "no base64": text(cluster={"certificate-authority-data": "x"}),
    "a certificate that is a number": text(cluster={"certificate-authority-data": 7}),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_a_configuration_error_and_nothing_else(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        await from_kubeconfig(GARBAGE[name])
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(["clusters", "users", "contexts", "current-context"]), junk, st.booleans(), st.data())
async def test_any_document_is_usable_or_a_configuration_error(
    part: str, value: Any, inside: bool, data: st.DataObject
) -> None:
    changed = document()
    if inside and part != "current-context":
        entry = changed[part][0]
        entry[data.draw(st.sampled_from(sorted(entry)))] = value
    else:
        changed[part] = value
    try:
        await from_kubeconfig(yaml.safe_dump(changed).encode())
    except ConfigError:
        return
