"""Where windows lie: of elapsed time, of the calendar of a time zone, and cumulative ones.

Decided here: a local time that clocks skip is as much later as they skip, one that comes twice is
the first; where clocks skip a whole day two bounds are one instant: a window without length is
none, and of windows that end together the one that starts first counts; calendars reach from the
year 1 to the year 9998; cumulative windows of calendar periods end at the end of their period.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from math import gcd
from typing import Any
from zoneinfo import ZoneInfo

from .values import EPOCH, US

Window = tuple[int, int]  # start, end: the window is [start, end)
DAY = 86_400_000_000
LAST = datetime(9999, 1, 1)


class OutOfRange(Exception):
    """A window of the row has a bound beyond the calendar."""


def zone_of(name: str | None) -> tzinfo:
    """The zone of a name, or of an offset such as `-03:30`; UTC without one."""
    if name is None or name == "UTC":
        return UTC
    if name[0] in "+-":
        hours, minutes = int(name[1:3]), int(name[4:6])
        return timezone(timedelta(hours=hours, minutes=minutes) * (-1 if name[0] == "-" else 1))
    return ZoneInfo(name)


def month(number: int) -> datetime:
    """The first day of a month, counted from January 1970."""
    return datetime(1970 + number // 12, number % 12 + 1, 1)


class Fixed:
    """[s, s + size) for each s that is `offset` modulo `every`."""

    def __init__(self, size: int, every: int, offset: int) -> None:
        self.size, self.every, self.offset = size, every, offset
        self.pane = gcd(size, every)

    def windows_of(self, time: int) -> list[Window]:
        """Every window that holds `time`, the earliest end first."""
        start = (time - self.offset) // self.every * self.every + self.offset
        found = []
        while start + self.size > time:
            found.append((start, start + self.size))
            start -= self.every
        return found[::-1]

    def before(self, window: Window) -> Window:
        """The window whose end is the last before that of `window`."""
        return (window[0] - self.every, window[1] - self.every)

    def pane_of(self, time: int) -> int:
        """Where the piece begins that no window cuts."""
        return (time - self.offset) // self.pane * self.pane + self.offset


@dataclass(frozen=True)
class Calendar:
    """Local times, `count` days or months apart, as instants."""

    unit: str
    count: int
    months: int
    offset: int
    zone: tzinfo

    def local(self, index: int) -> datetime:
        """The local time of a bound."""
        try:
            if self.unit == "days":
                local = EPOCH + (index * self.count * DAY + self.offset) * US
            else:
                local = month(index * self.count + self.months) + self.offset * US
        except (OverflowError, ValueError):
            raise OutOfRange from None
        if local > LAST:
            raise OutOfRange
        return local

    def at(self, index: int) -> int:
        """The instant of a bound."""
        return instant(self.local(index), self.zone)

    def index_of(self, time: int) -> int:
        """The number of the last bound at or before `time`."""
        try:
            near = EPOCH + (time - self.offset) * US
        except OverflowError:
            raise OutOfRange from None
        days = (near - EPOCH).days
        months = (near.year - 1970) * 12 + near.month - 1 - self.months
        index = (days if self.unit == "days" else months) // self.count + 3
        while self.at(index) > time:
            index -= 1
        return index


@cache
def instant(local: datetime, zone: tzinfo) -> int:
    """The instant of a local time."""
    return (local - EPOCH - local.replace(tzinfo=zone, fold=0).utcoffset()) // US


class Periods:
    """Windows of `size` periods, one from every `every`-th bound on."""

    def __init__(self, calendar: Calendar, size: int, every: int) -> None:
        self.size, self.every = size, every
        pane = gcd(size, every)
        one = (calendar.unit, 1, calendar.months, calendar.offset, calendar.zone)
        self.one = Calendar(*one)
        self.panes = Calendar(one[0], pane, *one[2:])

    def window(self, number: int) -> Window:
        """The window from one bound on."""
        return self.one.at(number * self.every), self.one.at(number * self.every + self.size)

    def windows_of(self, time: int) -> list[Window]:
        """Every window that holds `time`, the earliest end first."""
        last = self.one.index_of(time) // self.every
        first = last - self.size // self.every - 1
        while last * self.every + self.size <= self.one.index_of(time) and first < last:
            last -= 1
        found: dict[int, Window] = {}
        for number in range(first, last + 1):
            if number * self.every + self.size <= self.one.index_of(time):
                continue
            window = self.window(number)
            if window[0] <= time < window[1]:
                found.setdefault(window[1], window)
        return [found[end] for end in sorted(found)]

    def before(self, window: Window) -> Window:
        """The window whose end is the last before that of `window`."""
        number = self.one.index_of(window[1]) // self.every
        while self.window(number)[1] >= window[1] or not self.is_one(number):
            number -= 1
        while self.window(number - 1)[1] == self.window(number)[1]:
            number -= 1
        return self.window(number)

    def is_one(self, number: int) -> bool:
        """Whether a window has a length."""
        start, end = self.window(number)
        return start < end

    def pane_of(self, time: int) -> int:
        """Where the piece begins that no window cuts."""
        return self.panes.at(self.panes.index_of(time))


class Cumulative:
    """Windows that begin together; their ends are one step apart."""

    def __init__(self, spec: dict, calendar: Calendar | None) -> None:
        self.size, self.step, self.offset = spec["size"], spec["every"], spec.get("offset", 0)
        self.calendar = calendar

    def cycle(self, time: int) -> Window:
        """The longest window that holds `time`."""
        if self.calendar is None:
            start = (time - self.offset) // self.size * self.size + self.offset
            return start, start + self.size
        index = self.calendar.index_of(time)
        return self.calendar.at(index), self.calendar.at(index + 1)

    def ends(self, time: int) -> list[int]:
        """All ends of the windows that begin where the longest window around `time` does."""
        start, last = self.cycle(time)
        ends: list[int] = []
        count = 0
        while not ends or ends[-1] < last:
            count += 1
            ends.append(min(self.end(time, start, count), last))
        return sorted({end for end in ends if end > start})

    def end(self, time: int, start: int, count: int) -> int:
        """The end of the window of so many steps."""
        if isinstance(self.step, int):
            return start + count * self.step
        calendar = self.calendar
        first = calendar.local(calendar.index_of(time))
        try:
            if "days" in self.step:
                local = first + count * self.step["days"] * DAY * US
            else:
                number = calendar.index_of(time) * calendar.count + count * self.step["months"]
                local = month(number + calendar.months) + calendar.offset * US
        except (OverflowError, ValueError):
            raise OutOfRange from None
        return instant(local, calendar.zone)

    def windows_of(self, time: int) -> list[Window]:
        """Every window that holds `time`, the earliest end first."""
        start = self.cycle(time)[0]
        return [(start, end) for end in self.ends(time) if end > time]

    def before(self, window: Window) -> Window:
        """The window whose end is the last before that of `window`."""
        shorter = [end for end in self.ends(window[0]) if end < window[1]]
        return (window[0], shorter[-1]) if shorter else self.cycle(window[0] - 1)

    def pane_of(self, time: int) -> int:
        """Where the piece begins that no window cuts."""
        return max([self.cycle(time)[0], *(end for end in self.ends(time) if end <= time)])


def grid_of(spec: dict, zone: str | None) -> Any:
    """The windows of a node; `zone` is what its key names, or the zone of the time column."""
    size, every = spec["size"], spec.get("every", spec["size"])
    calendar = None
    if isinstance(size, dict):
        [(unit, count)] = size.items()
        months, offset = spec.get("offset_months", 0), spec.get("offset", 0)
        calendar = Calendar(unit, count, months, offset, zone_of(zone))
        if spec["op"] != "cumulative":
            [step] = every.values()
            return Periods(calendar, count, step)
    if spec["op"] == "cumulative":
        return Cumulative(spec, calendar)
    return Fixed(size, every, spec.get("offset", 0))
