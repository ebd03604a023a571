"""Lists, page by page: no list is too long to be read, however large its objects are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from secretset.kube import errors
from secretset.kube.client import Client

_LARGEST = 500
_FIRST_ONLY = ("resourceVersion", "resourceVersionMatch")  # a continue token says that itself


async def pages(
    client: Client, path: str, params: Mapping[str, str] | None = None, *, accept: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """The pages of a list, from a quorum, all of one version; smaller ones where a page would be too long.

    Args:
        client: of the cluster.
        path: of the list.
        params: selectors, and the version to read if it is not the newest.
        accept: metadata only, or whole objects.

    Raises:
        Gone: the list took so long that its version is not kept any more.
        AnswerTooLong: a single object is too long.
        KubeError: the cluster refused or did not answer.
    """
    token, limit = "", _LARGEST
    while True:
        query = {**(params or {}), "limit": str(limit)}
        if token:
            query["continue"] = token
            for name in _FIRST_ONLY:
                query.pop(name, None)
        try:
            page = await client.get(path, query, accept=accept)
        except errors.AnswerTooLong:
            if limit == 1:
                raise
            limit = max(limit // 4, 1)
            continue
        yield page
        token = page["metadata"].get("continue") or ""
        if not token:
            return


async def items(
    client: Client, path: str, params: Mapping[str, str] | None = None, *, accept: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """The objects of a list; see `pages`."""
    async for page in pages(client, path, params, accept=accept):
        for item in page.get("items") or ():
            yield item
