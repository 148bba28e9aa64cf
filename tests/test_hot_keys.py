"""One key with many rows: every answer is right, whatever it costs to find, and none costs a walk
over all rows of the key.

The expected answers come from a list of the rows and a loop.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt

WORDS = {"at": "timestamp[us]", "k": "str", "v": "f64", "s": "str"}
KINDS = pa.schema(
    [("at", pa.timestamp("us")), ("k", pa.string()), ("v", pa.float64()), ("s", pa.string())]
)
ASKED = {
    "top": mt.max("v"),
    "least": mt.min("s"),
    "first": mt.first("v"),
    "last": mt.last("s"),
    "total": mt.sum("v"),
    "n": mt.count("v"),
    "kinds": mt.count_distinct("s"),
    "best": mt.arg_max("s", by="v"),
    "worst": mt.arg_min("v", by="s"),
    "p70": mt.quantile("v", 0.7),
    "all": mt.array_agg("v"),
}
SIZES = (40, 150)
ROWS = 300
QUICK_S = 20  # what is timed takes a tenth of it; quadratic time takes many times as long

Row = tuple[int, float | None, str | None]
Shape = Callable[[int, random.Random], list[Row]]


def values(of: Callable[[int], float | None]) -> Shape:
    def rows(n: int, _: random.Random) -> list[Row]:
        return [(i, of(i), None if of(i) is None else str(of(i))) for i in range(n)]

    return rows


def times(of: Callable[[int, int, random.Random], int]) -> Shape:
    def rows(n: int, rng: random.Random) -> list[Row]:
        mixed = [None, math.nan, 0.0, -0.0, 1.5, -7.0, 1e300]
        picked = [
            (rng.choice([*mixed, float(i % 50)]), rng.choice([None, "a", "b"])) for i in range(n)
        ]
        return [(of(i, n, rng), *each) for i, each in enumerate(picked)]

    return rows


SHAPES: dict[str, Shape] = {
    "falling": values(lambda i: -float(i)),
    "rising": values(float),
    "equal": values(lambda i: 1.0),
    "saw": values(lambda i: -float(i % 90)),
    "null": values(lambda i: None),
    "nan": values(lambda i: math.nan),
    "rarely a value": values(lambda i: float(i) if i % 130 == 7 else None),
    "mixed": times(lambda i, n, rng: i),
    "reversed": times(lambda i, n, rng: n - i),
    "shuffled": times(lambda i, n, rng: rng.randrange(n)),
    "disorder": times(lambda i, n, rng: i - rng.randrange(90)),
    "peers": times(lambda i, n, rng: i // 100 * 30),
    "negative": times(lambda i, n, rng: i * 3 - 2 * n),
}


def table(rows: list[Row]) -> pa.Table:
    at, v, s = zip(*rows, strict=True)
    return pa.table([pa.array(at), ["k"] * len(rows), pa.array(v, pa.float64()), list(s)], KINDS)


def expected(rows: list[Row], size: int, bounds: str, current: bool, late_after: int) -> list[Any]:
    """What each row is answered on its arrival."""
    told, newest = [], -math.inf
    for i, (at, _, _) in enumerate(rows):
        newest = max(newest, at)
        moment = max(at, newest - late_after)
        lower = moment - size - (bounds in ("both", "left"))
        upper = moment - (bounds in ("left", "none"))
        inside = [
            (r[0], j, *r[1:])
            for j, r in enumerate(rows[: i + current])
            if lower < r[0] <= upper or (j == i and at < moment)  # a late row is in its own answer
        ]
        told.append(over(inside))
    return told


def on_watermark(rows: list[Row], size: int, bounds: str, current: bool) -> list[Any]:
    """What each row is answered when no more can come, in order of time."""
    told = []
    order = sorted(range(len(rows)), key=lambda i: (rows[i][0], i))
    for i in order:
        at = rows[i][0]
        lower, upper = at - size - (bounds in ("both", "left")), at - (bounds in ("left", "none"))
        seen = [j for j in order if lower < rows[j][0] <= upper and (current or j != i)]
        told.append(over([(rows[j][0], j, *rows[j][1:]) for j in seen]))
    return told


def over(window: list[tuple[int, int, float | None, str | None]]) -> dict[str, Any]:
    window = sorted(window, key=lambda row: row[:2])
    numbers = [v for _, _, v, _ in window if v is not None and not math.isnan(v)]
    texts = [s for *_, s in window if s is not None]
    both = [(v, s) for *_, v, s in window if None not in (v, s) and not math.isnan(v or 0)]

    def signed(v: float) -> tuple[float, float]:
        return v, math.copysign(1, v)

    return {
        "top": max(numbers, key=signed, default=None),
        "least": min(texts, default=None),
        "first": numbers[0] if numbers else None,
        "last": texts[-1] if texts else None,
        "total": math.fsum(numbers) if numbers else None,
        "n": sum(v is not None for _, _, v, _ in window),
        "kinds": len(set(texts)),
        "best": max(both, key=lambda pair: signed(pair[0]), default=(None, None))[1],
        "worst": min(both, key=lambda pair: pair[1], default=(None, None))[0],
        "p70": at_share(sorted(numbers, key=signed), 0.7) if numbers else None,
        "all": [v for _, _, v, _ in window if v is not None] or None,
    }


def at_share(numbers: list[float], q: float) -> float:
    """The value at a share of sorted numbers."""
    place = q * (len(numbers) - 1)
    low, high = numbers[int(place)], numbers[math.ceil(place)]
    share = place - int(place)
    return low if low == high else low * (1 - share) + high * share


def answered(result: mt.Result) -> list[dict[str, Any]]:
    return list(result.rows.to_dicts())


def told(answers: list[dict[str, Any]], size: int) -> list[Any]:
    return [{name: each[f"{name}_{size}us"] for name in ASKED} for each in answers]


def sliding(late_after: int, **asked: Any) -> mt.Stream:
    stream = mt.stream(time="at", out_of_order=f"{late_after}us", schema=WORDS)
    return stream.sliding([f"{size}us" for size in SIZES], by="k", **asked).agg(**ASKED)


@pytest.mark.parametrize(
    ("bounds", "current"),
    [("right", True), ("right", False), ("left", True), ("both", False), ("none", True)],
)
@pytest.mark.parametrize("shape", SHAPES)
def test_answers_of_a_hot_key(shape: str, bounds: Any, current: bool) -> None:
    """Each row on its arrival, and again through a snapshot in the middle; `peek` says the same."""
    rng = random.Random(f"{shape} {bounds} {current}")
    rows = SHAPES[shape](ROWS, rng)
    late_after = rng.choice([10_000, 35])
    pipeline = sliding(late_after, closed=bounds, include_current=current)
    op = mt.operator(pipeline)
    cuts = sorted(rng.sample(range(1, ROWS), 3))
    answers: list[dict[str, Any]] = []
    for start, stop in zip([0, *cuts], [*cuts, ROWS], strict=True):
        if rng.random() < 0.5:
            op = mt.operator(pipeline, snapshot=op.snapshot())
        first, rest = rows[start : start + 1], rows[start + 1 : stop]
        peeked = op.peek(table(first).to_pylist()[0]).row
        answers += answered(op.push(table(first)))
        assert repr(peeked) == repr(answers[-1])
        answers += answered(op.push(table(rest))) if rest else []
    for size in SIZES:
        wanted = expected(rows, size, bounds, current, late_after)
        assert repr(told(answers, size)) == repr(wanted)


@pytest.mark.parametrize(("bounds", "current"), [("right", True), ("both", False)])
@pytest.mark.parametrize("shape", SHAPES)
def test_answers_of_a_hot_key_on_the_watermark(shape: str, bounds: Any, current: bool) -> None:
    rng = random.Random(f"{shape} {bounds} {current}")
    rows = SHAPES[shape](ROWS, rng)
    pipeline = sliding(10_000, closed=bounds, include_current=current, emit="watermark")
    op = mt.operator(pipeline)
    op.push(table(rows[: ROWS // 2]))
    op = mt.operator(pipeline, snapshot=op.snapshot())
    answers = answered(op.push(table(rows[ROWS // 2 :]))) + answered(op.finish())
    for size in SIZES:
        assert repr(told(answers, size)) == repr(on_watermark(rows, size, bounds, current))


HOT = 40_000


@pytest.mark.parametrize(
    ("shape", "emit"),
    [
        ("falling", "arrival"),
        ("null", "arrival"),
        ("reversed", "arrival"),
        ("shuffled", "arrival"),
        ("peers", "watermark"),
    ],
)
def test_a_hot_key_takes_no_quadratic_time(shape: str, emit: Any) -> None:
    check_quick(shape, emit, "top", "first", "total", "best")


@pytest.mark.parametrize(
    ("shape", "emit"),
    [("falling", "arrival"), ("disorder", "arrival"), ("mixed", "watermark"), ("saw", "arrival")],
)
def test_values_that_are_kept_take_no_quadratic_time(shape: str, emit: Any) -> None:
    """Their state is as large as the window, so nothing may copy it for a row."""
    check_quick(shape, emit, "p70", "kinds")


def check_quick(shape: str, emit: Any, *names: str) -> None:
    rows = SHAPES[shape](HOT, random.Random(1))
    asked = {name: ASKED[name] for name in names}
    stream = mt.stream(time="at", out_of_order=f"{2 * HOT}us", schema=WORDS)
    current = emit == "arrival"
    window = stream.sliding(f"{HOT // 2}us", by="k", emit=emit, include_current=current)
    op = mt.operator(window.agg(**asked))
    batch = table(rows)
    start = time.thread_time()
    op.push(batch)
    if emit == "arrival":
        for row in table(rows[-50:]).to_pylist():
            op.peek(row)
    op.finish()
    assert time.thread_time() - start < QUICK_S


def test_what_a_hot_key_holds_is_freed() -> None:
    op = mt.operator(
        mt.stream(time="at", out_of_order="0s", schema=WORDS)
        .sliding("2000us", by="k")
        .agg(top=mt.max("v"))
    )
    held = []
    for start in range(0, 40_000, 4_000):
        op.push(table([(start + i, -float(i), "") for i in range(4_000)]))
        held.append(op.stats["operators"][1]["bytes"])
    assert held[-1] < 1.2 * held[2]
    op.push(table([(10**9 + i, 0.0, "") for i in range(2_000)]))
    assert op.stats["operators"][1]["bytes"] < 1.2 * held[2]
