"""What the operator lacks in a namespace, against real RBAC, and where the cluster does not tell its rules."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness import OPERATOR_ACCOUNT, eventually, install_region_cluster, namespace, regional_role
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes
from secretset.domain import rights
from secretset.domain.rights import Right
from secretset.domain.workloads import WORKLOAD_KINDS
from secretset.kube import access, credentials, errors
from secretset.kube.client import Client

NEEDED = rights.needed(WORKLOAD_KINDS, pull_secrets=True)
CLUSTER = rights.cluster_rights(create_namespaces=True)
RBAC = "rbac.authorization.k8s.io/v1"
ACCESS, RULES = "selfsubjectaccessreviews", "selfsubjectrulesreviews"

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def plane(module_control_planes: ControlPlanes) -> ControlPlane:
    """A plane whose node authorizer, unlike RBAC, does not tell its rules."""
    modes = ("--authorization-mode=Node",)  # besides RBAC, which the lab asks for
    plane = module_control_planes(["access"], controllers=False, extra_apiserver_args=modes)[0]
    install_region_cluster(plane)
    return plane


class Counting(Client):
    """Notes what is asked: which review, by its resource."""

    def __init__(self, loaded: credentials.Credentials, asked: list[str]) -> None:
        super().__init__(loaded, name="access")
        self._asked = asked

    async def create(self, path: str, body: Mapping[str, Any]) -> Any:
        self._asked.append(path.rsplit("/", 1)[-1])
        return await super().create(path, body)


class User:
    """Somebody who may do nothing yet but ask, and a namespace.

    Attributes:
        asked: the reviews of the last look, in order.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.name = f"user-{next(_numbers)}"
        self.namespace = f"{self.name}-there"
        self.kubeconfig = plane.kubeconfig_for(self.name)
        self.asked: list[str] = []
        plane.kubectl("apply", "-f", "-", input=json.dumps(namespace(self.namespace)))

    def grant(self, rules: list[dict[str, Any]], *, everywhere: bool = False) -> None:
        scope = "Cluster" if everywhere else ""
        meta = {"name": self.name} | ({} if everywhere else {"namespace": self.namespace})
        role = {"apiVersion": RBAC, "kind": f"{scope}Role", "metadata": meta, "rules": rules}
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": self.name}
        subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": self.name}]
        binding = {**role, "kind": f"{scope}RoleBinding", "roleRef": ref, "subjects": subjects}
        del binding["rules"]
        for document in (role, binding):
            self.plane.kubectl("apply", "-f", "-", input=json.dumps(document))

    def lacks(self, wanted: Iterable[Right] = NEEDED, *, everywhere: bool = False) -> list[Right]:
        self.asked = []
        where = None if everywhere else self.namespace
        return lacking(self.plane, self.name, where, wanted, asked=self.asked)

    def comes_to_lack(self, *missing: Right, wanted: Iterable[Right] = NEEDED, everywhere: bool = False) -> None:
        """Authorizers learn of a grant from watches of their own."""
        eventually(lambda: self.lacks(wanted, everywhere=everywhere) == [*missing])


@pytest.fixture
def user(plane: ControlPlane) -> User:
    return User(plane)


def lacking(
    plane: ControlPlane,
    user: str,
    where: str | None,
    wanted: Iterable[Right],
    groups: tuple[str, ...] = (),
    asked: list[str] | None = None,
) -> list[Right]:
    async def ask() -> tuple[Right, ...]:
        loaded = await credentials.load(str(plane.kubeconfig_for(user, groups)))
        async with Counting(loaded, [] if asked is None else asked) as client:
            return await access.lacking(client, where, wanted)

    return [*asyncio.run(ask())]


def rule(verbs: Iterable[str], resource: str, group: str = "", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "verbs": [*verbs], **more}


def rules_for(wanted: Iterable[Right]) -> list[dict[str, Any]]:
    return [rule([right.verb], right.resource, right.group) for right in wanted]


def without(*taken: Right) -> list[Right]:
    return [right for right in NEEDED if right not in taken]


