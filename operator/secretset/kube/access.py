"""What the operator may do in a cluster, as the cluster itself says (SelfSubjectAccessReview)."""

from __future__ import annotations

from secretset.kube import paths
from secretset.kube.client import Client


async def may(client: Client, verb: str, resource: str, *, group: str = "", namespace: str | None = None) -> bool:
    """Whether we may use a verb on a resource in one namespace, or, without a namespace, in all of them.

    Raises:
        KubeError: the cluster could not be asked.
    """
    attributes = {"verb": verb, "resource": resource, "group": group}
    if namespace:
        attributes["namespace"] = namespace
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await client.create(paths.ACCESS_REVIEWS, review)
    return bool(answer["status"].get("allowed"))
