"""A hub of a test's own, and operators on it that come through somebody who reads their requests."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.between import Between, Match, Trap, When, is_write, write_of
from harness.manifests import env_from
from harness.org import Org
from harness.process import OPERATOR_ACCOUNT, OperatorProcess
from harness.rolling import COMPLETE, DATA, READY_DELAY, change, restarted, rolled_out, settled, workload
from harness.waiting import eventually
from kubelab.plane import ControlPlane

_numbers = itertools.count(1)
NAMES = ("one", "two", "three")


class Alone:
    """A hub whose operator can be ended at any request.

    Attributes:
        hub: the plane.
        between: what the operator comes through.
    """

    def __init__(self, hub: ControlPlane, between: Between, canaries: list[str]) -> None:
        self.hub = hub
        self.between = between
        self._canaries = canaries

    def org(self) -> Org:
        """A new organization."""
        return Org(self.hub, f"alone{next(_numbers)}", self._canaries).create()

    @contextmanager
    def operator(self, *flags: str) -> Iterator[OperatorProcess]:
        """The operator, until the end."""
        times = ("--quiet-seconds", "0.4", "--max-wait-seconds", "2")
        process = OperatorProcess(self.hub, *times, *flags, kubeconfig=self.between.kubeconfig)
        process.start()
        try:
            yield process
        finally:
            if process.running:
                assert process.stop() == 0


@contextmanager
def alone(hub: ControlPlane, canaries: list[str]) -> Iterator[Alone]:
    """On a hub as `start_hub` makes it."""
    with Between(hub, hub.service_account_kubeconfig(*OPERATOR_ACCOUNT)) as between:
        yield Alone(hub, between, canaries)


class Crashing:
    """A set that three Deployments use, and changes in whose course the operator is killed.

    Attributes:
        trap: what was laid last.

    Args:
        alone: where.
        process: the operator.
        slow: seconds that their pods take to become ready.
        restart: of the spec.
    """

    trap: Trap

    def __init__(self, alone: Alone, process: OperatorProcess, *, slow: int = 0, **restart: object) -> None:
        self.process = process
        self.between = alone.between
        self.org = alone.org()
        self.revision = 1
        self.expected = dict.fromkeys(NAMES, 0)
        for name in NAMES:
            workload(self.org, "Deployment", name, env_from("app"), pod_notes={READY_DELAY: f"{slow}s"})
        self.org.source("src", a=self.org.canary(), b=self.org.canary())
        self.org.secret_set(data=DATA, restart=restart)
        settled(self.org, revision=1, bound=len(NAMES))

    def at(self, when: When, number: int = 1, match: Match = is_write, *, kill: bool = True) -> None:
        """Lose a request or an answer of one of the next writes, and have the operator killed there."""
        act = self.process.kill if kill else lambda: None
        self.trap = self.between.at(match, when, act, number=number)

    def change(self, key: str, **restarts: int) -> None:
        """Change a key, which is to restart these so often; absent: everybody once."""
        self.revision += 1
        for name, times in (restarts or dict.fromkeys(NAMES, 1)).items():
            self.expected[name] += times
        change(self.org, key)

    def ends_well(self) -> bool:
        """Have the operator started again when it was killed: then all is as it should be, and nothing came twice.

        Returns:
            Whether there was such a write.
        """
        trap = self.trap

        def over() -> bool:
            if trap.sprung.is_set() and not self.process.running:
                self.process.start()
            status = self.org.status()
            return status.get("revision") == self.revision and rolled_out(self.org) == COMPLETE

        eventually(over, f"the end of wave {self.revision}", seconds=40)
        self.between.clear()
        if trap.met:
            assert trap.sprung.wait(20)
            if not self.process.running:  # at the very end
                self.process.start()
                time.sleep(1.0)
        source = self.org.get("secret", "src") or {}
        assert (self.org.managed() or {})["data"] == {name.upper(): text for name, text in source["data"].items()}
        found = restarted(self.org, *NAMES)
        assert found == self.expected, f"restarts {found}, not {self.expected}"
        generations = {name: self.org.generation(name) - 1 for name in NAMES}
        assert generations == self.expected, f"changes {generations}, not {self.expected}"
        return trap.met


def put_secret(org: Org) -> Match:
    """Matches writes of the managed Secret."""
    return write_of("PUT", f"/namespaces/{org.regional}/secrets/app")
