"""In the place of a kubelet: nodes of kubelab run nothing, so the operator's process follows its Deployment."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from harness import OperatorProcess, eventually
from kubelab.errors import ApiError
from kubelab.plane import ControlPlane

NAME, NAMESPACE = "secretset-operator", "secretset-system"
# Restarts that a page waits for begin at once, and its deletions are not slowed down.
_FLAGS = ("--quiet-seconds", "0.2", "--max-wait-seconds", "1", "--deletion-burst", "10000")


class StandIn:
    """Runs the operator, with the account of its pods, while its Deployment wants replicas."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._process: OperatorProcess | None = None
        self._ending = False

    def follow(self, watch: subprocess.Popen[str]) -> None:
        """Until the watch ends."""
        assert watch.stdout is not None
        for line in watch.stdout:
            kind, _, replicas = line.strip().partition(" ")
            wanted = kind != "DELETED" and replicas != "0"
            if wanted and self._process is None:
                self._start()
            elif not wanted:
                self.stop()

    def stop(self) -> None:
        """As a kubelet ends a pod."""
        process, self._process = self._process, None
        if process is not None and process.running:
            assert process.stop() == 0

    @property
    def running(self) -> bool:
        """Whether the operator is ready."""
        return self._process is not None and self._process.running

    def _start(self) -> None:
        process: list[OperatorProcess] = []

        def made() -> bool:
            """Its account may come after its Deployment."""
            with suppress(ApiError):
                process.append(OperatorProcess(self._plane, *_FLAGS))
            return bool(process)

        eventually(made, "the operator's account", seconds=30)
        process[0].start()
        self._process = process[0]


@contextmanager
def standing_in(plane: ControlPlane) -> Iterator[StandIn]:
    """Pods of the operator, from when it is installed; they end afterwards."""
    stand_in = StandIn(plane)
    watch = subprocess.Popen(
        [
            *plane.command("kubectl"),
            *("get", "deployments", "-n", NAMESPACE, "--field-selector", f"metadata.name={NAME}", "--watch"),
            *("--output-watch-events", "-o", 'jsonpath={.type} {.object.spec.replicas}{"\\n"}'),
        ],
        env=plane.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    follower = threading.Thread(target=stand_in.follow, args=(watch,))
    follower.start()
    try:
        yield stand_in
    finally:
        watch.terminate()
        watch.wait()
        follower.join()
        if watch.stdout is not None:
            watch.stdout.close()
        stand_in.stop()
