"""What the operator keeps of a custom resource: enough to know that nothing has to be done, and no value."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from secretset.domain import names, reasons, sealing_keys, windows
from secretset.domain.fingerprint import digest
from secretset.domain.models import ImagePullSecretSpec, RestartSpec, SecretSetSpec, SecretValue
from secretset.domain.names import Key, Kind
from secretset.domain.observed import SecretRecord
from secretset.domain.reasons import Reason
from secretset.domain.restarts import State
from secretset.domain.rollout_status import Told, digest_of

Spec = SecretSetSpec | ImagePullSecretSpec

_NONE: frozenset[str] = frozenset()  # one for all: each would be 216 bytes
_ASK = 12  # characters of a hash that tell two requests of one set apart


@dataclass(kw_only=True, slots=True)
class SetRecord:
    """One SecretSet or ImagePullSecret, as it was last seen.

    Attributes:
        spec_inputs: hash of the part of the spec that content is made from (references and ciphertext).
        sources: names of the source Secrets that it reads.
        sealed: how many of its sealed values name which sealing key, by id.
        poke: the annotation that forces a pass.
        abandoned: annotated to be let go, once it is deleted, though its region cannot be asked.
        rollout: digest of what the status says of the workloads (`rollout_status.digest_of`).
        restarted: id of the wave whose restarts were all made.
        planned: id of the wave whose workloads were all found.
        rolled: `Kind/name` of workloads that the status lists as having the newest revision, while a wave goes on.
        explain: the annotation that asks what would restart.
        ask: hash of the annotation that asks for a restart of all users; empty if there is none.
        asked: that which was carried out last.
        counts: of bound workloads in the status, by `State`.
        delivered_to: namespace of the managed Secret that the status reports; empty if none was delivered.
    """

    key: Key
    uid: str
    resource_version: str
    generation: int
    created: str
    deleting: bool
    finalizers: tuple[str, ...]
    poke: str
    abandoned: bool
    named_region: str | None
    settled_region: str | None
    spec_inputs: str
    sources: tuple[str, ...]
    sealed: tuple[tuple[str, int], ...]
    service_accounts: tuple[str, ...]
    restart: RestartSpec | None
    phase: str
    reason: str
    observed_generation: int
    revision: int
    rollout: str
    counts: tuple[int, ...]
    restarted: str
    planned: str
    rolled: frozenset[str]
    explain: str
    ask: str
    asked: str
    delivered_to: str

    @property
    def finalized(self) -> bool:
        """Whether our finalizer is on it."""
        return names.FINALIZER in self.finalizers

    @property
    def delivered(self) -> bool:
        """Whether a managed Secret was reported in the status."""
        return bool(self.delivered_to)

    @property
    def sealing_kids(self) -> frozenset[str]:
        """The ids of the sealing keys that its values need."""
        return frozenset(kid for kid, _ in self.sealed)

    @property
    def settled_status(self) -> bool:
        """Whether the status says ready, of this generation."""
        return self.phase == "ready" and self.observed_generation == self.generation

    @property
    def told(self) -> bool:
        """Whether the status speaks of this generation."""
        return self.observed_generation == self.generation

    def tells(self, reason: Reason) -> bool:
        """Whether the status gives this reason, of this generation, and the object is not being deleted."""
        return self.reason == reason and self.observed_generation == self.generation and not self.deleting

    def inputs(self, sources: Mapping[tuple[str, str], tuple[str, str]]) -> str | None:
        """Hash of everything that the content is made from now; None while a source is unknown.

        Args:
            sources: (namespace, name) to (uid, resourceVersion) of the source Secrets that exist.
        """
        parts = []
        for name in self.sources:
            version = sources.get((self.key.namespace, name))
            if version is None:
                return None
            parts += [name, *version]
        return digest(self.spec_inputs, *parts)

    def same_work(self, other: SetRecord) -> bool:
        """Whether nothing differs that a pass depends on: a change of status alone starts none."""
        return (
            self.uid == other.uid
            and self.generation == other.generation
            and self.deleting == other.deleting
            and self.finalizers == other.finalizers
            and self.poke == other.poke
            and self.abandoned == other.abandoned
            and self.explain == other.explain
            and self.ask == other.ask
        )

    def reports(self, secret: SecretRecord, rollout: Told) -> bool:
        """Whether the status says what is so, given an intact managed Secret."""
        return self.settled_status and self.revision == secret.revision and self.rollout == rollout.digest

    @property
    def explained_keys(self) -> tuple[str, ...]:
        """The keys that the annotation secretset.dev/explain-restart asks about."""
        parts = (part.strip() for part in self.explain.split(","))
        return tuple(dict.fromkeys(part for part in parts if part))[: names.KEYS_MAX]


def parse_spec(kind: Kind, raw: Mapping[str, Any]) -> Spec:
    """Read a spec.

    Raises:
        Problem: ``InvalidSpec``: stored by a schema that is not ours, or a restart window that never opens.
    """
    model = SecretSetSpec if kind is Kind.SECRET_SET else ImagePullSecretSpec
    try:
        spec = model.model_validate(raw)
    except ValidationError:
        raise reasons.invalid_spec(
            "The spec does not fit the schema: install the CRDs of this version (`secretset crds`)."
        ) from None
    if spec.restart is not None and spec.restart.window is not None:
        windows.parse(spec.restart.window)
    return spec


def values_of(spec: Spec) -> Mapping[str, SecretValue]:
    """The values of a spec by name; a pull secret has one."""
    return spec.data if isinstance(spec, SecretSetSpec) else {names.PASSWORD: spec.password}


def parse(kind: Kind, obj: Mapping[str, Any]) -> SetRecord:
    """The record of an object of the API; what does not fit the schema is left out, so that it can be reported."""
    meta, status = obj["metadata"], obj.get("status") or {}
    raw, notes = obj.get("spec") or {}, meta.get("annotations") or {}
    try:
        spec: Spec | None = parse_spec(kind, raw)
    except reasons.Problem:
        spec = None
    return SetRecord(
        key=Key(kind, sys.intern(meta["namespace"]), meta["name"]),
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        generation=meta.get("generation", 0),
        created=meta["creationTimestamp"],
        deleting="deletionTimestamp" in meta,
        finalizers=tuple(map(sys.intern, meta.get("finalizers") or ())),
        poke=notes.get(names.ANNOTATION_RECONCILE, ""),
        abandoned=notes.get(names.ANNOTATION_ABANDON) == "true",
        named_region=_interned(raw.get("region")),
        settled_region=_interned(status.get("region")),
        spec_inputs="" if spec is None else _spec_inputs(spec),
        sources=() if spec is None else _sources(spec),
        sealed=() if spec is None else sealing_keys.usage(value.sealed for value in values_of(spec).values()),
        service_accounts=tuple(sorted(spec.service_accounts or ())) if isinstance(spec, ImagePullSecretSpec) else (),
        restart=None if spec is None else spec.restart,
        phase=sys.intern(str(status.get("phase", ""))),
        reason=sys.intern(str(status.get("reason", ""))),
        observed_generation=status.get("observedGeneration", -1),
        revision=status.get("revision") or 0,
        rollout=sys.intern(digest_of(status)),  # most have nothing bound
        counts=_counts(status.get("workloads") or {}),
        restarted=status.get("restartedFor") or "",
        planned=status.get("plannedFor") or "",
        rolled=_rolled(status) if status.get("plannedFor") else _NONE,
        explain=notes.get(names.ANNOTATION_EXPLAIN, ""),
        ask=digest(ask)[:_ASK] if (ask := notes.get(names.ANNOTATION_RESTART_NOW, "")) else "",
        asked=status.get("restartRequest") or "",
        delivered_to=sys.intern(str((status.get("secretRef") or {}).get("namespace") or "")),
    )


def _sources(spec: Spec) -> tuple[str, ...]:
    refs = (value.value_from for value in values_of(spec).values())
    return tuple(sorted({sys.intern(ref.secret_key_ref.name) for ref in refs if ref is not None}))


def _spec_inputs(spec: Spec) -> str:
    parts: list[str] = []
    if isinstance(spec, ImagePullSecretSpec):
        parts += [spec.host, spec.username]
    for name, value in sorted(values_of(spec).items()):
        ref = value.value_from.secret_key_ref if value.value_from else None
        parts += [name, value.sealed or "", ref.name if ref else "", ref.key if ref else ""]
    return digest(*parts)


def _counts(raw: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(raw.get(state.value, 0) for state in State)


def _rolled(status: Mapping[str, Any]) -> frozenset[str]:
    listed = (status.get("workloads") or {}).get("items") or ()
    newest = status.get("revision")
    return frozenset(f"{each.get('kind')}/{each.get('name')}" for each in listed if each.get("revision") == newest)


def _interned(text: Any) -> str | None:
    return sys.intern(text) if isinstance(text, str) else None
