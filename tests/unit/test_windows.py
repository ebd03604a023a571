"""Restart windows: what a schedule, a duration and a time zone mean, and when a window is open."""

from __future__ import annotations

import bisect
import itertools
import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from secretset.domain.models import RestartWindow
from secretset.domain.reasons import Problem, Reason
from secretset.domain.windows import Window, parse

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
BERLIN = ZoneInfo("Europe/Berlin")


def window(schedule: str, duration: str = "1h", zone: str | None = None) -> Window:
    return parse(RestartWindow(schedule=schedule, duration=duration, time_zone=zone))


def utc(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


def spans(opened: Window, begin: float, end: float) -> list[tuple[str, float]]:
    """When it opens in a time, and for how many minutes, looking once a minute."""
    found: list[tuple[str, float]] = []
    was_open = False
    for now in itertools.takewhile(lambda now: now < end, itertools.count(begin, MINUTE)):
        is_open = opened.opens_in(now) == 0.0
        if is_open and not was_open:
            found.append((f"{datetime.fromtimestamp(now, UTC):%m-%dT%H:%M}", 0))
        if is_open:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        was_open = is_open
    return found


def test_it_is_open_from_the_opening_on_and_no_longer_than_the_duration() -> None:
    saturdays, opening = window("0 2 * * 6", "4h"), utc(2026, 3, 7, 2)
    assert saturdays.opens_in(opening - 1.5) == 1.5
    assert saturdays.opens_in(opening) == 0.0
    assert saturdays.opens_in(opening + 4 * HOUR - 0.001) == 0.0
    assert saturdays.opens_in(opening + 4 * HOUR) == 7 * DAY - 4 * HOUR


def test_a_second_is_no_later_than_it_is() -> None:
    # Nothing is rounded: the half second before an opening is closed, and the one before the end is open.
    hourly = window("0 * * * *", "1m")
    assert hourly.opens_in(utc(2026, 3, 7, 1, 59, 59) + 0.5) == 0.5
    assert hourly.opens_in(utc(2026, 3, 7, 2, 0, 59) + 0.999999) == 0.0
    assert hourly.opens_in(utc(2026, 3, 7, 2, 1)) == 59 * MINUTE


def test_openings_that_overlap_are_one_long_window() -> None:
    begin = utc(2026, 3, 7, 0, 30)
    assert spans(window("0 * * * *", "90m"), begin, begin + DAY) == [("03-07T00:30", 24 * 60)]
    assert spans(window("0 0-2 * * *", "1h30m"), begin, begin + DAY) == [("03-07T00:30", 180), ("03-08T00:00", 30)]


def test_a_window_that_touches_the_next_is_never_closed() -> None:
    always = window("* * * * *", "1m")
    assert [now for now in range(10_000) if always.opens_in(1_772_000_000.5 + now)] == []


def test_a_leap_day() -> None:
    leap = window("0 12 29 2 *", "24h")
    assert leap.opens_in(utc(2026, 1, 1)) == utc(2028, 2, 29, 12) - utc(2026, 1, 1)
    assert leap.opens_in(utc(2028, 3, 1, 11, 59)) == 0.0
    # 1900 was none, and 2100 is none.
    assert leap.opens_in(utc(2096, 3, 1, 12)) == utc(2104, 2, 29, 12) - utc(2096, 3, 1, 12)


def test_the_rarest_day_there_is() -> None:
    rare = window("0 0 * 2 mon#5")
    assert rare.opens_in(utc(2072, 3, 1)) == utc(2112, 2, 29) - utc(2072, 3, 1)


def test_far_in_the_future() -> None:
    assert window("0 0 1 1 *", zone="Europe/Berlin").opens_in(utc(3025, 12, 30, 23)) == DAY
    assert window("@daily", "24h").opens_in(utc(9990, 1, 1)) == 0.0


@pytest.mark.parametrize(
    ("word", "schedule"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @annually ", "0 0 1 1 *"),
    ],
)
def test_words(word: str, schedule: str) -> None:
    assert window(word) == window(schedule)


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("0 2 * * SAT", "03-07T02:00"),
        ("0\t2  * * 6", "03-07T02:00"),
        ("0 2 * * 7", "03-01T02:00"),
        ("30 4 1-7 * *", "03-01T04:30"),
        ("0 2 * * 6#2", "03-14T02:00"),
        ("0 0 L * *", "03-31T00:00"),
        ("0 0 15 * 3", "03-04T00:00"),  # either of the two
        ("0 0 */31 * 0", "03-01T00:00"),  # both
    ],
)
def test_schedules(schedule: str, says: str) -> None:
    begin = utc(2026, 3, 1)
    assert spans(window(schedule), begin, begin + 31 * DAY)[0] == (says, 60)


