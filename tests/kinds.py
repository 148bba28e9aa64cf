"""Types of columns: which values are drawn for each, how Arrow may lay them out, what comes back.

A type is named by the word that stands for it in a plan's schema.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from oracle import stamp

FLOATS = [
    *(math.nan, math.inf, -math.inf, 0.0, -0.0, 0.1, 0.2, 1.0, -3.5),
    *(1e16, 1e40, -1e40, 1.7e308, -1.7e308, 5e-324, 1e-9),
]
TEXTS = ["", "a", "b", "ab", "B", "é", "long enough for two words"]
INTS = [0, 1, 2, 3, -1, -7, 10]
HUGE = [2**62, -(2**62), 2**63 - 1, -(2**63)]
INTEGERS = {f"i{n}": (-(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (8, 16, 32, 64)} | {
    f"u{n}": (0, 2**n - 1) for n in (8, 16, 32, 64)
}
DECIMALS = [f"decimal({p}, {s})" for p, s in ((5, 0), (9, 2), (18, 6), (38, 10), (38, 38))]
TIMES = [
    *(f"timestamp[{unit}]" for unit in ("s", "ms", "us", "ns")),
    *(f"timestamp[{unit}, UTC]" for unit in ("s", "ms", "us", "ns")),
    *("timestamp[us, Europe/Berlin]", "timestamp[ms, -03:30]", "duration[us]", "date"),
]
"""Types of times; not all can be an event time."""

KEYS = ["i64", "str", "bool", "binary", *INTEGERS, *DECIMALS, *TIMES]
"""Types that a key may have."""

NUMBERS = [*INTEGERS, "f32", "f64", *DECIMALS]
WORDS = [*KEYS, "f32", "f64"]


def single(value: float) -> float:
    """The value as a float of 32 bits holds it."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def scale_of(word: str) -> tuple[int, int]:
    """Precision and scale of a decimal."""
    precision, scale = re.findall(r"\d+", word)
    return int(precision), int(scale)


def is_list(word: str) -> bool:
    """Whether a type is that of lists."""
    return word.startswith("list[")


def item_of(word: str) -> str:
    """The type of the items of a list."""
    return word[len("list[") : -1]


def values(word: str, huge: bool = False) -> list[Any]:
    """Values of a type, none of them null; `huge` ones overflow a sum."""
    if word in INTEGERS:
        low, high = INTEGERS[word]
        ends = [low, high] if huge or word not in ("i64", "u64") else []
        return [v for v in INTS + (HUGE * 2 if huge else []) + ends if low <= v <= high]
    if word in ("f64", "f32"):
        return FLOATS if word == "f64" else sorted({single(v) for v in FLOATS}, key=repr)
    if word.startswith("decimal"):
        precision, scale = scale_of(word)
        most = 10**precision - 1
        units = [0, 1, -1, 7, 100, 250, most // 1000] + [most, -most] * huge
        return [Decimal((u < 0, tuple(map(int, str(abs(u)))), -scale)) for u in units]
    if word.startswith("timestamp"):
        return [stamp(second * 1_000_000, zoned="," in word) for second in (-7, 0, 1, 2, 10**9)]
    return {
        "str": TEXTS,
        "bool": [True, False],
        "binary": [b"", b"a", b"\x00\xff", b"nine bytes"],
        "date": [date(1969, 12, 31), date(1970, 1, 1), date(2024, 2, 29)],
        "duration[us]": [timedelta(microseconds=n) for n in (0, 1, -5, 3_600_000_000)],
    }[word]


# ── Arrow ───────────────────────────────────────────────────────────────────────────────────────


def arrow(word: str) -> pa.DataType:
    """The Arrow type in which a column of a type comes back."""
    if is_list(word):
        return pa.list_(arrow(item_of(word)))
    if word in INTEGERS:
        return getattr(pa, word.replace("i", "int").replace("u", "uint"))()
    if word.startswith("decimal"):
        return pa.decimal128(*scale_of(word))
    if word.startswith("timestamp"):
        unit, _, zone = word[len("timestamp[") : -1].partition(", ")
        return pa.timestamp(unit, zone or None)
    return {
        "f32": pa.float32(),
        "f64": pa.float64(),
        "str": pa.string(),
        "bool": pa.bool_(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "duration[us]": pa.duration("us"),
    }[word]


def layouts(word: str) -> list[pa.DataType]:
    """The Arrow types in which a column of a type may arrive."""
    plain = arrow(word)
    more = {
        "str": [pa.large_string(), pa.string_view()],
        "binary": [pa.large_binary(), pa.binary_view()],
        "date": [pa.date64()],
    }.get(word, [])
    if word.startswith("decimal"):
        more = [pa.decimal256(*scale_of(word))]
    return [plain, *more, pa.dictionary(pa.int8(), plain)]


def array(values: list[Any], word: str, layout: pa.DataType) -> pa.Array:
    """Values of a type in one of its layouts."""
    made = pa.array(values, arrow(word))
    if pa.types.is_dictionary(layout):
        return made.dictionary_encode().cast(layout)
    return made.cast(layout)


# ── what is computed ────────────────────────────────────────────────────────────────────────────


def sum_of(word: str) -> str:
    """The type of a sum: exact for integers and decimals, in 64 bits for floats."""
    if word.startswith("decimal"):
        return f"decimal(38, {scale_of(word)[1]})"
    return "f64" if word in ("f32", "f64") else "i64" if word in INTEGERS else word


def weighted_sum_of(left: str, right: str) -> str:
    """The type of the sum of the products of two types."""
    if {left, right} & {"f32", "f64"}:
        return "f64"
    scales = [scale_of(word)[1] if word in DECIMALS else 0 for word in (left, right)]
    if left not in DECIMALS and right not in DECIMALS:
        return "i64"
    return f"decimal(38, {sum(scales)})" if sum(scales) <= 38 else "f64"


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────


def as_json(value: Any, word: str) -> Any:
    """A value of a type in the JSON form that `docs/values.md` gives it."""
    if value is None or word in ("str", "bool") or word in INTEGERS:
        return value
    if is_list(word):
        return [as_json(item, item_of(word)) for item in value]
    if word in ("f32", "f64"):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return float(str(np.float32(value))) if word == "f32" else float(value)
    if word == "binary":
        return base64.b64encode(value).decode()
    if word.startswith("decimal"):
        return f"{value:f}"
    if word == "date":
        return value.isoformat()
    micros = plain_micros(value)
    if word == "duration[us]":
        return span_json(micros)
    seconds, rest = divmod(micros, 1_000_000)
    text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()
    if rest:
        unit = word[len("timestamp[") :].split(",")[0].rstrip("]")
        text += "." + f"{rest:06}000"[: {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]]
    return text + "Z" * ("," in word)


def plain_micros(value: Any) -> int:
    """Microseconds of a time or a duration."""
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    return (naive - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def span_json(micros: int) -> str:
    """A duration in ISO 8601, in hours, minutes and seconds."""
    seconds, rest = divmod(abs(micros), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    part = f"{seconds}.{rest:06}".rstrip("0") if rest else str(seconds)
    parts = [f"{hours}H" * bool(hours), f"{minutes}M" * bool(minutes)]
    parts += [f"{part}S"] * (bool(seconds or rest) or not (hours or minutes))
    return "-" * (micros < 0) + "PT" + "".join(parts)
