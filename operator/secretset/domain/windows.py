"""Restart windows: when restarts may begin (``spec.restart.window``).

A window opens whenever its schedule comes and stays open for its duration, which is elapsed time, not time of a clock
on a wall. Where two openings overlap it stays open.

The schedule is read as Debian's cron reads it, clock changes included (the library's rule, `cronsim`). Where neither
minute nor hour begins with ``*`` it names times of day: one that is skipped in spring comes at the change, and one that
there is twice in autumn comes the first time only. Any other schedule follows the clock: what is skipped does not come,
what there is twice comes twice. A day of month together with a day of week means either of them, unless one of the two
begins with ``*``. UTC knows no changes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from secretset.domain import reasons
from secretset.domain.models.common import (
    DURATION_PATTERN,
    DURATION_RULE,
    WINDOW_MAX_SECONDS,
    WINDOW_MIN_SECONDS,
    RestartWindow,
)

# The words that a CronJob takes for a schedule (kubernetes.io, "CronJob"), but for "@every".
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SECONDS = {"h": 3600, "m": 60, "s": 1}

# Where the search for a first opening begins. The library looks 50 years ahead, and no day that exists is rarer than a
# 29 February on one day of the week: at most 40 years apart.
_REFERENCE = datetime(2024, 1, 1, tzinfo=UTC).timestamp()

_SCHEDULE_RULE = (
    "is no cron schedule that ever comes: give minute, hour, day of month, month and day of week, such as "
    "'0 2 * * 6', or one of @hourly, @daily, @weekly, @monthly and @yearly"
)
_ZONE_RULE = "is no time zone: give its IANA name, such as 'Europe/Berlin', or leave it out for UTC"


@dataclass(frozen=True, kw_only=True)
class Window:
    """When restarts may begin.

    Attributes:
        schedule: five fields.
        duration: seconds.
        zone: that the schedule is in.
    """

    schedule: str
    duration: float
    zone: tzinfo
    # When it was looked at last, and the opening that was found: the same holds from then until that one has closed.
    _seen: list[tuple[float, float]] = field(
        default_factory=lambda: [(math.inf, 0.0)], init=False, repr=False, compare=False
    )

    def opens_in(self, now: float) -> float:
        """Seconds until it opens; 0.0 while it is open.

        Args:
            now: seconds since the epoch.
        """
        looked, opening = self._seen[0]
        if not looked <= now < opening + self.duration:
            opening = self._opening(now - self.duration)
            self._seen[0] = (now, opening)
        return max(0.0, opening - now)

    def _opening(self, after: float) -> float:
        """The first opening after a time, both in seconds since the epoch; infinity if there is none in 50 years."""
        for opening in CronSim(self.schedule, datetime.fromtimestamp(math.floor(after), self.zone)):
            # Begun within an hour that comes twice, the library may name a time of the first one.
            if (found := opening.timestamp()) > after:
                return found
        return math.inf


@lru_cache(maxsize=1024)
def parse(spec: RestartWindow) -> Window:
    """Read a window; equal ones are the same object, so that all sets share what it remembers.

    Raises:
        Problem: ``InvalidSpec``: the schedule is none, or never comes; the duration or the time zone is none.
    """
    zone = _zone(spec.time_zone)
    fields = _WORDS.get(spec.schedule.strip(), spec.schedule).split()
    window = Window(schedule=" ".join(fields), duration=_duration(spec.duration), zone=zone)
    try:
        comes = len(fields) == 5 and math.isfinite(window.opens_in(_REFERENCE))  # the library knows seconds, as a sixth
    except CronSimError:
        comes = False
    if not comes:
        raise reasons.invalid_window("schedule", spec.schedule, _SCHEDULE_RULE)
    return window


def _duration(text: str) -> float:
    """Seconds. The rule of the schema again, for an object that was stored under other CRDs."""
    parts = re.findall(r"([0-9]+)([hms])", text) if re.fullmatch(DURATION_PATTERN, text) else ()
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if not WINDOW_MIN_SECONDS <= seconds <= WINDOW_MAX_SECONDS:
        raise reasons.invalid_window("duration", text, DURATION_RULE)
    return float(seconds)


def _zone(name: str | None) -> tzinfo:
    if name in {None, "UTC", "Etc/UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no name at all; a folder of zones
        raise reasons.invalid_window("timeZone", name, _ZONE_RULE) from None
