"""An organization of one run: what its users do, and what must come of it."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos.lane import FAR, Lane
from chaos.user import User
from harness import manifests
from harness.manifests import namespace, organization_role, regional_role, value_from
from secretset.domain.names import ANNOTATION_REVISION, Kind
from secretset.domain.sealing import Place
from secretset.domain.sealing_keys import CONFIG_MAP_NAME, DOCUMENT, PublicKeys

NEAR = "us-west"
SYSTEM = "secretset-system"
API = "secretset.dev/v1alpha1"
SET, PULL = "secretset", "imagepullsecret"
_KINDS = {SET: ("SecretSet", Kind.SECRET_SET), PULL: ("ImagePullSecret", Kind.IMAGE_PULL_SECRET)}
_HOST = "registry.example.com"
Ref = tuple[str, str]


@dataclass(kw_only=True)
class Wanted:
    """What must come of one set.

    Attributes:
        region: where it lives.
        data: KEY to (source, key), or to a value that is sealed in the set.
        says: phase and reason.
        bound: how many workloads use it.
        secret: whether its Secret is to be there.
        accounts: ServiceAccounts that it is to be attached to.
    """

    region: str
    data: dict[str, Ref | str]
    says: tuple[str, str] = ("ready", "Synced")
    bound: int = 0
    secret: bool = True
    accounts: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Scene:
    """One organization.

    Attributes:
        name: of its namespace.
        sources: name to key to value.
        sets: what must come of each, by kind and name; None: it is to be gone.
        generations: what `metadata.generation` of each workload must be, by plane and name.
        restarted: workloads that something is to restart at some time, likewise.
        accounts: ServiceAccounts that something is attached to at some time.
        opened: further regions, of the hub, which are this organization's own.
        canaries: all values.
        sealed: text to value, of all that was sealed.
        kept: plane and key in etcd of what nothing that happens may touch.
        left: sets that are gone, and whose Secrets are in `far` all the same.
        drifts: somebody edits managed Secrets, so that `ready` may be told of what is just being repaired.
    """

    lane: Lane
    name: str
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    sets: dict[tuple[str, str], Wanted | None] = field(default_factory=dict)
    generations: Counter[tuple[str, str]] = field(default_factory=Counter)
    restarted: set[tuple[str, str]] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    opened: list[str] = field(default_factory=list)
    canaries: list[str] = field(default_factory=list)
    sealed: dict[str, str] = field(default_factory=dict)
    kept: list[tuple[str, str]] = field(default_factory=list)
    left: set[tuple[str, str]] = field(default_factory=set)
    drifts: bool = False

    # --- set up

    def create(self) -> Scene:
        """Namespaces, the operator's roles, and in each region a Secret that is none of ours."""
        hub = self.user()
        hub.create("namespace", namespace(self.name))
        for role in organization_role(self.name):
            hub.create(role["kind"].lower(), role)
        for each in (NEAR, FAR):
            self._place(each)
        return self

    def room(self) -> str:
        """The namespace of a region that is to be this organization's own, on the hub; the name of that region."""
        name = f"{self.name}-own"
        self.opened.append(name)
        self._place(name)
        return name

    def open(self, name: str) -> None:
        """Its Region."""
        self.user().create("region", manifests.region(name))

    def places(self, plane: str) -> set[str]:
        """Regional namespaces of a plane."""
        return {self.regional(each) for each in ((FAR,) if plane == FAR else (NEAR, *self.opened))}

    def _place(self, where: str) -> None:
        """The namespace of a region, with the operator's roles, and a Secret that is none of ours."""
        user, regional = self.user(where), self.regional(where)
        user.create("namespace", namespace(regional))
        for role in regional_role(regional):
            user.create(role["kind"].lower(), role)
        user.create("secret", self._secret("theirs", regional, {"A": self.canary()}))
        self.keeps("theirs", where)

    def keeps(self, secret: str, region: str = NEAR) -> None:
        """Nothing of what goes on may touch this Secret of a region."""
        self.kept.append((self._plane(region), f"/registry/secrets/{self.regional(region)}/{secret}"))

    def user(self, region: str = NEAR) -> User:
        """The administrator of the cluster of a region."""
        return self.lane.users[FAR if region == FAR else "hub"]

    def regional(self, region: str = NEAR) -> str:
        """The organization's namespace in a region."""
        return self.name if region == FAR else f"{self.name}-{region}"

    def canary(self) -> str:
        """A fresh value."""
        value = f"canary-{secrets.token_urlsafe(24)}"
        self.canaries.append(value)
        return value

    # --- what users do

    def source(self, name: str = "src", keys: str = "ab", *, label: str = "true") -> None:
        """Create a source Secret with fresh values."""
        self.sources[name] = {key: self.canary() for key in keys}
        secret = self._secret(name, self.name, self.sources[name])
        secret["metadata"]["labels"] = {"secretset.dev/source": label}
        self.user().create("secret", secret)

    def change(self, *keys: str, name: str = "src") -> None:
        """New values for keys of a source."""
        new = {key: self.canary() for key in keys}
        self.sources[name] |= new
        self.user().patch("secret", name, self.name, {"stringData": new})

    def drop_key(self, key: str, name: str = "src") -> None:
        """Take a key out of a source."""
        del self.sources[name][key]
        self.user().patch("secret", name, self.name, {"data": {key: None}})

    def set(self, name: str = "app", region: str = NEAR, *, bound: int = 0, **data: Ref | str) -> None:
        """Create a set; without data it reads `a` and `b` of `src` as `A` and `B`."""
        wanted = self.sets[SET, name] = Wanted(region=region, data=data or {"A": ("src", "a"), "B": ("src", "b")})
        wanted.bound = bound
        spec = {"region": region, "data": {key: self._entry(name, key, entry) for key, entry in wanted.data.items()}}
        self.user().create(SET, self._custom(SET, name, spec))

    def data(self, name: str = "app", **data: Ref | str | None) -> None:
        """Change entries of a set; None takes one out."""
        wanted = self.wanted(SET, name)
        kept = {**wanted.data, **data}
        wanted.data = {key: entry for key, entry in kept.items() if entry is not None}
        body = {key: None if entry is None else self._entry(name, key, entry) for key, entry in data.items()}
        self.user().patch(SET, name, self.name, {"spec": {"data": body}})

    def pull(self, name: str = "pull", region: str = NEAR, *, accounts: tuple[str, ...] = ()) -> None:
        """Create a pull secret whose password is `a` of `src`."""
        self.sets[PULL, name] = Wanted(region=region, data={"password": ("src", "a")}, accounts=accounts)
        self.accounts |= set(accounts)
        spec = {"region": region, "host": _HOST, "username": "bot", "password": value_from("src", "a")}
        self.user().create(PULL, self._custom(PULL, name, spec | {"serviceAccounts": list(accounts)}))

    def delete(self, name: str = "app", kind: str = SET) -> None:
        """Delete a set."""
        self.sets[kind, name] = None
        self.user().delete(kind, name, self.name)

    def workloads(self, region: str = NEAR, *, secret: str = "app") -> None:
        """Three Deployments: `whole` reads all of a Secret, `one` its key A, `still` nothing of it."""
        whole = {"envFrom": [{"secretRef": {"name": secret}}]}
        one = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "A"}}}]}
        for name, part in (("whole", whole), ("one", one), ("still", {})):
            self.deployment(name, part, region)

    def deployment(self, name: str, part: Mapping[str, Any], region: str = NEAR, *, bind: str = "") -> None:
        """A Deployment without replicas, whose container has this."""
        labels = {"app": name}
        notes = {"secretset.dev/bind": bind} if bind else {}
        container = {"name": "app", "image": "app:1", **part}
        pod = {"metadata": {"labels": labels, "annotations": notes}, "spec": {"containers": [container]}}
        meta = {"name": name, "namespace": self.regional(region)}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
        self.user(region).create("deployment", body)
        self.generations[self._plane(region), name] = 1

    def restarts(self, *names: str, region: str = NEAR) -> None:
        """What was just done restarts these, once."""
        for name in names:
            self.generations[self._plane(region), name] += 1
            self.restarted.add((self._plane(region), name))

    def uses(self, name: str, part: Mapping[str, Any], region: str = NEAR) -> None:
        """Whoever looks after a Deployment has its container read this from now on; that is a rollout of theirs."""
        container = {"name": "app", "image": "app:1", **part}
        change = {"spec": {"template": {"spec": {"containers": [container]}}}}
        self.user(region).patch("deployment", name, self.regional(region), change)
        self.generations[self._plane(region), name] += 1

    def rotate(self) -> None:
        """A new sealing key, by the command of the platform team."""
        kubeconfig = str(self.lane.planes["hub"].kubeconfig)
        argv = [sys.executable, "-m", "secretset", "keys", "rotate", "--kubeconfig", kubeconfig]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)

    def wanted(self, kind: str, name: str) -> Wanted:
        """What must come of a set that is there."""
        found = self.sets[kind, name]
        assert found is not None
        return found

    # --- what must be

    def unsettled(self) -> str:
        """What is not yet as it must be; empty if everything is."""
        for (kind, name), wanted in self.sets.items():
            if why := self._gone(kind, name) if wanted is None else self._unlike(kind, name, wanted):
                return f"{kind} {name}: {why}"
        for (plane, name), generation in self.generations.items():
            found = self.user(FAR if plane == FAR else NEAR).get("deployment", name, self._namespace(plane)) or {}
            if (seen := (found.get("metadata") or {}).get("generation")) != generation:
                return f"deployment {name} ({plane}): generation {seen}, not {generation}"
        return next(filter(None, map(self._attached, sorted(self.accounts))), "")

    def content(self, kind: str, wanted: Wanted) -> dict[str, bytes]:
        """What the managed Secret of a set must hold."""
        values = {key: self._value(entry).encode() for key, entry in wanted.data.items()}
        if kind == SET:
            return values
        return {".dockerconfigjson": docker_config(values["password"])}

    def _gone(self, kind: str, name: str) -> str:
        if self.user().get(kind, name, self.name) is not None:
            return "it is still there"
        for region in (NEAR, FAR, *self.opened):
            there = self.user(region).get("secret", name, self.regional(region)) is not None
            if there is not (region == FAR and (kind, name) in self.left):
                return f"its Secret is {'still' if there else 'not'} in {region}"
        return ""

    def _unlike(self, kind: str, name: str, wanted: Wanted) -> str:
        obj = self.user().get(kind, name, self.name)
        if obj is None:
            return "it is not there"
        status = obj.get("status") or {}
        says = status.get("phase"), status.get("reason")
        if (says, status.get("observedGeneration")) != (wanted.says, obj["metadata"]["generation"]):
            return f"it says {says} of {status.get('observedGeneration')}/{obj['metadata']['generation']}"
        secret = self.user(wanted.region).get("secret", name, self.regional(wanted.region))
        if not wanted.secret:
            return "" if secret is None else "there is a Secret"
        if secret is None:
            return "there is no Secret"
        if decoded(secret.get("data")) != self.content(kind, wanted):
            return "the Secret holds something else"
        delivered = (secret["metadata"].get("annotations") or {}).get(ANNOTATION_REVISION)
        if wanted.data and delivered != str(status.get("revision")):
            return f"it says revision {status.get('revision')}, and the Secret {delivered}"
        found = status.get("workloads") or {}
        if (found.get("bound", 0), found.get("current", 0)) != (wanted.bound, wanted.bound):
            return f"workloads { ({k: v for k, v in found.items() if k != 'items'}) }, not {wanted.bound}"
        return ""

    def _attached(self, account: str) -> str:
        """What is wrong with the pull secrets of a ServiceAccount, in either region."""
        ready = [(key, each) for key, each in self.sets.items() if each and each.says[0] == "ready"]
        for region in (NEAR, FAR):
            wanted = sorted(name for (_, name), each in ready if each.region == region and account in each.accounts)
            found = self.user(region).get("serviceaccount", account, self.regional(region)) or {}
            names = sorted(each["name"] for each in found.get("imagePullSecrets") or ())
            if names != wanted:
                return f"serviceaccount {account} in {region}: pulls with {names}, not {wanted}"
        return ""

    def _value(self, entry: Ref | str) -> str:
        return entry if isinstance(entry, str) else self.sources[entry[0]][entry[1]]

    # --- parts

    def _plane(self, region: str) -> str:
        return FAR if region == FAR else "hub"

    def _namespace(self, plane: str) -> str:
        return self.regional(FAR if plane == FAR else NEAR)

    def _entry(self, name: str, key: str, entry: Ref | str) -> dict[str, Any]:
        if not isinstance(entry, str):
            return value_from(*entry)
        found = self.user().get("configmap", CONFIG_MAP_NAME, SYSTEM) or {}
        public = PublicKeys.parse(found["data"][DOCUMENT])
        assert public.current is not None
        text = public.current.seal(Place(public.installation, _KINDS[SET][1], self.name, name, key), entry.encode())
        self.sealed[text] = entry
        return {"sealed": text}

    def _custom(self, kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        meta = {"name": name, "namespace": self.name}
        return {"apiVersion": API, "kind": _KINDS[kind][0], "metadata": meta, "spec": spec}

    def _secret(self, name: str, where: str, values: Mapping[str, str]) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": where},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
        }


def decoded(data: Mapping[str, str] | None) -> dict[str, bytes]:
    """The values of a Secret; of a docker config, in the form of `docker_config`."""
    found = {key: base64.b64decode(text) for key, text in (data or {}).items()}
    if ".dockerconfigjson" in found:
        found[".dockerconfigjson"] = json.dumps(json.loads(found[".dockerconfigjson"]), sort_keys=True).encode()
    return found


def docker_config(password: bytes) -> bytes:
    """What pull secrets of scenes hold (kubernetes.io/dockerconfigjson), with sorted keys."""
    auth = base64.b64encode(b"bot:" + password).decode()
    entry = {"username": "bot", "password": password.decode(), "auth": auth}
    return json.dumps({"auths": {_HOST: entry}}, sort_keys=True).encode()
