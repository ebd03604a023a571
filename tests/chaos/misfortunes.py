"""What others do to an organization meanwhile: to its namespaces, quota, rights, credentials, and with locks."""

from __future__ import annotations

import base64
import threading
import time
from functools import partial
from typing import Any

import yaml

from chaos.lane import FAR
from chaos.scene import SYSTEM
from chaos.trouble import Trouble
from chaos.user import User
from harness import eventually
from harness.manifests import namespace, organization_role, regional_role
from harness.process import OPERATOR_ACCOUNT

_HELD = "example.com/held"


class Misfortune(Trouble):
    """One in a region.

    Args:
        region: which.
    """

    lasts = 3.0

    def __init__(self, region: str) -> None:
        self.region = region
        self.far = region == FAR

    def __str__(self) -> str:
        return self.region

    @property
    def user(self) -> User:
        """The administrator of its cluster."""
        return self.done.scene.user(self.region)

    @property
    def place(self) -> str:
        """The regional namespace."""
        return self.done.scene.regional(self.region)

    def says(self, reason: str) -> None:
        """See that all sets that are to be there say so."""
        scene = self.done.scene
        for kind, name in [key for key, wanted in scene.sets.items() if wanted is not None]:
            found = (scene.user().get(kind, name, scene.name) or {}).get("status") or {}
            assert found.get("reason") == reason, f"{kind} {name} says {found.get('reason')}, not {reason}"


class NamespaceGone(Misfortune):
    """The regional namespace is deleted, with all that is in it, and created again with its roles.

    The Deployments are gone, too. They are applied again when the Secrets are back: nothing restarts those. Until
    then `ready` may be told of what has just been taken away.
    """

    patience = 60.0
    lasts = 0.5

    def begin(self) -> None:
        scene = self.done.scene
        scene.drifts = True
        self._deployments = [_plain(each) for each in self.user.listed("deployment", self.place)]
        for each in self._deployments:
            del scene.generations[FAR if self.region == FAR else "hub", each["metadata"]["name"]]
        scene.kept = [(plane, key) for plane, key in scene.kept if f"/{self.place}/" not in key]
        self._bound = {key: wanted.bound for key, wanted in scene.sets.items() if wanted}
        self.user.delete("namespace", self.place)

    def end(self) -> None:
        scene = self.done.scene
        scene.generations.clear()
        eventually(lambda: self.user.get("namespace", self.place) is None, "the end of a namespace", seconds=60)
        self.user.create("namespace", namespace(self.place))
        for role in regional_role(self.place):
            self.user.create(role["kind"].lower(), role)
        there = [(kind, name) for (kind, name), wanted in scene.sets.items() if wanted is not None]
        for _, name in there:
            eventually(partial(self.user.get, "secret", name, self.place), f"Secret {name}", seconds=60)
        for each in self._deployments:
            self.user.create("deployment", each)
            scene.generations[FAR if self.region == FAR else "hub", each["metadata"]["name"]] = 1


class NoRoom(Misfortune):
    """The regional namespace has no room for a further Secret, until a quota is lifted.

    Args:
        region: which.
        told: whether the sets are to say so.
    """

    def __init__(self, region: str, *, told: bool) -> None:
        super().__init__(region)
        self.told = told

    def prepare(self) -> None:
        count = str(len(self.user.listed("secret", self.place)))
        meta = {"name": "room", "namespace": self.place}
        self.user.create("resourcequota", {"metadata": meta, "spec": {"hard": {"secrets": count}}})
        eventually(self._in_force, "the quota")

    def end(self) -> None:
        if self.told:
            self.says("QuotaExceeded")
        self.user.delete("resourcequota", "room", self.place)

    def _in_force(self) -> bool:
        found = self.user.get("resourcequota", "room", self.place) or {}
        return "used" in (found.get("status") or {})


class Immutable(Misfortune):
    """Somebody has made the managed Secrets immutable."""

    def begin(self) -> None:
        self.done.scene.drifts = True  # it is deleted and created, which is repairing
        for secret in _managed(self.user, self.place):
            self.user.patch("secret", secret, self.place, {"immutable": True})


