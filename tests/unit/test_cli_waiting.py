"""How it is waited, and what is said meanwhile: texts of others as they are, one time for several waits."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import Any, cast

import pytest
import typer

from builders import secret_set
from secretset.actions import health, sets
from secretset.actions.session import Session
from secretset.cli import bind, delete, import_run, waiting
from secretset.cli.deploy_file import Wish
from secretset.cli.hub import CommandError, fail, show, told
from secretset.cli.import_run import Target
from secretset.cli.options import OutputFormat
from secretset.cli.waiting import NOT_READY, Deadline, line, standing, until_delivered
from secretset.domain.health import Finding, Level
from secretset.domain.imports import Item
from secretset.domain.names import Key, Kind
from secretset.domain.set_view import SetView
from secretset.kube import errors

EVIL = "x \\[/y] [bold]z\x1b]0;title\x07\x9b1m\r"
SHOWN = "x \\[/y] [bold]z"
Captured = pytest.CaptureFixture[str]
NOBODY = cast("Session", None)


def view(name: str = "app", **status: Any) -> SetView:
    builder = secret_set(name).with_status(**{"phase": "ready", "observedGeneration": 1, "region": "us", **status})
    return SetView.parse(Kind.SECRET_SET, builder.object())


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_of_progress_shows_texts_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with line(EVIL) as text:
        pass
    with line("begun") as text:
        text(f"then {EVIL}")
    written = screen.getvalue()
    assert SHOWN in written
    assert f"then {SHOWN}" in written
    assert not [each for each in ("\x1b]", "\x07", "\x9b") if each in written]


def test_how_a_set_stands_is_text_that_no_terminal_obeys() -> None:
    failed = standing(view(phase="failed", reason="TooLarge", message=EVIL))
    assert failed.startswith(f"failed: TooLarge: {SHOWN}")
    assert failed.isprintable()
    assert standing(view()) == "ready in us"


def test_nor_does_it_what_ends_a_command_or_stands_in_a_table(capsys: Captured) -> None:
    with pytest.raises(typer.Exit):
        fail("get", f"one\n{EVIL}")
    show(OutputFormat.TABLE, {"DISPLAY NAME": lambda row: str(row["name"])}, [{"name": EVIL}])
    printed = capsys.readouterr()
    assert printed.err.startswith(f"secretset get: one\n{SHOWN}")
    assert printed.out.splitlines()[1].startswith(SHOWN)
    assert not set(printed.out + printed.err) & set("\x1b\x07\x9b\r")
    show(OutputFormat.JSON, {}, [{"name": EVIL}])
    assert json.loads(capsys.readouterr().out) == [{"name": EVIL}]


class Clock:
    """Time that passes when somebody says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(waiting, "monotonic", lambda: self.now)


def test_several_waits_have_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, limits = Clock(monkeypatch), list[float]()

    async def ready(_: Session, key: Key, *, generation: int, timeout: float) -> SetView:  # noqa: ASYNC109
        limits.append(timeout)
        clock.now += 4
        return view(key.name)

    monkeypatch.setattr(waiting, "until_ready", ready)
    wish = Wish(workload="web", names=())
    request = bind._Request(
        wish=wish,
        organization="team",
        annotate=False,
        image=None,
        wait=True,
        timeout=10,
        kubeconfig=None,
        region_kubeconfig=None,
        region_context=None,
    )
    pending = [view(name, phase="pending") for name in ("one", "two", "three", "four")]
    found = asyncio.run(bind._ready(NOBODY, pending, request))
    assert [each.name for each in found] == ["one", "two", "three", "four"]
    assert limits == [10, 6, 2, 0.1]
    assert Deadline(5).left() == 5


