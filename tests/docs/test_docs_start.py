"""The pages that begin with an empty cluster: all their commands work, in order."""

from __future__ import annotations

import pytest

from docs.blocks import parts
from docs.conftest import Reader
from docs.scenes import follow

PAGES = ("README.md", "docs/install.md", "docs/uninstall.md", "docs/upgrade.md")


# Each command is a process, and there are many.
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("page", "part"), [(page, part) for page in PAGES for part in range(parts(page))])
def test_from_an_empty_cluster(page: str, part: int, newcomer: Reader) -> None:
    follow(newcomer(page), part)
