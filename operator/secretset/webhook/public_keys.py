"""The public keys as the operator publishes them: read once at the start, and every half minute after that.

Everybody who is authenticated may get that one ConfigMap, and nobody needs more: a new key is used within half a
minute, and older ones still open what is sealed with them meanwhile. A look that failed is soon followed by another,
and what could not be read again for a minute and a half is not gone by any more: an older key may have been retired.
"""

from __future__ import annotations

import asyncio

import structlog

from secretset.domain.sealing_keys import CONFIG_MAP_NAME, DOCUMENT, KNOWN_SECONDS, PublicKeys, Unusable
from secretset.kube import errors, paths
from secretset.kube.client import Client
from secretset.kube.leases import clock

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 30.0
_WITHOUT_SECONDS = 2.0


class PublishedKeys:
    """Follows the public keys of the hub's installation.

    Args:
        hub: where they are.
        namespace: the operator's own.
        keep: seconds for which what was read counts.

    Attributes:
        tried: set once it was tried to read them, whatever came of it.
    """

    def __init__(self, hub: Client, namespace: str, *, keep: float = KNOWN_SECONDS) -> None:
        self.tried = asyncio.Event()
        self._known: PublicKeys | None = None
        self._keep = keep
        self._read_at = 0.0
        self._hub = hub
        self._path = paths.core("configmaps", namespace, CONFIG_MAP_NAME)
        self._trouble = ""

    @property
    def known(self) -> PublicKeys | None:
        """The newest that could be read; None before any could, and when that was too long ago."""
        return self._known if clock() - self._read_at <= self._keep else None

    async def follow(self, *, every: float = _EVERY_SECONDS, without: float = _WITHOUT_SECONDS) -> None:
        """Read them again and again, until cancelled.

        Args:
            every: seconds between looks.
            without: the same after a look that failed, or found none.
        """
        while True:
            found = await self._look()
            self.tried.set()
            await asyncio.sleep(every if found else without)

    async def _look(self) -> bool:
        """Read them; whether there is one to seal with."""
        asked = clock()
        try:
            found = PublicKeys.parse((await self._hub.get(self._path))["data"][DOCUMENT])
        except (errors.KubeError, Unusable) as error:
            self._tell(str(error))
        except (LookupError, TypeError):
            self._tell("the ConfigMap has no document")
        else:
            if self._known is None or found.current != self._known.current:
                kid = found.current.kid if found.current is not None else None
                log.info("public key", kid=kid, installation=found.installation, held=found.held)
            self._known, self._read_at, self._trouble = found, asked, ""
            return found.current is not None
        return False

    def _tell(self, trouble: str) -> None:
        """Log a trouble once, until there is another or none."""
        if trouble != self._trouble:
            log.warning("the public keys cannot be read", error=trouble, known=self.known is not None)
        self._trouble = trouble
