"""Two things go wrong at a time: each pair of a scenario, a fault of a write, one of a watch and one of a read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from chaos.faults import Fault, parse
from chaos.lane import Lane
from chaos.pairwise import pairwise
from chaos.run import run
from chaos.scenarios import AWAY, WRITES

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]
NOTHING = ""
# What a scenario has that can go wrong, whatever else does: of a repair nothing is told in the set, of a pull secret
# nothing in sets, and a Deployment only changes where it restarts, or begins to use one.
_GONE = ("hub:write:any", "hub:watch:secretsets", "hub:read:secretsets")
_SET = (*_GONE, "hub:write:secretsets/status", "hub:read:secrets")
_CONTENT = ("hub:write:any", "hub:watch:secrets", "hub:read:secrets")
_USERS = ("hub:watch:deployments",)
_FAR = ("far:write:any", "far:watch:secrets", "far:read:secrets")
_CHANGES = ("change", "change-twice", "add-key", "remove-key", "crowd-changes", "sealed-changes")
_MEETS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("create", "recreate", "late-source", "crowd", "rotated"), (*_SET, *_CONTENT)),
    **dict.fromkeys(_CHANGES, (*_SET, *_CONTENT, *_USERS)),
    **dict.fromkeys(("edited", "lost"), (*_CONTENT, "hub:read:secretsets")),
    **dict.fromkeys(("pull", "pull-deleted"), _CONTENT),
    "invalid-and-back": _SET,
    "used-later": (*_SET, *_USERS),
    "delete": (*_GONE, *_CONTENT),
    "far-create": (*_SET, *_FAR),
    "far-change": (*_SET, *_CONTENT, *_FAR),
    "far-delete": (*_GONE, *_FAR),
    "far-pull": ("hub:write:any", "hub:read:secrets", *_FAR),
}
_WRITES = (
    *(f"hub:write:any:{act}:{number}" for number in (1, 2) for act in ("crash-before", "crash-lost", "crash-after")),
    *(f"hub:write:any:{act}:1x2" for act in ("drop", "lose", "duplicate", "delay", "truncate")),
    *(f"hub:write:any:answer{code}:1x2" for code in (409, 429, 500, 503)),
    *(f"far:write:any:{act}:1" for act in ("crash-lost", "drop", "lose", "answer409", "answer429", "answer504")),
    *(f"hub:write:secretsets/status:{act}:1" for act in ("crash-lost", "lose", "answer409", "answer500")),
    NOTHING,
)
_WATCHES = (
    *(f"hub:watch:secretsets:{act}:1" for act in ("cut", "repeat-late", "swallow", "error410", "truncate")),
    *(f"hub:watch:secrets:{act}:1" for act in ("cut-after", "hang", "repeat", "error500", "refuse503")),
    *(f"hub:watch:deployments:{act}:1" for act in ("cut", "swallow", "error410")),
    *(f"far:watch:secrets:{act}:1" for act in ("cut", "hang", "error410")),
    NOTHING,
)
_READS = (
    *(f"hub:read:secrets:{act}:1" for act in ("drop", "answer500", "answer429", "truncate", "delay")),
    *(f"hub:read:secretsets:{act}:1" for act in ("cut", "answer503", "answer404")),
    *(f"far:read:secrets:{act}:1" for act in ("drop", "answer429")),
    NOTHING,
)


def _possible(row: Sequence[str]) -> bool:
    """Whether all of it can go wrong there: what it is about is there, and so many writes."""
    name, *found = row
    wanted = [parse(each) for each in found if each]
    if any(f"{each.plane}:{each.where}:{each.resource or 'any'}" not in _MEETS[name] for each in wanted):
        return False
    on_hub = sum(WRITES[name]) - AWAY[name]
    return all(each.number <= on_hub for each in wanted if (each.plane, each.where) == ("hub", "write"))


def _pairs() -> Iterator[tuple[str, tuple[Fault, ...]]]:
    for name, *found in pairwise([tuple(_MEETS), _WRITES, _WATCHES, _READS], _possible):
        yield name, tuple(parse(each) for each in found if each)


@pytest.mark.parametrize(
    ("name", "faults"), list(_pairs()), ids=lambda each: each if isinstance(each, str) else _id(each)
)
def test_pair(lane: Lane, name: str, faults: tuple[Fault, ...]) -> None:
    """All of these are to go wrong in one run; the first may keep another from it, as who is dead sends nothing."""
    assert run(lane, name, faults).met or not faults


def _id(faults: tuple[Fault, ...]) -> str:
    return " ".join(map(str, faults))
