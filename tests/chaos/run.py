"""One run: a scenario, what goes wrong meanwhile, and all that must hold afterwards."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import urllib3

from chaos import oracles
from chaos.faults import Fault
from chaos.lane import FAR, Lane
from chaos.proxy import Request
from chaos.scenarios import SCENARIOS, Play
from chaos.scene import Scene
from chaos.trouble import Trouble
from chaos.user import Refused
from harness.stored import history, revision

_numbers = itertools.count(1)
_PATIENCE = 30.0  # seconds until nothing is written any more
_RESYNCS = 3
_LASTS = 15.0  # seconds after which nothing goes wrong any more, unless nothing could get well with it
_TOLD = 12  # requests
_PROMPT = 5.0  # seconds until a change next door is delivered
_STILL = 0.4  # seconds without any write after which a run counts as over
_ALL_BACK = 5.0  # seconds of stillness after which all watches are back
_LOOK = 0.06  # seconds between two looks: what looks takes the processors from what is looked at


@dataclass(kw_only=True)
class Run:
    """What became of one.

    Attributes:
        scene: the organization.
        met: the faults that did happen.
        requests: of the operator, from the moment from which things could go wrong.
        began: revisions of the planes at the beginning.
        armed: those at that moment.
        read: what planes had stored before their revision in `began`: revision, key and content; see `read_now`.
        wide: whether whole planes were concerned.
        crowd: how many sets users change at the same time.
        seconds: from then until everything was as it must be.
    """

    scene: Scene
    met: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    began: dict[str, int] = field(default_factory=dict)
    armed: dict[str, int] = field(default_factory=dict)
    read: dict[str, list[tuple[int, str, bytes]]] = field(default_factory=dict)
    wide: bool = False
    crowd: int = 1
    seconds: float = 0.0

    @property
    def writes(self) -> list[Request]:
        """Those requests that are counted as writes, but for what is told of Regions when there is time."""
        return [each for each in self.requests if each.counted and each.resource != "regions/status"]

    def read_now(self, plane: str) -> None:
        """Read what a plane has stored so far, which it is about to forget."""
        now = revision(self.scene.lane.planes[plane])
        self.read.setdefault(plane, []).extend(history(self.scene.lane.planes[plane], self.began[plane], now))
        self.began[plane] = now


def run(
    lane: Lane, name: str, faults: tuple[Fault, ...] = (), trouble: Trouble | None = None, play: Play | None = None
) -> Run:
    """Play a scenario while these faults, and this trouble, happen, and see that all oracles hold.

    Args:
        lane: where.
        name: of the scenario.
        faults: of single requests.
        trouble: of planes and processes.
        play: a scenario that is not among those with a name.

    Raises:
        AssertionError: one does not; says which, and how to play it again.
    """
    scene = Scene(lane=lane, name=f"run{next(_numbers)}")
    try:
        return _played(lane, scene, (play or SCENARIOS[name])(scene), faults, trouble or Trouble())
    except BaseException as error:
        error.add_note("\n".join(["the last writes:", *map(str, lane.writes()[-_TOLD:])]))
        again = f"make chaos RUN='{' '.join([name, *map(str, faults)])}'"
        if trouble is not None or play is not None:
            again = f".venv/bin/pytest -m chaos '{os.environ['PYTEST_CURRENT_TEST'].rpartition(' ')[0]}'"
        error.add_note(f"again: {again}")
        lane.anew()
        raise


def _played(lane: Lane, scene: Scene, play: Iterator[None], faults: tuple[Fault, ...], trouble: Trouble) -> Run:
    trouble.done = Run(scene=scene, began=_revisions(lane), wide=trouble.wide, crowd=trouble.crowd)
    scene.create()
    next(play)
    _settle(lane, scene, patience=trouble.patience)
    try:
        trouble.prepare()
        _settle(lane, scene, patience=trouble.patience)
        _still(lane)
        return _troubled(lane, play, faults, trouble)
    finally:
        trouble.over()


def _troubled(lane: Lane, play: Iterator[None], faults: tuple[Fault, ...], trouble: Trouble) -> Run:
    done, scene = trouble.done, trouble.done.scene
    lane.forget()
    done.armed = _revisions(lane)
    lane.arm(faults)
    trouble.begin()
    end = _End(lane, faults, trouble)
    began = time.monotonic()
    elsewhere = trouble.far or (faults and all(fault.plane == FAR and not fault.crash for fault in faults))
    for _ in play:
        if elsewhere:
            _undisturbed(lane.nextdoor)
        _settle(lane, scene, end)
    if elsewhere:
        _undisturbed(lane.nextdoor)
    _settle(lane, scene, end)
    done.seconds = time.monotonic() - began
    _still(lane)
    end()
    done.met = lane.disarm()
    lane.revive()
    if any(fault.loses_events for fault in faults):
        lane.operator.resync()
    _settle(lane, scene, end)
    _holds(lane, done)
    if trouble.rewind():
        _still(lane, _ALL_BACK, since=time.monotonic())  # much is as it must be before the operator has heard of it
        _settle(lane, scene, end)
        _holds(lane, done)
    _clean_up(lane, scene)
    return done


def _undisturbed(nextdoor: Scene | None) -> None:
    """Oracle 7: what is changed in a region of the hub meanwhile is delivered at once."""
    assert nextdoor is not None
    nextdoor.change("a")
    began = time.monotonic()
    while why := nextdoor.unsettled():
        waited = time.monotonic() - began
        assert waited < _PROMPT, f"oracle 7: in another region, after {waited:.0f} s: {why}"
        time.sleep(_LOOK)


def _holds(lane: Lane, done: Run) -> None:
    """See that it stays so, and that all other oracles hold."""
    _still(lane)
    done.requests = lane.requests()
    _stays(lane, done.scene)
    oracles.check(lane, done)


def _revisions(lane: Lane) -> dict[str, int]:
    return {name: revision(plane) for name, plane in lane.planes.items()}


class _End:
    """Ends what goes wrong, when it is called for the first time."""

    def __init__(self, lane: Lane, faults: tuple[Fault, ...], trouble: Trouble) -> None:
        self.trouble = trouble
        self._lane = lane
        self._faults = faults
        self._over = False
        single = faults and not any(fault.loses_events for fault in faults)
        self.after = max(trouble.lasts, _LASTS) if single else trouble.lasts

    def __call__(self) -> None:
        if self._over:
            return
        self._over = True
        self.trouble.end()

    def late(self) -> None:
        """Nothing has settled so far. Only what loses events is made up for by a comparison of everything."""
        if self._faults and not self._over:
            self._lane.disarm()
            if any(fault.loses_events for fault in self._faults):
                self._lane.operator.resync()
        self()


def _settle(lane: Lane, scene: Scene, end: _End | None = None, *, patience: float = Trouble.patience) -> None:
    """Wait until everything is as it must be; who was killed is started again, and what goes on for long ends."""
    trouble = end.trouble if end else Trouble()
    patience = max(patience, trouble.patience)
    began = time.monotonic()
    while why := _unsettled(scene, trouble):
        waited = time.monotonic() - began
        lane.revive()
        if end and waited > end.after:
            end.late()
        assert waited < patience, f"oracle 1: after {waited:.0f} s: {why}"
        time.sleep(_LOOK)


def _unsettled(scene: Scene, trouble: Trouble) -> str:
    try:
        return scene.unsettled()
    except (Refused, urllib3.exceptions.HTTPError) as error:
        if not trouble.wide:
            raise
        return f"nobody can see it: {type(error).__name__}"


def _still(lane: Lane, seconds: float = _STILL, *, since: float = 0.0) -> None:
    """Wait until the operator has written nothing for so long, and at least since then."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        writes = lane.writes()
        if time.monotonic() - max(since, *(max(write.at, write.done) for write in writes), 0.0) > seconds:
            return
        time.sleep(_LOOK)
    raise AssertionError(f"oracle 2: the operator goes on writing: {lane.writes()[-1]}")


def _stays(lane: Lane, scene: Scene) -> None:
    """Three resyncs change nothing."""
    before = len(lane.writes())
    for number in range(_RESYNCS):
        for each in lane.replicas:
            each.resynced(lists=number == 0)  # those are long: namespaces of all runs are there until the plane ends
    later = [each for each in lane.writes()[before:] if each.resource != "regions/status"]
    assert not later, f"oracle 2: written with nothing changed: {[str(each) for each in later]}"
    assert not (why := scene.unsettled()), f"oracle 1: it does not stay so: {why}"


def _clean_up(lane: Lane, scene: Scene) -> None:
    for kind, name in tuple(scene.sets):
        if scene.sets[kind, name] is not None:
            scene.delete(name, kind)
    scene.generations.clear()
    _settle(lane, scene, patience=_PATIENCE)
    # Namespaces stay, until their plane ends: what ends one asks for everything that may be in it, 45 kinds, and was a
    # third of all requests.
    for region in scene.opened:
        lane.users["hub"].delete("region", region)
    for plane, user in lane.users.items():
        for name in {scene.name} | scene.places(plane):
            for kind in ("deployment", "secret"):
                user.clear(kind, name)
    lane.forget()
