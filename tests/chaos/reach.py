"""What the operator may write in a run. All that it writes comes through the proxies, so the rest stays as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.proxy import Request
from chaos.scene import PULL, SET, SYSTEM, Scene

if TYPE_CHECKING:
    from chaos.run import Run

_SETS = {"secretsets": SET, "imagepullsecrets": PULL}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a request is about: `secretsets/status` of a namespace, and a name."""

    resource: str
    namespace: str
    name: str

    @classmethod
    def of(cls, request: Request) -> Target:
        """Read a path of the API; what is created has its name in the body."""
        parts = request.path.strip("/").split("/")
        at = parts.index("namespaces") if "namespaces" in parts else -1
        inside = at >= 0 and len(parts) > at + 2
        after = parts[at + 2 :] if inside else parts[2 if parts[0] == "api" else 3 :]
        name = after[1] if len(after) > 1 else request.about
        return cls(resource=request.resource, namespace=parts[at + 1] if inside else "", name=name)


def beyond(done: Run) -> list[Request]:
    """Writes that were tried, and are none of the operator's business in this run."""
    return [each for each in done.requests if each.counted and not _ours(done, each.plane, Target.of(each))]


def _ours(done: Run, plane: str, target: Target) -> bool:
    if target.resource == "regions/status":
        return plane == "hub"
    if target.namespace == SYSTEM:  # tombstones, and public keys
        return (plane, target.resource) == ("hub", "configmaps")
    lane = done.scene.lane
    if target.namespace.startswith(lane.calm):  # `Run.wide`: who serves a set, or whether it can be, is told anew
        return done.wide and target.resource.endswith("/status")
    scenes = [done.scene, *([lane.nextdoor] if lane.nextdoor else [])]
    return any(_of(scene, plane, target) for scene in scenes)


def _of(scene: Scene, plane: str, target: Target) -> bool:
    plural = target.resource.removesuffix("/status")
    if plural in _SETS:
        known = (_SETS[plural], target.name) in scene.sets
        return known and (plane, target.namespace) == ("hub", scene.name)
    if target.namespace not in scene.places(plane):
        return False
    match target.resource:
        case "secrets":
            return target.name in {name for _, name in scene.sets}
        case "serviceaccounts":
            return target.name in scene.accounts
        case "deployments":
            return (plane, target.name) in scene.restarted
    return False
