"""Values on their way in: each fits its column exactly or is refused, the same at every door."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import muntin as mt
from muntin.sources import Csv, JsonLines
from muntin.values.fitting import column, fitted
from muntin.values.rows import arrow_type

UTC = dt.UTC
A = dt.datetime(2024, 5, 1, tzinfo=UTC)
NO = object()
"""In place of a value: it is refused."""


def taken(value: Any, word: str) -> Any:
    """The value as a column of that type holds it, as Python has it, or `NO`."""
    array, misfits = column([value], "v", arrow_type(word))
    if misfits:
        assert array.to_pylist() == [None]
        return NO
    return array[0].cast(pa.int64()).as_py() if "duration" in word else array[0].as_py()


TABLE: list[tuple[str, Any, Any]] = [
    # integers
    ("i64", 1, 1),
    ("i64", 1.5, NO),
    ("i64", 2.0, 2),
    ("i64", True, NO),
    ("i64", "1", NO),
    ("i64", math.nan, NO),
    ("i64", math.inf, NO),
    ("i64", 2**63, NO),
    ("i64", -(2**63), -(2**63)),
    ("i64", 1e300, NO),
    ("i64", 2.0**53, 2**53),
    ("i64", 2.0**53 + 2, NO),
    ("i64", Decimal("19.99"), NO),
    ("i64", Decimal("19.00"), 19),
    ("i64", b"1", NO),
    ("i64", [1], NO),
    ("i64", {}, NO),
    ("u8", 255, 255),
    ("u8", 256, NO),
    ("u8", -1, NO),
    ("u8", 1.5, NO),
    ("i8", -129, NO),
    ("u64", 2**64 - 1, 2**64 - 1),
    ("u64", 2**64, NO),
    # floats
    ("f64", 1.5, 1.5),
    ("f64", 2**53, float(2**53)),
    ("f64", 2**53 + 1, NO),
    ("f64", 2**54, float(2**54)),
    ("f64", 10**400, NO),
    ("f64", Decimal("19.99"), 19.99),
    ("f64", True, NO),
    ("f64", "1.5", NO),
    ("f64", "NaN", math.nan),
    ("f64", "-Infinity", -math.inf),
    ("f64", -math.inf, -math.inf),
    ("f32", 0.5, 0.5),
    ("f32", 1e300, NO),
    ("f32", -1e300, NO),
    ("f32", math.inf, math.inf),
    ("f32", 2**24 + 1, NO),
    ("f32", 2**24, 2.0**24),
    ("f32", 0.1, 0.10000000149011612),
    # bools
    ("bool", True, True),
    ("bool", 1, True),
    ("bool", 0, False),
    ("bool", 2, NO),
    ("bool", 1.0, NO),
    ("bool", "true", NO),
    # decimals
    ("decimal(5, 2)", Decimal("19.99"), Decimal("19.99")),
    ("decimal(5, 2)", "19.99", Decimal("19.99")),
    ("decimal(5, 2)", 19.99, Decimal("19.99")),
    ("decimal(5, 2)", 7, Decimal("7.00")),
    ("decimal(5, 2)", Decimal("19.990"), Decimal("19.99")),
    ("decimal(5, 2)", Decimal("19.999"), NO),
    ("decimal(5, 2)", 0.1 + 0.2, NO),
    ("decimal(5, 2)", Decimal(1000), NO),
    ("decimal(5, 2)", Decimal("1E+2"), Decimal("100.00")),
    ("decimal(5, 2)", Decimal("NaN"), NO),
    ("decimal(5, 2)", Decimal("Infinity"), NO),
    ("decimal(5, 2)", True, NO),
    ("decimal(38, 0)", 10**38 - 1, Decimal(10**38 - 1)),
    ("decimal(38, 0)", 10**38, NO),
    # texts and bytes
    ("str", Decimal("1.50"), NO),
    ("str", 2**70, NO),
    ("str", "a", "a"),
    ("str", "", ""),
    ("str", 5, NO),
    ("str", b"a", NO),
    ("str", "\ud800", NO),
    ("binary", b"\x00\xff", b"\x00\xff"),
    ("binary", "AP8=", b"\x00\xff"),
    ("binary", "A", NO),
    # dates
    ("date", dt.date(2024, 5, 1), dt.date(2024, 5, 1)),
    ("date", "2024-05-01", dt.date(2024, 5, 1)),
    ("date", 5, NO),
    ("date", dt.datetime(2024, 5, 1, 12), NO),
    ("date", dt.datetime(2024, 5, 1), dt.date(2024, 5, 1)),
    ("date", "2024-05-01T12:00:00", NO),
    # timestamps
    ("timestamp[us, UTC]", A, A),
    ("timestamp[us, UTC]", dt.datetime(2024, 5, 1), A),
    ("timestamp[us, UTC]", dt.date(2024, 5, 1), A),
    ("timestamp[us, UTC]", "2024-05-01", A),
    ("timestamp[us, UTC]", "2024-05-01T02:00:00+02:00", A),
    ("timestamp[us]", "2024-05-01T02:00:00+02:00", A.replace(tzinfo=None)),
    ("timestamp[us, UTC]", 5, NO),
    ("timestamp[us, UTC]", 5.5, NO),
    ("timestamp[us, UTC]", True, NO),
    ("timestamp[us, UTC]", "2024-05-01T00:00:00.1234567Z", NO),
    ("timestamp[us, UTC]", "2024-05-01T00:00:00.1234567", NO),
    ("timestamp[us, UTC]", "2024-05-01T00:00:00.000000000Z", A),
    ("timestamp[s]", dt.datetime(2024, 5, 1, 0, 0, 0, 1), NO),
    ("timestamp[ms]", dt.datetime(2024, 5, 1, 0, 0, 0, 1), NO),
    ("timestamp[ns]", dt.datetime(9999, 1, 1), NO),
    ("timestamp[us]", "yesterday", NO),
    # durations, as counts of their unit
    ("duration[us]", 5, 5),
    ("duration[us]", 5.7, NO),
    ("duration[us]", dt.timedelta(seconds=1), 1_000_000),
    ("duration[us]", "PT1.5S", 1_500_000),
    ("duration[s]", 7, 7),
    ("duration[s]", dt.timedelta(microseconds=1), NO),
    ("duration[ms]", "PT0.0001S", NO),
    ("duration[us]", "soon", NO),
    # lists
    ("list[i64]", [1, 2.0, None], [1, 2, None]),
    ("list[i64]", [1, 1.5], NO),
    ("list[i64]", 1, NO),
    ("list[list[u8]]", [[1], [256]], NO),
    ("list[date]", ["2024-05-01"], [dt.date(2024, 5, 1)]),
]


@pytest.mark.parametrize(("word", "value", "expected"), TABLE)
def test_a_value_fits_exactly_or_not_at_all(word: str, value: Any, expected: Any) -> None:
    found = taken(value, word)
    both_nan = found != found and expected != expected
    assert found is expected or both_nan or (found == expected and type(found) is type(expected))


def op(word: str) -> mt.Operator:
    schema = {"at": "timestamp[us, UTC]", "v": word}
    return mt.operator(mt.stream(time="at", out_of_order="0s", schema=schema).select("v"))


@pytest.mark.parametrize(("word", "value", "expected"), TABLE)
def test_push_and_ask_refuse_what_does_not_fit(word: str, value: Any, expected: Any) -> None:
    fits = taken(value, word) is not NO
    for send in (
        lambda o: o.push([{"at": A}, {"at": A, "v": value}]),
        lambda o: o.ask({"at": A, "v": value}),
    ):
        running = op(word)
        if fits:
            send(running)
            continue
        with pytest.raises(mt.DataError) as caught:
            send(running)
        said = str(caught.value)
        assert 'column "v' in said and "row " in said and "\nhint: " in said
        assert running.stats["operators"][0]["rows_in"] == 0


# ── the same verdict alone and beside others, from dicts, JSON and CSV ──────────────────────────

ISO = st.sampled_from(
    [
        *("2024-05-01", "2024-05-01T10:00", "2024-05-01 10:00:00.5", "2024-05-01T10:00:00.1234567"),
        *("2024-05-01T10:00:00.123456789Z", "2024-05-01T10:00:00.1234560+02:00", "2024-13-01"),
        *("+12345-01-01", "1969-12-31T23:59:59.999999", "x", "", "2024-05-01T10:00:00z", "5"),
    ]
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-300, 300),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, 0.1, 1.5, 2.0, -0.0, 1e300]),
    st.floats(allow_nan=False, allow_infinity=False),
)
KINDS = {
    **dict.fromkeys(["i64", "u8", "i16", "u64", "f64", "f32", "decimal(12, 2)"], NUMBERS),
    **dict.fromkeys(["timestamp[us, UTC]", "timestamp[ns]", "timestamp[s]", "date"], ISO),
    "bool": st.booleans(),
    "duration[ms]": st.one_of(
        st.integers(-10, 10), st.sampled_from([5.7, 2.0, "PT1S", "PT1.0001S"])
    ),
}


def same(a: Any, b: Any) -> bool:
    return plain(a) == plain(b)


def plain(value: Any) -> Any:
    """What a value is in Arrow, for times that Python has no value for."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if value is NO or not value.is_valid:
        return value is NO
    if isinstance(value, pa.FloatScalar | pa.DoubleScalar):
        return repr(value.as_py())
    kind = value.type
    if pa.types.is_temporal(kind):
        return value.cast(pa.int32() if pa.types.is_date(kind) else pa.int64()).as_py()
    return value.as_py()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_value_is_the_same_alone_and_beside_others_and_in_each_form(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    word = data.draw(st.sampled_from(list(KINDS)))
    values = data.draw(st.lists(st.one_of(st.none(), KINDS[word]), min_size=1, max_size=8))
    kind = arrow_type(word)
    array, misfits = column(values, "v", kind)
    together = [NO if row in {m.row for m in misfits} else array[row] for row in range(len(values))]
    for value, beside in zip(values, together, strict=True):
        alone, wrong = column([value], "v", kind)
        assert same(NO if wrong else alone[0], beside), (value, word)
    folder = tmp_path_factory.mktemp("forms")
    lines = folder / "v.jsonl"
    lines.write_text("".join(json.dumps({"v": v}) + "\n" for v in values))
    assert same(read(JsonLines(lines, schema={"v": word}), len(values)), together)
    cells = folder / "v.csv"
    text = io.StringIO()
    writer = csv.writer(text)
    shown = [{True: "true", False: "false"}.get(v, v) if word == "bool" else v for v in values]
    writer.writerows([["i", "v"], *([i, v] for i, v in enumerate(shown))])
    cells.write_text(text.getvalue())
    # an empty cell is a null
    together = [
        array[row] if value == "" else found
        for row, (value, found) in enumerate(zip(values, together, strict=True))
    ]
    assert same(read(Csv(cells, schema={"v": word}), len(values)), together)
    natural = pa.array([f for f in values if type(f) is float], pa.float64())
    if len(natural) and "duration" not in word and "timestamp" not in word and word != "date":
        batch, bad = fitted(pa.record_batch({"v": natural}), pa.schema([("v", kind)]))
        expected = [t for v, t in zip(values, together, strict=True) if type(v) is float]
        wrong = {m.row for m in bad}
        assert same([NO if i in wrong else v for i, v in enumerate(batch.column(0))], expected)


def read(source: Any, rows: int) -> list[Any]:
    """The value of each record, `NO` where it is undecodable."""
    found: list[Any] = [NO] * rows
    reader = source.open(None, {})
    try:
        while (delivery := reader.poll()) is not None:
            at = delivery.position
            for i, value in enumerate(pa.table(delivery.batch)["v"]):
                found[at[i].as_py() if hasattr(at, "__getitem__") else at + i] = value
    finally:
        reader.close()
    return found


# ── what was not taken teaches nothing ──────────────────────────────────────────────────────────


def features() -> mt.Operator:
    stream = mt.stream(time="at", out_of_order="0s")
    return mt.operator(stream.sliding("1m", by="k").agg(n=mt.count(), m=mt.max("v")))


REFUSED: list[list[dict[str, Any]]] = [
    [{"k": "a", "v": 1}],
    [{"at": "x", "k": "a", "v": 1}],
    [{"at": 1, "k": "a", "v": 1}],
    [{"at": A, "k": ["list"], "v": 1}],
    [{"at": A, "k": 1.5, "v": 1}],
    [{"at": A, "k": "a", "v": {}}],
    [{"at": A, "k": "a", "v": object()}],
    [{"at": A, "k": "a", "v": 1}, {"at": A, "k": "a", "v": "x"}],
]


@pytest.mark.parametrize("bad", REFUSED)
def test_a_refused_push_teaches_nothing(bad: list[dict[str, Any]]) -> None:
    running = features()
    for send in (
        running.push,
        lambda rows: running.ask(rows[-1]),
        lambda rows: running.peek(rows[-1]),
    ):
        if send is not running.push and len(bad) > 1:
            continue
        with pytest.raises(mt.MuntinError):
            send(bad)
    rows = running.push([{"at": A, "k": "a", "v": 1.5}]).rows.to_dicts()
    assert [(row["k"], row["n"], row["m"]) for row in rows] == [("a", 1, 1.5)]


def test_a_row_that_was_peeked_at_teaches_nothing() -> None:
    for later in ([{"at": A, "k": "a", "v": 1.5}], pa.table({"at": [A], "k": ["a"], "v": [1.5]})):
        running = features()
        assert running.peek({"at": A, "k": 1, "v": 2}).row is not None
        assert running.schema is None
        assert running.push(later).rows.to_dicts()[0]["m"] == 1.5


@pytest.mark.parametrize("nothing", [[], pa.table({}), pa.record_batch({})])
def test_a_batch_of_nothing_teaches_nothing(nothing: Any) -> None:
    running = features()
    assert len(running.push(nothing).rows) == 0
    assert running.push([{"at": A, "k": "a", "v": 1.5}]).rows.to_dicts()[0]["n"] == 1
    assert len(running.push(nothing).rows) == 0


def test_the_first_rows_that_are_taken_say_the_types() -> None:
    running = features()
    running.push([{"at": A, "k": "a", "v": 1}])
    with pytest.raises(mt.DataError, match=r'row 0: column "v" does not fit i64: 1.5 has a frac'):
        running.push([{"at": A, "k": "a", "v": 1.5}])
    with pytest.raises(mt.DataError, match=r'"v".*row 1 does not fit i64: 1.5 has a fraction'):
        running.push(pa.table({"at": [A, A], "k": ["a", "b"], "v": [2.0, 1.5]}))
    rows = running.push(pa.table({"at": [A], "k": ["a"], "v": [2.0]})).rows.to_dicts()
    assert rows[0]["m"] == 2


# ── lines of JSON ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("declared", [True, False])
def test_a_text_is_a_name_if_the_stream_has_such_a_column(declared: bool) -> None:
    words = dict.fromkeys(["a", "b", "a-b", "2024", "true", "a > b"], "i64")
    schema = {"at": "timestamp[us, UTC]", **words} if declared else None
    stream = mt.stream(time="at", out_of_order="0s", schema=schema)
    row = {"at": A, "a": 10, "b": 3, "a-b": 100, "2024": 1000, "true": 5, "a > b": 0}

    def of(pipeline: mt.Stream, *names: str) -> list[Any]:
        rows = mt.collect(pipeline, [row]).rows.to_dicts()
        return [tuple(r[name] for name in names) for r in rows]

    window = stream.sliding("1m", by="a")
    texts = ["a-b", "2024", "true", "a + b"]
    sums = window.agg(**{f"s{i}": mt.sum(text) for i, text in enumerate(texts)})
    assert of(sums, "s0", "s1", "s2", "s3") == [(100, 1000, 5, 13)]
    made = stream.with_columns(x="a-b", y="2024", z="a - b").select("x", "y", "z")
    assert of(made, "x", "y", "z") == [(100, 1000, 7)]
    assert of(stream.select("a", p="a-b", q="true"), "p", "q") == [(100, 5)]
    chosen = stream.select(x=mt.when("a > 9").then("a-b").otherwise("b"))
    assert of(chosen, "x") == [(100,)]
    assert of(window.agg(n=mt.count(where="a - b > 6")), "n") == [(1,)]
    with pytest.raises(mt.MuntinError, match="condition"):
        of(stream.filter("a > b"), "a")  # the column of that name is not a condition
    assert of(stream.filter("a > b + 0"), "a") == [(10,)]


def test_a_time_may_have_the_name_of_an_expression() -> None:
    for schema in ({"event-time": "timestamp[us, UTC]", "event": "i64"}, None):
        stream = mt.stream(time="event-time", out_of_order="0s", schema=schema)
        done = mt.collect(stream.tumbling("1m").agg(n=mt.count()), [{"event-time": A, "event": 1}])
        assert done.rows.to_dicts()[0]["n"] == 1


def test_equal_pipelines_may_be_written_as_text_or_as_objects() -> None:
    stream = mt.stream(time="at", out_of_order="0s")
    assert stream.filter("a > 0") == stream.filter(mt.col("a") > 0)
    assert stream.filter("a > 0").fingerprint == stream.filter(mt.col("a") > 0).fingerprint
    assert stream.filter("a > 0") != stream.filter("a > 1")


def test_a_comparison_with_nan_is_false() -> None:
    stream = mt.stream(
        time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]", "v": "f64"}
    )
    rows = [{"at": A, "v": math.nan}]
    holds = {
        **{"v > 100": False, "v < 100": False, "v >= v": False, "v = v": False, "v <> v": True},
        **{"v between 0 and 1": False, "v in (1.0, 2.0)": False, "not v > 100": True},
        **{"is_nan(v)": True, "case v when 1.0 then true else false end": False},
    }
    for text, holds_for_nan in holds.items():
        assert len(mt.collect(stream.filter(text), rows).rows) == int(holds_for_nan), text
        rule = mt.rule("r", text, by=())
        alerts = mt.collect(stream.filter("true"), rows, rules=[rule]).alerts
        assert len(alerts) == int(holds_for_nan), text
        counted = stream.sliding("1m").agg(n=mt.count(where=text))
        assert mt.collect(counted, rows).rows.to_dicts()[0]["n"] == int(holds_for_nan), text


