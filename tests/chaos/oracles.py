"""What must hold after every run, whatever went wrong."""

from __future__ import annotations

import bisect
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from chaos import reach
from chaos.faults import RETRY_AFTER, SAID
from chaos.lane import FAR, Lane
from chaos.proxy import UNKNOWN
from chaos.scene import PULL, SET, Scene, decoded, docker_config
from chaos.user import path
from harness.stored import history, revision
from harness.traces import Traces

if TYPE_CHECKING:
    from chaos.run import Run

# So often may the same be asked within a second.
_HOT, _HOT_SECONDS = 12, 1.0
_AT_ONCE = 0.1  # seconds
_FROM = frozenset({"resourceVersion", "resourceVersionMatch", "timeoutSeconds", "continue"})
_HEARTBEATS = ("/readyz", "/leases")
_APART = ("/registry/events/", "/registry/leases/")
_CUSTOM = {"secretsets": SET, "imagepullsecrets": PULL}
Version = tuple[int, dict[str, Any] | None]


class History:
    """All versions that a plane stored since a revision, by key of etcd; None where it was deleted."""

    def __init__(self, lane: Lane, plane: str, since: int, earlier: Sequence[tuple[int, str, bytes]] = ()) -> None:
        found = history(lane.planes[plane], since, revision(lane.planes[plane]))
        self.raw: list[tuple[int, str, bytes]] = [*earlier, *found]
        self._versions: defaultdict[str, list[Version]] = defaultdict(list)
        for number, key, content in self.raw:
            self._versions[key].append((number, json.loads(content) if content[:1] == b"{" else None))

    def of(self, key: str) -> list[Version]:
        """Revision and object, oldest first."""
        return self._versions.get(key, [])

    def at(self, key: str, number: int) -> dict[str, Any] | None:
        """What it was at a revision."""
        versions = self.of(key)
        index = bisect.bisect_right([each for each, _ in versions], number)
        return versions[index - 1][1] if index else None

    def keys(self, start: str) -> Iterator[str]:
        """Those that begin so."""
        return (key for key in self._versions if key.startswith(start))


def check(lane: Lane, done: Run) -> None:
    """See that they hold; those of convergence, silence and generations the run itself has seen.

    Raises:
        AssertionError: says which one does not.
    """
    histories = {name: History(lane, name, since, done.read.get(name, ())) for name, since in done.began.items()}
    log = lane.logged()
    _untouched(lane, done, histories)
    _no_value(done, histories, log)
    _ready_is_true(done, histories)
    _no_hot_loop(done)
    _lives(lane, log)


def _untouched(lane: Lane, done: Run, histories: Mapping[str, History]) -> None:
    """Oracles 4, 7 and 10: what is not ours, or concerns others, is as it was; whoever deletes says which one."""
    for plane, key in done.scene.kept:
        later = [number for number, _ in histories[plane].of(key) if number > done.armed[plane]]
        assert not later, f"oracles 4 and 10: {key} of {plane} was written"
    for plane, found in histories.items():
        others = (entry for entry in found.raw if f"/{lane.calm}" in entry[1] and not entry[1].startswith(_APART))
        touched = [key for _, key, content in others if not (done.wide and _only_told(key, content))]
        assert not touched, f"oracle 7: others were disturbed: {plane}: {touched}"
    for request in done.requests:
        if request.method == "DELETE" and request.counted:
            assert request.preconditions.get("uid"), f"oracle 4: a DELETE of whatever is there: {request}"
    wrong = reach.beyond(done)
    assert not wrong, f"oracle 4: what is not ours was written, or it was tried: {[str(each) for each in wrong]}"


def _only_told(key: str, content: bytes) -> bool:
    """Whether this version of something that nobody ever changed differs from the first one by its status alone."""
    kept = key.startswith("/registry/secrets/") or content[:1] != b"{"
    return not kept and json.loads(content)["metadata"].get("generation") == 1


def _no_value(done: Run, histories: Mapping[str, History], log: bytes) -> None:
    """Oracle 5: values are in Secrets' data, and nowhere else; nor is what a server says."""
    traces = Traces([*done.scene.canaries, SAID])
    for plane, found in histories.items():
        for _, key, content in found.raw:
            text = content
            if key.startswith("/registry/secrets/") and content[:1] == b"{":
                obj = json.loads(content)
                text = json.dumps(obj["metadata"]).encode()
            assert not traces.found(text), f"oracle 5: a value in {key} of {plane}"
    assert not traces.found(log), "oracle 5: a value in the log"


def _ready_is_true(done: Run, histories: Mapping[str, History]) -> None:
    """Oracle 6: `ready` of a generation is never told before that generation's content is in the managed Secret."""
    if done.scene.drifts:
        return
    hub = histories["hub"]
    for plural, kind in _CUSTOM.items():
        start = f"/registry/secretset.dev/{plural}/{done.scene.name}/"
        for key in hub.keys(start):
            for number, obj in hub.of(key):
                if obj is not None and _says_ready(obj):
                    _assert_delivered(done, histories, kind, obj, number)


