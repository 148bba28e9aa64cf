"""Rows that Python code makes, as a source and in place of one."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import muntin as mt
from muntin.sources import Delivery, Quiet, Rows
from muntin.testing import check_source

DICTS = [{"n": n, "p": n % 3 // 2, "came": n * 1_000} for n in range(23)]
TABLE = pa.Table.from_pylist(DICTS)
WORDS = [("n", "i64"), ("p", "i64"), ("came", "i64")]
PLACES = {"partition": "p", "arrival": "came"}

AT = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
EVENTS = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]", "n": "i64"})
MINUTES = EVENTS.tumbling("1m").agg(n=mt.count())


def events(count: int) -> list[dict[str, Any]]:
    return [{"at": AT + dt.timedelta(seconds=20 * i), "n": i} for i in range(count)]


def made() -> Iterator[dict[str, Any]]:
    yield from DICTS


FORMS: dict[str, Any] = {
    "list": lambda: DICTS,
    "tuple": lambda: tuple(DICTS),
    "function": lambda: made,
    "tables": lambda: [TABLE.slice(0, 9), TABLE.slice(9).to_batches()[0]],
    "mixed": lambda: [*DICTS[:4], TABLE.slice(4, 10), *DICTS[14:20], pl.DataFrame(DICTS[20:])],
    "bad": lambda: [*DICTS[:9], None, {"n": "x"}, *DICTS[9:], 7],
}


@pytest.mark.parametrize("places", [{}, PLACES], ids=["one", "partitions"])
@pytest.mark.parametrize("form", FORMS)
def test_rows_keep_the_contract_of_a_source(form: str, places: dict[str, Any]) -> None:
    def make() -> Rows:
        return Rows(FORMS[form](), batch_rows=4, **places)

    count = check_source(make, schema=WORDS)
    assert count == len(DICTS) + (3 if form == "bad" else 0)


def read(source: Any) -> list[Any]:
    reader = source.open(None, {})
    found: list[Any] = []
    while isinstance(polled := reader.poll(), Delivery):
        found += pa.table(polled.batch).to_pylist()
        found += [bad.detail for bad in polled.undecodable]
    assert polled is None
    reader.close()
    return found


def test_without_a_schema_the_first_rows_decide() -> None:
    rows = [{"at": "2024-05-01T10:00:00Z", "n": 1}, {"n": 2.5}, {"s": "x"}]
    first, second, third = read(Rows(iter(rows)))
    assert first == {"at": AT, "n": 1.0, "s": None}
    assert (second["n"], third["s"]) == (2.5, "x")
    assert read(Rows([])) == read(Rows(iter(()))) == []


def test_rows_that_do_not_fit_are_invalid_records() -> None:
    source = Rows([{"n": 1}, {"n": "x"}, (2,), None, {"n": 4, "more": 0}], schema={"n": "i64"})
    found = read(source)
    assert found[:2] == [{"n": 1}, {"n": 4}]
    assert 'column "n"' in found[2]
    assert found[3:] == ["it is a tuple, not a dict", "it is a NoneType, not a dict"]
    invalid: list[dict[str, Any]] = []
    sink = mt.sinks.Callback(lambda table: invalid.extend(table.to_dicts()))
    report = mt.run([*events(2), {"at": AT, "n": "x"}], EVENTS.filter("n >= 0"), invalid=[sink])
    assert (report.rows, report.invalid) == (2, 1)
    assert (invalid[0]["reason"], invalid[0]["position"]) == ("undecodable", 2)
    assert "'n': 'x'" in invalid[0]["text"]


@pytest.mark.parametrize(
    "form",
    [list, tuple, iter, lambda rows: lambda: iter(rows), lambda rows: (r for r in rows),
     pa.Table.from_pylist, pl.DataFrame, pd.DataFrame, lambda rows: [pa.Table.from_pylist(rows)],
     lambda rows: {"input": rows}],
    ids=["list", "tuple", "iterator", "function", "generator", "table", "polars", "pandas",
         "tables", "by name"],
)  # fmt: skip
def test_rows_may_stand_in_place_of_a_source(form: Any) -> None:
    rows: list[int] = []
    sink = mt.sinks.Callback(lambda table: rows.extend(row["n"] for row in table.to_dicts()))
    report = mt.run(form(events(7)), MINUTES, sinks=[sink])
    assert (report.rows, rows) == (7, [3, 3, 1])


@pytest.mark.parametrize(
    "given, said",
    [
        ("x.parquet", 'the path "x.parquet" is not a source\nhint: write mt.sources.Parquet("x.p'),
        (Path("a/x.jsonl.gz"), 'hint: write mt.sources.JsonLines("a/x.jsonl.gz")'),
        ("x.tsv", r'hint: write mt.sources.Csv("x.tsv", delimiter="\t")'),
        ("x.CSV.zst", 'hint: write mt.sources.Csv("x.CSV.zst")'),
        (b"x.csv", 'hint: write mt.sources.Csv("x.csv")'),
        ("folder", 'hint: say how it is read: mt.sources.Parquet("folder"), JsonLines(...) or'),
        ("-", 'standard input is read by mt.sources.JsonLines("-")'),
        (5, "a int is not a source\nhint: give rows"),
        (mt.sources.Csv, "Csv is a class, not a source\nhint: make one: mt.sources.Csv(...)"),
        ([1, 2], "the first row is a int\nhint: a row is a dict"),
        ({"at": [AT], "n": [1]}, "run: a dict of columns ['at', 'n']\nhint: a row is a dict"),
    ],
)
def test_what_is_not_a_source_is_named_with_the_one_that_fits(given: Any, said: str) -> None:
    with pytest.raises(mt.SourceError) as error:
        mt.run(given, MINUTES)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "rows", [5, None, "x", {"n": 1}, b"", lambda x: x], ids=lambda rows: type(rows).__name__
)
def test_what_is_not_rows_is_refused(rows: Any) -> None:
    with pytest.raises(mt.SourceError, match="Rows: "):
        read(Rows(rows))


async def later() -> Any:
    yield {"n": 1}


def test_async_generators_are_refused() -> None:
    for rows in (later, later()):
        with pytest.raises(mt.SourceError, match="an async generator cannot be iterated"):
            Rows(rows)


def failing() -> Iterator[dict[str, Any]]:
    yield from events(3)
    raise ValueError("no more today")


@pytest.mark.parametrize("live", [False, True])
def test_an_error_in_the_code_that_makes_rows_is_named(live: bool) -> None:
    with pytest.raises(
        mt.SourceError, match="failed after 3 of them: ValueError: no more"
    ) as error:
        mt.run(Rows(failing(), live=live), MINUTES)
    assert isinstance(error.value.__cause__, ValueError)


def test_a_generator_is_refused_with_a_checkpoint(tmp_path: Path) -> None:
    reader = pa.Table.from_pylist(events(3)).to_reader()
    for once in (iter(events(3)), (r for r in events(3)), Rows(iter(events(3))), reader):
        with pytest.raises(mt.SourceError, match="can be read only once, so no later run"):
            mt.run(once, MINUTES, checkpoint=tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_function_goes_on_where_the_last_run_was(tmp_path: Path) -> None:
    out, left = tmp_path / "out.jsonl", [5]

    def broken() -> Iterator[dict[str, Any]]:
        for row in events(12):
            left[0] -= 1
            if left[0] < 0:
                raise ValueError("cut")
            yield row

    def run() -> Any:
        return mt.run(
            Rows(broken, batch_rows=2),
            MINUTES,
            sinks=[mt.sinks.JsonLines(out)],
            checkpoint=mt.Checkpoint(tmp_path / "state", every="0s"),
        )

    with pytest.raises(mt.SourceError, match="ValueError: cut"):
        run()
    left[0] = 1_000
    assert run().rows == 12
    assert out.read_text().count('"n":3') == 4


def test_live_rows_are_handed_over_as_they_come() -> None:
    more = threading.Event()

    def rows() -> Iterator[dict[str, Any]]:
        yield {"n": 1}
        yield {"n": 2}
        more.wait(30)
        yield {"n": 3}

    reader = Rows(rows, schema={"n": "i64"}, live=True).open(None, {})
    found: list[int] = []
    while len(found) < 2:
        polled = reader.poll()
        if isinstance(polled, Delivery):
            found += pa.table(polled.batch)["n"].to_pylist()
    assert reader.poll() == Quiet((0,))
    more.set()
    while (polled := reader.poll()) is not None:
        if isinstance(polled, Delivery):
            found += pa.table(polled.batch)["n"].to_pylist()
    assert found == [1, 2, 3]
    assert reader.poll() is None
    reader.close()


def test_a_run_over_a_live_generator_can_be_stopped() -> None:
    more, seen = threading.Event(), threading.Event()

    def rows() -> Iterator[dict[str, Any]]:
        yield from events(3)
        more.wait(30)

    sink = mt.sinks.Callback(lambda table: seen.set())
    running = mt.run(Rows(rows, live=True), EVENTS.filter("n >= 0"), sinks=[sink], background=True)
    assert seen.wait(30)
    assert running.stop(30).stopped
    more.set()


def test_partitions_of_what_is_gone_through_once_are_named() -> None:
    with pytest.raises(mt.SourceError, match="partition= of a generator needs partitions="):
        Rows(iter(DICTS), partition="p")
    assert Rows(DICTS, partition="p").partitions() == (0, 1)
    assert Rows(iter(DICTS), partition="p", partitions=[0, 1]).partitions() == (0, 1)
    for bad in (TABLE, [TABLE]):
        with pytest.raises(mt.SourceError, match='Rows: unknown column "q"'):
            read(Rows(bad, partition="q", partitions=[0]))
    with pytest.raises(mt.SourceError, match="batch_rows must be at least 1, got 0"):
        Rows([], batch_rows=0)
