"""Times, dates and durations of Arrow columns as Python values and as ISO 8601 text.

Python's types hold years 1 to 9999 and microseconds, Arrow's hold more. A value that Python cannot
hold becomes text.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MICROS = 10**6
_DAY = 86_400
_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_UTC = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_DAY = dt.date(1970, 1, 1)
_FIRST_DAY = (dt.date.min - _EPOCH_DAY).days
_LAST_DAY = (dt.date.max - _EPOCH_DAY).days
_UTC = frozenset({"UTC", "Etc/UTC", "utc", "Z", "GMT", "Etc/GMT", "+00:00", "+0000"})
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_DATE_END = len("2024-05-01")
_SECOND_END = len("2024-05-01T10:00:00")

Make = Callable[[int], Any]


def is_timed(kind: Any) -> bool:
    """True for timestamps, dates, times, durations and intervals."""
    return bool(pa.types.is_temporal(kind) or pa.types.is_interval(kind))


def to_python(array: Any) -> list[Any]:
    """`datetime`, `date`, `time` and `timedelta`, floored to microseconds, or the text.

    >>> to_python(pa.array([-1], pa.timestamp("ns")))
    [datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)]
    """
    write = _writer(array.type)
    make = write if pa.types.is_interval(array.type) else _maker(array.type)

    def value(number: Any) -> Any:
        try:
            return make(number)
        except (OverflowError, ValueError):
            return write(number)

    return [None if number is None else value(number) for number in _numbers(array).to_pylist()]


def to_text(array: Any) -> Any:
    """ISO 8601 text as an Arrow array of strings; a zoned time is in UTC.

    >>> to_text(pa.array([0, 1_500], pa.timestamp("ms", "Asia/Tokyo"))).to_pylist()
    ['1970-01-01T00:00:00Z', '1970-01-01T00:00:01.500Z']
    """
    kind, types = array.type, pa.types
    numbers = _numbers(array)
    if types.is_date(kind) and _within(numbers, _FIRST_DAY, _LAST_DAY):
        return numbers.cast(pa.int32()).view(pa.date32()).cast(pa.string())
    if types.is_timestamp(kind):
        per = _PER_SECOND[kind.unit]
        if _within(numbers, _FIRST_DAY * _DAY * per, (_LAST_DAY + 1) * _DAY * per - 1):
            return _usual_timestamps(numbers, kind)
    write = _writer(kind)
    return pa.array([None if v is None else write(v) for v in numbers.to_pylist()], pa.string())


def sortable_text(array: Any) -> Any:
    """Text of timestamps as SQLite's own functions write it; in years 0 to 9999 it sorts.

    >>> sortable_text(pa.array([0, 1], pa.timestamp("ms", "UTC"))).to_pylist()
    ['1970-01-01 00:00:00.000Z', '1970-01-01 00:00:00.001Z']
    """
    if pa.types.is_dictionary(array.type):
        return sortable_text(array.dictionary).take(array.indices)
    texts = to_text(array)
    digits = len(str(_PER_SECOND[array.type.unit])) - 1
    if digits:
        texts = pc.replace_substring_regex(texts, r"(:\d\d)(Z?)$", rf"\1.{'0' * digits}\2")
    return pc.replace_substring(texts, "T", " ")


def date_text(days: int) -> str:
    """A date by its days since 1970.

    >>> date_text(0), date_text(-719_529), date_text(2_932_897)
    ('1970-01-01', '-0001-12-31', '+10000-01-01')
    """
    # years begin in March, so that the leap day is a year's last; 400 years have 146,097 days
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    year += 400 * era + (month >= 10)
    month += 3 if month < 10 else -9
    return f"{_year(year)}-{month:02}-{day:02}"


def timestamp_text(value: int, per: int, *, zoned: bool) -> str:
    """A time by its units since 1970, `per` a second; without a fraction if that is zero.

    >>> timestamp_text(-1, 1000, zoned=True)
    '1969-12-31T23:59:59.999Z'
    """
    days, rest = divmod(value, _DAY * per)
    return f"{date_text(days)}T{clock_text(rest, per)}{'Z' if zoned else ''}"


def clock_text(value: int, per: int) -> str:
    """A time of day by its units since midnight.

    >>> clock_text(1, 1000), clock_text(86_399, 1)
    ('00:00:00.001', '23:59:59')
    """
    sign, (seconds, fraction) = "-" if value < 0 else "", divmod(abs(value), per)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    digits = f".{fraction:0{len(str(per)) - 1}}" if fraction else ""
    return f"{sign}{hours:02}:{minutes:02}:{seconds:02}{digits}"


def duration_text(value: int, per: int) -> str:
    """A duration by its units, in hours, minutes and seconds as ISO 8601 writes them.

    >>> duration_text(5_400_500, 1000), duration_text(-1, 1), duration_text(0, 1)
    ('PT1H30M0.5S', '-PT1S', 'PT0S')
    """
    return f"{'-' if value < 0 else ''}PT{''.join(_hours_to_seconds(abs(value), per))}"


def _hours_to_seconds(value: int, per: int) -> list[str]:
    seconds, fraction = divmod(value, per)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    digits = f".{fraction:0{len(str(per)) - 1}}".rstrip("0") if fraction else ""
    parts = [f"{hours}H"] if hours else []
    parts += [f"{minutes}M"] if minutes else []
    return [*parts, f"{seconds}{digits}S"] if seconds or digits or not parts else parts


def _interval_text(value: Any) -> str:
    months, days, nanoseconds = value
    # the parts may differ in sign, so each has its own
    parts = [f"{months}M" if months else "", f"{days}D" if days else ""]
    if nanoseconds or not any(parts):
        sign = "-" if nanoseconds < 0 else ""
        parts += ["T", *(sign + part for part in _hours_to_seconds(abs(nanoseconds), 10**9))]
    return f"P{''.join(parts)}"


def _year(year: int) -> str:
    if 0 <= year <= 9999:
        return f"{year:04}"
    return f"{'-' if year < 0 else '+'}{abs(year):04}"


def _writer(kind: Any) -> Make:
    types = pa.types
    if types.is_interval(kind):
        return _interval_text
    if types.is_date(kind):
        return date_text
    per = _PER_SECOND[kind.unit]
    if types.is_time(kind):
        return partial(clock_text, per=per)
    if types.is_duration(kind):
        return partial(duration_text, per=per)
    return partial(timestamp_text, per=per, zoned=kind.tz is not None)


def _maker(kind: Any) -> Make:
    types = pa.types
    if types.is_date(kind):
        return lambda days: _EPOCH_DAY + dt.timedelta(days)
    per = _PER_SECOND[kind.unit]
    if types.is_duration(kind):
        return lambda value: dt.timedelta(microseconds=value * _MICROS // per)
    if types.is_time(kind):
        return partial(_time, per=per)
    if kind.tz is None:
        return lambda value: _EPOCH + dt.timedelta(microseconds=value * _MICROS // per)
    if kind.tz in _UTC:
        return lambda value: _EPOCH_UTC + dt.timedelta(microseconds=value * _MICROS // per)
    zone = _zone(kind.tz)
    if zone is None:
        return _writer(kind)

    def local(value: int) -> dt.datetime:
        utc = _EPOCH_UTC + dt.timedelta(microseconds=value * _MICROS // per)
        return utc.astimezone(zone)

    return local


def _time(value: int, per: int) -> dt.time:
    seconds, micros = divmod(value * _MICROS // per, _MICROS)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return dt.time(hour, minute, second, micros)


def _zone(name: str) -> dt.tzinfo | None:
    """The zone of that name, None if this machine does not know it."""
    if found := _OFFSET.fullmatch(name):
        away = dt.timedelta(hours=int(found[2]), minutes=int(found[3]))
        return dt.timezone(-away if found[1] == "-" else away)
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return None


def _numbers(array: Any) -> Any:
    """The values as integers: dates in days, others in their unit."""
    kind, types = array.type, pa.types
    if types.is_interval(kind):
        return array
    if types.is_date32(kind) or types.is_time32(kind):
        return array.view(pa.int32()).cast(pa.int64())
    if types.is_date64(kind):
        return floored(array.view(pa.int64()), _DAY * 1000)
    return array.view(pa.int64())


def floored(numbers: Any, per: int) -> Any:
    """Integers divided by `per`, rounded down.

    >>> floored(pa.array([-1, 1999]), 1000).to_pylist()
    [-1, 1]
    """
    whole = pc.divide(numbers, per)
    return pc.subtract(whole, pc.less(numbers, pc.multiply(whole, per)).cast(pa.int64()))


def _within(numbers: Any, first: int, last: int) -> bool:
    ends = pc.min_max(numbers).as_py()
    return ends["min"] is None or (first <= ends["min"] and ends["max"] <= last)


def _usual_timestamps(numbers: Any, kind: Any) -> Any:
    """Text of times in years 1 to 9999, by Arrow."""
    per = _PER_SECOND[kind.unit]
    texts = numbers.view(pa.timestamp(kind.unit)).cast(pa.string())
    texts = pc.utf8_replace_slice(texts, _DATE_END, _DATE_END + 1, "T")
    if per > 1:
        is_whole = pc.equal(pc.multiply(pc.divide(numbers, per), per), numbers)
        whole = pc.utf8_slice_codeunits(texts, 0, _SECOND_END)
        texts = pc.if_else(is_whole, whole, texts)
    return texts if kind.tz is None else pc.binary_join_element_wise(texts, "Z", "")
