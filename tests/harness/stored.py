"""What a plane has written to its etcd: what is there now, and the versions before it that are still kept."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from kubelab.plane import ControlPlane

# The whole range of keys: from the first byte to the end (etcd's convention for both).
_ALL = {"key": "AA==", "range_end": "AA=="}


def revision(plane: ControlPlane) -> int:
    """etcd's revision now; it grows by one with each write."""
    with _asked(plane, "/v3/kv/range", {**_ALL, "limit": 1}) as response:
        return int(json.load(response)["header"]["revision"])


def in_etcd(plane: ControlPlane, since: int) -> Iterator[tuple[str, bytes]]:
    """Key and content of all that is there, and of each write after a revision.

    The API server has etcd forget versions that are older than five to ten minutes; those are left out.
    """
    with _asked(plane, "/v3/kv/range", _ALL) as response:
        found = json.load(response)
    yield from map(_decoded, found["kvs"])
    for _, key, content in history(plane, since, int(found["header"]["revision"])):
        yield key, content


def history(plane: ControlPlane, since: int, until: int) -> Iterator[tuple[int, str, bytes]]:
    """Revision, key and content of each write after one revision, up to another; of a deletion the content is empty.

    What etcd has forgotten is left out.
    """
    while since < until:
        with _asked(plane, "/v3/watch", {"create_request": {**_ALL, "start_revision": since + 1}}) as response:
            for line in response:
                result = json.loads(line)["result"]
                if "compact_revision" in result:
                    since = int(result["compact_revision"]) - 1
                    break
                for event in result.get("events", ()):
                    since = int(event["kv"]["mod_revision"])
                    yield since, *_decoded(event["kv"])
                if since >= until:
                    break


def _decoded(pair: Mapping[str, str]) -> tuple[str, bytes]:
    return base64.b64decode(pair["key"]).decode(), base64.b64decode(pair.get("value", ""))


def _asked(plane: ControlPlane, path: str, body: dict[str, Any]) -> Any:
    """Ask etcd's JSON gateway."""
    url = f"http://127.0.0.1:{plane.ports['etcd']}{path}"
    return urllib.request.urlopen(urllib.request.Request(url, data=json.dumps(body).encode()), timeout=10)
