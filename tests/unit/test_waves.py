"""Waves: what a change of content must restart, alone and together with the changes before it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from builders import deployment
from secretset.domain.waves import ABSENT, UNKNOWN, Wave, joins, next_wave, revision_of, unfinished
from secretset.domain.workloads import Workload

NOW, LONGEST = 1000.0, 10.0
ONE = {"A": "1", "B": "1", "C": "1"}


def web(name: str, *keys: str, mark: str = "", generation: int = 1, optional: bool = False) -> Workload:
    built = deployment(name).with_meta(generation=generation)
    built = built.env("app", *keys, optional=optional) if keys else built.env_from("app", optional=optional)
    return (built.restarted_for("app", mark) if mark else built).workload()


class History:
    """A Secret whose content changes; values stand for their own fingerprints."""

    def __init__(self, content: Mapping[str, str] = ONE) -> None:
        self.content = dict(content)
        self.revision = 1
        self.wave: Wave | None = None
        self.now = NOW

    def change(self, *workloads: Workload, after: float = 1.0, restarted: Any = (), **values: str | None) -> Wave:
        """Some keys get other values, None for none, ``after`` seconds."""
        self.now += after
        before = {key: self.content.get(key, ABSENT) for key in values}
        self.content = {k: v for k, v in {**self.content, **values}.items() if v is not None}
        self.revision += 1
        self.wave = next_wave(
            wave_id=f"{self.revision}-u",
            secret="app",
            base=self.revision - 1,
            before=before,
            same=lambda key, mark: self.content.get(key, ABSENT) == mark,
            workloads=workloads,
            previous=self.wave,
            restarted=restarted,
            max_wait=LONGEST,
            now=self.now,
        )
        return self.wave


def targets(wave: Wave) -> set[str]:
    return {uid.removeprefix("uid-") for uid in wave.targets}


def test_a_wave_holds_exactly_who_uses_what_changed() -> None:
    other = deployment("other").env_from("unrelated").workload()
    found = History().change(web("b"), web("a", "A"), web("c", "B"), other, A="2")
    assert targets(found) == {"a", "b"}
    assert (found.id, found.base, found.before, set(found.fresh)) == ("2-u", 1, {"A": "1"}, {"A"})
    assert (found.since, found.changed, set(found.owed), dict(found.spared)) == (NOW + 1, NOW + 1, set(), {})


def test_a_change_that_nobody_uses_is_a_wave_without_targets() -> None:
    """Whoever slipped through is looked for all the same."""
    assert targets(History().change(web("a", "B"), A="2")) == set()
    assert targets(History().change(A="2")) == set()


def test_changes_become_one_while_no_restart_has_begun() -> None:
    history, everybody = History(), [web("a", "A"), web("b", "B"), web("c", "C")]
    history.change(*everybody, A="2")
    found = history.change(*everybody, after=5, B="2")
    assert targets(found) == {"a", "b"}
    assert (found.base, found.before, found.since, found.changed) == (1, {"A": "1", "B": "1"}, NOW + 1, NOW + 6)
    assert found.fresh == {"B"}


@pytest.mark.parametrize(
    ("there", "back"), [({"A": "2"}, {"A": "1"}), ({"D": "1"}, {"D": None}), ({"A": None}, {"A": "1"})]
)
def test_what_is_undone_restarts_nothing(there: dict[str, Any], back: dict[str, Any]) -> None:
    history, everybody = History(), [web("a", "A"), web("all")]
    history.change(*everybody, **there)
    assert history.change(*everybody, **back).targets == {}
    assert targets(history.change(*everybody, A="3")) == {"a", "all"}


def test_what_is_undone_in_part_spares_who_uses_only_that() -> None:
    history, everybody = History(), [web("a", "A"), web("b", "B"), web("ab", "A", "B")]
    history.change(*everybody, A="2", B="2")
    found = history.change(*everybody, A="1", C="2")
    assert (targets(found), found.before, found.spared) == ({"b", "ab"}, {"B": "1", "C": "1"}, {"uid-a": 1})
    assert targets(history.change(*everybody, B="1")) == set()
    assert targets(history.change(*everybody, A="4")) == {"a", "ab"}


def test_once_a_restart_has_begun_those_that_wait_are_owed_theirs() -> None:
    history = History()
    history.change(web("a", "A"), web("b", "A"), A="2")
    done, waits = web("a", "A", mark="2-u", generation=2), web("b", "A")
    found = history.change(done, waits, web("c", "C"), C="2")
    assert (targets(found), found.base, set(found.owed)) == ({"b", "c"}, 2, {"uid-b"})
    assert found.since == NOW + 2, "its age is its own"
    undone = history.change(done, waits, web("c", "C"), C="1")
    assert (targets(undone), set(undone.owed)) == ({"b"}, {"uid-b"})
    assert targets(history.change(done, waits, A="1")) == {"a", "b"}


def test_who_is_known_to_have_been_restarted_is_not_owed_even_without_its_mark() -> None:
    history = History()
    history.change(web("a", "A"), web("b", "A"), A="2")
    rolled_back = web("a", "A", generation=3)
    found = history.change(rolled_back, web("b", "A"), restarted={"uid-a"}, C="2")
    assert (targets(found), found.base) == ({"b"}, 2)


# --- workloads that have, or may have, started with what is undone


@pytest.mark.parametrize("generation", [2, 7])
def test_who_was_edited_or_scaled_since_is_restarted_for_what_is_undone(generation: int) -> None:
    """Its new pods started with what was there in between."""
    history = History()
    history.change(web("a", "A"), A="2")
    found = history.change(web("a", "A", generation=generation), A="1")
    assert (targets(found), set(found.owed)) == ({"a"}, {"uid-a"})


def test_who_was_created_since_is_restarted_for_what_is_undone_and_not_for_what_it_started_with() -> None:
    history = History()
    history.change(web("a", "A"), A="2")
    found = history.change(web("a", "A"), web("new", "A"), C="2")
    assert targets(found) == {"a"}
    found = history.change(web("a", "A"), web("new", "A"), A="1")
    assert (targets(found), set(found.owed)) == ({"new"}, {"uid-new"})
    assert targets(history.change(web("a", "A"), web("new", "A"), A="2")) == {"a", "new"}


def test_a_target_that_is_gone_is_not_taken_over() -> None:
    history = History()
    history.change(web("gone", "A"), A="2")
    assert targets(history.change(web("a", "B"), C="2")) == set()
    assert targets(history.change(web("successor", "A"), A="1")) == {"successor"}


def test_who_uses_nothing_of_it_any_more_is_waited_for_no_more() -> None:
    history = History()
    wave = history.change(web("a", "A"), web("b", "A"), A="2")
    assert wave.waits_for(web("a", "A"), "app")
    assert not wave.waits_for(web("a", "B"), "app")
    assert not wave.waits_for(deployment("a").env_from("other").workload(), "app")
    assert not wave.waits_for(web("a", "A", mark="2-u"), "app")
    assert not wave.waits_for(web("stranger", "A"), "app")
    owed = history.change(web("a", "A"), web("b", "A", mark="2-u"), B="2")
    assert owed.waits_for(web("a", "C"), "app"), "it is owed a restart"


# --- times


@pytest.mark.parametrize(("after", "kept"), [(0.0, True), (2 * LONGEST, True), (2 * LONGEST + 1, False), (-99.0, True)])
def test_a_wave_that_something_holds_gives_its_age_to_none_that_comes_much_later(after: float, kept: bool) -> None:
    history = History()
    first = history.change(web("held", "A"), A="2")
    found = history.change(web("held", "A"), web("b", "B"), after=after, B="2")
    assert found.since == (first.since if kept else history.now)
    assert (targets(found), found.base) == ({"held", "b"}, 1)


# --- first deliveries, and memory that was lost


def first(*workloads: Workload) -> Wave:
    return next_wave(
        wave_id="1-u",
        secret="app",
        base=0,
        before={"A": ABSENT},
        same=lambda *_: False,
        workloads=workloads,
        previous=None,
        max_wait=LONGEST,
        now=NOW,
    )


def test_a_first_delivery_restarts_who_may_have_started_without_it() -> None:
    found = first(web("a", optional=True), web("b", "A", optional=True), web("c", "B", optional=True), web("d"))
    assert targets(found) == {"a", "b"}


def test_the_wave_of_the_first_delivery_stays_by_itself() -> None:
    maybe, needs = web("maybe", "A", optional=True), web("needs", "A")
    history = History({"A": "1"})
    history.wave = first(maybe, needs)
    found = history.change(maybe, needs, A="2")
    assert (targets(found), found.base, set(found.owed)) == ({"maybe", "needs"}, 1, {"uid-maybe"})
    assert targets(history.change(maybe, needs, A="1")) == {"maybe"}


def test_what_is_not_known_counts_as_different() -> None:
    history = History({"A": "1"})
    history.change(web("a", "A"), A="2")
    assert history.wave is not None
    history.wave = replace(history.wave, before={"A": UNKNOWN})
    assert targets(history.change(web("a", "A"), A="1")) == {"a"}


# --- who slipped through


def test_who_was_there_and_is_missing_is_found_and_owed() -> None:
    history = History()
    wave = history.change(web("a", "A"), A="2")
    listed = [web("a", "A"), web("raced", "A", generation=5), web("other", "B")]
    assert wave.raced(listed, "app") == {"uid-raced": 5}
    whole = history.wave = wave.including(wave.raced(listed, "app"))
    assert (targets(whole), whole.raced(listed, "app")) == ({"a", "raced"}, {})
    assert targets(history.change(*listed[:2], A="1")) == {"raced"}, "who knows what it had started with"


def test_who_is_spared_but_was_edited_before_the_write_has_slipped_through() -> None:
    """The watch had not shown it yet; its new pods started with what is undone."""
    history = History()
    history.change(web("a", "A"), A="2")
    found = history.change(web("a", "A"), A="1")
    assert found.spared == {"uid-a": 1}
    assert found.raced([web("a", "A")], "app") == {}
    assert found.raced([web("a", "A", generation=2)], "app") == {"uid-a": 2}


def test_a_target_that_was_edited_before_the_write_is_owed_its_restart() -> None:
    """It uses something else by now, and started with what is undone of that."""
    history = History()
    history.change(web("a", "A"), A="2", B="2")
    found = history.change(web("a", "A"), B="1")
    edited = web("a", "B", generation=2)
    assert found.raced([web("a", "A")], "app") == {}
    assert found.raced([edited], "app") == {"uid-a": 2}
    assert not found.waits_for(edited, "app")
    assert found.including({"uid-a": 2}).waits_for(edited, "app")
    restarted = web("a", generation=2, mark="3-u")
    assert found.raced([restarted], "app") == {}


def test_who_is_spared_or_came_in_between_has_not_slipped_through() -> None:
    history = History()
    history.change(web("a", "A"), A="2")
    between = web("between", "A")
    found = history.change(web("a", "A"), between, A="1", B="2")
    assert found.raced([web("a", "A"), between, web("b", "B")], "app") == {"uid-b": 1}
    found = history.change(web("a", "A"), web("later", "A"), B="3")
    assert found.raced([web("later", "A")], "app") == {}


# --- the stored form


def test_a_wave_survives_its_stored_form() -> None:
    history = History()
    history.change(web("a", "A"), web("b"), A="2")
    wave = history.change(web("a", "A"), web("b", generation=3), A="1", B="2")
    assert wave.owed
    assert wave.spared
    assert Wave.from_json(wave.to_json()) == wave


@pytest.mark.parametrize("raw", [None, [], {}, {"id": "x"}, {"id": "x", "since": 1, "changed": 1, "targets": ["a"]}])
def test_what_is_no_wave_is_refused(raw: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        Wave.from_json(raw)


def test_a_wave_is_over_when_the_status_says_so() -> None:
    wave = History().change(web("a"), A="2")
    assert unfinished(wave, "1-u") is wave
    assert unfinished(wave, "2-u") is None
    assert unfinished(None, "2-u") is None


def test_only_restarts_of_its_own_targets_begin_a_wave() -> None:
    wave = History().change(web("a"), A="2")
    assert joins(wave, [web("a"), web("new", mark="2-u")], "app")
    assert joins(wave, [web("a", mark="1-u")], "app")
    assert not joins(wave, [web("a", mark="2-u")], "app")
    assert not joins(wave, [web("a")], "app", {"uid-a"})


@pytest.mark.parametrize(
    ("text", "revision"), [("7-uid-mark", 7), ("", 0), ("x-7", 0), ("²-x", 0), ("-1", 0), ("9" * 5000 + "-x", 0)]
)
def test_what_is_no_wave_has_no_revision(text: str, revision: int) -> None:
    """Anyone who may change a workload may write its marks."""
    assert revision_of(text) == revision
