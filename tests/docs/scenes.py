"""What readers of pages have at hand: at the beginning of a page, and before blocks that say `given`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import yaml

from docs.blocks import ROOT, blocks
from docs.world import ORGANIZATION, REGIONAL, World
from harness import OPERATOR_ACCOUNT, kubeseal, region
from harness.helm import sets_are_taken

Scene = Callable[[World], None]


def follow(world: World, part: int | None = None) -> None:
    """Run all commands of the page, or of a part of it, in order."""
    if begin := PAGES.get(world.page):
        begin(world)
    for block in blocks(world.page, part):
        needed = block.says.get("needs")
        if block.reason or (needed and shutil.which(needed) is None):
            continue
        for given in filter(None, map(str.strip, block.says.get("given", "").split(","))):
            GIVEN[given](world)
        world.shell.run(block)


# --- at the beginning of a page


def _readme(world: World) -> None:
    world.env_file("API_KEY", "DATABASE_URL")
    world.write("checkout.yaml", world.yaml_of_page("kind: SecretSet"))


def _cli(world: World) -> None:
    world.env_file("API_KEY", "DATABASE_URL")
    world.write("tls.key", world.canary())
    world.shell.environment["TOKEN"] = world.canary()


def _sealing(world: World) -> None:
    world.env_file("API_KEY")
    world.write("key", world.canary())
    world.write("manifests/references.yaml", (ROOT / "examples/secret-set.yaml").read_text())


def _binding(world: World) -> None:
    shutil.copy(world.kubeconfigs["hub"], world.folder / "eu-central.kubeconfig")


def _webhook(world: World) -> None:
    world.hub.kubectl("apply", "-f", str(ROOT / "deploy/gate.yaml"))


def _gate(world: World) -> None:
    world.planes["other"].kubectl("apply", "-f", str(ROOT / "deploy/region-cluster.yaml"))


def _api(world: World) -> None:
    shutil.copy(world.kubeconfigs["hub"], world.folder / "hub.yaml")


def _operations(world: World) -> None:
    world.a_set("checkout")
    world.workload("web", uses="checkout")


def _sealed_secrets(world: World) -> None:
    """What Bitnami's controller and its users have made: its key, a SealedSecret with its Secret, and a workload."""
    _kind(world, "sealedsecrets", "SealedSecret", "bitnami.com", "v1alpha1")
    labels = {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}
    meta = {"name": "sealed-secrets-key", "namespace": "kube-system", "labels": labels}
    content = {"tls.key": kubeseal.pem().decode(), "tls.crt": "not looked at"}
    world.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": content})
    value = world.canary()
    world.owned(kubeseal.sealed_secret(REGIONAL, "database", {"PASSWORD": value.encode()}), {"PASSWORD": value})
    world.workload("web", uses="database")