def test_a_cast_that_fails_has_its_own_reason() -> None:
    words = {"at": "timestamp[us, UTC]", "s": "str", "v": "i64"}
    stream = mt.stream(time="at", out_of_order="0s", schema=words)
    row = {"at": A, "s": "x", "v": 2**62}
    for expr, reason in {
        "cast(s as i64)": "cast_failed",
        "cast(v as i8)": "cast_failed",
        "v * 4": "overflow",
        "cast(s as i64) + v * 4": "cast_failed",
        "v * 4 + cast(s as i64)": "overflow",
        "case when v > 0 then 1 else cast(s as i64) end": None,
    }.items():
        result = mt.collect(stream.with_columns(x=expr), [row])
        found = [r["reason"] for r in result.invalid["input"].to_dicts()]
        assert found == ([] if reason is None else [reason]), expr
    late = mt.stream(time="s::timestamptz", out_of_order="0s", schema=words).filter("true")
    result = mt.collect(late, [row], order="given")
    assert [r["reason"] for r in result.invalid["input"].to_dicts()] == ["cast_failed"]


def test_a_union_of_integers_and_floats_rounds_none() -> None:
    one = mt.stream("one", time="at", out_of_order="0s", schema={"at": "timestamp[us]", "v": "i64"})
    two = mt.stream("two", time="at", out_of_order="0s", schema={"at": "timestamp[us]", "v": "f64"})
    at = A.replace(tzinfo=None)
    rows = {
        "one": [{"at": at, "v": v} for v in (1, 2**53, 2**53 + 1)],
        "two": [{"at": at, "v": 0.5}],
    }
    result = mt.collect(mt.union(one, two), rows)
    assert [row["v"] for row in result.rows.to_dicts()] == [1.0, 2.0**53, 0.5]
    found = result.invalid["one"].to_dicts()
    assert [(r["reason"], r["v"]) for r in found] == [("cast_failed", 2**53 + 1)]
    counts = result.stats["operators"][-1]
    assert counts["rows_in"] == counts["counted"] + counts["invalid"] == 4


