"""What a supervisor pays attention to: signals, its leash, its owner, its children, and requests over a socket.

One thread and one `select`: every wait of a plane's life goes through `Watch.attend`, so that also a plane that is
still starting ends at once.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubelab.errors import KubelabError

RELEASE = b"release"
Request = dict[str, Any]


class Ended(Exception):
    """Someone wants the plane to end."""


class Watch:
    """The events of one supervisor.

    Args:
        owner: Process that the plane must not outlive; None if there is none.
        address: Where to listen for requests. A relative path: an absolute one may be longer than an address can be.
        on_child_end: Called when a child may have ended.
        on_request: Called with a request; what it raises as `KubelabError` becomes the answer.
    """

    def __init__(
        self,
        *,
        owner: int | None,
        address: Path,
        on_child_end: Callable[[], None],
        on_request: Callable[[Request], None],
    ) -> None:
        self._child_ended = on_child_end
        self._obey = on_request
        self._selector = selectors.DefaultSelector()
        self._wakeup = _signals()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address))
        self._listener.listen()
        self._leash = sys.stdin.fileno()
        self._pidfd = _open_pidfd(owner) if owner is not None else None
        self._stopping: socket.socket | None = None
        for source, action in (
            (self._wakeup, self._on_signal),
            (self._listener, self._on_connection),
            (self._leash, self._on_leash),
            (self._pidfd, self._on_owner_end),
        ):
            if source is not None:
                self._selector.register(source, selectors.EVENT_READ, action)

    def attend(self, timeout: float | None) -> None:
        """Handles what happened, or waits until something does.

        Args:
            timeout: Seconds to wait at most; None waits for ever.

        Raises:
            Ended: The plane shall end.
        """
        for key, _ in self._selector.select(timeout):
            key.data()

    def _on_signal(self) -> None:
        numbers = self._wakeup.recv(64)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            raise Ended
        self._child_ended()

    def _on_leash(self) -> None:
        if os.read(self._leash, 64).strip() != RELEASE:
            raise Ended
        self._selector.unregister(self._leash)

    def _on_owner_end(self) -> None:
        raise Ended

    def _on_connection(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(5)
        with contextlib.suppress(OSError), connection:
            request: Request = json.loads(connection.makefile().readline() or "{}")
            if request.get("do") == "stop":
                # The other side reads until the connection closes, which only the end of this process does.
                self._stopping = connection.dup()
                raise Ended
            answer: Request = {}
            try:
                self._obey(request)
            except (KubelabError, OSError) as error:
                answer = {"error": str(error)}
            connection.sendall(json.dumps(answer).encode() + b"\n")


def _signals() -> socket.socket:
    """Returns a socket on which the numbers of arriving signals can be read."""
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    # Detached: it has to stay open for as long as signals come.
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reader


def _open_pidfd(pid: int) -> int | None:
    """Returns a descriptor that becomes readable when the process ends; None where the kernel has no such thing."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise Ended from None
    except OSError:
        return None
