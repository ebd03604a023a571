"""What the operator may do in a cluster, as the cluster itself says (reviews of `authorization.k8s.io`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from secretset.domain import rights as domain
from secretset.domain.rights import Right
from secretset.kube import errors, paths
from secretset.kube.client import Client

_API = "authorization.k8s.io/v1"


async def may(client: Client, verb: str, resource: str, *, group: str = "", namespace: str | None = None) -> bool:
    """Whether we may use a verb on a resource in one namespace, or, without a namespace, in all of them.

    Raises:
        KubeError: the cluster could not be asked.
    """
    attributes = {"verb": verb, "resource": resource, "group": group}
    if namespace:
        attributes["namespace"] = namespace
    review = {
        "apiVersion": _API,
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await client.create(paths.ACCESS_REVIEWS, review)
    return bool(answer["status"].get("allowed"))


async def lacking(client: Client, namespace: str | None, rights: Iterable[Right]) -> tuple[Right, ...]:
    """Those of the rights that we do not have in a namespace, or, without one, in the whole cluster; in their order.

    Costs one request where the rules of the namespace show every right, and one more for each right that they do not:
    authorizers other than RBAC need not tell their rules (`incomplete`). The requests follow one another.
    A rule that is shown counts as granted. Should an authorizer before RBAC deny it all the same, the work tells.

    Raises:
        Forbidden: we may not even ask.
        KubeError: the cluster could not be asked.
    """
    asked = tuple(rights)
    rules = await _rules(client, namespace) if namespace and asked else ()
    unseen = [right for right in asked if not domain.shown(rules, right)]
    return tuple(
        [
            right
            for right in unseen
            if not await may(client, right.verb, right.resource, group=right.group, namespace=namespace)
        ]
    )


async def _rules(client: Client, namespace: str) -> Sequence[Mapping[str, Any]]:
    """The rules that hold for us in a namespace, those of the whole cluster included; none if we may not ask."""
    review = {"apiVersion": _API, "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    try:
        answer = await client.create(paths.RULES_REVIEWS, review)
    except errors.Forbidden:
        return ()
    return answer["status"].get("resourceRules") or ()
