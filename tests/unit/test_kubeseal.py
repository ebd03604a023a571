"""SealedSecrets: what kubeseal itself sealed, what a second implementation seals, and what opens nowhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.kubeseal import KEY, sealed
from secretset.domain import kubeseal
from secretset.domain.kubeseal import Scope, SealedSecret, Unopened, Unusable
from unit.kubeseals import KNOWN, load

SCOPES = {"cache": Scope.NAMESPACE_WIDE, "mail": Scope.CLUSTER_WIDE}


@pytest.fixture(scope="module")
def keys() -> list[rsa.RSAPrivateKey]:
    return kubeseal.private_keys(load("keys.yaml"))


@pytest.fixture
def found() -> dict[str, SealedSecret]:
    return {each.name: each for each in map(SealedSecret.parse, load("sealed.yaml"))}


def opened(each: SealedSecret, keys: list[rsa.RSAPrivateKey], namespace: str = "") -> dict[str, bytes]:
    return {key: kubeseal.open_value(text, keys, each.label(namespace)) for key, text in each.sealed.items()}


@pytest.mark.parametrize("name", KNOWN)
def test_what_kubeseal_sealed_opens(found: dict[str, SealedSecret], keys: list[rsa.RSAPrivateKey], name: str) -> None:
    each = found[name]
    assert opened(each, keys) == KNOWN[name]
    assert (each.namespace, each.scope) == ("shop", SCOPES.get(name, Scope.STRICT))
    assert each.type == ("kubernetes.io/dockerconfigjson" if name == "registry" else "Opaque")


def test_a_value_opens_with_its_own_key_alone(found: dict[str, SealedSecret], keys: list[rsa.RSAPrivateKey]) -> None:
    older, newer = keys
    assert opened(found["cache"], [older]) == KNOWN["cache"]
    for name, wrong in (("cache", [newer]), ("database", [older]), ("mail", [])):
        with pytest.raises(Unopened):
            opened(found[name], wrong)


@pytest.mark.parametrize(
    ("name", "change", "opens"),
    [
        ("database", {"name": "other"}, False),
        ("database", {"namespace": "other"}, False),
        ("cache", {"name": "other"}, True),
        ("cache", {"namespace": "other"}, False),
        ("mail", {"name": "other", "namespace": "other"}, True),
    ],
)
def test_a_value_opens_as_far_as_its_scope_goes(
    keys: list[rsa.RSAPrivateKey], name: str, change: Mapping[str, str], opens: bool
) -> None:
    (obj,) = (each for each in load("sealed.yaml") if each["metadata"]["name"] == name)
    obj["metadata"] |= change
    each = SealedSecret.parse(obj)
    if opens:
        assert opened(each, keys) == KNOWN[name]
    else:
        with pytest.raises(Unopened):
            opened(each, keys)


def test_a_manifest_without_a_namespace_gets_it_from_elsewhere(keys: list[rsa.RSAPrivateKey]) -> None:
    obj = load("sealed.yaml")[0]
    del obj["metadata"]["namespace"]
    each = SealedSecret.parse(obj)
    assert opened(each, keys, "shop") == KNOWN["database"]
    with pytest.raises(Unopened):
        opened(each, keys, "other")


@settings(max_examples=40, deadline=None)
@given(
    value=st.binary(max_size=300),
    namespace=st.text(max_size=20),
    name=st.text(max_size=20),
    scope=st.sampled_from(Scope),
)
def test_a_second_implementation_agrees(value: bytes, namespace: str, name: str, scope: Scope) -> None:
    label = {"strict": f"{namespace}/{name}", "namespace-wide": namespace, "cluster-wide": ""}[scope.value].encode()
    assert kubeseal.open_value(sealed(value, label), [KEY], scope.label(namespace, name)) == value


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.text(max_size=50), st.binary(max_size=400).map(lambda raw: base64.b64encode(raw).decode())))
def test_whatever_the_text_is_nothing_else_is_raised(text: str) -> None:
    with pytest.raises(Unopened):
        kubeseal.open_value(text, [KEY], b"")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_altered_text_does_not_open(data: st.DataObject) -> None:
    raw = bytearray(base64.b64decode(sealed(b"value", b"")))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unopened):
        kubeseal.open_value(base64.b64encode(raw).decode(), [KEY], b"")


def test_a_session_key_of_another_length_is_not_used() -> None:
    with pytest.raises(Unopened):
        kubeseal.open_value(sealed(b"value", b"", session=bytes(16)), [KEY], b"")


def test_line_breaks_in_a_text_do_not_count() -> None:
    text = sealed(b"value", b"")
    assert kubeseal.open_value(f"{text[:40]}\r\n{text[40:]}\n", [KEY], b"") == b"value"


def test_what_a_template_adds_is_told_apart() -> None:
    obj = load("sealed.yaml")[2]
    obj["spec"]["template"]["data"] = {"HOST": "db.example", "URL": "mail://{{ .TOKEN }}@db"}
    each = SealedSecret.parse(obj)
    assert (each.plain, each.templated) == ({"HOST": "db.example"}, ["URL"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"spec": {"data": "AgBx"}}, "--re-encrypt"),
        ({"spec": {"encryptedData": {"A": 1}}}, "form"),
        ({"spec": {"encryptedData": {1: "A"}}}, "form"),
        ({"spec": {"template": {"data": {"A": None}}}}, "form"),
        ({"metadata": {}}, "form"),
        ({"metadata": {"name": "x", "namespace": 3}}, "form"),
        ({"metadata": "x"}, "form"),
    ],
)
def test_what_has_another_form_is_refused(change: Mapping[str, Any], says: str) -> None:
    obj = {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "x"}, "spec": {}}
    assert SealedSecret.parse(obj).sealed == {}
    with pytest.raises(Unusable, match=says):
        SealedSecret.parse({**obj, **change})


def test_only_a_sealed_secret_is_one() -> None:
    assert [kubeseal.is_sealed_secret(each) for each in load("sealed.yaml")] == [True] * 4
    others = (
        {"kind": "SealedSecret", "apiVersion": "example.com/v1"},
        {"kind": "Secret", "apiVersion": "v1"},
        None,
        "x",
    )
    assert not any(kubeseal.is_sealed_secret(each) for each in others)


def pem(key: Any, passphrase: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    raw = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    assert isinstance(raw, bytes)
    return raw


def test_keys_are_read_in_every_form() -> None:
    text = base64.b64encode(pem(KEY)).decode()
    forms: list[Any] = [
        {"kind": "Secret", "data": {"tls.key": text}},
        {"kind": "Secret", "stringData": {"tls.key": pem(KEY).decode()}},
        {"kind": "SecretList", "items": [{"data": {"tls.key": text}}]},
        {"kind": "List", "items": [{"kind": "List", "items": [{"kind": "Secret", "data": {"tls.key": text}}]}]},
    ]
    numbers = [key.private_numbers() for key in (*kubeseal.private_keys(forms), kubeseal.private_key(pem(KEY)))]
    assert numbers == [KEY.private_numbers()] * 5


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(KEY, b"secret"),
        pem(ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["empty", "damaged", "passphrase", "elliptic"],
)
def test_what_is_no_key_is_refused_without_being_shown(raw: bytes) -> None:
    with pytest.raises(Unusable) as refused:
        kubeseal.private_key(raw)
    assert "AAAA" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "objects",
    [
        [],
        [None],
        ["x"],
        [{"kind": "ConfigMap"}],
        [{"kind": "Secret"}],
        [{"kind": "Secret", "data": {"tls.key": "*"}}],
        [{"kind": "Secret", "data": {"tls.key": 5}}],
        [{"kind": "List", "items": ["x"]}],
        [{"kind": "List", "items": 5}],
    ],
)
def test_what_holds_no_keys_is_refused(objects: list[Any]) -> None:
    with pytest.raises(Unusable):
        kubeseal.private_keys(objects)