# --- clock changes: in Berlin at 01:00 UTC, on 29 March 2026 (02:00 becomes 03:00) and 25 October (03:00 becomes 02:00)

SPRING, AUTUMN = utc(2026, 3, 28, 12), utc(2026, 10, 24, 12)


@pytest.mark.parametrize(
    ("schedule", "duration", "found"),
    [
        ("30 1 * * *", "1h", [("03-29T00:30", 60)]),  # over the change: an hour that passes
        ("30 2 * * *", "1h", [("03-29T01:00", 60)]),  # there is no 02:30: at the change
        ("0,30 2 * * *", "10m", [("03-29T01:00", 10)]),  # once, not twice
        ("0 3 * * *", "1h", [("03-29T01:00", 60)]),
        ("0 12 * * *", "1h", [("03-29T10:00", 60)]),
        ("*/30 2 * * *", "10m", []),  # follows the clock: no such time comes
    ],
)
def test_in_spring(schedule: str, duration: str, found: list[tuple[str, float]]) -> None:
    assert spans(window(schedule, duration, "Europe/Berlin"), SPRING, SPRING + DAY) == found


@pytest.mark.parametrize(
    ("schedule", "duration", "found"),
    [
        ("30 1 * * *", "2h", [("10-24T23:30", 120)]),
        ("30 2 * * *", "30m", [("10-25T00:30", 30)]),  # the first 02:30, not the second
        ("30 2 * * *", "2h", [("10-25T00:30", 120)]),
        ("0 2,3 * * *", "1h", [("10-25T00:00", 60), ("10-25T02:00", 60)]),
        ("*/30 2 * * *", "10m", [(f"10-25T{time}", 10) for time in ("00:00", "00:30", "01:00", "01:30")]),
    ],
)
def test_in_autumn(schedule: str, duration: str, found: list[tuple[str, float]]) -> None:
    assert spans(window(schedule, duration, "Europe/Berlin"), AUTUMN, AUTUMN + DAY) == found


def test_a_look_that_begins_within_the_hour_that_comes_twice() -> None:
    # One hour before now is 02:15 for the second time; the library names the first 02:30, which closed long ago.
    half_past = window("30 2 * * *", "1h", "Europe/Berlin")
    assert half_past.opens_in(utc(2026, 10, 25, 2, 15)) == utc(2026, 10, 26, 1, 30) - utc(2026, 10, 25, 2, 15)


def test_a_midnight_that_does_not_exist() -> None:
    # In Beirut the clock goes from 23:59 on 28 March to 01:00 on 29 March 2026.
    evening = utc(2026, 3, 28, 21, 30)
    assert window("0 0 * * *", zone="Asia/Beirut").opens_in(evening) == 30 * MINUTE
    assert window("0 */6 * * *", zone="Asia/Beirut").opens_in(evening) == 5.5 * HOUR  # follows the clock: at 06:00


# --- what is none


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "   ", "@reboot", "@every 1h", "@DAILY", "daily", "2 * * 6", "0 0 2 * * 6", "CRON_TZ=UTC 0 2 * * 6"),
        *("60 2 * * 6", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 8", "-1 * * * *", "1.5 * * * *", "a b c d e"),
        *("*/0 * * * *", "5-1 * * * *", "0 0 * * FOO", "0 0 ? * *", "٣ * * * *", "0 0 * * 1#6", "0 0 * * L"),
        *("0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 */31 2 1#2", "* * */20 * 1L"),  # never
    ],
)
def test_no_schedule(schedule: str) -> None:
    with pytest.raises(Problem) as caught:
        parse(RestartWindow.model_construct(schedule=schedule, duration="1h", time_zone=None))
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.message.startswith(f"spec.restart.window.schedule '{schedule}' is no cron schedule that ever")