class SecretHeld(Misfortune):
    """Somebody's finalizer is on the managed Secrets, for as long as they want."""

    def begin(self) -> None:
        for secret in _managed(self.user, self.place):
            self.user.patch("secret", secret, self.place, {"metadata": {"finalizers": [_HELD]}})

    def end(self) -> None:
        held = [each for each in self.user.listed("secret", self.place) if each["metadata"].get("finalizers")]
        assert held, "a Secret that is held is gone"
        for secret in held:
            self.user.patch("secret", secret["metadata"]["name"], self.place, {"metadata": {"finalizers": None}})


class SetHeld(Misfortune):
    """Somebody's finalizer is on the sets: what they delivered goes all the same, and they stay until it goes, too."""

    def begin(self) -> None:
        self._change(add=True)

    def end(self) -> None:
        assert not _managed(self.user, self.place), "the Secret of a set that is to go is still there"
        self._change(add=False)

    def _change(self, *, add: bool) -> None:
        scene = self.done.scene
        for kind, name in scene.sets:
            found: dict[str, Any] = scene.user().get(kind, name, scene.name) or {}
            others = [each for each in found["metadata"].get("finalizers") or () if each != _HELD]
            new = [*others, _HELD] if add else others
            version = found["metadata"]["resourceVersion"]
            change = {"metadata": {"finalizers": new, "resourceVersion": version}}
            scene.user().patch(kind, name, scene.name, change)


class RightsTaken(Misfortune):
    """The operator may do nothing in a namespace, until it is allowed to again.

    Args:
        region: which.
        organization: whether it is that namespace (else the regional one).
    """

    wide = True  # whether it may follow the whole cluster is asked for anew

    def __init__(self, region: str, *, organization: bool = False) -> None:
        super().__init__(region)
        self.far &= not organization
        self.organization = organization

    def __str__(self) -> str:
        return "organization" if self.organization else self.region

    def begin(self) -> None:
        scene = self.done.scene
        where = scene.name if self.organization else self.place
        user = scene.user() if self.organization else self.user
        roles = organization_role(where) if self.organization else regional_role(where)
        self._roles = [each for each in roles if each["kind"] == "RoleBinding"]
        for each in self._roles:
            user.delete("rolebinding", each["metadata"]["name"], where)

    def end(self) -> None:
        user = self.done.scene.user() if self.organization else self.user
        for each in self._roles:
            user.create("rolebinding", each)


class Rotated(Misfortune):
    """The credentials of the region on the other cluster are changed ten times.

    Args:
        wrong: whether every other one is worth nothing.
    """

    wide = True
    patience = 60.0
    lasts = 6.0

    def __init__(self, *, wrong: bool) -> None:
        super().__init__(FAR)
        self.wrong = wrong

    def __str__(self) -> str:
        return "every-other-wrong" if self.wrong else "all-good"

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._rotate, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._thread.join()

    def _rotate(self) -> None:
        for number in range(10):
            good = self.lane.planes[FAR].service_account_kubeconfig(*OPERATOR_ACCOUNT)
            token = yaml.safe_load(good.read_text())["users"][0]["user"]["token"]
            content = yaml.safe_load(self.lane.proxies[FAR].kubeconfig.read_text())
            content["users"][0]["user"]["token"] = "wrong" if self.wrong and number % 2 == 0 else token
            text = base64.b64encode(yaml.safe_dump(content).encode()).decode()
            self.lane.users["hub"].patch("secret", f"kubeconfig-{FAR}", SYSTEM, {"data": {"config": text}})
            time.sleep(0.2)


def _managed(user: User, place: str) -> list[str]:
    found = (each["metadata"] for each in user.listed("secret", place))
    return [meta["name"] for meta in found if "secretset.dev/organization" in meta.get("labels", {})]


def _plain(obj: dict[str, Any]) -> dict[str, Any]:
    """What users have applied."""
    meta = {key: obj["metadata"][key] for key in ("name", "namespace")}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": obj["spec"]}
