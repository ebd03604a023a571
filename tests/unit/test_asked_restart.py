"""A restart that was asked for: what is foreseen, and when it is through."""

from __future__ import annotations

from typing import Any

import pytest

from builders import secret_set
from secretset.domain import names, record
from secretset.domain.asked_restart import Stage, foresee, stage, unlisted
from secretset.domain.names import Kind
from secretset.domain.set_view import SetView

FEBRUARY = 1_770_000_000.0  # 2026-02-02T02:40Z


def view(*states: str, ask: str = "", asked: str = "", window: str = "", bound: int = 0, **status: Any) -> SetView:
    """A set; each state is ``state`` or ``state=revision``, of one workload."""
    builder = secret_set("app").with_key("A", source="src")
    if ask:
        builder.with_meta(annotations={names.ANNOTATION_RESTART_NOW: ask})
    if window:
        builder.with_spec(restart={"window": {"schedule": window, "duration": "1h"}})
    items = []
    for number, each in enumerate(states):
        state, _, revision = each.partition("=")
        item: dict[str, Any] = {"kind": "Deployment", "name": f"w{number}", "state": state}
        items.append({**item, "revision": int(revision)} if revision else {**item, "message": f"Why {number}."})
    counts = {
        each: sum(s.partition("=")[0] == each for s in states) for each in ("current", "restarting", "stalled", "held")
    }
    workloads = {"bound": bound or len(states), **counts, "items": items}
    builder.with_status(phase="ready", observedGeneration=1, workloads=workloads, **status)
    if asked:
        builder.with_status(restartRequest=hashed(asked))
    return SetView.parse(Kind.SECRET_SET, builder.object())


def hashed(ask: str) -> str:
    obj = secret_set("app").with_meta(annotations={names.ANNOTATION_RESTART_NOW: ask}).object()
    return record.parse(Kind.SECRET_SET, obj).ask


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (view("current=1", "current=1", ask="a"), Stage.GOING),  # the operator has not seen it
        (view("current=1", "current=1", ask="a", asked="before"), Stage.GOING),
        (view("restarting", "current=1", ask="a"), Stage.GOING),
        (view("restarting=1", "current=1", ask="a", asked="a"), Stage.GOING),
        (view("current=1", "current=1", ask="a", asked="a"), Stage.DONE),
        (view("current=1", "current=1", ask="b", asked="b"), Stage.DONE),  # somebody asked after us: one for both
        (view(ask="a", asked="a"), Stage.DONE),
        (view("held", "restarting", ask="a"), Stage.GOING),
        (view("held", "current=1", ask="a"), Stage.HELD),
        (view("held=1", "current=1", ask="a", asked="a"), Stage.HELD),  # its pods wait to be deleted by hand
        (view("held=1", "current=1", ask="a"), Stage.HELD),  # a change came meanwhile: one wave is of both
        (view("held=1", "restarting=1", ask="a"), Stage.GOING),
        (view("stalled", "held", ask="a"), Stage.STALLED),
        (view("stalled=1", ask="a", asked="a"), Stage.STALLED),
    ],
)
def test_how_far_it_is(now: SetView, expected: Stage) -> None:
    assert stage(now, view("current=1", "current=1", ask="a")) is expected


def test_what_was_held_before_is_no_news() -> None:
    before = view("held", "current=1", ask="a")
    assert stage(view("held", "current=1", ask="a"), before) is Stage.GOING
    assert stage(view("held", "current", ask="a"), before) is Stage.HELD


def test_what_is_foreseen() -> None:
    found = [each.to_json() for each in foresee(view("held", "restarting=1", "current=1"), FEBRUARY)]
    assert found == [
        {"workload": "deployment/w0", "state": "held", "restarts": "later", "why": "Why 0."},
        {
            "workload": "deployment/w1",
            "state": "restarting",
            "restarts": "now, unless held",
            "why": "It is being restarted already, and begins anew.",
        },
        {"workload": "deployment/w2", "state": "current", "restarts": "now, unless held"},
    ]
    assert unlisted(view("current=1", bound=7)) == 6


def test_a_window_that_is_closed() -> None:
    (shut,) = foresee(view("current=1", window="0 0 1 3 *"), FEBRUARY)
    assert (shut.restarts, shut.why) == ("later", "Its restart window opens at 2026-03-01T00:00Z.")
    (open_,) = foresee(view("current=1", window="0 2 * * *"), FEBRUARY)
    assert (open_.restarts, open_.why) == ("now, unless held", "")
