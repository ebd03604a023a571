"""Take a pull secret off the ServiceAccounts of a namespace that is not followed, or not any more."""

from __future__ import annotations

import contextlib

from secretset.domain import accounts
from secretset.kube import errors, paths
from secretset.kube.client import MERGE_PATCH, Client
from secretset.kube.pages import items


async def detach(client: Client, *, namespace: str, secret: str, installation: str) -> None:
    """Take a pull secret off the ServiceAccounts that the operator attached it to, by a list of them.

    Raises:
        KubeError: the region refused or did not answer.
    """
    known = [accounts.parse(item) async for item in items(client, paths.core("serviceaccounts", namespace))]
    for name, body in accounts.patches(secret=secret, wanted=(), accounts=known, installation=installation).items():
        with contextlib.suppress(errors.Absent):
            await client.patch(paths.core("serviceaccounts", namespace, name), body, MERGE_PATCH)