def test_who_is_granted_nothing_lacks_all_in_the_order_asked(user: User) -> None:
    assert user.lacks() == [*NEEDED]
    assert user.lacks(reversed(NEEDED)) == [*reversed(NEEDED)]
    assert user.lacks(CLUSTER, everywhere=True) == [*CLUSTER]
    assert (user.lacks(()), user.asked) == ([], [])


def test_the_role_of_deploy_is_enough(plane: ControlPlane, user: User) -> None:
    role, binding = regional_role(user.namespace)
    binding["subjects"] = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user.name}]
    for each in (role, binding):
        plane.kubectl("apply", "-f", "-", input=json.dumps(each))
    user.comes_to_lack()


def test_what_the_rules_show_costs_one_request(user: User) -> None:
    user.grant(rules_for(NEEDED))
    user.comes_to_lack()
    assert user.asked == [RULES]


@pytest.mark.parametrize(
    "rules",
    [
        [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        [rule("*", resource, group) for _, group, resource in NEEDED],
        [{"apiGroups": sorted({right.group for right in NEEDED}), "resources": ["*"], "verbs": ["*"]}],
        [{"apiGroups": ["*"], "resources": sorted({right.resource for right in NEEDED}), "verbs": ["*"]}],
    ],
    ids=["all", "verbs", "resources", "groups"],
)
def test_wildcards(user: User, rules: list[dict[str, Any]]) -> None:
    user.grant(rules)
    user.comes_to_lack()
    assert user.lacks(CLUSTER, everywhere=True) == [*CLUSTER]


def test_a_wildcard_for_the_cluster(user: User) -> None:
    user.grant([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}], everywhere=True)
    user.comes_to_lack()
    assert user.lacks([*CLUSTER, *NEEDED], everywhere=True) == []


@pytest.mark.parametrize(
    "taken",
    [
        Right("get", "", "secrets"),
        Right("delete", "", "secrets"),
        Right("patch", "apps", "deployments"),
        Right("watch", "", "serviceaccounts"),
    ],
    ids=lambda right: f"{right.verb}-{right.resource}",
)
def test_one_verb_that_is_missing_is_found(user: User, taken: Right) -> None:
    user.grant(rules_for(without(taken)))
    user.comes_to_lack(taken)
    assert user.asked == [RULES, ACCESS]


@pytest.mark.parametrize(
    "instead",
    [
        pytest.param(lambda right: rule([right.verb], right.resource, resourceNames=["app"]), id="for single names"),
        pytest.param(lambda right: rule([right.verb], f"{right.resource}/status"), id="for a subresource"),
        pytest.param(lambda right: rule([right.verb], "*/status"), id="for all subresources"),
        pytest.param(lambda right: rule([right.verb], right.resource, "other.dev"), id="in another group"),
    ],
)
def test_what_comes_near_to_a_right_is_none(user: User, instead: Callable[[Right], dict[str, Any]]) -> None:
    taken = Right("get", "", "secrets")
    user.grant([*rules_for(without(taken)), instead(taken)])
    user.comes_to_lack(taken)


def test_a_namespace_that_does_not_exist(plane: ControlPlane, user: User) -> None:
    user.grant(rules_for(NEEDED))
    user.comes_to_lack()
    assert lacking(plane, user.name, f"{user.namespace}-not", NEEDED) == [*NEEDED]
    user.grant(rules_for(NEEDED[:3]), everywhere=True)
    eventually(lambda: lacking(plane, user.name, f"{user.namespace}-not", NEEDED) == [*NEEDED[3:]])


def test_a_grant_for_the_cluster_and_one_for_the_namespace_add_up(user: User) -> None:
    user.grant(rules_for(NEEDED[:4]), everywhere=True)
    user.grant(rules_for(NEEDED[4:]))
    user.comes_to_lack()
    assert user.lacks(everywhere=True) == [*NEEDED[4:]]


