"""The life of sets, pull secrets, regions, bindings and keys, in short pieces.

A scenario is a generator: what comes before its first `yield` is there already when something goes wrong, what comes
after happens while it does; at each `yield` the run waits until everything is as it must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chaos.lane import FAR
from chaos.scene import NEAR, PULL, SET, Scene, Wanted
from harness.manifests import value_from

Play = Callable[[Scene], Iterator[None]]
SCENARIOS: dict[str, Play] = {}
# What the operator writes for what comes after the first `yield`, if nothing goes wrong: Secrets, workloads and
# finalizers, exactly; and statuses, of which there are more when a rollout takes its time.
WRITES: dict[str, tuple[int, int]] = {}
# Those of the objects that are on the other cluster.
AWAY: dict[str, int] = {}


def scenario(*, objects: int, statuses: int, away: int = 0) -> Callable[[Play], Play]:
    """Register one, with the writes that it needs."""

    def note(play: Play) -> Play:
        name = play.__name__.strip("_").replace("_", "-")
        SCENARIOS[name], WRITES[name], AWAY[name] = play, (objects, statuses), away
        return play

    return note


def _there(scene: Scene, region: str = NEAR) -> None:
    """A set that two of three Deployments use."""
    scene.source()
    scene.workloads(region)
    scene.set(region=region, bound=2)


# --- a set


@scenario(objects=1, statuses=1)
def _create(scene: Scene) -> Iterator[None]:
    scene.source()
    scene.workloads()
    yield
    scene.set(bound=2)


@scenario(objects=3, statuses=1)
def _change(scene: Scene) -> Iterator[None]:
    _there(scene)
    yield
    scene.change("a")
    scene.restarts("whole", "one")


@scenario(objects=2, statuses=1)
def _change_one(scene: Scene) -> Iterator[None]:
    _there(scene)
    yield
    scene.change("b")
    scene.restarts("whole")


@scenario(objects=6, statuses=2)
def _change_twice(scene: Scene) -> Iterator[None]:
    _there(scene)
    yield
    scene.change("a")
    scene.restarts("whole", "one")
    yield
    scene.change("a")
    scene.restarts("whole", "one")


@scenario(objects=2, statuses=1)
def _add_key(scene: Scene) -> Iterator[None]:
    _there(scene)
    yield
    scene.data(C=("src", "a"))
    scene.restarts("whole")


@scenario(objects=2, statuses=1)
def _remove_key(scene: Scene) -> Iterator[None]:
    _there(scene)
    yield
    scene.data(B=None)
    scene.restarts("whole")


@scenario(objects=0, statuses=1)
def _describe(scene: Scene) -> Iterator[None]:
    """A spec that changes, but for the content."""
    _there(scene)
    scene.keeps("app")
    yield
    scene.user().patch(SET, "app", scene.name, {"spec": {"description": "what it is for"}})


@scenario(objects=1, statuses=0)
def _edited(scene: Scene) -> Iterator[None]:
    """Drift: nobody is restarted."""
    _there(scene)
    scene.drifts = True
    yield
    scene.user().patch("secret", "app", scene.regional(), {"data": {"A": "c3BvaWxlZA=="}})


@scenario(objects=1, statuses=0)
def _lost(scene: Scene) -> Iterator[None]:
    """The managed Secret is deleted: nobody is restarted."""
    _there(scene)
    scene.drifts = True
    yield
    scene.user().delete("secret", "app", scene.regional())


@scenario(objects=2, statuses=0)
def _delete(scene: Scene) -> Iterator[None]:
    _there(scene)
    yield
    scene.delete()


@scenario(objects=3, statuses=1)
def _recreate(scene: Scene) -> Iterator[None]:
    """Under the same name, with another content, as soon as it is gone."""
    _there(scene)
    yield
    scene.delete()
    yield
    scene.set(bound=2, A=("src", "b"), B=("src", "a"))


@scenario(objects=1, statuses=2)
def _late_source(scene: Scene) -> Iterator[None]:
    """The set comes first."""
    yield
    scene.set()
    scene.wanted(SET, "app").says, scene.wanted(SET, "app").secret = ("pending", "SourceMissing"), False
    yield
    scene.source()
    scene.wanted(SET, "app").says, scene.wanted(SET, "app").secret = ("ready", "Synced"), True


@scenario(objects=0, statuses=2)
def _invalid_and_back(scene: Scene) -> Iterator[None]:
    """A reference to nothing, and back: as before, and nobody notices."""
    _there(scene)
    scene.keeps("app")
    yield
    before = scene.wanted(SET, "app").data
    scene.user().patch(SET, "app", scene.name, {"spec": {"data": {"B": value_from("src", "missing")}}})
    scene.wanted(SET, "app").says = ("pending", "SourceMissing")
    yield
    scene.wanted(SET, "app").says = ("ready", "Synced")
    scene.data(B=before["B"])


@scenario(objects=0, statuses=2)
def _garbled_and_back(scene: Scene) -> Iterator[None]:
    """A sealed value of another key, and back."""
    scene.set(A=scene.canary(), B=scene.canary(), bound=1)
    scene.keeps("app")
    scene.deployment("whole", {"envFrom": [{"secretRef": {"name": "app"}}]})
    yield
    spec = (scene.user().get(SET, "app", scene.name) or {})["spec"]
    scene.user().patch(SET, "app", scene.name, {"spec": {"data": {"B": spec["data"]["A"]}}})
    scene.wanted(SET, "app").says = ("failed", "UnsealFailed")
    yield
    scene.wanted(SET, "app").says = ("ready", "Synced")
    scene.user().patch(SET, "app", scene.name, {"spec": {"data": {"B": spec["data"]["B"]}}})


@scenario(objects=2, statuses=2)
def _foreign(scene: Scene) -> Iterator[None]:
    """A Secret of somebody else has the name, until they take it away."""
    scene.source()
    scene.user().create("secret", {"metadata": {"name": "app", "namespace": scene.regional()}, "type": "Opaque"})
    theirs = scene.user().get("secret", "app", scene.regional())
    yield
    scene.set()
    scene.wanted(SET, "app").says = ("failed", "NameConflict")
    scene.wanted(SET, "app").data = {}
    yield
    assert scene.user().get("secret", "app", scene.regional()) == theirs, "oracle 4: a Secret that is not ours"
    scene.sets[SET, "app"] = Wanted(region=NEAR, data={"A": ("src", "a"), "B": ("src", "b")})
    scene.user().delete("secret", "app", scene.regional())


@scenario(objects=6, statuses=6)
def _crowd(scene: Scene) -> Iterator[None]:
    """Many at once, of one source."""
    scene.source()
    yield
    for number in range(6):
        scene.set(f"app-{number}")


@scenario(objects=8, statuses=4)
def _crowd_changes(scene: Scene) -> Iterator[None]:
    """One source changes, and with it many sets."""
    scene.source()
    for number in range(4):
        scene.set(f"app-{number}", bound=1)
        scene.deployment(f"user-{number}", {"envFrom": [{"secretRef": {"name": f"app-{number}"}}]})
    yield
    scene.change("a")
    scene.restarts(*(f"user-{number}" for number in range(4)))


@scenario(objects=2, statuses=1)
def _bound_by_annotation(scene: Scene) -> Iterator[None]:
    scene.source()
    scene.deployment("noted", {}, bind="app")
    scene.set(bound=1)
    yield
    scene.change("a")
    scene.restarts("noted")


@scenario(objects=0, statuses=1)
def _used_later(scene: Scene) -> Iterator[None]:
    """One more Deployment begins to use the set: its own rollout is the only one."""
    _there(scene)
    scene.keeps("app")
    yield
    scene.uses("still", {"envFrom": [{"secretRef": {"name": "app"}}]})
    scene.wanted(SET, "app").bound = 3


@scenario(objects=2, statuses=2)
def _used_no_more(scene: Scene) -> Iterator[None]:
    """A Deployment ceases to use the set, and is not restarted by what comes after."""
    _there(scene)
    yield
    scene.uses("one", {})
    scene.wanted(SET, "app").bound = 1
    yield
    scene.change("a")
    scene.restarts("whole")


# --- sealed values


@scenario(objects=1, statuses=1)
def _sealed(scene: Scene) -> Iterator[None]:
    yield
    scene.set(A=scene.canary(), B=scene.canary())


@scenario(objects=2, statuses=1)
def _sealed_changes(scene: Scene) -> Iterator[None]:
    scene.set(A=scene.canary(), bound=1)
    scene.deployment("whole", {"envFrom": [{"secretRef": {"name": "app"}}]})
    yield
    scene.data(A=scene.canary())
    scene.restarts("whole")


@scenario(objects=0, statuses=1)
def _sealed_again(scene: Scene) -> Iterator[None]:
    """The same value under another seal: nobody is restarted, the Secret stays."""
    value = scene.canary()
    scene.set(A=value, bound=1)
    scene.keeps("app")
    scene.deployment("whole", {"envFrom": [{"secretRef": {"name": "app"}}]})
    yield
    scene.data(A=value)


@scenario(objects=1, statuses=1)
def _rotated(scene: Scene) -> Iterator[None]:
    """A new sealing key, and a value that is sealed for it at once; what was sealed before stays."""
    scene.set("before", A=scene.canary())
    scene.keeps("before")
    yield
    scene.rotate()
    scene.set(A=scene.canary())


# --- pull secrets


@scenario(objects=2, statuses=1)
def _pull(scene: Scene) -> Iterator[None]:
    """It is attached to a ServiceAccount, too."""
    scene.source()
    yield
    scene.pull(accounts=("default",))


@scenario(objects=1, statuses=1)
def _pull_changes(scene: Scene) -> Iterator[None]:
    scene.source()
    scene.pull(accounts=("default",))
    yield
    scene.change("a")


@scenario(objects=3, statuses=0)
def _pull_deleted(scene: Scene) -> Iterator[None]:
    scene.source()
    scene.pull(accounts=("default",))
    yield
    scene.delete("pull", PULL)


# --- regions


@scenario(objects=3, statuses=2)
def _region(scene: Scene) -> Iterator[None]:
    """It comes after its set, and goes after it."""
    scene.source()
    own = scene.room()
    yield
    scene.set(region=own)
    scene.wanted(SET, "app").says, scene.wanted(SET, "app").secret = ("failed", "RegionUnknown"), False
    yield
    scene.open(own)
    scene.wanted(SET, "app").says, scene.wanted(SET, "app").secret = ("ready", "Synced"), True
    yield
    scene.delete()
    yield
    scene.user().delete("region", own)


@scenario(objects=0, statuses=2)
def _region_closes(scene: Scene) -> Iterator[None]:
    """It does not take the organization any more, and does again: what is there stays, and nobody notices."""
    own = scene.room()
    scene.open(own)
    scene.source()
    scene.set(region=own)
    scene.keeps("app", own)
    yield
    scene.user().patch("region", own, None, {"spec": {"organizations": {"matchLabels": {"open": "no"}}}})
    scene.wanted(SET, "app").says = ("failed", "RegionForbidden")
    yield
    scene.user().patch("region", own, None, {"spec": {"organizations": None}})
    scene.wanted(SET, "app").says = ("ready", "Synced")


# --- a region on another cluster


@scenario(objects=1, statuses=1, away=1)
def _far_create(scene: Scene) -> Iterator[None]:
    scene.source()
    scene.workloads(FAR)
    yield
    scene.set(region=FAR, bound=2)


@scenario(objects=3, statuses=1, away=3)
def _far_change(scene: Scene) -> Iterator[None]:
    _there(scene, FAR)
    yield
    scene.change("a")
    scene.restarts("whole", "one", region=FAR)


@scenario(objects=2, statuses=0, away=1)
def _far_delete(scene: Scene) -> Iterator[None]:
    _there(scene, FAR)
    yield
    scene.delete()


@scenario(objects=1, statuses=0, away=1)
def _far_lost(scene: Scene) -> Iterator[None]:
    _there(scene, FAR)
    scene.drifts = True
    yield
    scene.user(FAR).delete("secret", "app", scene.regional(FAR))


@scenario(objects=2, statuses=1, away=2)
def _far_pull(scene: Scene) -> Iterator[None]:
    scene.source()
    yield
    scene.pull(region=FAR, accounts=("default",))
