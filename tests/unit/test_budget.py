"""The budget of rollouts: places that are taken, given back, and handed on to who waits longest."""

from types import SimpleNamespace

import pytest

from secretset.controller import budget
from secretset.controller.budget import RolloutBudget
from secretset.domain.rollouts import Rollout


class Places(RolloutBudget[str]):
    """A budget that remembers whom it woke."""

    def __init__(self, limit: int) -> None:
        self.woken: list[str] = []
        super().__init__(limit, self.woken.append)

    def start(self, who: str, *uids: str) -> int:
        """As many as there is room for."""
        granted = self.take(who, len(uids))
        self.begin(uids[:granted])
        return granted


def test_there_are_as_many_places_as_the_limit_says() -> None:
    places = Places(3)
    assert places.start("x", "a", "b") == 2
    assert places.start("y", "c", "d", "e") == 1
    assert places.start("z", "f") == 0


def test_without_a_limit_there_is_always_room() -> None:
    places = Places(0)
    assert places.start("x", *"abcdefgh") == 8
    places.give_back("a")
    assert places.woken == []


def test_who_waits_longest_is_woken_first_and_one_at_a_time() -> None:
    places = Places(1)
    places.start("x", "a")
    for who in ("y", "z", "y"):
        assert places.take(who, 1) == 0
    places.give_back("a")
    assert places.woken == ["y"]
    assert places.start("y", "b") == 1
    places.give_back("b")
    assert places.woken == ["y", "z"]


def test_who_got_only_some_waits_for_the_others() -> None:
    places = Places(2)
    places.start("x", "a")
    assert places.start("y", "b", "c") == 1
    places.give_back("a")
    assert places.woken == ["y"]


def test_who_is_woken_and_comes_too_late_waits_again() -> None:
    places = Places(1)
    places.start("x", "a")
    places.take("y", 1)
    places.give_back("a")
    assert places.start("z", "b") == 1
    assert places.take("y", 1) == 0
    places.give_back("b")
    assert places.woken == ["y", "y"]


@pytest.mark.parametrize("how", ["wants none", "is forgotten"])
def test_who_is_woken_and_needs_no_place_leaves_it_to_the_next(how: str) -> None:
    places = Places(1)
    places.start("x", "a")
    places.take("y", 1)
    places.take("z", 1)
    places.give_back("a")
    if how == "wants none":
        assert places.take("y", 0) == 0
    else:
        places.forget("y")
    assert places.woken == ["y", "z"]


def test_who_is_forgotten_is_not_woken() -> None:
    places = Places(1)
    places.start("x", "a")
    places.take("y", 1)
    places.forget("y")
    places.give_back("a")
    assert places.woken == []


@pytest.mark.parametrize(
    ("rollout", "freed"),
    [(Rollout.RESTARTING, False), (Rollout.CURRENT, True), (Rollout.STALLED, True), (Rollout.HELD, True), (None, True)],
)
def test_a_rollout_keeps_its_place_while_it_gets_on(rollout: Rollout | None, freed: bool) -> None:
    places = Places(1)
    places.start("x", "a")
    places.take("y", 1)
    places.see("a", rollout)
    places.see("stranger", rollout)
    assert places.woken == (["y"] if freed else [])


def test_what_is_found_rolling_counts_once() -> None:
    places = Places(3)
    places.note(["a", "b"])
    places.note(["a"])
    assert places.take("x", 5) == 1


def test_a_place_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: now[0]))
    places = Places(1)
    places.start("x", "a")
    now[0] += budget._LONGEST
    assert places.take("y", 1) == 0
    now[0] += 0.1
    places.note(["a"])  # it rolls on
    assert places.take("y", 1) == 1
    places.begin(["a"])  # it is restarted anew
    assert places.take("y", 1) == 0
