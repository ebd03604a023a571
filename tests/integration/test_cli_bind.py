"""`secretset bind`: through a real shell, with the user's own rights in the cluster of the region."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import Org, env_from, eventually, guarded
from harness.away import Away
from harness.sealed import sealed
from harness.shell import Shell
from kubelab.plane import ControlPlane


@pytest.fixture
def shell(org: Org, tmp_path: Path) -> Shell:
    """A shell whose `secretset` is about the organization."""
    return Shell(org.plane, org.name, tmp_path)


def pod(org: Org, name: str = "web", kind: str = "deployment") -> dict[str, Any]:
    """The pod template of a workload in the region."""
    found = org.get(kind, name, namespace=org.regional)
    assert found is not None
    template: dict[str, Any] = found["spec"]["template"]
    return template


def env(org: Org, name: str = "web", kind: str = "deployment") -> dict[str, list[str]]:
    """Container to the Secrets that it takes whole, in their order."""
    spec = pod(org, name, kind)["spec"]
    return {
        each["name"]: [source["secretRef"]["name"] for source in each.get("envFrom") or ()]
        for each in (*(spec.get("initContainers") or ()), *spec["containers"])
    }


def ready(org: Org, *names: str) -> None:
    """Sets of these names."""
    org.source()
    for name in names:
        org.secret_set(name)
        org.reaches("ready", name=name)


def pull_secret(org: Org, name: str) -> None:
    """A pull secret that is ready."""
    from secretset.domain.names import Kind

    password = sealed(org, org.canary(), name=name, key="password", kind=Kind.IMAGE_PULL_SECRET)
    org.apply(
        {
            "apiVersion": "secretset.dev/v1alpha1",
            "kind": "ImagePullSecret",
            "metadata": {"name": name, "namespace": org.name},
            "spec": {"host": "ghcr.io", "username": "bot", "password": password},
        }
    )
    org.reaches("ready", name=name, kind="imagepullsecret")


def test_every_container_gets_it_exactly_once(org: Org, shell: Shell) -> None:
    ready(org, "app", "more")
    container = {"image": "app:1"}
    mine = [{"secretRef": {"name": "more"}}, {"prefix": "X_", "secretRef": {"name": "app"}}]
    org.deployment(
        "web",
        {
            "initContainers": [{"name": "first", **container}],
            "containers": [{"name": "one", **container}, {"name": "two", **container, "envFrom": mine}],
        },
    )
    done = shell.run("secretset bind web app more")
    said = "init container 'first', container 'one', container 'two'"
    assert done.out == f"deployment/web uses app, more now: {said}.\n"
    assert env(org) == {"first": ["app", "more"], "one": ["app", "more"], "two": ["more", "app", "app"]}
    assert org.generation("web") == 2
    before = org.get("deployment", "web", namespace=org.regional)
    assert shell.run("secretset bind deploy/web app more").out == (
        "deployment/web uses app, more already; nothing was changed.\n"
    )
    after = org.get("deployment", "web", namespace=org.regional)
    assert before is not None
    assert after is not None
    assert before["spec"] == after["spec"]
    writes = [event for event in org.plane.audit_events() if "secretset-cli" in event["requestURI"]]
    assert [event["verb"] for event in writes if event["objectRef"].get("namespace") == org.regional] == ["patch"]
    eventually(lambda: org.status()["workloads"]["bound"] == 1)


def test_kinds_and_pull_secrets(org: Org, shell: Shell) -> None:
    ready(org, "app")
    pull_secret(org, "registry")
    labels = {"matchLabels": {"app": "db"}}
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "db:1"}]}}
    org.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": org.regional},
            "spec": {"selector": labels, "template": template},
        }
    )
    done = json.loads(shell.run("secretset bind sts/db app registry -o json").out)
    assert done["changed"] is True
    assert done["sets"] == ["app", "registry"]
    assert done["touched"] == ["container 'db'", "imagePullSecrets"]
    assert env(org, "db", "statefulset") == {"db": ["app"]}
    assert pod(org, "db", "statefulset")["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert json.loads(shell.run("secretset bind statefulset/db app registry -o json").out)["changed"] is False


def test_from_the_file_of_pipecats_cli(org: Org, shell: Shell) -> None:
    ready(org, "my-secrets")
    pull_secret(org, "registry")
    org.deployment("my-agent", {})
    file = shell.folder / "pcc-deploy.toml"
    text = 'agent_name = "my-agent"\nimage = "me/app:0.1"\nimage_credentials = "registry"\nsecret_set = "my-secrets"\n'
    file.write_text(f"{text}[scaling]\nmin_agents = 1\n")
    shell.run("secretset bind --from pcc-deploy.toml")
    assert env(org, "my-agent") == {"app": ["my-secrets"]}
    assert pod(org, "my-agent")["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    file.write_text(f'{text}region = "eu-central"\n')
    assert "its sets live in 'us-west'" in shell.run("secretset bind --from pcc-deploy.toml", code=1).said
    file.write_text('agent_name = "my-agent"\nsecret_set = "registry"\n')
    assert "there is no set 'registry'" in shell.run("secretset bind --from pcc-deploy.toml", code=1).said
    for content in ("agent_name = ", 'secret_set = "x"\n', 'agent_name = "a"\n', "agent_name = 5\n"):
        file.write_text(content)
        shell.run("secretset bind --from pcc-deploy.toml", code=2)
    shell.run("secretset bind --from none.toml", code=2)
    shell.run("secretset bind web --from pcc-deploy.toml", code=2)
    shell.run("secretset bind web", code=2)


def test_what_is_not_ready_is_refused(org: Org, shell: Shell) -> None:
    org.deployment("web", {})
    org.secret_set()
    org.reaches("pending", "SourceMissing")
    pending = shell.run("secretset bind web app", code=3)
    assert "is not ready yet (pending: SourceMissing" in pending.said
    shell.run("secretset bind web app --wait --timeout 1", code=3)
    org.secret_set("broken", region="nowhere")
    org.reaches("failed", name="broken")
    for flags in ("", " --wait"):
        assert "RegionUnknown" in shell.run(f"secretset bind web broken{flags}", code=4).said
    assert "there is no set 'none'" in shell.run("secretset bind web none", code=1).said
    assert env(org) == {"app": []}
    with shell.begun("secretset bind web app --wait"):
        org.source()
        eventually(lambda: env(org) == {"app": ["app"]}, "the binding")


@pytest.mark.usefixtures("regions_hidden")
def test_what_cannot_be_bound(org: Org, shell: Shell, tmp_path: Path) -> None:
    ready(org, "app")
    assert (
        f"there is no deployment/none in namespace '{org.regional}'"
        in shell.run("secretset bind none app", code=1).said
    )
    assert "KIND is one of deployment" in shell.run("secretset bind pod/x app", code=1).said
    shell.run("secretset bind ../../x app", code=1)
    assert "carries out the annotation" in shell.run("secretset bind web app --annotation", code=1).said
    # Somebody who may use sets, and nothing in the region.
    rule = ["--verb=get,list,watch", "--resource=secretsets.secretset.dev,imagepullsecrets.secretset.dev"]
    org.kubectl("create", "role", "sees", *rule)
    org.kubectl("create", "rolebinding", "sees", "--role=sees", f"--serviceaccount={org.name}:default")
    kubeconfig = org.plane.service_account_kubeconfig(org.name, "default")
    user = Shell(org.plane, org.name, tmp_path, kubeconfig=kubeconfig)
    assert "region 'us-west' cannot be seen by you" in user.run("secretset bind web app", code=2).said
    mine = user.run(f"secretset bind web app --region-kubeconfig {kubeconfig}", code=2)
    assert f"you may not get deployments in namespace '{org.regional}' of region 'us-west'" in mine.said


def test_another_cluster(org: Org, abroad: ControlPlane, shell: Shell) -> None:
    org.source()
    org.deployment("web", {})
    with guarded(Away(org, abroad)) as away:
        assert isinstance(away, Away)
        away.deliver("app")
        away.deploy("web", secret="other")
        refused = shell.run("secretset bind web app", code=2)
        assert f"region '{away.region_name}' is another cluster: say how to reach it" in refused.said
        wrong = shell.run(f"secretset bind web app --region-kubeconfig {org.plane.kubeconfig}", code=1)
        assert f"not the cluster of region '{away.region_name}'" in wrong.said
        shell.run("secretset bind web app --region-context nothing", code=2)
        shell.run(f"secretset bind web app --region-kubeconfig {abroad.kubeconfig}")
        found = json.loads(abroad.kubectl("get", "deployment", "web", "-n", org.name, "-o", "json").stdout)
        sources = found["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        assert [each["secretRef"]["name"] for each in sources] == ["other", "app"]
        assert env(org) == {"app": []}
        org.secret_set("near", region="us-west")
        org.reaches("ready", name="near")
        both = shell.run(f"secretset bind web app near --region-kubeconfig {abroad.kubeconfig}", code=1)
        assert "a workload uses sets of its own region" in both.said


def test_many_at_once_bind_each_set_once(org: Org, shell: Shell) -> None:
    """Writers of one workload do not undo each other, nor double what they do."""
    names = [f"set-{number}" for number in range(3)]
    ready(org, *names)
    org.deployment("web", env_from("other"))
    line = " & ".join(f"secretset bind web {name}" for name in [*names, *names])
    shell.run(f"{line} & wait")
    found = env(org)["app"]
    assert found[0] == "other"
    assert sorted(found[1:]) == names


def test_a_deployment_that_is_not_there(org: Org, shell: Shell) -> None:
    ready(org, "app")
    pull_secret(org, "registry")
    shell.run("secretset bind web app", code=1)
    line = "secretset bind web app registry --image app:1"
    shell.run(f"{line} & {line} & wait")
    assert env(org) == {"web": ["app"]}
    assert pod(org)["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert "nothing was changed" in shell.run("secretset bind web app registry --image app:2").out
    assert pod(org)["spec"]["containers"][0]["image"] == "app:1"
    assert "there is no statefulset/db" in shell.run("secretset bind sts/db app --image app:1", code=1).said
