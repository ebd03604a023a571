"""Look for values where none may be: in any of the forms in which one leaks, and in all that was written, at once."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack
from urllib.parse import quote, quote_plus

from harness.rights_log import READERS, collect
from harness.stored import in_etcd
from kubelab.options import OptionFields
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

_WORD = 8
# So many bytes hold a whole aligned word wherever they stand.
SHORTEST = 2 * _WORD - 1
# What encoding/json of Go escapes besides.
_GO = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
# Those of tests and of regions; the operator's own are looked through.
_SECRETS, _OWN_SECRETS = "/registry/secrets/", "/registry/secrets/secretset-system/secretset-"

# Where a value stands on purpose.
_LURE = "etcd: /registry/configmaps/default/lure"
# What Kubernetes' logging conventions call the level of debugging.
_DEBUG = "--v=4"

Place = tuple[str, bytes]


def forms(value: str) -> Iterator[str]:
    """The forms in which a value may leak, each once: raw, hex, base64 and base64url at their three alignments, escaped
    for a URL, for JSON (as Python and as Go do it, and in a JSON text within another) and as Python prints it.

    Of base64, what does not depend on what stands before and after.
    """
    yield from dict.fromkeys(_forms(value))


def _forms(value: str) -> Iterator[str]:
    raw = value.encode()
    yield value
    yield raw.hex()
    yield raw.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            text = encode(b"\0" * shift + raw).decode().rstrip("=")
            yield text[4 if shift else 0 : -1 if (shift + len(raw)) % 3 else None]
    for quoted in (quote(value), quote(value, safe=""), quote_plus(value)):
        yield quoted
        yield "".join(part.lower() if number % 2 else part for number, part in enumerate(_percents(quoted)))
    for plain in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield from (plain, plain.translate(_GO), json.dumps(plain)[1:-1], json.dumps(plain.translate(_GO))[1:-1])
    yield repr(value)[1:-1]
    yield str(raw)[2:-1]


def _percents(quoted: str) -> Iterator[str]:
    """By turns what is not escaped and an escape's two digits."""
    first, *others = quoted.split("%")
    yield first
    for other in others:
        yield f"%{other[:2]}"
        yield other[2:]


class Traces:
    """All forms of some values, to be looked for at once.

    The time does not depend on how many there are: what is looked through is read as words of 8 bytes, and only where
    one of them is also in the end of a form is that form looked for as a whole. 50 MB take about a second.

    Raises:
        ValueError: one of the values is too short.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._forms: defaultdict[int, set[tuple[bytes, str]]] = defaultdict(set)
        for value in dict.fromkeys(values):
            for form in map(str.encode, forms(value)):
                if len(form) < SHORTEST:
                    raise ValueError(f"a value of less than {SHORTEST} bytes cannot be told from chance")
                # The end, because values of tests begin alike.
                for start in range(len(form) - SHORTEST, len(form) - _WORD + 1):
                    word = int.from_bytes(form[start : start + _WORD], sys.byteorder)
                    self._forms[word].add((form, value))
        self._words = frozenset(self._forms)

    def found(self, content: bytes) -> set[str]:
        """Those of the values that are in there, in whatever form."""
        words = memoryview(content)[: len(content) // _WORD * _WORD].cast("Q")
        likely = {each for word in self._words.intersection(words) for each in self._forms[word]}
        return {value for form, value in likely if form in content}

    def assert_nowhere(self, places: Iterable[Place]) -> None:
        """Look through everything; what is found is told by its place and the beginning of the value."""
        found = [(where, value[:10]) for where, content in places for value in self.found(content)]
        assert not found, f"values where none may be: {found}"


def of_plane(plane: ControlPlane) -> Iterator[Place]:
    """What a plane and what runs on it have written: each key of etcd (and what it was before, as long as etcd keeps
    that) but for Secrets, the labels and annotations of these, the logs of its programs and of ours, its metrics.

    Secrets of the operator itself are looked through like everything else.
    """
    for key, content in in_etcd(plane, 0):
        if not key.startswith(_SECRETS) or key.startswith(_OWN_SECRETS):
            yield f"etcd: {key}", key.encode() + b"\n" + content
    yield "marks", _marks(plane).encode()
    yield "metrics of the API server", plane.kubectl("get", "--raw", "/metrics").stdout.encode()
    for path in (*plane.data_dir.iterdir(), *plane.data_dir.glob("logs/*")):
        if path.is_file():
            yield f"{path.parent.name}/{path.name}", path.read_bytes()


@contextmanager
def looked_through(start: ControlPlanes, canaries: Sequence[str]) -> Iterator[ControlPlanes]:
    """Start planes whose API servers log as for debugging; look through them at the end for values of whatever test.

    All have an audit log, from which is collected at the end what the chart's accounts did.

    One value is put there on purpose: that it is found shows that it is looked for.
    """
    planes: list[ControlPlane] = []

    def begin(wanted: int | Sequence[str], **options: Unpack[OptionFields]) -> list[ControlPlane]:
        options["extra_apiserver_args"] = (_DEBUG, *options.get("extra_apiserver_args", ()))
        options |= {"audit": True, "audit_reads": READERS}
        started = start(wanted, **options)
        planes.extend(started)
        return started

    yield begin
    for plane in planes:
        if plane.data_dir.exists():  # not stopped by its test
            collect(plane)
            _look_through(plane, canaries)


def _look_through(plane: ControlPlane, canaries: Sequence[str]) -> None:
    lure = f"canary-{secrets.token_urlsafe(24)}"
    bait = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lure"}, "data": {"a": lure}}
    plane.kubectl("create", "-n", "default", "-f", "-", input=json.dumps(bait))
    traces = Traces([*canaries, lure])
    found = {(where, value) for where, content in _all_of(plane) for value in traces.found(content)}
    told = {(where, value[:10]) for where, value in found - {(_LURE, lure)}}
    assert (_LURE, lure) in found
    assert not told, f"values where none may be: {told}"


def _all_of(plane: ControlPlane) -> Iterator[Place]:
    yield from of_plane(plane)
    yield from of_processes()


def of_processes() -> Iterator[Place]:
    """The arguments of this user's processes, which everybody on the machine can list."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == os.getuid():
                yield f"arguments of {folder.name}", (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue


def of_folder(folder: Path) -> Iterator[Place]:
    """All files of a folder, and their names."""
    for path in folder.rglob("*"):
        yield f"the name of {path.name[:10]}", path.name.encode()
        if path.is_file():
            yield str(path), path.read_bytes()


def _marks(plane: ControlPlane) -> str:
    """What stands on Secrets, but for what kubectl itself noted of a source Secret that a test applied."""
    listed = json.loads(plane.kubectl("get", "secrets", "-A", "-o", "json").stdout)["items"]
    for secret in listed:
        secret["data"] = None
        notes = secret["metadata"].get("annotations", {})
        secret["metadata"]["annotations"] = {k: v for k, v in notes.items() if not k.startswith("kubectl.")}
    return json.dumps(listed, ensure_ascii=False)
