"""What is read from objects that may have any form: stored under other CRDs, or written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """A field that should be an object; empty if it is none."""
    return value if isinstance(value, Mapping) else {}
