"""`secretset reseal` on a hub that fails: it tries again after a pause, goes on, and says what was left."""

from __future__ import annotations

import asyncio
import copy
from typing import Any, cast

import pytest

from secretset.cli import reseal_sets
from secretset.cli.reseal_sets import Outcome, Scope, resealed
from secretset.controller import installation
from secretset.domain.last_applied import ANNOTATION
from secretset.domain.names import Kind
from secretset.domain.observed import encode_data
from secretset.domain.sealing import Opener, Place
from secretset.domain.sealing_keys import DOCUMENT, SECRET_NAME, PublicKeys, SealingKey
from secretset.kube import errors, paths
from secretset.kube.client import Client
from unit.key_hub import PUBLIC, SYSTEM, entry, private
from unit.test_backup import BACKUP

HERE = BACKUP.installation["id"].decode()
OLD, NEW = private(1), private(2)
ENTRIES = {OLD.kid: entry(1, days=2), NEW.kid: entry(2)}
SCOPE = Scope(namespace=None, names=frozenset(), operator_namespace=SYSTEM, folder=None, kek_files=(), dry_run=False)


def place(name: str) -> Place:
    return Place(HERE, Kind.SECRET_SET, "team", name, "A")


class Hub:
    """A hub with sets, of which some cannot be had.

    Attributes:
        fails: by the name of a set: what is raised for it, in turn; None: it is answered. The last one stays.
        asked: the sets that were read, in order.
    """

    def __init__(self, *names: str) -> None:
        self.fails: dict[str, list[errors.KubeError | None]] = {}
        self.asked: list[str] = []
        self.sets = {name: self._set(name) for name in names}

    def _set(self, name: str) -> dict[str, Any]:
        meta = {"namespace": "team", "name": name, "uid": name, "resourceVersion": "1", "annotations": {ANNOTATION: ""}}
        return {"metadata": meta, "spec": {"data": {"A": {"sealed": OLD.public.seal(place(name), b"value")}}}}

    async def get(self, path: str, *_: Any, **__: Any) -> Any:
        if path == paths.secrets(SYSTEM, installation.SECRET_NAME):
            return {"data": encode_data({**BACKUP.installation, "fingerprint-current": b"1"})}
        if path == paths.secrets(SYSTEM, SECRET_NAME):
            return {
                "metadata": {"uid": "secret", "resourceVersion": "1"},
                "data": encode_data({kid: each.render() for kid, each in ENTRIES.items()}),
            }
        if path == PUBLIC:
            keys = [SealingKey(private=key, created=ENTRIES[key.kid].created) for key in (OLD, NEW)]
            return {"metadata": {}, "data": {DOCUMENT: PublicKeys.of(HERE, keys).render()}}
        if path == paths.custom_list(Kind.SECRET_SET):
            return {"metadata": {}, "items": copy.deepcopy(list(self.sets.values()))}
        if path == paths.custom_list(Kind.IMAGE_PULL_SECRET):
            return {"metadata": {}, "items": []}
        name = path.rsplit("/", 1)[1]
        self.asked.append(name)
        if turns := self.fails.get(name):
            failure = turns.pop(0) if len(turns) > 1 else turns[0]
            if failure is not None:
                raise failure
        return copy.deepcopy(self.sets[name])

    async def patch(self, path: str, patch: list[dict[str, Any]], *_: Any) -> None:
        obj = self.sets[path.rsplit("/", 1)[1]]
        for each in patch:
            if each["op"] == "replace":
                obj["spec"]["data"]["A"]["sealed"] = each["value"]

    def opens(self, name: str) -> bool:
        """With the new key alone."""
        text = self.sets[name]["spec"]["data"]["A"]["sealed"]
        return text.startswith(f"hpke1.{NEW.kid}.") and Opener([NEW]).open(place(name), text) == b"value"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, in seconds; none takes any time."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(reseal_sets.asyncio, "sleep", sleep)  # type: ignore[attr-defined]
    return made


def run(hub: Hub) -> Outcome:
    return asyncio.run(resealed(cast("Client", hub), SCOPE))


def test_a_hub_that_fails_for_a_while_is_asked_again_after_a_pause(pauses: list[float]) -> None:
    hub = Hub("a", "b")
    hub.fails["a"] = [errors.Throttled(429, retry_after=7), errors.ServerError(503), errors.Unreachable("gone"), None]
    outcome = run(hub)
    assert (outcome.code, outcome.values, outcome.sets, outcome.applied) == (0, 2, 2, 2)
    assert pauses == [7, 2, 4]
    assert hub.opens("a")
    assert hub.opens("b")


def test_a_pause_that_the_hub_asks_for_has_an_end(pauses: list[float]) -> None:
    hub = Hub("a")
    hub.fails["a"] = [errors.Throttled(429, retry_after=86_400), None]
    assert run(hub).code == 0
    assert pauses == [60]


def test_a_set_for_which_the_hub_goes_on_failing_is_told_and_the_others_are_resealed(pauses: list[float]) -> None:
    hub = Hub("a", "b", "c")
    hub.fails["b"] = [errors.ServerError(500, "InternalError")]
    outcome = run(hub)
    assert (outcome.code, outcome.values) == (1, 2)
    assert [text.partition(": ")[2] for text in outcome.problems] == ["it could not be changed: HTTP 500 InternalError"]
    assert "team/b" in outcome.problems[0]
    assert pauses == [1, 2, 4, 8]
    assert hub.opens("c")
    assert not hub.opens("b")


def test_a_hub_that_is_gone_is_not_asked_for_every_set(pauses: list[float]) -> None:
    hub = Hub(*"abcdef")
    for name in "bcdef":
        hub.fails[name] = [errors.Unreachable("no route")]
    outcome = run(hub)
    assert (outcome.code, outcome.values, len(outcome.problems)) == (1, 1, 4)
    assert outcome.problems[-1] == "the hub fails for one set after another: 2 more were not looked at"
    assert set(hub.asked) == set("abcd")
    assert len(pauses) == 12


@pytest.mark.parametrize("failure", [errors.Untrusted("x"), errors.Forbidden(403), errors.Unauthorized(401)])
def test_what_another_attempt_does_not_mend_ends_the_run(pauses: list[float], failure: errors.KubeError) -> None:
    hub = Hub("a")
    hub.fails["a"] = [failure]
    with pytest.raises(type(failure)):
        run(hub)
    assert not pauses


def test_a_set_that_changes_or_is_deleted_meanwhile_is_no_failure_of_the_hub(pauses: list[float]) -> None:
    hub = Hub("a", "b")
    hub.fails = {"a": [errors.Absent(404)], "b": [errors.Conflict(409)]}
    assert ["it changes all the time" in text for text in run(hub).problems] == [True]
    assert not pauses
