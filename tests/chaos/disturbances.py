"""What happens to whole planes: compaction, the end of programs, and stores that are put back."""

from __future__ import annotations

import copy
import json
import threading
import urllib.request
from pathlib import Path

from chaos.faults import Fault
from chaos.lane import FAR
from chaos.scene import Scene
from chaos.trouble import Trouble
from harness import eventually
from harness.helm import sets_are_taken
from harness.stored import revision
from kubelab.components import APISERVER, CONTROLLERS
from kubelab.plane import ControlPlane

_FOLLOWED = ("secretsets", "imagepullsecrets", "secrets", "deployments", "serviceaccounts")
_PATIENCE = 60.0


def compact(plane: ControlPlane) -> None:
    """Have etcd forget every version but the newest of everything, as the API server does every five minutes."""
    body = json.dumps({"revision": revision(plane), "physical": True}).encode()
    url = f"http://127.0.0.1:{plane.ports['etcd']}/v3/kv/compaction"
    urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=10).close()


def come_back(plane: ControlPlane, program: str) -> None:
    """Start a program again; with the API server its controllers, which take minutes to try again by themselves."""
    plane.restart(program)
    if program == APISERVER:
        plane.restart(CONTROLLERS)


class Compacted(Trouble):
    """All that was is forgotten, at a moment in which watches are cut.

    Args:
        plane: whose.
        before: that moment is right before users do something (else when they have, and little is settled yet).
        unseen: the API server begins anew, too. It keeps a window of versions itself, and only without that is every
            version that a watch could go on from answered with 410.
    """

    lasts = 0.2

    def __init__(self, plane: str, *, before: bool, unseen: bool = False) -> None:
        self.plane = plane
        self.before = before
        self.far = plane == FAR
        self.wide = self.unseen = unseen
        self.patience = _PATIENCE if unseen else 30.0

    def __str__(self) -> str:
        return f"{self.plane}-{'before' if self.before else 'after'}{'-unseen' if self.unseen else ''}"

    def prepare(self) -> None:
        if self.unseen:
            be_patient(self)

    def begin(self) -> None:
        if self.before:
            self._strike()

    def end(self) -> None:
        if not self.before:
            self._strike()

    def _strike(self) -> None:
        plane, proxy = self.lane.planes[self.plane], self.lane.proxies[self.plane]
        if self.unseen:
            plane.kill(APISERVER)
        self.done.read_now(self.plane)
        compact(plane)
        proxy.cut()
        if self.unseen:
            come_back(plane, APISERVER)

    def over(self) -> None:
        if self.unseen:
            be_impatient(self)


class Pages(Trouble):
    """Every list has to be read anew, in pages of one object, and the token of the next page expires, for real.

    Args:
        plane: whose.
        times: how often it expires at most.
    """

    def __init__(self, plane: str, times: int) -> None:
        self.plane = plane
        self.far = plane == FAR
        self.times = times
        self.expired = 0
        self._turn = threading.Lock()

    def __str__(self) -> str:
        return f"{self.plane}-{self.times}"

    def begin(self) -> None:
        proxy = self.lane.proxies[self.plane]
        proxy.page, proxy.on_next_page = 1, self._expire
        gone = [Fault(where="watch", act="error", code=410, resource=each, plane=self.plane) for each in _FOLLOWED]
        proxy.arm(gone)

    def end(self) -> None:
        eventually(lambda: self.expired, "a list that is read page by page")
        self.over()

    def over(self) -> None:
        proxy = self.lane.proxies[self.plane]
        proxy.page, proxy.on_next_page = 0, lambda: None

    def _expire(self) -> None:
        with self._turn:
            if self.expired < self.times:
                self.expired += 1
                self.done.read_now(self.plane)
                compact(self.lane.planes[self.plane])