# ── records that cannot be read ─────────────────────────────────────────────────────────────────


def test_a_record_that_cannot_be_read_ends_a_run_only_if_it_is_told_to(tmp_path: Path) -> None:
    lines, cells = tmp_path / "v.jsonl", tmp_path / "v.csv"
    lines.write_text('{"at": "2024-05-01", "v": 1}\n{"at": "2024-05-01", "v": 1.5}\n')
    cells.write_text("at,v\n2024-05-01,1\n2024-05-01,1.5\n")
    schema = {"at": "timestamp[us, UTC]", "v": "i64"}
    rows = [{"at": A, "v": 1}, {"at": A, "v": 1.5}]
    stream = mt.stream(time="at", out_of_order="0s").filter("v is not null")
    for make, place in (
        (lambda **k: JsonLines(lines, schema=schema, **k), f'"{lines}", line 2'),
        (lambda **k: Csv(cells, schema=schema, **k), f'"{cells}", line 3'),
        (lambda **k: mt.sources.Rows(rows, schema=schema, **k), "position 1"),
    ):
        got: list[Any] = []
        report = mt.run(make(), stream, sinks=[mt.sinks.Callback(lambda t, got=got: got.extend(t))])
        assert (len(got), report.invalid) == (1, 1)
        with pytest.raises(mt.SourceError) as caught:
            mt.run(make(bad="stop"), stream, sinks=[mt.sinks.Callback(print)])
        said = str(caught.value)
        assert said.startswith(f'{place}: column "v" does not fit i64: ')
        assert "1.5" in said and "has a fraction" in said
        assert 'hint: bad="record"' in said
        with pytest.raises(mt.SourceError, match="bad: "):
            make(bad="skip")