@pytest.mark.parametrize(
    "zone",
    ["Berlin", "europe/berlin/", "Europe", "/etc/localtime", "../../etc/passwd", "..", "", "a\0b", "Zürich", "+01:00"],
)
def test_no_time_zone(zone: str) -> None:
    with pytest.raises(Problem) as caught:
        parse(RestartWindow.model_construct(schedule="@daily", duration="1h", time_zone=zone))
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.message == (
        f"spec.restart.window.timeZone '{zone}' is no time zone: give its IANA name, such as 'Europe/Berlin', or "
        "leave it out for UTC."
    )


@pytest.mark.parametrize("duration", ["", "0s", "59s", "169h", "1d", "4", "1.5h", "-1h", "4h\n", "1h1m1s1s", "٣h"])
def test_no_duration(duration: str) -> None:
    with pytest.raises(Problem) as caught:
        window("@daily", duration)
    assert caught.value.message == (
        f"spec.restart.window.duration '{duration}' must be a time from 1m to 168h, such as '4h' or '1h30m'."
    )


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("1m", 60), ("90m", 5400), ("1h30m", 5400), ("30m1h", 5400), ("1h1m1s", 3661), ("168h", 604800)],
)
def test_durations(duration: str, seconds: float) -> None:
    assert window("@daily", duration).duration == seconds


def test_utc_is_what_an_absent_zone_means() -> None:
    assert window("@daily").zone is UTC
    assert window("@daily", zone="UTC") == window("@daily", zone="Etc/UTC") == window("@daily")


def test_equal_windows_are_one_object_with_a_hash() -> None:
    first, second = (window("0 2 * * 6", "4h", "Europe/Berlin") for _ in range(2))
    assert first is second
    other = Window(schedule="0 2 * * 6", duration=4 * HOUR, zone=BERLIN)
    assert (other, hash(other)) == (first, hash(first))
    assert other != window("0 2 * * 6", "3h", "Europe/Berlin")


# --- properties

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@st.composite
def _field(draw: st.DrawFn, low: int, high: int) -> str:
    number = st.integers(low, high)
    one = st.one_of(
        number.map(str),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.integers(1, high).map(lambda step: f"*/{step}"),
    )
    return draw(st.one_of(st.just("*"), st.just("*"), st.lists(one, min_size=1, max_size=3).map(",".join)))


SCHEDULES = st.tuples(*(_field(low, high) for low, high in _RANGES)).map(" ".join)
DURATIONS = st.sampled_from(["1m", "7m", "59m", "60m", "90m", "25h", "168h"])
ZONES = st.sampled_from([None, "Europe/Berlin", "Asia/Beirut", "Australia/Lord_Howe", "America/St_Johns"])
# A day around which clocks change in one of the zones, or any other.
DAYS = st.one_of(
    st.sampled_from([(2026, 3, 29), (2026, 10, 25), (2026, 4, 5), (2026, 3, 8), (2026, 11, 1)]).map(
        lambda day: datetime(*day, tzinfo=UTC)
    ),
    st.datetimes(datetime(2024, 1, 1), datetime(2120, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)),  # noqa: DTZ001
)


def _parsed(schedule: str, duration: str, zone: str | None) -> Window | None:
    try:
        return window(schedule, duration, zone)
    except Problem:
        return None  # a day that no month has


