"""SealedSecrets that kubeseal 0.36.6 itself made, and what is in them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "kubeseal"
"""`keys.yaml`, two keys, and `sealed.yaml`, made with their certificates."""
DOCKER = {"auths": {"ghcr.io": {"auth": base64.b64encode(b"robot:t0ken:with:colons").decode()}}}
KNOWN = {
    "database": {
        "USERNAME": b"admin",
        "PASSWORD": ' p=a"ss\\wörd\n'.encode(),
        "EMPTY": b"",
        "BINARY": bytes(range(256)),
    },
    "cache": {"TOKEN": b"namespace-wide value"},
    "mail": {"TOKEN": b"cluster-wide value"},
    "registry": {".dockerconfigjson": json.dumps(DOCKER).encode()},
}


def load(name: str) -> list[dict[str, Any]]:
    """The documents of a file."""
    return list(yaml.safe_load_all((FOLDER / name).read_text()))
