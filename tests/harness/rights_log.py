"""What the chart's accounts did, as API servers logged it; collected from each plane before it ends."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

import orjson

from deploy_files import CHART
from harness.rights import NAMESPACE, Refusal, Right, account_of
from kubelab.plane import ControlPlane

# Users with certificates that have the operator's roles, so that the audit log tells replicas and tests apart.
STAND_INS = "secretset-stand-ins"
READERS = (f"system:serviceaccounts:{NAMESPACE}", STAND_INS)
_READERS = tuple(f'"{each}"'.encode() for each in READERS)

_BY = re.compile(r'^RBAC: allowed by (?:Cluster)?RoleBinding "[^"]+" of (Role|ClusterRole) "([^"]+)" to ')
# People, and tests, that try what an account may.
_NOT_OURS = ("kubectl/",)


class Collected:
    """What was done and what was refused, with how often.

    Attributes:
        uses: by right; the name is kept where a rule of the chart might name it.
        refusals: by what was tried.
        examples: a request of each refusal, for people: a path, which holds names alone.
    """

    def __init__(self) -> None:
        self.uses: Counter[Right] = Counter()
        self.refusals: Counter[Refusal] = Counter()
        self.examples: dict[Refusal, str] = {}

    def add(self, other: Self) -> None:
        """Take in what another has."""
        self.uses.update(other.uses)
        self.refusals.update(other.refusals)
        self.examples = other.examples | self.examples

    def read(self, lines: Iterable[bytes]) -> None:
        """Take in an audit log, line by line."""
        for line in lines:
            # Most lines are of tests; a line without its end is of a server that was killed.
            if any(each in line for each in _READERS) and line.endswith(b"\n"):
                self._take(orjson.loads(line))

    def plain(self) -> dict[str, list[list[Any]]]:
        """As lists of plain values, for JSON and for other processes."""
        return {
            "uses": [[*use, count] for use, count in sorted(self.uses.items())],
            "refusals": [[*each, count, self.examples[each]] for each, count in sorted(self.refusals.items())],
        }

    @classmethod
    def of(cls, plain: Mapping[str, Sequence[Sequence[Any]]]) -> Self:
        """From what `plain` gave."""
        made = cls()
        for *use, count in plain["uses"]:
            made.uses[Right(*use)] += count
        for *parts, count, example in plain["refusals"]:
            refusal = Refusal(*parts)
            made.refusals[refusal] += count
            made.examples[refusal] = example
        return made

    def _take(self, event: Mapping[str, Any]) -> None:
        ref = event.get("objectRef")
        if ref is None or event.get("userAgent", "").startswith(_NOT_OURS):
            return
        # A stand-in has the operator's roles.
        account = account_of(event["user"].get("username", "")) or "secretset-operator"
        resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
        name = ref.get("name", "") if ref.get("name") in _named() else ""
        what = (ref.get("apiGroup", ""), resource, event["verb"], name)
        notes = event.get("annotations") or {}
        if notes.get("authorization.k8s.io/decision") == "forbid":
            refusal = Refusal(account, "namespace" in ref, *what)
            self.refusals[refusal] += 1
            self.examples.setdefault(refusal, event["requestURI"].partition("?")[0])
        elif by := _BY.match(notes.get("authorization.k8s.io/reason", "")):
            self.uses[Right(account, f"{by[1]} {by[2]}", *what)] += 1


COLLECTED = Collected()
"""Of this process."""


def collect(plane: ControlPlane) -> None:
    """Take in the audit log of a plane, if it has one."""
    for path in sorted(plane.audit_log.parent.glob(f"{plane.audit_log.stem}*")):
        with path.open("rb") as lines:
            COLLECTED.read(lines)


@cache
def _named() -> frozenset[str]:
    """Names of objects that rules of the chart name."""
    texts = [path.read_text() for path in Path(CHART, "templates").rglob("*.yaml")]
    lists = [found for text in texts for found in re.findall(r"resourceNames: \[([^\]{]+)\]", text)]
    return frozenset(name.strip() for each in lists for name in each.split(","))
