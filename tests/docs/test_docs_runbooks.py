"""The runbooks: all their commands work, on a hub with the operator."""

from __future__ import annotations

import pytest

from docs.blocks import blocks, pages
from docs.conftest import Reader
from docs.scenes import follow

PAGES = [
    page for page in pages() if page.startswith("docs/runbooks/") and any(not block.reason for block in blocks(page))
]


# Each command is a process, and there are many.
@pytest.mark.timeout(600)
def test_runbooks(reader: Reader) -> None:
    """One after the other, for whoever is on call has no fresh cluster for each."""
    world = reader(PAGES[0])
    for page in PAGES:
        world.page = page
        follow(world)