def test_what_is_stored_is_told_so_whatever_the_hub_says(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> SetView:
        raise errors.Unreachable("no answer")

    monkeypatch.setattr(waiting, "until_ready", away)
    with pytest.raises(CommandError) as caught:
        asyncio.run(until_delivered(NOBODY, view(), timeout=1))
    assert str(caught.value).startswith("SecretSet team/app is stored, but could not be followed: ")
    assert "the hub could not be asked: no answer" in str(caught.value)
    assert caught.value.code == NOT_READY


@pytest.mark.parametrize(
    ("codes", "stored", "expected"),
    [
        ([0], True, 0),
        ([0, NOT_READY], True, 3),
        ([0, NOT_READY, waiting.SET_FAILED], True, 4),
        ([0, 1, waiting.SET_FAILED], True, 1),
        ([0, 2], False, 2),
        ([0, 2, 1], False, 2),
        ([0, 2, NOT_READY], True, 1),
    ],
)
def test_the_exit_code_of_an_import(codes: list[int], stored: bool, expected: int) -> None:
    assert import_run._worst(codes, stored=stored) == expected


def test_an_import_tells_of_each_item_though_the_hub_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    async def put(_: Session, key: Key, __: Any) -> Any:
        if key.name == "two":
            raise errors.ServerError(500)
        return sets.Stored(view=view(key.name, phase="pending"), created=True, changed=True)

    async def away(*_: Any, **__: Any) -> SetView:
        raise errors.Unreachable("no answer")

    monkeypatch.setattr(sets, "put", put)
    monkeypatch.setattr(sets, "get", away)
    monkeypatch.setattr(waiting, "until_ready", away)
    items = [Item(kind=Kind.SECRET_SET, name=name, origin="here", values={"A": b"x"}) for name in ("one", "two")]
    target = Target(organization="team", region=None, overwrite=False)
    rows, code = asyncio.run(import_run.store(NOBODY, items, target, 1))
    assert [(row["name"], row["done"], row.get("status")) for row in rows] == [
        ("one", "created", "pending"),
        ("two", "failed", None),
    ]
    assert code == 1
    said = capsys.readouterr().err
    assert "here: the hub could not be asked: HTTP 500" in said
    assert "SecretSet team/one is stored, but could not be followed" in said


class Hub:
    """A hub that answers everything with an error, and two names with a set."""

    def __init__(self, error: errors.KubeError, *kinds: str) -> None:
        self._error = error
        self._kinds = kinds

    async def get(self, path: str, *_: Any) -> Any:
        if path.split("/")[-2] in self._kinds:
            return secret_set("app").object()
        raise self._error


def session(hub: Hub) -> Session:
    return Session(cast("Any", hub))


def test_a_deletion_asks_which_one_is_meant() -> None:
    both = session(Hub(errors.NotFound(404), "secretsets", "imagepullsecrets"))
    with pytest.raises(CommandError, match="secretset image-pull-secrets delete app -n team"):
        asyncio.run(delete._meant(both, "team", "app", None))
    assert asyncio.run(delete._meant(both, "team", "app", Kind.IMAGE_PULL_SECRET)).key.kind is Kind.IMAGE_PULL_SECRET
    one = session(Hub(errors.NotFound(404), "imagepullsecrets"))
    assert asyncio.run(delete._meant(one, "team", "app", None)).key.kind is Kind.IMAGE_PULL_SECRET


def test_the_doctor_tells_why_it_has_no_keys() -> None:
    """Only what RBAC refuses is told as that."""
    found = [
        asyncio.run(health._keys(session(Hub(error))))
        for error in (errors.Forbidden(403), errors.Unreachable("no answer"), errors.ServerError(500))
    ]
    assert [each.level for each in found if isinstance(each, Finding)] == [Level.UNKNOWN] * 3
    says = [each.says for each in found if isinstance(each, Finding)]
    assert says == [
        "You may not read the public keys in 'secretset-system'.",
        "The hub could not be asked: no answer.",
        "The hub could not be asked: HTTP 500.",
    ]
    assert asyncio.run(health._keys(session(Hub(errors.Absent(404))))) is None
    assert "watch" in health._VERBS  # waits need it


def test_what_is_told_of_an_answer() -> None:
    assert "log in again" in told(errors.Unauthorized(401))
    assert "you may not do that there (RBAC of the hub)" in told(errors.Forbidden(403))
    assert told(errors.ConfigError("there is no kubeconfig")) == "there is no kubeconfig"
