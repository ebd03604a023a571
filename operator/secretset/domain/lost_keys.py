"""Which sealing keys were lost, and which were retired: both are not kept any more, and only the former come back."""

from __future__ import annotations

from collections.abc import Mapping

from secretset.domain.versions import older

_REWOUND_SECONDS = 120.0
"""For so long it may turn out that the hub was put back, and that a key which went was not retired."""


class LostKeys:
    """Judges what is kept by what was kept before: a key goes only if it was taken out of the very Secret that we know.

    One that is gone as a whole, or another one, or one of a former state of the hub, is no decision about a key. Times
    are seconds of a clock that only goes forward.

    Attributes:
        kids: ids of the keys that are to be put back.
    """

    def __init__(self) -> None:
        self.kids: frozenset[str] = frozenset()
        self._dropped: dict[str, tuple[bytes, float]] = {}
        self._seen = ("", "")
        self._rewound_at: float | None = None

    def rewound(self, now: float) -> None:
        """The hub is in a former state: what is not there at the next look, asked for from now on, was not retired."""
        self._rewound_at = now

    def judge(
        self, before: Mapping[str, bytes], kept: tuple[str, str, Mapping[str, bytes]] | None, asked: float
    ) -> Mapping[str, bytes]:
        """What should be there: all that is, and what was lost.

        Args:
            before: the entries that were there, or should have been, by id.
            kept: uid and version of the Secret, and its entries; None if it is gone.
            asked: when that was asked for.
        """
        uid, version, entries = kept if kept is not None else ("", "", {})
        self._dropped = {kid: each for kid, each in self._dropped.items() if asked - each[1] < _REWOUND_SECONDS}
        former = self._rewound_at is not None and self._rewound_at <= asked
        if former:
            before = {**{kid: raw for kid, (raw, _) in self._dropped.items()}, **before}
            self._dropped, self._rewound_at = {}, None
        gone = before.keys() - entries.keys()
        other = kept is None or uid != self._seen[0] or older(version, self._seen[1])
        self.kids = frozenset(gone) if other or former else self.kids & gone
        self._dropped |= {kid: (before[kid], asked) for kid in gone - self.kids}
        if kept is not None:
            self._seen = uid, version
        return {**{kid: before[kid] for kid in self.kids}, **entries}

    def wrote(self, uid: str, version: str) -> None:
        """The Secret was written, by us, and lacks nothing."""
        self._seen, self.kids = (uid, version), frozenset()
