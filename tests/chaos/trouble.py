"""What happens to planes and processes while a scenario is played: when it begins, and when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.lane import Lane

if TYPE_CHECKING:
    from chaos.run import Run


class Trouble:
    """One kind of it; here: none.

    Attributes:
        wide: it concerns a whole plane, so that the status of others may change meanwhile (their Secrets and workloads
            may not), and users have to try again.
        patience: seconds until everything has to be as it must be.
        lasts: seconds for which it goes on if nothing settles meanwhile.
        crowd: how many sets users change at the same time; so much more may be asked for.
        far: it concerns the other cluster alone, so that sets of the hub's regions are changed and delivered meanwhile.
        done: the run.
    """

    wide = False
    patience = 30.0
    lasts = 4.0
    crowd = 1
    far = False
    done: Run

    def __str__(self) -> str:
        """What tests are told by."""
        return type(self).__name__.lower()

    @property
    def lane(self) -> Lane:
        """Where the run takes place."""
        return self.done.scene.lane

    def prepare(self) -> None:
        """What has to be there beforehand; the operator may write because of it."""

    def begin(self) -> None:
        """Called right before users do something."""

    def end(self) -> None:
        """Called once, when everything has settled in spite of it, or after so many seconds."""

    def over(self) -> None:
        """Called at the very end, whatever came of the run: the lane has to be as it was."""

    def rewind(self) -> bool:
        """Called when everything has held: put the world back, so that everything has to hold once more.

        Returns:
            Whether that was done.
        """
        return False