def _external_secrets(world: World) -> None:
    """What External Secrets has made in the region, and on the hub as soon as it was told to."""
    _kind(world, "externalsecrets", "ExternalSecret", "external-secrets.io", "v1")
    for name in ("checkout", "billing"):
        meta = {"name": name, "namespace": REGIONAL}
        world.owned(
            {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": meta, "spec": {}},
            {"API_KEY": world.canary()},
        )
    world.workload("web", uses="checkout")
    world.write("external-secret.yaml", world.yaml_of_page("kind: ExternalSecret"))
    world.write("checkout.yaml", world.yaml_of_page("kind: SecretSet"))
    source = {"name": "checkout-values", "namespace": ORGANIZATION, "labels": {"secretset.dev/source": "true"}}
    values = {"API_KEY": world.canary()}
    world.apply({"apiVersion": "v1", "kind": "Secret", "metadata": source, "stringData": values})


def _reloader(world: World) -> None:
    _operations(world)
    world.hub.kubectl("annotate", "deployment", "web", "-n", REGIONAL, "reloader.stakater.com/auto=true")


def _kind(world: World, plural: str, kind: str, group: str, version: str) -> None:
    """A CRD of somebody else, that takes everything."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    world.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
        }
    )
    world.hub.kubectl("wait", "--for=condition=Established", f"crd/{plural}.{group}", "--timeout=20s")


# --- before a block


def _sealed_secret_alone(world: World) -> None:
    sealed = kubeseal.sealed_secret(REGIONAL, "cache", {"TOKEN": world.canary().encode()})
    world.write("cache.yaml", yaml.safe_dump(sealed))


def _set(world: World) -> None:
    world.a_set("checkout")


def _pull_secret(world: World) -> None:
    ref = {"name": "docker-hub-values", "key": "token"}
    meta = {"name": ref["name"], "namespace": ORGANIZATION, "labels": {"secretset.dev/source": "true"}}
    world.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"token": world.canary()}},
        {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "ImagePullSecret",
            "metadata": {"name": "docker-hub", "namespace": ORGANIZATION},
            "spec": {"host": "ghcr.io", "username": "shopbot", "password": {"valueFrom": {"secretKeyRef": ref}}},
        },
    )
    world.ready("docker-hub", "imagepullsecret")


def _workloads(world: World) -> None:
    """`web`, and `db` and what a pcc-deploy.toml speaks of; and a context for the cluster that is their region."""
    world.workload("web")
    world.workload("db", kind="StatefulSet")
    world.workload("agent")
    world.write("pcc-deploy.toml", 'agent_name = "agent"\nimage = "agent:1"\nsecret_set = "checkout"\n')
    path = world.kubeconfigs["hub"]
    config = yaml.safe_load(path.read_text())
    config["contexts"].append({"name": "eu-central", "context": config["contexts"][0]["context"]})
    path.write_text(yaml.safe_dump(config))


def _to_move_in(world: World) -> None:
    """Secrets here and on another cluster, and a SealedSecret with its controller's key."""
    there = yaml.safe_load(world.kubeconfigs["other"].read_text())
    path = world.kubeconfigs["hub"]
    config = yaml.safe_load(path.read_text())
    for kind in ("clusters", "users"):
        config[kind].append({**there[kind][0], "name": "old"})
    config["contexts"].append({"name": "old", "context": {"cluster": "old", "user": "old"}})
    path.write_text(yaml.safe_dump(config))
    world.namespaces(ORGANIZATION, on="other")
    for name, on, key in (("database", "hub", "tls.key"), ("mail", "other", "TOKEN")):
        meta = {"name": name, "namespace": ORGANIZATION, "labels": {"app": ORGANIZATION}}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {key: world.canary()}}
        world.apply(secret, on=on)
    sealed = kubeseal.sealed_secret(ORGANIZATION, "cache", {"TOKEN": world.canary().encode()})
    world.write("sealed.yaml", yaml.safe_dump(sealed))
    world.write("keys.yaml", kubeseal.pem().decode())


def _capi(world: World) -> None:
    world.namespaces("capi")


def _new_credentials(world: World) -> None:
    shutil.copy(world.planes["other"].service_account_kubeconfig(*OPERATOR_ACCOUNT), world.folder / "new.kubeconfig")


def _gone(world: World) -> None:
    world.apply(region("eu-central", cluster={"inCluster": True}))


def _hub_kubeconfig(world: World) -> None:
    shutil.copy(world.kubeconfigs["hub"], world.folder / "hub.kubeconfig")


def _release(world: World) -> None:
    """The chart is installed, with the values of the examples."""
    values = str(ROOT / "examples/platform/values.yaml")
    line = ("install", "secretset-operator", str(ROOT / "charts/secretset-operator"), "-n", "secretset-system")
    subprocess.run(
        [*world.hub.command("helm"), *line, "--create-namespace", "--wait", "-f", values],
        env=world.hub.environment(),
        check=True,
        capture_output=True,
        timeout=120,
    )


def _operator(world: World) -> None:
    world.installed()


PAGES: dict[str, Scene] = {
    "README.md": _readme,
    "docs/api.md": _api,
    "docs/binding.md": _binding,
    "docs/cli.md": _cli,
    "docs/dashboard.md": _api,
    "docs/gate.md": _gate,
    "docs/migrate-from-external-secrets.md": _external_secrets,
    "docs/migrate-from-reloader.md": _reloader,
    "docs/migrate-from-sealed-secrets.md": _sealed_secrets,
    "docs/operations.md": _operations,
    "docs/sealing.md": _sealing,
    "docs/webhook.md": _webhook,
}


def _argo_cd(world: World) -> None:
    """The ConfigMap that Argo CD reads."""
    world.namespaces("argocd")
    meta = {"name": "argocd-cm", "namespace": "argocd"}
    world.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"url": "https://argo.example.com"}}
    )


GIVEN: dict[str, Scene] = {
    "an organization": lambda world: world.namespaces(ORGANIZATION, REGIONAL),
    "Argo CD": _argo_cd,
    "a set": _set,
    "sets are taken": lambda world: sets_are_taken(world.hub),
    "the operator": _operator,
    "the release": _release,
    "a pull secret": _pull_secret,
    "workloads": _workloads,
    "Secrets to move in": _to_move_in,
    "the namespace capi": _capi,
    "new credentials": _new_credentials,
    "a Region that is gone": _gone,
    "a SealedSecret alone": _sealed_secret_alone,
    "hub.kubeconfig": _hub_kubeconfig,
}
