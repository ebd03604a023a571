"""One cluster for many callers: each with a token of their own, over one pool of connections."""

from __future__ import annotations

import dataclasses

import aiohttp

from secretset.domain import names
from secretset.kube.client import Client
from secretset.kube.identity import Credentials


class Callers:
    """Makes clients that have nothing but the token of their caller.

    HTTP/1.1 authenticates each request by itself, so that a connection may serve one caller after another.

    Args:
        address: of the cluster, without credentials.
        timeout: seconds for one request.
        manager: the field manager of what is written.
    """

    def __init__(self, address: Credentials, *, timeout: float, manager: str = names.FIELD_MANAGER) -> None:
        self._address = address
        self._timeout = timeout
        self._manager = manager
        self._pool: aiohttp.BaseConnector | None = None

    def client(self, token: str | None) -> Client:
        """A client for the running loop, to be closed; None: of nobody."""
        if self._pool is None:
            self._pool = self._address.connector()

        async def authorize() -> str | None:
            return f"Bearer {token}" if token else None

        mine = dataclasses.replace(self._address, authorize=authorize, pool=self._pool)
        return Client(mine, name=names.AT_HUB, timeout=self._timeout, manager=self._manager)

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None
