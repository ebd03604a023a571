"""The pages for a hub on which the operator runs: all their commands work, in order."""

from __future__ import annotations

import pytest

from docs.conftest import Reader
from docs.scenes import follow

PAGES = (
    "docs/api.md",
    "docs/binding.md",
    "docs/cli.md",
    "docs/dashboard.md",
    "docs/encryption-at-rest.md",
    "docs/gate.md",
    "docs/gitops.md",
    "docs/migrate-from-external-secrets.md",
    "docs/migrate-from-reloader.md",
    "docs/migrate-from-sealed-secrets.md",
    "docs/operations.md",
    "docs/pipecat.md",
    "docs/regions.md",
    "docs/restarts.md",
    "docs/sealing.md",
    "docs/security.md",
    "docs/webhook.md",
)


# Each command is a process, and there are many.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, reader: Reader) -> None:
    follow(reader(page))
