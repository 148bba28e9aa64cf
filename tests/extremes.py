"""Columns of every type with the values at its ends, and the text that stands for each."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa

I64 = (-(2**63), -1, 0, 1, 2**63 - 1)
DAY = 86_400
YEAR_0, YEAR_1, YEAR_10000 = -62_167_219_200, -62_135_596_800, 253_402_300_800
"""Seconds since 1970 at which these years begin."""

TURNS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
FALL_BACK = {
    "Europe/Berlin": 1_729_990_800,  # 2024-10-27T01:00Z, when 02:00 to 03:00 comes again
    "America/New_York": 1_730_613_600,
    "Australia/Lord_Howe": 1_712_415_600,  # by half an hour
}
ZONES = (None, "UTC", *FALL_BACK, "+05:30", "-09:30", "America/St_Johns")


def of_bits(values: Any, kind: pa.DataType, bits: pa.DataType | None = None) -> pa.Array:
    """An array of the numbers that stand in memory for the values of a type."""
    return pa.array(values, bits or pa.int64()).view(kind)


def moments(unit: str) -> list[int | None]:
    per, least, most = TURNS[unit], -(2**63), 2**63 - 1
    seconds = [YEAR_0, YEAR_1, YEAR_10000, 0, *FALL_BACK.values()]
    around = [s * per + d for s in seconds for d in (-1, 0, 1, per // 2)]
    return [least, *(v for v in around if least <= v <= most), most, None]


def timestamps() -> dict[str, pa.Array]:
    return {
        f"timestamp[{unit}, {zone}]": of_bits(moments(unit), pa.timestamp(unit, zone))
        for unit in TURNS
        for zone in ZONES
    }


def decimals(kind: pa.DataType, *texts: str) -> pa.Array:
    return pa.array([*map(Decimal, texts), None], kind)


FLOATS = [0.0, -0.0, 1.0, 0.1, 1.5e-7, 1e16, 1e15, 123456789.25, 5e-5, None]
ODD_FLOATS = [*FLOATS, float("nan"), float("inf"), float("-inf")]
TEXTS = ["", "a", 'q"uote', "new\nline", "\x1b[31m", "ü€🜁", "a,b", "{x}", "\\", "null", None]

PLAIN: dict[str, pa.Array] = {
    "null": pa.nulls(2),
    "bool": pa.array([True, False, None]),
    **{
        f"{sign}int{bits}": pa.array(
            [-(2 ** (bits - 1)) * (sign == ""), 2 ** (bits - (sign == "")) - 1, 0, None],
            getattr(pa, f"{sign}int{bits}")(),
        )
        for bits in (8, 16, 32, 64)
        for sign in ("", "u")
    },
    "f32": pa.array([*ODD_FLOATS, 3.4028234663852886e38, 1e-45], pa.float32()),
    "f64": pa.array([*ODD_FLOATS, 1.7976931348623157e308, 5e-324], pa.float64()),
    "decimal": decimals(pa.decimal128(38, 10), "0", "-0.0000000001", "9" * 28 + ".5"),
    "decimal of wholes": decimals(pa.decimal128(38, 0), "0", "-" + "9" * 38),
    "str": pa.array(TEXTS),
    "binary": pa.array([b"", b"\xff\x00", b"abc", b"ab", None]),
    "date": of_bits([-(2**31), -719529, -719528, 0, 2_932_897, 2**31 - 1, None],
                    pa.date32(), pa.int32()),
    "time": of_bits([0, 1, DAY * 10**6 - 1, 36_000_500_000, None], pa.time64("us")),
    "duration": of_bits([*I64, 3_600_000_000, -500_000, 93_784_000_005, None], pa.duration("us")),
    **timestamps(),
    "list": pa.array([[1, None], [], None], pa.list_(pa.int64())),
    "list of times": pa.array([[YEAR_10000], None], pa.list_(pa.int64())).cast(
        pa.list_(pa.timestamp("s", "UTC"))
    ),
    "list of floats": pa.array([ODD_FLOATS, []], pa.list_(pa.float32())),
    "struct": pa.array([{"a": "x", "b": {"c": [b"\xff"]}}, {"a": None, "b": None}, None]),
}  # fmt: skip
"""The types that the engine has for its own, in each layout's plainest form."""

LAYOUTS: dict[str, pa.Array] = {
    "large str": pa.array(TEXTS, pa.large_string()),
    "str view": pa.array(TEXTS, pa.string_view()),
    "large binary": pa.array([b"\xff", None], pa.large_binary()),
    "binary view": pa.array([b"\xff", None], pa.binary_view()),
    "fixed binary": pa.array([b"\xff\x00", None], pa.binary(2)),
    "f16": pa.array([1.5, 0.1, float("nan"), None], pa.float32()).cast(pa.float16()),
    "decimal256": decimals(pa.decimal256(76, 3), "0.000", "9" * 73 + ".999", "-1.500"),
    "decimal of hundreds": decimals(pa.decimal128(9, -2), "1200", "0"),
    "date64": of_bits([-(2**46) // (DAY * 1000) * DAY * 1000, 0, 2_932_897 * DAY * 1000, None],
                      pa.date64()),
    "time s": of_bits([0, DAY - 1, None], pa.time32("s"), pa.int32()),
    "time ms": of_bits([1, None], pa.time32("ms"), pa.int32()),
    "time ns": of_bits([1, DAY * 10**9 - 1, None], pa.time64("ns")),
    "no time of day": of_bits([-1, DAY * 10**6], pa.time64("us")),
    **{f"duration {u}": of_bits([*I64, 1, None], pa.duration(u)) for u in ("s", "ms", "ns")},
    "interval": pa.array([(1, -2, 3_600_000_000_001), (0, 0, 0), (0, 3, -1), None],
                         pa.month_day_nano_interval()),
    "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "dictionary of times": of_bits([YEAR_10000, None], pa.timestamp("s")).dictionary_encode(),
    "runs": pa.RunEndEncodedArray.from_arrays([2, 3], ["a", None]),
    "large list": pa.array([[1], None], pa.large_list(pa.int64())),
    "list view": pa.array([[1, 2], None, []], pa.list_view(pa.int64())),
    "fixed list": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int64(), 2)),
    "map": pa.array([[("a", 1), ("a", None)], None, []], pa.map_(pa.string(), pa.int64())),
    "sparse union": pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])]
    ),
    "dense union": pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()),
        [pa.array([1, 3]), pa.array([["x"]])],
    ),
    "uuid": pa.array([uuid.UUID(int=7).bytes, None], pa.uuid()),
    "struct of two fields of one name": pa.StructArray.from_arrays(
        [pa.array([1, 2]), pa.array(["x", None])], names=["a", "a"]
    ),
    "struct without fields": pa.array([{}, None], pa.struct([])),
    "an unknown zone": of_bits([0, 2**62, None], pa.timestamp("us", "Mars/Olympus")),
    "no text": pa.array([b"\xffa", b"b", None]).cast(pa.string(), safe=False),
}  # fmt: skip
"""Types that the engine turns into its own, and those that it hands on or does not take."""

EVERY = PLAIN | LAYOUTS


def stamped(column: pa.Array, **more: Any) -> pa.Table:
    """A table with the column `x`, and a time for each row."""
    at = [dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)] * len(column)
    return pa.table({"at": pa.array(at, pa.timestamp("us", "UTC")), "x": column, **more})
