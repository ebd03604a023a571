"""What the restarts of a set depend on, put together from records: no request is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from secretset.controller.context import Context
from secretset.controller.runner import RegionRunner
from secretset.domain import rollout_status, waves
from secretset.domain.observed import SecretRecord
from secretset.domain.record import SetRecord
from secretset.domain.restarts import Managed, Outlook, outlook
from secretset.domain.rollout_status import Told
from secretset.domain.rollouts import Rollout
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload


@dataclass(frozen=True)
class Scene:
    """One set's managed Secret and the workloads around it.

    Attributes:
        seen: the set.
        namespace: of its managed Secret.
    """

    context: Context
    runner: RegionRunner
    seen: SetRecord
    namespace: str

    @property
    def secret(self) -> SecretRecord | None:
        """What is known of the managed Secret."""
        return self.runner.seen.secrets.get((self.namespace, self.seen.key.name))

    @property
    def users(self) -> list[Workload]:
        """The workloads that use it."""
        return self.runner.seen.users(self.namespace, self.seen.key)

    @property
    def wave(self) -> Wave | None:
        """Its unfinished wave."""
        own = self._managed(self.seen.key.name)
        return None if own is None else own.wave

    @property
    def planned(self) -> bool:
        """Whether all workloads of the unfinished wave were found."""
        wave, secret = self.wave, self.secret
        return wave is None or wave.id == self.seen.planned or (secret is not None and wave.id == secret.planned)

    @property
    def in_flight(self) -> list[Workload]:
        """Those users that roll because they were restarted for this set."""
        return [w for w in self.users if w.rollout is Rollout.RESTARTING and w.restarted_by(self.seen.key.name)]

    def count_in_flight(self) -> None:
        """Count those against the region's budget; who is stuck holds up nobody else."""
        self.runner.budget.note(w.uid for w in self.in_flight if w.uid not in self.runner.seen.stuck)

    def outlook(self) -> Outlook:
        """How its users stand, and what is to be done."""
        secret = self.secret
        return outlook(
            self.seen.key.name,
            revision=secret.revision if secret else 0,
            users=self.users,
            look=cache(self._managed),
            stuck=self.runner.seen.stuck,
            refused=self.runner.refusals.now(),
            now=self.context.now(),
        )

    def told(self, seen: Outlook) -> Told:
        """What its status is to say of them."""
        keys = self.seen.explained_keys
        explanation = None
        if keys:
            secret = self.secret
            explanation = rollout_status.explain(
                self.seen.key.name,
                keys,
                revision=secret.revision if secret else 0,
                users=self.users,
                look=cache(self._managed),
                now=self.context.now(),
            )
        return rollout_status.tell(seen, explanation)

    def _managed(self, name: str) -> Managed | None:
        secret = self.runner.seen.secrets.get((self.namespace, name))
        owner = self.context.store.sets.get(secret.owner) if secret else None
        if secret is None or owner is None:
            return None
        wave = waves.unfinished(secret.wave, owner.restarted)
        rule = self.context.config.restart_rule(owner.key.kind, owner.restart)
        if wave is not None and wave.asked:
            rule = replace(rule, automatic=True)
        return Managed(
            keys=secret.keys,
            wave=wave,
            restarted=self.runner.seen.restarted_for(wave, owner, self.namespace),
            rule=rule,
        )
