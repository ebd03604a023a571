"""`secretset import` from a cluster and into a hub: what was in Secrets arrives in sets, byte for byte."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from harness import Org, decoded, regional_role
from harness.kubeseal import pem, sealed_secret
from harness.shell import Shell
from kubelab.plane import ControlPlane


@pytest.fixture
def shell(org: Org, tmp_path: Path) -> Shell:
    return Shell(org.plane, org.name, tmp_path)


def put(plane: ControlPlane, namespace: str, name: str, content: Mapping[str, bytes], kind: str = "Opaque") -> None:
    """A Secret as somebody made it, long before."""
    data = {key: base64.b64encode(value).decode() for key, value in content.items()}
    meta = {"name": name, "namespace": namespace, "labels": {"app": "shop"}}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": kind, "data": data}
    plane.kubectl("create", "-f", "-", input=json.dumps(body))


def docker(host: str, token: str) -> dict[str, bytes]:
    entry = {"auth": base64.b64encode(f"bot:{token}".encode()).decode()}
    return {".dockerconfigjson": json.dumps({"auths": {host: entry}}).encode()}


def test_a_secret_moves_in_once_its_keys_fit(org: Org, shell: Shell) -> None:
    value, binary = org.canary(), bytes(range(256)) + org.canary().encode()
    content = {"PASSWORD": f" {value}=\n".encode(), "tls.key": binary, "LIVEKIT_URL": b"wss://x"}
    put(org.plane, org.name, "database", content, "Opaque")
    told = shell.run("secretset import --from-secret database", code=1)
    assert f"Secret {org.name}/database: 'tls.key' is no key of a set" in told.said
    assert "the platform itself sets 'LIVEKIT_URL'" in told.said
    assert org.get("secretset", "database") is None

    flags = "--rename tls.key=TLS_KEY --skip-key LIVEKIT_URL"
    (row,) = json.loads(shell.run(f"secretset import --from-secret database {flags} --dry-run -o json").out)
    assert (row["name"], row["done"], row["keys"]) == ("database", "would be created", ["PASSWORD", "TLS_KEY"])
    assert row["region"] == "us-west"
    assert org.get("secretset", "database") is None

    done = shell.run(f"secretset import --from-secret database {flags}")
    assert "created" in done.out
    assert "ready" in done.out
    assert "the value of 'TLS_KEY' is no text" in done.said
    assert not [each for each in (value, base64.b64encode(binary).decode()) if each in done.out + done.said]
    assert org.values("database") == {"PASSWORD": content["PASSWORD"], "TLS_KEY": binary}
    left = org.get("secret", "database")
    assert left is not None
    assert left["data"].keys() == content.keys()


def test_all_secrets_of_a_selector_but_those_of_programs(org: Org, shell: Shell) -> None:
    first, token = org.canary(), org.canary()
    put(org.plane, org.name, "one", {"A": first.encode()})
    put(org.plane, org.name, "registry", docker("https://index.docker.io/v1/", token), "kubernetes.io/dockerconfigjson")
    put(org.plane, org.name, "sh.helm.release.v1.x", {"release": b"x"}, "helm.sh/release.v1")
    done = shell.run("secretset import -l app=shop -o yaml")
    rows = {row["name"]: row for row in yaml.safe_load(done.out)}
    assert {name: (row["kind"], row["status"]) for name, row in rows.items()} == {
        "one": ("SecretSet", "ready"),
        "registry": ("ImagePullSecret", "ready"),
    }
    assert "sh.helm.release.v1.x is left out" in done.said
    assert org.values("one") == {"A": first.encode()}
    config = json.loads(org.values("registry")[".dockerconfigjson"])
    assert config["auths"]["https://index.docker.io/v1/"]["password"] == token
    again = shell.run("secretset import -l app=shop -n " + org.name)
    assert again.out.count("changed") == 2  # sealed anew


def test_several_registries_and_a_name_for_several_sets(org: Org, shell: Shell) -> None:
    config = {"auths": {host: {"username": "bot", "password": org.canary()} for host in ("ghcr.io", "quay.io")}}
    content = {".dockerconfigjson": json.dumps(config).encode()}
    put(org.plane, org.name, "registries", content, "kubernetes.io/dockerconfigjson")
    put(org.plane, org.name, "one", {"A": org.canary().encode()})
    told = shell.run("secretset import other -l app=shop", code=1).said
    assert "it has 2 registries, and a pull secret has one: 'ghcr.io', 'quay.io'" in told
    assert "NAME is for one set, and there are 2" in told
    assert org.kubectl("get", "secretsets,imagepullsecrets", "-o", "name").stdout == ""


def test_from_another_cluster(org: Org, shell: Shell, abroad: ControlPlane) -> None:
    value, namespace = org.canary(), f"{org.name}-legacy"
    abroad.kubectl("create", "namespace", namespace)
    put(abroad, namespace, "legacy-app", {"A": value.encode()})
    there = f"--from-kubeconfig {abroad.kubeconfig} --from-namespace {namespace}"
    shell.run(f"secretset import app --from-secret legacy-app {there}")
    assert org.values("app") == {"A": value.encode()}
    none = f"--from-kubeconfig {abroad.kubeconfig} --from-context none"
    assert "secretset import:" in shell.run(f"secretset import --from-secret legacy-app {none}", code=2).said


def test_sealed_secrets_move_in(org: Org, shell: Shell) -> None:
    value, token = org.canary(), org.canary()
    documents = [
        sealed_secret("old", "database", {"PASSWORD": value.encode()}),
        sealed_secret("old", "registry", docker("ghcr.io", token), kind="kubernetes.io/dockerconfigjson"),
    ]
    (shell.folder / "sealed.yaml").write_text(yaml.safe_dump_all(documents))
    (shell.folder / "controller.key").write_bytes(pem())
    line = "secretset import --from-sealed-secret sealed.yaml --recovery-private-key controller.key"
    assert shell.run(line).out.count("ready") == 2
    assert org.values("database") == {"PASSWORD": value.encode()}
    assert json.loads(org.values("registry")[".dockerconfigjson"])["auths"]["ghcr.io"]["password"] == token


def test_for_git_what_is_printed_is_sealed_and_applies(org: Org, shell: Shell) -> None:
    value = org.canary()
    (shell.folder / ".env").write_text(f"A={value}\n")
    done = shell.run("secretset import app --from-env .env --print")
    assert value not in done.out
    assert yaml.safe_load(done.out)["spec"]["region"] == "us-west"
    assert org.get("secretset", "app") is None
    org.plane.kubectl("apply", "-f", "-", input=done.out)
    org.reaches("ready")
    assert org.values() == {"A": value.encode()}
    org.source()
    org.secret_set("far", region="far-away")
    assert yaml.safe_load(shell.run("secretset import far --from-env .env --print").out)["spec"]["region"] == "far-away"


def test_into_a_set_that_is_there(org: Org, shell: Shell) -> None:
    first, second = org.canary(), org.canary()
    (shell.folder / ".env").write_text(f"A={first}\n")
    (shell.folder / ".env.local").write_text(f"B={second}\n")
    shell.run("secretset import app --from-env .env")
    shell.run("secretset import app --from-env .env.local")
    assert org.values() == {"A": first.encode(), "B": second.encode()}
    dry = shell.run("secretset import app --from-env .env.local --overwrite --dry-run -o json").out
    assert [(row["done"], row["removed"]) for row in json.loads(dry)] == [("would be changed", ["A"])]
    shell.run("secretset import app --from-env .env.local --overwrite")
    assert org.values() == {"B": second.encode()}
    org.region("elsewhere")
    try:
        for flag in ("", "--dry-run"):
            told = shell.run(f"secretset import app --from-env .env --region elsewhere {flag}", code=1)
            assert "Cannot change region to 'elsewhere'" in told.said
            assert "refused" in told.out
    finally:
        org.forget_regions()


def test_the_old_secret_may_be_in_the_way(org: Org, shell: Shell) -> None:
    """A region whose namespace is the one that the Secret lives in."""
    region = org.region(f"same-{org.name}", namespace="{namespace}")
    org.apply(*regional_role(org.name))
    value = org.canary()
    put(org.plane, org.name, "database", {"A": value.encode()})
    try:
        told = shell.run(f"secretset import --from-secret database --region {region}", code=4)
        assert "NameConflict" in told.said
        assert "import it under another NAME" in told.said
        shell.run(f"secretset import database-2 --from-secret database --region {region}")
        assert decoded(org.get("secret", "database-2")) == {"A": value.encode()}
        for name in ("database", "database-2"):
            org.kubectl("delete", "secretset", name)
    finally:
        org.forget_regions()


def test_what_was_stored_is_shown_though_the_rest_may_not_be(org: Org, shell: Shell) -> None:
    value = org.canary()
    put(org.plane, org.name, "one", {"A": value.encode()})
    put(org.plane, org.name, "registry", docker("ghcr.io", org.canary()), "kubernetes.io/dockerconfigjson")
    for name, rule in {
        "sees": ["--verb=get,list,watch", "--resource=secrets,secretsets.secretset.dev,imagepullsecrets.secretset.dev"],
        "makes": ["--verb=create,patch", "--resource=secretsets.secretset.dev"],
    }.items():
        org.kubectl("create", "role", name, *rule)
        org.kubectl("create", "rolebinding", name, f"--role={name}", "--user=kim")
    kim = Shell(org.plane, org.name, shell.folder, kubeconfig=org.plane.kubeconfig_for("kim"))
    done = kim.run("secretset import -l app=shop -o json", code=1)
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert {name: (row["done"], row.get("status")) for name, row in rows.items()} == {
        "one": ("created", "ready"),
        "registry": ("failed", None),
    }
    assert "you may not create imagepullsecrets there" in rows["registry"]["message"]
    assert f"Secret {org.name}/registry: you may not create imagepullsecrets there" in done.said
    assert org.values("one") == {"A": value.encode()}


def test_what_cannot_be_read(org: Org, shell: Shell) -> None:
    absent = shell.run("secretset import --from-secret absent --from-secret gone", code=1).said
    assert f"Secret {org.name}/absent: there is no such Secret" in absent
    assert f"Secret {org.name}/gone: there is no such Secret" in absent
    assert "no name of Kubernetes" in shell.run("secretset import --from-secret ../x", code=1).said
    assert "selects no Secrets" in shell.run("secretset import -l app=none", code=1).said
    assert "no selector of labels" in shell.run("secretset import -l 'a b'", code=2).said
    org.kubectl("create", "rolebinding", "pat", "--clusterrole=view", "--user=pat")
    theirs = Shell(org.plane, org.name, shell.folder, kubeconfig=org.plane.kubeconfig_for("pat"))
    assert "you may not read Secrets" in theirs.run("secretset import --from-secret x", code=2).said
    (shell.folder / ".env").write_text(f"A={org.canary()}\n")
    told = theirs.run("secretset import app --from-env .env", code=2).said  # which verb, depends on aggregated roles
    assert "you may not" in told
    assert "secretsets there" in told
