"""A set as its user may see it: what it is for, its keys, how it stands. Never a value, nor its sealed text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secretset.domain.loose import mapping
from secretset.domain.names import DOCKER_KEY, PASSWORD, Key, Kind
from secretset.domain.reasons import Phase, Reason
from secretset.domain.sealing import kid_of


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyView:
    """One key of a set.

    Attributes:
        name: the key.
        created_at: when it was first delivered, RFC 3339; None: it is not yet.
        updated_at: when its value last changed; None: it is not delivered yet.
        sealed_for: id of the sealing key that opens the value; None: the value is read from a Secret.
        source: ``NAME/KEY`` of that Secret of the same namespace; None: it is sealed.
    """

    name: str
    created_at: str | None = None
    updated_at: str | None = None
    sealed_for: str | None = None
    source: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; what is not known is left out."""
        found = {
            "name": self.name,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "sealedFor": self.sealed_for,
            "source": self.source,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class SetView:
    """One SecretSet or ImagePullSecret.

    Attributes:
        region: that it lives in; None: the operator has not chosen yet.
        phase: `pending` too as long as the operator has not seen the newest generation (design.md, "Status").
        keys: those of the spec, by name; of a pull secret, ``password``.
        created_at: when the object was made, RFC 3339.
        updated_at: when its content last changed; None: nothing is delivered yet.
        going: it is being deleted.
        workloads: ``status.workloads``; empty if nobody has looked.
        host: of a pull secret: its registry.
        username: of a pull secret: its user there.
        obj: the object as the API returned it; empty where it was not to be kept.
    """

    key: Key
    uid: str
    generation: int
    region: str | None
    phase: Phase
    reason: str
    message: str
    keys: tuple[KeyView, ...]
    description: str | None
    metadata: Mapping[str, str]
    created_at: str
    updated_at: str | None
    revision: int | None
    going: bool
    secret_ref: Mapping[str, str] | None
    workloads: Mapping[str, Any]
    conditions: tuple[Mapping[str, Any], ...]
    host: str | None
    username: str | None
    obj: Mapping[str, Any]

    @classmethod
    def parse(cls, kind: Kind, obj: Mapping[str, Any], *, keep: bool = True) -> SetView:
        """Read an object of the API; one that was stored under other CRDs may have any form."""
        meta, spec, status = obj["metadata"], mapping(obj.get("spec")), mapping(obj.get("status"))
        generation = int(meta.get("generation", 0))
        phase, reason, message = _standing(status, generation)
        return cls(
            key=Key(kind, meta["namespace"], meta["name"]),
            uid=meta["uid"],
            generation=generation,
            region=_text(status.get("region")) or _text(spec.get("region")),
            phase=phase,
            reason=reason,
            message=message,
            keys=tuple(_keys(kind, spec, status)),
            description=_text(spec.get("description")),
            metadata={str(name): str(value) for name, value in mapping(spec.get("metadata")).items()},
            created_at=meta["creationTimestamp"],
            updated_at=_text(status.get("updatedAt")),
            revision=status.get("revision"),
            going="deletionTimestamp" in meta,
            secret_ref=mapping(status.get("secretRef")) or None,
            workloads=mapping(status.get("workloads")),
            conditions=tuple(filter(None, map(mapping, status.get("conditions") or ()))),
            host=_text(spec.get("host")),
            username=_text(spec.get("username")),
            obj=obj if keep else {},
        )

    @property
    def name(self) -> str:
        """Its name."""
        return self.key.name

    @property
    def organization(self) -> str:
        """Its namespace on the hub."""
        return self.key.namespace

    @property
    def usable(self) -> bool:
        """Whether pods that begin now get what the set says."""
        return self.phase is Phase.READY and not self.going

    def condition(self, kind: str) -> Mapping[str, Any] | None:
        """The condition of a type; None if it is not there."""
        return next((each for each in self.conditions if each.get("type") == kind), None)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values for machines; what is not known is left out."""
        found = {
            "kind": self.key.kind.value,
            "organization": self.organization,
            "name": self.name,
            "region": self.region,
            "status": self.phase.value,
            "reason": self.reason or None,
            "message": self.message or None,
            "description": self.description,
            "metadata": dict(self.metadata) or None,
            "host": self.host,
            "username": self.username,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "revision": self.revision,
            "deleting": self.going or None,
            "secretRef": dict(self.secret_ref) if self.secret_ref else None,
            "keys": [key.to_json() for key in self.keys],
            "workloads": dict(self.workloads) or None,
        }
        return {name: value for name, value in found.items() if value is not None}


def _standing(status: Mapping[str, Any], generation: int) -> tuple[Phase, str, str]:
    observed = status.get("observedGeneration", -1)
    phase = _text(status.get("phase"))
    if not isinstance(observed, int) or observed < generation or phase not in set(Phase):
        return Phase.PENDING, Reason.ACCEPTED.value, ""
    return Phase(phase), _text(status.get("reason")) or "", _text(status.get("message")) or ""


def _keys(kind: Kind, spec: Mapping[str, Any], status: Mapping[str, Any]) -> list[KeyView]:
    entries = mapping(spec.get("data")) if kind is Kind.SECRET_SET else {PASSWORD: spec.get(PASSWORD)}
    listed = status.get("keys")
    told = {str(each.get("name")): each for each in map(mapping, listed if isinstance(listed, list) else ())}
    # What is delivered of a password is part of one key.
    delivered = {PASSWORD: DOCKER_KEY} if kind is Kind.IMAGE_PULL_SECRET else {}
    return [
        _key(name, mapping(entry), told.get(delivered.get(name, name), {})) for name, entry in sorted(entries.items())
    ]


def _key(name: str, entry: Mapping[str, Any], told: Mapping[str, Any]) -> KeyView:
    sealed = entry.get("sealed")
    ref = mapping(mapping(entry.get("valueFrom")).get("secretKeyRef"))
    return KeyView(
        name=name,
        created_at=_text(told.get("createdAt")),
        updated_at=_text(told.get("updatedAt")),
        sealed_for=kid_of(sealed) if isinstance(sealed, str) else None,
        source=f"{ref.get('name')}/{ref.get('key')}" if ref else None,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
