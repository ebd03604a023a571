"""Who a client is, as the cluster itself says (`SelfSubjectReview` of `authentication.k8s.io`)."""

from __future__ import annotations

from secretset.kube.client import Client

_API = "authentication.k8s.io/v1"
_REVIEWS = f"/apis/{_API}/selfsubjectreviews"
_SERVICE_ACCOUNT = "system:serviceaccount:"


async def username(client: Client) -> str:
    """The user's name.

    Raises:
        Unauthorized: the credentials are not accepted.
        KubeError: the cluster refused or did not answer.
    """
    answer = await client.create(_REVIEWS, {"apiVersion": _API, "kind": "SelfSubjectReview"})
    return str(answer["status"]["userInfo"].get("username") or "")


def service_account_namespace(user: str) -> str | None:
    """The namespace of a service account, by its user name, which the cluster itself told; None of anybody else.

    Names that begin with ``system:`` are Kubernetes' own (docs: "Authenticating", "Kubernetes reserves the prefix").
    """
    if not user.startswith(_SERVICE_ACCOUNT):
        return None
    namespace, separator, name = user.removeprefix(_SERVICE_ACCOUNT).partition(":")
    return namespace if separator and namespace and name else None