def _says_ready(obj: Mapping[str, Any]) -> bool:
    status, meta = obj.get("status") or {}, obj["metadata"]
    current = status.get("observedGeneration") == meta["generation"]
    return current and status.get("phase") == "ready" and "deletionTimestamp" not in meta


def _assert_delivered(
    done: Run, histories: Mapping[str, History], kind: str, obj: Mapping[str, Any], number: int
) -> None:
    scene, name, region = done.scene, obj["metadata"]["name"], obj["status"]["region"]
    plane = FAR if region == FAR else "hub"
    at = number if plane == "hub" else _told(done, name, number)
    if at is None:
        return  # told by a status write that is not of this account: before anything went wrong
    secret = histories[plane].at(f"/registry/secrets/{scene.regional(region)}/{name}", at)
    told = f"oracle 6: {kind} {name} said ready of generation {obj['metadata']['generation']}"
    assert secret is not None, f"{told} without a Secret"
    found = decoded(secret.get("data"))
    allowed = _allowed(scene, histories["hub"], kind, obj["spec"], number)
    assert set(found) == set(allowed), f"{told} with keys {sorted(found)}"
    wrong = [key for key, value in found.items() if value not in allowed[key]]
    assert not wrong, f"{told} with another content of {wrong}"


def _told(done: Run, name: str, number: int) -> int | None:
    """Far's revision when the status was sent that the hub stored at a revision."""
    told = [r for r in done.requests if r.told and r.path.endswith(f"/{name}/status")]
    if any(r.told["hub"] == UNKNOWN for r in told):
        return None  # any of them may have become any version
    sent = [r for r in told if r.told["hub"] < number]
    at = max(sent, key=lambda r: r.at).told[FAR] if sent else UNKNOWN
    return None if at == UNKNOWN else at


def _allowed(scene: Scene, hub: History, kind: str, spec: Mapping[str, Any], number: int) -> dict[str, set[bytes]]:
    """What each key may hold: what its source held at any time until then, or what was sealed."""
    data = spec["data"] if kind == SET else {"password": spec["password"]}
    found = {key: _values(scene, hub, entry, number) for key, entry in data.items()}
    if kind == SET:
        return found
    return {".dockerconfigjson": {docker_config(value) for value in found["password"]}}


def _values(scene: Scene, hub: History, entry: Mapping[str, Any], number: int) -> set[bytes]:
    if "sealed" in entry:
        return {scene.sealed[entry["sealed"]].encode()}
    ref = entry["valueFrom"]["secretKeyRef"]
    versions = hub.of(f"/registry/secrets/{scene.name}/{ref['name']}")
    contents = [decoded(obj.get("data")) for at, obj in versions if obj is not None and at <= number]
    return {content[ref["key"]] for content in contents if ref["key"] in content}


def _no_hot_loop(done: Run) -> None:
    """Oracle 8: nothing is asked for again and again, and who asks us to wait is left alone."""
    times: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    throttled: dict[tuple[str, ...], float] = {}
    anew = any(fault.crash for fault in done.met)  # who has begun anew cannot know
    for request in done.requests:
        if request.path.endswith(_HEARTBEATS) or "/leases/" in request.path:
            continue
        key = request.plane, request.method, request.path, request.about
        times[key].append(request.at)
        asked = *key, _asks(request.query)
        waited = request.at - throttled.get(asked, -math.inf)
        if anew:
            continue
        if waited > _AT_ONCE:  # what comes at the same time had been sent before the answer was heard
            throttled.pop(asked, None)
            assert waited > RETRY_AFTER * 0.95, f"oracle 8: asked again after {waited:.2f} s: {request}"
        if request.code == 429:
            throttled[asked] = request.at
    for place, found in times.items():
        most = _most(done, place[2])
        for first, last in zip(found, found[most:], strict=False):
            assert last - first > _HOT_SECONDS, f"oracle 8: {most} times in {last - first:.2f} s: {place}"


def _asks(query: str) -> str:
    """What a query asks for: the same whichever version it goes on from."""
    return urlencode([each for each in parse_qsl(query) if each[0] not in _FROM])


def _most(done: Run, where: str) -> int:
    """How often something may be asked within a second: sets that change at once have sources and lists in common."""
    names = {name for _, name in done.scene.sets}
    if names.intersection(where.split("/")):
        return _HOT if done.crowd == 1 else 2 * _HOT  # each changes again and again then
    shared = {path("secret", done.scene.name, name) for name in done.scene.sources}
    return _HOT * max(done.crowd, len(done.scene.sets) if where in shared else 1)


def _lives(lane: Lane, log: bytes) -> None:
    """Oracle 9: it only ends by a signal, and meets no defect of its own."""
    ended = [each.code for each in lane.replicas if each.code is not None]
    assert not ended, f"oracle 9: the operator ended with {ended}"
    odd = [line for line in map(_line, log.splitlines()) if line.get("level") in {"error", "critical"}]
    assert not odd, f"oracle 9: {odd[:3]}"


def _line(text: bytes) -> dict[str, Any]:
    """A line of a log; what is none, such as a traceback, counts as an error."""
    try:
        return dict(json.loads(text))
    except ValueError:
        return {"level": "error", "raw": text}
