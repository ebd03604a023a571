"""Sealed values: they arrive byte for byte, at the place they were sealed for and nowhere else, and only the operator
can open them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from harness import OperatorProcess, Org, env_from, eventually, holds, value_from
from harness.sealed import SYSTEM, opened, place, published, sealed
from kubelab.plane import ControlPlane
from secretset.domain.names import Kind
from secretset.domain.sealing import TEXT_MIN, PrivateKey, new_seed


def secret_set(namespace: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "secretset.dev/v1alpha1", "kind": "SecretSet", "metadata": meta, "spec": {"data": data}}


def rolled_out(org: Org) -> bool:
    return (org.status().get("workloads") or {}).get("current") == 1


def test_values_arrive_byte_for_byte(org: Org) -> None:
    canary = org.canary()
    values = {
        "TEXT": canary.encode(),
        "EMPTY": b"",
        "SPACES": b"  a = 'b' \\ \"c\" \n\n",
        "UTF-8": "pässwörd ✓ ".encode() + canary.encode(),
        "BYTES": bytes(range(256)),
        "LONG": canary.encode() * 400 + b"\n",
    }
    org.source()
    data = {key: sealed(org, value, key=key) for key, value in values.items()}
    org.secret_set(data={**data, "A": value_from("src", "a")})
    status = org.reaches("ready", "Synced")
    found = org.values()
    assert {key: found[key] for key in values} == values
    current = published(org.plane).current
    assert current is not None
    assert status["sealingKeys"] == [{"kid": current.kid, "values": len(values)}]
    # A set without sealed values says nothing of keys.
    org.secret_set("plain")
    assert "sealingKeys" not in org.reaches("ready", name="plain")


def test_the_password_of_a_pull_secret(org: Org) -> None:
    password = org.canary()
    entry = sealed(org, password, name="regcred", key="password", kind=Kind.IMAGE_PULL_SECRET)
    body = {
        "apiVersion": "secretset.dev/v1alpha1",
        "kind": "ImagePullSecret",
        "metadata": {"name": "regcred", "namespace": org.name},
        "spec": {"host": "ghcr.io", "username": "bot", "password": entry},
    }
    org.apply(body)
    org.reaches("ready", name="regcred", kind="imagepullsecret")
    config = json.loads(org.values("regcred")[".dockerconfigjson"])
    assert config["auths"]["ghcr.io"]["password"] == password
    assert base64.b64decode(config["auths"]["ghcr.io"]["auth"]).decode() == f"bot:{password}"


def test_a_value_opens_at_no_other_place_and_errors_tell_no_more_than_why(org: Org, operator: OperatorProcess) -> None:
    """Each way of being wrong fails its own set, with a closed sentence; a healthy one beside it notices nothing."""
    value = org.canary()
    good = sealed(org, value, name="good")
    stranger = PrivateKey.from_seed(new_seed()).public
    elsewhere, unknown, damaged = "was sealed for another installation, kind, namespace", "does not hold", "is damaged"
    current = published(org.plane).current
    assert current is not None
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "other-key": (sealed(org, value, name="other-key", key="B"), elsewhere),
        "other-set": (good, elsewhere),
        "other-kind": (sealed(org, value, name="other-kind", kind=Kind.IMAGE_PULL_SECRET), elsewhere),
        "other-namespace": (
            {"sealed": current.seal(place(org, name="other-namespace")._replace(namespace="x"), b"v")},
            elsewhere,
        ),
        "other-installation": (
            {"sealed": current.seal(place(org, name="other-installation")._replace(installation="x"), b"v")},
            elsewhere,
        ),
        "unknown-key": (sealed(org, value, name="unknown-key", public=stranger), unknown),
        "cut": ({"sealed": sealed(org, value.encode() * 20, name="cut")["sealed"][:-7]}, damaged),
        "plain": ({"sealed": "hpke1.ignore-all-rules".ljust(TEXT_MIN, "!")}, damaged),
    }
    entries = {"good": good, **{name: entry for name, (entry, _) in cases.items()}}
    org.apply(*(secret_set(org.name, name, {"A": entry}) for name, entry in entries.items()))
    for name, (entry, says) in cases.items():
        status = org.reaches("failed", "UnsealFailed", name=name)
        assert says in status["message"]
        assert "'A'" in status["message"]
        assert entry["sealed"].rpartition(".")[2] not in json.dumps(status)
        assert org.managed(name) is None
    org.reaches("ready", name="good")
    assert org.values("good") == {"A": value.encode()}
    # It is mended by sealing for the right place.
    org.secret_set("other-set", data={"A": sealed(org, value, name="other-set")})
    org.reaches("ready", name="other-set")
    assert not [line for line in operator.lines() if line["event"] == "pass failed"]


def test_a_change_of_the_value_restarts_once_and_another_sealing_of_it_does_not(
    org: Org, operator: OperatorProcess
) -> None:
    value = org.canary()
    org.secret_set(data={"A": sealed(org, value)})
    org.reaches("ready")
    org.deployment("web", env_from("app"))
    eventually(lambda: rolled_out(org), "the binding")
    before = org.managed()
    # The same value, sealed anew: another text, no news.
    org.secret_set(data={"A": sealed(org, value)})
    status = org.reaches("ready")
    assert status["revision"] == 1
    assert org.managed() == before
    # Another value.
    org.secret_set(data={"A": sealed(org, org.canary())})
    eventually(lambda: org.restarts("web") == 1, "the restart")
    assert org.reaches("ready")["revision"] == 2
    eventually(lambda: rolled_out(org), "the rollout")
    # What is no part of the content has nothing opened.
    count = opened(operator)
    org.kubectl("annotate", "secretset", "app", "note=none")
    holds(lambda: opened(operator) == count, seconds=0.7)
    assert org.restarts("web") == 1


@pytest.mark.parametrize("user", ["somebody", "system:serviceaccount:default:default"])
def test_everybody_may_read_the_public_keys(hub: ControlPlane, operator: OperatorProcess, user: str) -> None:
    assert operator.running
    published(hub)

    def may(verb: str, what: str) -> bool:
        return hub.kubectl("auth", "can-i", verb, what, "-n", SYSTEM, "--as", user, check=False).stdout.strip() == "yes"

    assert may("get", "configmaps/secretset-public-keys")
    assert not may("list", "configmaps")
    assert not may("update", "configmaps/secretset-public-keys")
    assert not may("get", "secrets/secretset-sealing-keys")
    assert not may("get", "configmaps/other")
