"""Metrics of the sealing keys that only the leader tells."""

from __future__ import annotations

from collections.abc import Iterable

from secretset import telemetry
from secretset.controller.store import HubStore
from secretset.domain.sealing_keys import total

_LOST, _FOREIGN = "lost", "foreign"  # no ids of keys, which are hexadecimal


class KeyMetrics:
    """Tells how many values use which key. Any text could be the id of a key: only those that were here are known.

    Attributes:
        begun: whether it was told what is known on the hub.
    """

    def __init__(self) -> None:
        self.begun = False
        self._known: set[str] = set()
        self._counted: tuple[int, frozenset[str], int] | None = None

    def know(self, kids: Iterable[str]) -> None:
        """These keys are, or were, this hub's own: values that need one that is not held any more are lost."""
        self._known.update(kids)

    def count(self, store: HubStore, held: frozenset[str], *, leads: bool) -> None:
        """Count the values of all sets, if something changed.

        Args:
            store: of the sets.
            held: ids of the keys that open values now.
            leads: whether it is ours to tell; if not, nothing is told.
        """
        state = (store.pulse.count, held, len(self._known)) if leads else None
        if state == self._counted:
            return
        self._counted = state
        telemetry.SEALED_VALUES.clear()
        if state is None:
            telemetry.SEALING_KEY_BACKED_UP.clear()
            return
        counts = dict.fromkeys((*held, _LOST, _FOREIGN), 0)
        for kid, count in total(record.sealed for record in store.sets.values()).items():
            counts[kid if kid in held else _LOST if kid in self._known else _FOREIGN] += count
        for kid, count in counts.items():
            telemetry.SEALED_VALUES.labels(kid).set(count)
