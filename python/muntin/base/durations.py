"""Parses durations: the only place where `"1h30m"` or a `timedelta` becomes microseconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from muntin.base.errors import DurationError, with_hint

Duration: TypeAlias = timedelta | str
"""What a caller may write: a `timedelta`, or text such as `"200ms"`, `"1h30m"`, `"7d"`."""

I64_MAX = 2**63 - 1
MONTHS_MAX = 12 * 9_998
DAYS_MAX = 366 * 9_998
MICROSECOND = timedelta(microseconds=1)

EPOCH_UNITS = ("s", "ms", "us", "ns")
"""Units in which an integer counts the time since 1970."""

_US = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_MONTHS = {"mo": 1, "q": 3, "y": 12}
_DAYS = {"d": 1, "w": 7}
_OTHER_WORDS = {
    "w": ("w", "wk", "wks", "week", "weeks"),
    "d": ("d", "day", "days"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "m": ("m", "t", "min", "mins", "minute", "minutes"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "ms": ("ms", "l", "milli", "millis", "msec", "millisecond", "milliseconds"),
    "us": ("us", "µs", "u", "micro", "micros", "usec", "microsecond", "microseconds"),
}
_PART = re.compile(r"([0-9]+)(mo|ms|us|[wdhmsqy])")
_TEXT = re.compile(rf"(?:{_PART.pattern})+")
_EXAMPLE = 'a number and a unit (us ms s m h d w), as in "200ms", "1m" or "1h30m"'


@dataclass(frozen=True)
class Span:
    """A parsed duration: its length, how it was written, and whether it counts whole weeks.

    `us` is in microseconds; `text` is what the caller wrote, or the short form of a `timedelta`;
    `weeks` is true if it was written in weeks alone, so that calendar windows start on a Monday.
    """

    us: int
    text: str
    weeks: bool = False


def parse(value: Duration, place: str, *, zero: bool = False, negative: bool = False) -> Span:
    """Parse a duration; `place` names the parameter in errors.

    Zero is refused unless `zero`, and a negative one unless `negative`.

    Raises `DurationError`: not a duration, out of range, or months, which have no fixed length.

    >>> parse("1h30m", "size")
    Span(us=5400000000, text='1h30m', weeks=False)
    >>> parse(timedelta(minutes=90), "size").text
    '1h30m'
    """
    if isinstance(value, timedelta):
        us = value // MICROSECOND
        span = Span(us, short(us))
    elif isinstance(value, str):
        span = _parse_text(value, place)
    else:
        raise _error(place, value, "is not a duration", _unit_hint(value))
    if abs(span.us) > I64_MAX:
        raise _error(place, value, "is longer than 64 bits of microseconds can hold")
    if span.us == 0 and not zero:
        raise _error(place, value, "is zero", 'it must be longer, say "1us"')
    if span.us < 0 and not negative:
        raise _error(place, value, "is negative", "durations here count forward")
    return span


@dataclass(frozen=True)
class Period:
    """A parsed length of windows: elapsed time, or days or months of the calendar.

    `count` is in `unit`s: `us` (microseconds), `days` or `months`. `weeks` is true if it was
    written in weeks alone.
    """

    unit: Literal["us", "days", "months"]
    count: int
    text: str
    weeks: bool = False

    @property
    def us(self) -> int:
        """About how many microseconds it has: days of 24 hours, months of 31 days."""
        per = {"us": 1, "days": _US["d"], "months": 31 * _US["d"]}
        return self.count * per[self.unit]

    def elapsed(self) -> Period:
        """The same length with days of 24 hours."""
        return Period("us", self.us, self.text, self.weeks)


def period(value: Duration, place: str) -> Period:
    """Parse the length of a window, which may count in days, weeks, months, quarters or years.

    A `timedelta` is elapsed time, and so is a text with a unit below days.

    >>> period("1q", "size").count, period("2w", "size").count, period("36h", "size").unit
    (3, 14, 'us')
    """
    months, units = _months(value, place)
    if months and units <= _MONTHS.keys():
        if months > MONTHS_MAX:
            raise _error(place, value, "is longer than the calendar", "it ends after 9998")
        return Period("months", months, str(value))
    if months:
        hint = 'write one kind of unit, as in "18mo"'
        raise _error(place, value, "mixes months, which have no fixed length, with days", hint)
    span = parse(value, place)
    if units and units <= _DAYS.keys() and span.us // _US["d"] <= DAYS_MAX:
        return Period("days", span.us // _US["d"], span.text, span.weeks)
    return Period("us", span.us, span.text if isinstance(value, str) else elapsed_text(span.us))


def shift(value: Duration, place: str) -> tuple[int, int, str]:
    """Parse how far windows are moved: months, microseconds beside them, and the text.

    >>> shift("3mo5d", "offset")
    (3, 432000000000, '3mo5d')
    """
    months, _ = _months(value, place)
    if not months:
        span = parse(value, place, zero=True, negative=True)
        return 0, span.us, span.text
    text = str(value)
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _PART.findall(body)
    rest = sum(_count(digits) * _US[unit] for digits, unit in parts if unit not in _MONTHS)
    if months > MONTHS_MAX or rest > DAYS_MAX * _US["d"]:
        raise _error(place, value, "is longer than the calendar", "it ends after 9998")
    return sign * months, sign * rest, text


def _months(value: Duration, place: str) -> tuple[int, set[str]]:
    """How many months a text counts, without its sign, and its units."""
    text = value.removeprefix("-") if isinstance(value, str) else ""
    if not _TEXT.fullmatch(text):
        return 0, set()
    parts = _PART.findall(text)
    months = sum(_count(digits) * _MONTHS.get(unit, 0) for digits, unit in parts)
    units = {unit for _, unit in parts}
    if units & _MONTHS.keys() and not months:
        raise _error(place, value, "is zero", 'it must be longer, say "1mo"')
    return months, units


def elapsed_text(us: int) -> str:
    """The short text of a length of elapsed time, without days, which may be of the calendar.

    >>> elapsed_text(86_400_000_000)
    '24h'
    """
    hours, rest = divmod(us, _US["h"])
    return (f"{hours}h" if hours else "") + (short(rest) if rest or not hours else "")


def months_text(months: int) -> str:
    """The short text of a number of months.

    >>> months_text(24), months_text(6), months_text(5)
    ('2y', '2q', '5mo')
    """
    unit = next(unit for unit in ("y", "q", "mo") if months % _MONTHS[unit] == 0)
    return f"{months // _MONTHS[unit]}{unit}"


def short(us: int) -> str:
    """The short text of a length in microseconds; no unit above days.

    >>> short(5_400_000_000)
    '1h30m'
    """
    if us == 0:
        return "0s"
    text, rest = ("-" if us < 0 else ""), abs(us)
    for unit, size in _US.items():
        count, rest = divmod(rest, size) if unit != "w" else (0, rest)
        text += f"{count}{unit}" if count else ""
    return text


def _parse_text(text: str, place: str) -> Span:
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    if not _TEXT.fullmatch(body):
        raise _error(place, text, "is not a duration", _hint(text))
    parts = _PART.findall(body)
    units = {unit for _, unit in parts}
    if units & _MONTHS.keys():
        raise _error(
            place,
            text,
            "counts in months, which have no fixed length",
            'write days, as in "30d"; tumbling, hopping and cumulative windows take months',
        )
    us = sum(_count(digits) * _US[unit] for digits, unit in parts)
    return Span(sign * us, text, weeks=units == {"w"})


def _count(digits: str) -> int:
    # int() refuses text of thousands of digits; any count this long is out of range anyway.
    return int(digits) if len(digits) <= 20 else I64_MAX + 1


def _hint(text: str) -> str:
    if re.fullmatch(r"-?[0-9.]*\.[0-9.]*\s*[a-zµ]+", text):
        return 'no fractions: write "1h30m" for an hour and a half'
    if re.fullmatch(r"[0-9]+ns", text):
        return "the shortest unit is the microsecond, us"
    if meant := _meant(text):
        return f'did you mean "{meant}"?'
    if text.strip().isascii() and text.strip().isdigit():
        return _unit_hint(int(text)) if len(text) < 19 else f"write {_EXAMPLE}"
    return f"write {_EXAMPLE}"


def _unit_hint(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return f'say the unit, as in "{value}s", "{value}m" or "{value}h"'
    return f"write {_EXAMPLE}, or a timedelta"


def _meant(text: str) -> str | None:
    """The duration in our form that a text in another form means: `1 minute`, `PT1M`, `1H`.

    >>> _meant("1 hour 30 minutes"), _meant("PT1H30M"), _meant("00:01:30"), _meant("soon")
    ('1h30m', '1h30m', '1m30s', None)
    """
    clock = re.fullmatch(r"(\d{1,3}):(\d\d)(?::(\d\d))?", text.strip())
    if clock:
        parts = list(zip((int(part or 0) for part in clock.groups()), "hms", strict=True))
        return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
    body, found = text.strip().lower(), []
    if iso := re.fullmatch(r"p(?=.)(\d+w)?(\d+d)?(?:t(\d+h)?(\d+m)?(\d+s)?)?", body):
        return "".join(part for part in iso.groups() if part) or None
    for part in re.finditer(r"\s*(?:and|,)?\s*([0-9]+)\s*([a-zµ]+)\.?", body):
        unit = next((short for short, words in _OTHER_WORDS.items() if part[2] in words), None)
        if unit is None:
            return None
        found.append((part[0], f"{part[1]}{unit}"))
    if not found or "".join(raw for raw, _ in found) != body:
        return None
    return "".join(written for _, written in found)


def _error(place: str, value: object, what: str, hint: str | None = None) -> DurationError:
    shown = f'"{value}"' if isinstance(value, str) else repr(value)
    return DurationError(with_hint(f"{place}: {shown} {what}", hint))
