"""Wait until what a command changed has reached its region, and show meanwhile how it stands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from time import monotonic

from rich.console import Console
from rich.status import Status
from rich.text import Text

from secretset.actions.follow import follow
from secretset.actions.session import Session
from secretset.cli.hub import FAILED, CommandError, plain, told
from secretset.domain.names import Key
from secretset.domain.reasons import Phase
from secretset.domain.set_view import SetView
from secretset.kube.errors import KubeError

NOT_READY = 3
"""Exit code: the set was still pending when the time was over."""
SET_FAILED = 4
"""Exit code: the set failed."""


class Deadline:
    """The time that several waits have together.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._at = monotonic() + seconds

    def left(self) -> float:
        """Seconds for the next one; a moment even at the end, so that what is ready by then is seen."""
        return max(self._at - monotonic(), 0.1)


async def until_ready(session: Session, key: Key, *, generation: int = 0, timeout: float) -> SetView:  # noqa: ASYNC109
    """Wait until a set is ready, showing its state in one line of a terminal.

    Args:
        session: the user's.
        key: of the set.
        generation: that has to be ready, or a newer one.
        timeout: seconds.

    Raises:
        CommandError: it failed (``SET_FAILED``), the time was over (``NOT_READY``), or it was deleted.
        KubeError: the hub refused or did not answer at first.
    """
    seen: SetView | None = None
    with line(f"{key.name}: waiting for the operator") as show, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout), contextlib.aclosing(follow(session, key)) as views:
            async for view in views:
                if view is None:
                    raise CommandError(f"{key} was deleted meanwhile", FAILED)
                seen = view
                show(f"{key.name}: {standing(view)}")
                if view.generation < generation or view.phase is Phase.PENDING:
                    continue
                if view.phase is Phase.FAILED:
                    raise CommandError(f"{key} failed: {standing(view)}", SET_FAILED)
                return view
    state = f": {standing(seen)}" if seen is not None else ""
    raise CommandError(
        f"{key} was not ready after {round(timeout, 1):g} s{state}. It goes on by itself: secretset wait {key.name} -n "
        f"{key.namespace}",
        NOT_READY,
    )


async def until_delivered(session: Session, stored: SetView, *, timeout: float) -> SetView:  # noqa: ASYNC109
    """Wait until what was stored is ready, as `until_ready` does.

    Raises:
        CommandError: as there; also (``NOT_READY``) where the hub refused or did not answer: it is stored in any case.
    """
    try:
        return await until_ready(session, stored.key, generation=stored.generation, timeout=timeout)
    except KubeError as error:
        raise not_followed(f"{stored.key} is stored", error) from None


def not_followed(done: str, error: KubeError) -> CommandError:
    """What is told of something that was done, where the hub does not say what became of it."""
    return CommandError(f"{done}, but could not be followed: {told(error)}. It goes on by itself", NOT_READY)


def standing(view: SetView) -> str:
    """How a set stands, in a few words."""
    if view.phase is Phase.READY:
        return f"ready in {view.region}"
    return plain(": ".join(filter(None, (view.phase.value, view.reason, view.message))))


class Line:
    """One line on a terminal that changes; nothing anywhere else."""

    def __init__(self, status: Status | None) -> None:
        self._status = status

    def __call__(self, text: str) -> None:
        """Show another text."""
        if self._status is not None:
            self._status.update(_shown(text))


@contextlib.contextmanager
def line(text: str) -> Iterator[Line]:
    """Show a line on the error stream, if that is a terminal, until the block ends."""
    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        yield Line(None)
        return
    with console.status(_shown(text)) as status:
        yield Line(status)


def _shown(text: str) -> Text:
    """Names and messages as they are: nothing in them is markup, or an order to the terminal."""
    return Text(plain(text))