class Killed(Trouble):
    """A program of a plane ends, and comes back.

    Args:
        plane: whose.
        program: `kube-apiserver` or `etcd`.
        write: right after it has done so many writes of the operator, without saying so; 0: before users do anything.
    """

    wide = True
    patience = _PATIENCE
    lasts = 1.5

    def __init__(self, plane: str, program: str, write: int) -> None:
        self.plane = plane
        self.far = plane == FAR
        self.program = program
        self.write = write

    def __str__(self) -> str:
        return f"{self.plane}-{self.program.removeprefix('kube-')}-{self.write or 'before'}"

    def prepare(self) -> None:
        be_patient(self)

    def begin(self) -> None:
        plane, proxy = self.lane.planes[self.plane], self.lane.proxies[self.plane]
        if self.write:
            self._usual = proxy.on_crash
            proxy.on_crash = lambda: plane.kill(self.program)
            proxy.arm([Fault(where="write", act="crash-lost", number=self.write, plane=self.plane)])
            return
        plane.kill(self.program)
        if self.plane == "hub":
            come_back(plane, self.program)

    def end(self) -> None:
        plane = self.lane.planes[self.plane]
        if self.write:
            assert self.lane.proxies[self.plane].met, "it was never struck"
        if self.program not in plane.pids:
            come_back(plane, self.program)

    def over(self) -> None:
        if self.write:
            self.lane.proxies[self.plane].on_crash = self._usual
        plane = self.lane.planes[self.plane]
        if self.program not in plane.pids:
            come_back(plane, self.program)
        be_impatient(self)


class PutBack(Trouble):
    """A store is put back to what it was before users did something.

    With `far`, what users want is the same as before, so contents are repaired; nobody is restarted by that, and the
    generations are those of the store that was put back. With the hub, what users did is undone: everything has to be
    as the objects say again.

    Args:
        plane: whose.
    """

    wide = True
    patience = _PATIENCE

    def __init__(self, plane: str) -> None:
        self.plane = plane
        self._snapshot = Path()
        self._before: Scene | None = None

    def __str__(self) -> str:
        return self.plane

    def prepare(self) -> None:
        be_patient(self)
        self._before = remembered(self.done.scene)
        self._snapshot = self.lane.planes[self.plane].snapshot()

    def over(self) -> None:
        be_impatient(self)

    def rewind(self) -> bool:
        scene, before, plane = self.done.scene, self._before, self.lane.planes[self.plane]
        assert before is not None
        plane.restore(self._snapshot)
        # `ready` may be told of what is just being repaired: that is drift.
        scene.drifts = True
        for key in before.generations.keys() | scene.generations.keys():
            if key[0] == self.plane:
                scene.generations[key] = before.generations[key]
        if self.plane == FAR:
            self._come_back(scene, before)
        else:
            self._undone(scene, before)
        self.done.read.pop(self.plane, None)
        self.done.began[self.plane] = self.done.armed[self.plane] = revision(plane)
        self.lane.forget()
        return True

    def _come_back(self, scene: Scene, before: Scene) -> None:
        """The Secrets of sets that were deleted since are there again, and stay: for all that the region shows, it may
        be the hub that has lost those sets, and pods use their Secrets.
        """
        for key, wanted in before.sets.items():
            if wanted is not None and wanted.region == FAR and scene.sets.get(key) is None:
                scene.left.add(key)
                scene.keeps(key[1], FAR)

    def _undone(self, scene: Scene, before: Scene) -> None:
        """What users did is gone; what came of it in `far` is not: it is content once more, and restarts as such."""
        changed = {key for key, count in scene.generations.items() if key[0] == FAR and count > before.generations[key]}
        scene.sources, scene.sets = before.sources, before.sets
        scene.generations.update(changed)


def remembered(scene: Scene) -> Scene:
    """What must be now."""
    kept = Scene(lane=scene.lane, name=scene.name)
    kept.sources, kept.sets = copy.deepcopy(scene.sources), copy.deepcopy(scene.sets)
    kept.generations = scene.generations.copy()
    return kept


def be_patient(trouble: Trouble) -> None:
    """Have users try again while planes are away."""
    for user in trouble.lane.users.values():
        user.patience = 30.0


def be_impatient(trouble: Trouble) -> None:
    """Have users expect their planes to answer; policies of one that has just begun do not know our kinds at first."""
    for plane in trouble.lane.planes.values():
        plane.wait_ready()
    sets_are_taken(trouble.lane.planes["hub"])
    for user in trouble.lane.users.values():
        user.patience = 0.0
