"""Two things go wrong at a time: each pair of a scenario, a fault of a write, one of a watch and one of a read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from chaos.faults import Fault, parse
from chaos.lane import FAR, Lane
from chaos.pairwise import pairwise
from chaos.run import run
from chaos.scenarios import AWAY

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]
NOTHING = ""
_SCENARIOS = (
    *("create", "change", "change-twice", "add-key", "remove-key", "edited", "lost", "delete", "recreate"),
    *("late-source", "invalid-and-back", "crowd", "crowd-changes", "sealed-changes", "pull", "pull-deleted"),
    *("far-create", "far-change", "far-delete", "far-pull", "used-later", "rotated"),
)
_REPAIRS = frozenset({"edited", "lost"})
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
    """Whether it can go wrong there.

    Nothing is asked of the other cluster for sets that are not on it, and of a repair nothing is told in the set.
    """
    name, *found = row
    never = ("hub:write:secretsets/status", "hub:watch:secretsets") if name in _REPAIRS else ()
    never = (*never, FAR) if AWAY[name] == 0 else never
    return not any(each.startswith(never) for each in found if never)


def _pairs() -> Iterator[tuple[str, tuple[Fault, ...]]]:
    for name, *found in pairwise([_SCENARIOS, _WRITES, _WATCHES, _READS], _possible):
        yield name, tuple(parse(each) for each in found if each)


@pytest.mark.parametrize(
    ("name", "faults"), list(_pairs()), ids=lambda each: each if isinstance(each, str) else _id(each)
)
def test_pair(lane: Lane, name: str, faults: tuple[Fault, ...]) -> None:
    """All of these are to go wrong in one run; the first may keep another from it, as who is dead sends nothing."""
    assert run(lane, name, faults).met or not faults


def _id(faults: tuple[Fault, ...]) -> str:
    return " ".join(map(str, faults))
