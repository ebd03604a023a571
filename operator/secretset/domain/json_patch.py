"""Operations of a JSON patch (RFC 6902), and the pointers in them (RFC 6901)."""

from __future__ import annotations

from typing import Any

Operation = dict[str, Any]


def add(path: str, value: Any) -> Operation:
    """Put something there, whether or not something stands there (RFC 6902, 4.1)."""
    return {"op": "add", "path": path, "value": value}


def replace(path: str, value: Any) -> Operation:
    """Put something there in place of what stands there (4.3)."""
    return {"op": "replace", "path": path, "value": value}


def remove(path: str) -> Operation:
    """Take away what stands there (4.2)."""
    return {"op": "remove", "path": path}


def test(path: str, value: Any) -> Operation:
    """That something stands there (4.6); None: that nothing does, so the API server's library takes it."""
    return {"op": "test", "path": path, "value": value}


def pointer(*parts: str) -> str:
    """The pointer to a field, by the names on the way to it."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
