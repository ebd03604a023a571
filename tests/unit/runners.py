"""A region's runner of tests."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock

from secretset.controller.installation import Installation
from secretset.controller.runner import RegionRunner
from unit.slots import INSTALLATION, KEYRING


def runner(name: str = "us", **changes: Any) -> RegionRunner:
    """A runner whose passes do nothing and that nobody listens to, unless something else is asked for."""
    given: dict[str, Any] = {
        "installation": Installation(id=INSTALLATION, keyring=KEYRING),
        "reconcile": AsyncMock(),
        "creates": lambda: False,
        "on_link": lambda _: None,
        "on_report": lambda _: None,
        "on_stranger": lambda _: None,
        "workers": 1,
        "max_rollouts": 0,
    }
    return RegionRunner(name, **{**given, **changes})
