"""What is known of managed Secrets and their users at one moment, for tests of what is done then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from builders import WorkloadBuilder, deployment
from secretset.domain.restarts import Managed, Outlook, RestartRule, outlook
from secretset.domain.waves import Wave
from secretset.domain.workloads import Workload

NOW = 1000.0


def rule(**changes: Any) -> RestartRule:
    return RestartRule(**{"automatic": True, "quiet": 2.0, "max_wait": 10.0} | changes)


def wave(*names: str, since: float = NOW, changed: float = NOW, number: str = "2-u", base: int = 1) -> Wave:
    """Of a change of key A, for these workloads."""
    targets = {f"uid-{name}": 1 for name in names}
    return Wave(id=number, since=since, changed=changed, targets=targets, base=base, before={"A": "x"})


def app(name: str) -> WorkloadBuilder:
    return deployment(name).env_from("app")


def done(name: str) -> WorkloadBuilder:
    """Restarted for the wave."""
    return app(name).restarted_for("app", "2-u")


def managed(present: Wave | None, keys: str = "ABC", restarted: tuple[str, ...] = (), **changes: Any) -> Managed:
    return Managed(keys=set(keys), wave=present, rule=rule(**changes), restarted=restarted)


def looked(
    *workloads: Workload | WorkloadBuilder,
    now: float = NOW + 2,
    stuck: Mapping[str, str] | None = None,
    secret: str = "app",
    **secrets: Managed | None,
) -> Outlook:
    """The outlook of one of some managed Secrets."""
    users = [each if isinstance(each, Workload) else each.workload() for each in workloads]
    return outlook(
        secret,
        revision=2,
        users=[w for w in users if secret in w.uses],
        look=secrets.get,
        stuck=stuck or {},
        now=now,
    )


def restarted(found: Outlook) -> list[str]:
    return [restart.workload.name for restart in found.restarts]


def stands(found: Outlook) -> dict[str, str]:
    """Name to state."""
    return {verdict.workload.name: verdict.state.value for verdict in found.verdicts}


def why(found: Outlook, name: str) -> str:
    return next(verdict.why for verdict in found.verdicts if verdict.workload.name == name)