@given(schedule=SCHEDULES, duration=DURATIONS, zone=ZONES, day=DAYS, offset=st.floats(0, DAY, exclude_max=True))
def test_it_is_open_exactly_within_an_opening(
    schedule: str, duration: str, zone: str | None, day: datetime, offset: float
) -> None:
    opened = _parsed(schedule, duration, zone)
    if opened is None:
        return
    # All openings that the library names, from well before the longest window could have opened.
    begin = day - timedelta(seconds=opened.duration, days=2)
    last = day.timestamp() + 3 * DAY
    moments = (moment.timestamp() for moment in CronSim(opened.schedule, begin.astimezone(opened.zone)))
    openings = list(itertools.takewhile(lambda moment: moment < last, moments))
    for now in (day.timestamp() + offset + step * 17 * MINUTE for step in range(90)):
        begun = bisect.bisect_right(openings, now)
        expected = begun > 0 and now < openings[begun - 1] + opened.duration
        waits = opened.opens_in(now)
        assert (waits == 0.0) is expected, now
        if waits and now + waits < last:
            assert now + waits == pytest.approx(openings[begun], abs=1e-6)
        # What was remembered changes nothing.
        assert Window(schedule=opened.schedule, duration=opened.duration, zone=opened.zone).opens_in(now) == waits


def _meant(schedule: str, moment: datetime) -> bool:
    """Whether a minute is one of the schedule's: read field by field, as crontab(5) says."""

    def matches(text: str, value: int, low: int, high: int) -> bool:
        for part in text.split(","):
            span, _, step = part.partition("/")
            first, _, end = span.partition("-")
            bounds = (low, high) if first == "*" else (int(first), int(end or first))
            if bounds[0] <= value <= bounds[1] and (value - bounds[0]) % int(step or 1) == 0:
                return True
        return False

    minute, hour, day, month, weekday = schedule.split()
    on_day = matches(day, moment.day, 1, 31)
    on_weekday = any(matches(weekday, number, 0, 7) for number in {moment.isoweekday(), moment.isoweekday() % 7})
    both = day.startswith("*") or weekday.startswith("*")
    return (
        matches(minute, moment.minute, 0, 59)
        and matches(hour, moment.hour, 0, 23)
        and matches(month, moment.month, 1, 12)
        and ((on_day and on_weekday) if both else (on_day or on_weekday))
    )


@given(schedule=SCHEDULES, day=DAYS)
def test_the_schedule_means_what_crontab_says(schedule: str, day: datetime) -> None:
    opened = _parsed(schedule, "1m", None)
    if opened is None:
        return
    start = day.replace(second=0, microsecond=0)
    for moment in (start + timedelta(minutes=step) for step in range(0, 3 * 24 * 60, 7)):
        assert (opened.opens_in(moment.timestamp()) == 0.0) is _meant(schedule, moment), moment


@given(times=st.lists(st.floats(utc(2026, 1, 1), utc(2027, 1, 1)), min_size=2, max_size=20), schedule=SCHEDULES)
def test_the_clock_may_go_backwards(times: list[float], schedule: str) -> None:
    opened = _parsed(schedule, "90m", "Europe/Berlin")
    if opened is None:
        return
    for now in times:
        alone = Window(schedule=opened.schedule, duration=opened.duration, zone=opened.zone)
        assert opened.opens_in(now) == alone.opens_in(now)
        assert opened.opens_in(now) >= 0.0


def _read_or_refused(**fields: Any) -> bool:
    whole: dict[str, Any] = {"schedule": "@daily", "duration": "1h", "time_zone": None, **fields}
    try:
        read = parse(RestartWindow.model_construct(**whole))
    except Problem as problem:
        return problem.reason is Reason.INVALID_SPEC
    return math.isfinite(read.opens_in(utc(2026, 1, 1)))


@given(text=st.text(max_size=40), zone=st.text(max_size=20), duration=st.text(max_size=16))
def test_whatever_is_written_is_read_or_refused(text: str, zone: str, duration: str) -> None:
    assert _read_or_refused(schedule=text)
    assert _read_or_refused(time_zone=zone)
    assert _read_or_refused(duration=duration)


@given(text=st.text("0123456789*/-,#LWSUNMOJA@ ", max_size=24))
def test_what_looks_like_a_schedule_is_read_or_refused(text: str) -> None:
    assert _read_or_refused(schedule=text, time_zone="Europe/Berlin")
