"""Values: times as microseconds, checked integers, records of a row, the range of a key.

Inside the oracle a watermark is a Python int, or minus or plus infinity, so that comparisons need
no special cases (annotated as float, which takes an int). A timestamp stays the `datetime` or the
`date` it came as; one that no `datetime` can hold is an int of microseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

I64_MIN, I64_MAX = -(2**63), 2**63 - 1
NEVER, FOREVER = -math.inf, math.inf
EPOCH = datetime(1970, 1, 1)
US = timedelta(microseconds=1)


class Overflow(Exception):
    """A value leaves the range of its type: the row it was computed for is invalid."""

    reason = "overflow"


class CastFailed(Overflow):
    """A cast found a value that its type cannot hold."""

    reason = "cast_failed"


def checked(value: int) -> int:
    """`value`, if it fits into 64 bits."""
    if not I64_MIN <= value <= I64_MAX:
        raise Overflow
    return value


# ── times ───────────────────────────────────────────────────────────────────────────────────────


def micros(value: Any) -> int:
    """Microseconds since the epoch of a datetime (naive is UTC) or date; a timedelta's length.

    An int is microseconds already; infinities (watermarks) pass.
    """
    if isinstance(value, datetime):
        naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return (naive - EPOCH) // US
    if isinstance(value, date):
        return (value - EPOCH.date()) // US
    if isinstance(value, timedelta):
        return value // US
    return value


def stamp(us: float, zoned: bool = False) -> datetime | int | None:
    """The datetime at `us`, in UTC if `zoned`, else naive; the int where none can hold it."""
    if us in (NEVER, FOREVER):
        return None
    try:
        naive = EPOCH + us * US
    except OverflowError:
        return us
    return naive.replace(tzinfo=UTC) if zoned else naive


def is_time(value: Any) -> bool:
    """Whether `value` is an instant: a datetime or a date."""
    return isinstance(value, date)


def is_zoned(value: Any) -> bool:
    """Whether `value` is a datetime with a zone."""
    return isinstance(value, datetime) and value.tzinfo is not None


def shift(watermark: float, by: int) -> float:
    """A watermark moved by `by` microseconds; the infinities stay, a finite one stays finite."""
    if watermark in (NEVER, FOREVER):
        return watermark
    return max(I64_MIN + 1, min(I64_MAX - 1, watermark + by))


def watermark_of(us: float) -> float:
    """A watermark given from outside, where the ends of i64 stand for the infinities."""
    return NEVER if us <= I64_MIN else FOREVER if us >= I64_MAX else us


# ── rows ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Origin:
    """Where a row comes from; a fired row knows only the first input above it."""

    input: int
    partition: int | None = None
    position: int | None = None
    arrival: int | None = None
    source: dict[str, Any] | None = None


@dataclass(frozen=True)
class Row:
    """A row on its way: its columns and what it carries unseen."""

    columns: dict[str, Any]
    time: int
    judge: float
    zoned: bool
    origin: Origin
    late: bool = False
    revision: int = 0
    window: tuple[int, int] | None = None

    def key(self, by: list[str]) -> tuple:
        """The values of the columns `by`."""
        return tuple(self.columns[name] for name in by)


# ── ranges ──────────────────────────────────────────────────────────────────────────────────────

U64 = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
UNITS = {"s": 10**6, "ms": 10**3, "us": 1}


def mix64(x: int) -> int:
    """The finaliser of splitmix64."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & U64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & U64
    return x ^ (x >> 31)


def in_unit(us: int, word: str) -> int:
    """A time in the unit of its column, which `timestamp[ns]` or `duration[ms, UTC]` names."""
    unit = word[word.index("[") + 1 : -1].split(",")[0] if "[" in word else "us"
    return us * 1000 if unit == "ns" else us // UNITS[unit]


def unscaled(value: Decimal, word: str) -> int:
    """A decimal as the integer it is stored as: by the scale of `word`, else by its own."""
    scale = (
        int(word[:-1].split(",")[1]) if word.startswith("decimal") else -value.as_tuple().exponent
    )
    return int(value.scaleb(scale, Context(prec=100)))


def hash_value(value: Any, word: str = "") -> int:
    """The hash of one key column's value; `word` is the type of the column, where it is known."""
    if value is None:
        return mix64((GOLDEN + 1) & U64)
    if isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        h = mix64(len(data) ^ GOLDEN)
        for start in range(0, len(data), 8):
            h = mix64(h ^ int.from_bytes(data[start : start + 8], "little"))
        return h
    if isinstance(value, Decimal):
        whole = unscaled(value, word) & (2**128 - 1)
        return mix64(mix64((whole & U64) ^ GOLDEN) ^ (whole >> 64))
    if isinstance(value, datetime | timedelta):
        number = in_unit(micros(value), word)
    elif isinstance(value, date):
        number = (value - EPOCH.date()).days
    else:
        number = int(value)
    return mix64((number & U64) ^ GOLDEN)


def key_range(key: tuple, words: tuple[str, ...] = ()) -> int:
    """Which of the 64 ranges owns `key`; `words` are the types of its columns, "" where unknown."""
    if not key:
        return 0
    words = words or ("",) * len(key)
    h, *rest = [hash_value(value, word) for value, word in zip(key, words, strict=True)]
    for c in rest:
        h = mix64((h * 31 + c) & U64)
    return h >> 58