def test_rights_in_the_whole_cluster(user: User) -> None:
    get, create = CLUSTER
    user.grant(rules_for([create]))
    user.grant([*rules_for([get]), rule(["create"], "namespaces", resourceNames=["app"])], everywhere=True)
    user.comes_to_lack(create, wanted=CLUSTER, everywhere=True)
    user.grant(rules_for(CLUSTER), everywhere=True)
    user.comes_to_lack(wanted=CLUSTER, everywhere=True)
    assert user.asked == [ACCESS] * len(CLUSTER)


def test_the_account_of_a_region_cluster_gets_namespaces_and_no_more(plane: ControlPlane) -> None:
    name = f"system:serviceaccount:{':'.join(OPERATOR_ACCOUNT)}"
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{OPERATOR_ACCOUNT[0]}", "system:authenticated")
    get, create = CLUSTER
    follow = [Right(verb, "", "namespaces") for verb in ("list", "watch")]
    wanted = [get, create, *follow, *NEEDED]
    eventually(lambda: lacking(plane, name, None, wanted, groups) == wanted[1:])
    account = plane.service_account_kubeconfig(*OPERATOR_ACCOUNT)
    assert plane.kubectl("get", "namespace", "kube-system", "-o", "name", kubeconfig=account).returncode == 0
    # A namespace that is not there is told from one that may not be read.
    missing = plane.kubectl("get", "namespace", "not-there", kubeconfig=account, check=False)
    assert "NotFound" in missing.stderr


def test_an_authorizer_that_does_not_tell_its_rules_is_asked_one_by_one(plane: ControlPlane) -> None:
    """Nodes may list Services and watch them by a rule of the node authorizer, which no rules review shows."""
    node = "system:node:node-1", ("system:nodes",)
    services = [Right(verb, "", "services") for verb in ("list", "watch", "delete")]
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"},
    }
    shown = plane.kubectl(
        *("create", "--validate=false", "-o", "json", "-f", "-"),
        input=json.dumps(review),
        kubeconfig=plane.kubeconfig_for(*node),
    )
    status = json.loads(shown.stdout)["status"]
    assert status["incomplete"]
    assert not any(rights.shown(status["resourceRules"], right) for right in services)
    assert lacking(plane, node[0], "default", services, node[1]) == services[2:]


@pytest.fixture
def narrow(plane: ControlPlane, user: User) -> Iterator[Callable[..., None]]:
    """Narrows for a while what everybody may ask, which is up to `system:basic-user`."""
    role = "clusterrole", "system:basic-user"
    before = json.loads(plane.kubectl("get", *role, "-o", "json").stdout)["rules"]

    def patch(rules: list[dict[str, Any]]) -> None:
        plane.kubectl("patch", *role, "--type=merge", "-p", json.dumps({"rules": rules}))

    user.grant(rules_for(NEEDED))
    user.comes_to_lack()
    yield lambda *resources: patch([rule(["create"], resource, "authorization.k8s.io") for resource in resources])
    patch(before)
    eventually(lambda: not refused(user))


def refused(user: User) -> bool:
    try:
        user.lacks()
    except errors.Forbidden:
        return True
    return False


def test_who_may_not_ask_for_rules_asks_one_by_one(user: User, narrow: Callable[..., None]) -> None:
    narrow(ACCESS)
    eventually(lambda: user.lacks() == [] and user.asked == [RULES] + [ACCESS] * len(NEEDED))


def test_who_may_not_ask_at_all_is_told_so(user: User, narrow: Callable[..., None]) -> None:
    narrow()
    eventually(lambda: refused(user))
    with pytest.raises(errors.Forbidden) as caught:
        user.lacks()
    assert (caught.value.verb, caught.value.resource) == ("create", ACCESS)


def test_no_answer_is_no_lack(user: User) -> None:
    async def ask() -> None:
        nobody = replace(await credentials.load(str(user.kubeconfig)), server="https://127.0.0.1:1")
        async with Client(nobody, name="access") as client:
            for where in (user.namespace, None):
                with pytest.raises(errors.Unreachable):
                    await access.lacking(client, where, NEEDED)

    asyncio.run(ask())
