"""The short form of the programme, part of `make test`: what was found by it, and a part of everything."""

from __future__ import annotations

import pytest

from chaos.faults import parse
from chaos.lane import Lane
from chaos.run import run

pytestmark = pytest.mark.timeout(180)

# What the programme has found, by the run that showed it (docs/reliability.md).
FOUND = {
    "deaf after an ERROR event": "describe hub:watch:secretsets:error429:1",
    "quotes the API server in its log": "delete hub:watch:secretsets:error403:1",
    "takes any 404 for the end of an object": "far-delete far:read:secrets:answer404:1",
    "takes back that a set is ready when a list is throttled": "pull-deleted hub:write:any:crash-before:1 "
    "far:read:secrets:answer429:1",
    "takes a source back when an older event comes once more": "change-twice hub:watch:secrets:repeat-late:1",
    "compares the names of Regions alone": "region-closes hub:watch:regions:swallow:1",
    "puts a resync off that failed": "region hub:read:regions:answer429:1",
    "says that all was restarted before a Secret is seen again": "far-change far:write:any:lose:1 "
    "far:watch:secrets:cut:1 hub:read:secretsets:cut:1",
    "puts off who is looked at often": "far-pull hub:write:any:answer429:1x2 hub:watch:secrets:repeat:1 "
    "far:read:secrets:answer429:1",
    "takes a 404 of a status for the end of a set": "add-key hub:write:any:answer404:3",
}
PART = (
    *(f"change hub:write:any:{act}:{number}" for act in ("crash-before", "crash-lost") for number in (1, 2, 4)),
    *(f"recreate hub:write:any:{act}:{number}" for act in ("crash-after", "lose") for number in (1, 2, 3)),
    *(f"create hub:write:any:{act}:1" for act in ("duplicate", "answer500", "truncate")),
    *(f"change hub:write:any:answer{code}:1" for code in (409, 429, 503)),
    *(f"far-change far:write:any:{act}:1" for act in ("lose", "crash-lost", "answer401")),
    *(f"change hub:watch:secrets:{act}:1" for act in ("cut", "hang", "swallow", "error410", "repeat-late")),
    *(f"create hub:read:secrets:{act}:1" for act in ("drop", "truncate")),
    *("invalid-and-back hub:watch:secretsets:truncate:1", "sealed-again hub:write:any:lose:1"),
    *("pull hub:write:any:crash-lost:2", "pull-deleted hub:write:any:crash-lost:1"),
    "crowd-changes hub:write:any:crash-before:5 hub:watch:secrets:cut:1",
    *("far-pull far:write:any:lose:2", "region hub:write:any:crash-lost:2", "used-no-more hub:write:any:answer409:2"),
    *("rotated hub:write:any:crash-before:1", "garbled-and-back hub:write:any:lose:1"),
)


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_found(lane: Lane, text: str) -> None:
    """It does not come back."""
    _play(lane, text)


@pytest.mark.parametrize("text", PART)
def test_part(lane: Lane, text: str) -> None:
    """A part of everything."""
    _play(lane, text)


def _play(lane: Lane, text: str) -> None:
    name, *faults = text.split()
    assert run(lane, name, tuple(map(parse, faults))).met
