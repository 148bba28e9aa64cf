"""Sources: rows in, with their positions; what cannot be read is an error or a record."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.loop.intake import as_they_come, merged
from muntin.sources import Arrow, Delivery, JsonLines, Parquet, Quiet, Source
from muntin.values.order import common_cuts, is_sorted, micros, runs, sorted_by_time

NUMBERS = pa.table({"n": list(range(10)), "part": [0, 1] * 5, "came": list(range(100, 110))})


def drain(source: Source, positions: dict[int, int] | None = None) -> list[Delivery]:
    reader = source.open(None, positions or {})
    found = []
    while (polled := reader.poll()) is not None:
        assert isinstance(polled, Delivery)
        found.append(polled)
    reader.close()
    assert reader.poll() is None
    return found


def numbers(deliveries: list[Delivery]) -> list[int]:
    return [n for d in deliveries for n in pa.table(d.batch)["n"].to_pylist()]


# ── Arrow ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "data",
    [
        NUMBERS,
        NUMBERS.to_batches()[0],
        NUMBERS.to_reader(),
        pl.DataFrame(NUMBERS),
        pd.DataFrame({"n": range(10)}),
    ],
    ids=["table", "batch", "reader", "polars", "pandas"],
)
def test_any_arrow_object_is_a_source(data: Any) -> None:
    source = Arrow(data, batch_rows=4)
    assert isinstance(source, Source)
    assert numbers(drain(source)) == list(range(10))


def test_slices_carry_positions_and_a_later_run_goes_on_after_them() -> None:
    found = drain(Arrow(NUMBERS, batch_rows=4, arrival="came"))
    assert [(d.position, dict(d.resume)) for d in found] == [(0, {0: 4}), (4, {0: 8}), (8, {0: 10})]
    assert pa.array(found[1].arrival).to_pylist() == [104, 105, 106, 107]
    again = drain(Arrow(NUMBERS, batch_rows=4), {0: 5})
    assert numbers(again) == [5, 6, 7, 8, 9]
    assert again[0].position == 5


def test_a_partition_column_splits_rows_and_counts_each_part() -> None:
    source = Arrow(NUMBERS, partition="part", batch_rows=5)
    assert source.partitions() == [0, 1]
    found = drain(source)
    assert pa.array(found[1].partition).to_pylist() == [1, 0, 1, 0, 1]
    assert pa.array(found[1].position).to_pylist() == [2, 3, 3, 4, 4]
    assert dict(found[1].resume) == {0: 5, 1: 5}
    again = drain(source, {0: 3, 1: 4})
    assert numbers(again) == [6, 8, 9]
    assert pa.array(again[-1].position).to_pylist()[-1] == 4


def test_what_is_no_arrow_object_or_column_is_refused() -> None:
    with pytest.raises(mt.SourceError, match="is not an Arrow object"):
        Arrow([{"n": 1}])  # type: ignore[arg-type]
    with pytest.raises(mt.SourceError, match='unknown column "prt"\nhint: did you mean "part"'):
        Arrow(NUMBERS, partition="prt").partitions()
    with pytest.raises(mt.SourceError, match='unknown column "cam"'):
        drain(Arrow(NUMBERS, arrival="cam"))
    with pytest.raises(mt.SourceError, match="is a string, not an integer"):
        Arrow(pa.table({"p": ["x"]}), partition="p").partitions()


# ── Parquet ─────────────────────────────────────────────────────────────────────────────────────


def write(folder: Path, name: str, table: pa.Table) -> Path:
    path = folder / name
    pq.write_table(table, path, row_group_size=3)
    return path


def test_files_of_a_pattern_are_read_by_name(tmp_path: Path) -> None:
    write(tmp_path, "b.parquet", NUMBERS.slice(6))
    write(tmp_path, "a.parquet", NUMBERS.slice(0, 6))
    source = Parquet(str(tmp_path / "*.parquet"), columns=["n"], arrival="came")
    assert source.total == 10
    found = drain(source)
    assert numbers(found) == list(range(10))
    assert pa.table(found[0].batch).column_names == ["n", "came"]
    assert numbers(drain(source, {0: 7})) == [7, 8, 9]
    assert Parquet(tmp_path / "a.parquet", partition="part").partitions() == [0, 1]


def test_a_cut_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path, "cut.parquet", NUMBERS)
    path.write_bytes(path.read_bytes()[:-20])
    for ask in (lambda: Parquet(path).total, lambda: drain(Parquet(path))):
        with pytest.raises(mt.SourceError, match=r"cut\.parquet.*cannot be read as Parquet"):
            ask()


def test_damage_inside_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path, "bad.parquet", NUMBERS)
    raw = bytearray(path.read_bytes())
    raw[4:60] = b"\xff" * 56
    path.write_bytes(raw)
    with pytest.raises(mt.SourceError, match=r"bad\.parquet"):
        drain(Parquet(path))


def test_missing_files_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(mt.SourceError, match="no file"):
        drain(Parquet(tmp_path / "none.parquet"))
    with pytest.raises(mt.SourceError, match=r'the folder ".*" has no files'):
        drain(Parquet(tmp_path))
    path = write(tmp_path, "a.parquet", NUMBERS)
    with pytest.raises(mt.SourceError, match='unknown column "m"'):
        drain(Parquet(path, columns=["m"]))


# ── JSON lines ──────────────────────────────────────────────────────────────────────────────────

WORDS = {"at": "timestamp[us, UTC]", "n": "i64"}


def lines(folder: Path, *texts: str | bytes) -> Path:
    path = folder / "rows.jsonl"
    path.write_bytes(b"".join((t.encode() if isinstance(t, str) else t) + b"\n" for t in texts))
    return path


def test_lines_become_rows_of_the_declared_types(tmp_path: Path) -> None:
    path = lines(
        tmp_path, '{"n": 1, "at": "2024-05-01T10:00:00+02:00", "x": 0}', "", '{"at": null}'
    )
    (found,) = drain(JsonLines(path, schema=WORDS))
    assert pa.table(found.batch).to_pylist() == [
        {"at": dt.datetime(2024, 5, 1, 8, tzinfo=dt.UTC), "n": 1},
        {"at": None, "n": None},
    ]
    assert pa.array(found.position).to_pylist() == [0, 2]
    assert dict(found.resume) == {0: 3}


def test_without_a_schema_the_first_lines_decide(tmp_path: Path) -> None:
    path = lines(tmp_path, '{"at": "2024-05-01T10:00:00Z", "v": 1.5, "s": "x"}', '{"v": 2}')
    (found,) = drain(JsonLines(path))
    kinds = pa.schema(pa.table(found.batch).schema).types
    assert kinds == [pa.timestamp("us", "UTC"), pa.float64(), pa.string()]


def test_the_streams_schema_holds_where_the_source_has_none(tmp_path: Path) -> None:
    reader = JsonLines(lines(tmp_path, '{"n": 1}')).open([("n", "f64")], {})
    delivery = reader.poll()
    assert delivery is not None
    assert pa.table(delivery.batch).to_pylist() == [{"n": 1.0}]


def test_a_malformed_line_is_kept_with_its_place(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        '{"n": 1}',
        '{"n": ',
        "[1]",
        '{"n": "many"}',
        b'{"n": "\xff"}',
        '{"n": 2, "at": 5}',
        '{"n": 3}',
    )
    found = drain(JsonLines(path, schema=WORDS, batch_rows=1))
    assert numbers(found) == [1, 3]
    bad = [record for delivery in found for record in delivery.undecodable]
    assert [(r.position, r.line, r.text) for r in bad[:3]] == [
        (1, 2, '{"n": '),
        (2, 3, "[1]"),
        (3, 4, '{"n": "many"}'),
    ]
    assert [r.line for r in bad[3:]] == [5, 6]
    assert all(r.file == str(path) and r.detail for r in bad)
    assert [pa.array(d.position).to_pylist() for d in found] == [[0], [6]]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (found,) = drain(JsonLines(lines(tmp_path, b'\xef\xbb\xbf{"n": 1}')))
    assert numbers([found]) == [1]


def test_lines_are_taken_up_again_by_their_number(tmp_path: Path) -> None:
    path = lines(tmp_path, '{"n": 0}', "oops", '{"n": 2}')
    (found,) = drain(JsonLines(path, schema=WORDS), {0: 2})
    assert numbers([found]) == [2]
    assert found.undecodable == ()


def test_malformed_lines_come_out_of_a_run_as_invalid_records(tmp_path: Path) -> None:
    texts = [json.dumps({"at": f"2024-05-01T10:00:0{i}Z", "n": i}) for i in range(4)]
    path = lines(tmp_path, *texts[:2], "{oops", *texts[2:], '{"n": 5}')
    invalid: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    report = mt.run(
        JsonLines(path),
        mt.stream(time="at", out_of_order="0s", schema=WORDS).filter("n >= 0"),
        sinks=[mt.sinks.Callback(lambda table: rows.extend(table.to_dicts()))],
        invalid=[mt.sinks.Callback(lambda table: invalid.extend(table.to_dicts()))],
    )
    assert [row["n"] for row in rows] == [0, 1, 2, 3]
    assert report.rows == 5
    assert report.invalid == 2
    places = {record["reason"]: record["position"] for record in invalid}
    assert places == {"undecodable": 2, "null_time": 5}
    (bad,) = [record for record in invalid if record["reason"] == "undecodable"]
    assert (bad["file"], bad["line"], bad["text"]) == (str(path), 3, "{oops")


# ── the order of several inputs ─────────────────────────────────────────────────────────────────


def test_times_are_floored_and_far_ones_saturate() -> None:
    assert micros(pa.array([-1, 1], pa.timestamp("ns"))).to_pylist() == [-1, 0]
    assert micros(pa.array([-1], pa.date32())).to_pylist() == [-86_400_000_000]
    far = micros(pa.array([2**62, -(2**62)], pa.timestamp("s"))).to_pylist()
    assert far[0] > 2**62 and far[1] < -(2**62)


def test_sorting_is_stable_and_puts_nulls_first() -> None:
    table = pa.table({"n": [0, 1, 2, 3]})
    times = pa.array([5, None, 5, 1], pa.int64())
    moved, ordered, order = sorted_by_time(table, times)
    assert moved["n"].to_pylist() == [1, 3, 0, 2] == order.to_pylist()
    assert is_sorted(ordered)
    assert sorted_by_time(moved, ordered)[2] is None
    assert not is_sorted(pa.array([1, None], pa.int64()))
    assert is_sorted(pa.array([], pa.int64()))


def test_cuts_never_part_equal_times() -> None:
    left, right = pa.array([1, 1, 1, 2]), pa.array([1, 1, 3])
    steps = list(common_cuts([left, right], rows=2))
    assert steps == [[(0, 3), (0, 2)], [(3, 4), (2, 3)]]
    assert list(common_cuts([pa.array([], pa.int64())], rows=1)) == []


def test_runs_merge_by_key_then_input() -> None:
    assert list(runs([pa.array([1, 3, 3]), pa.array([3, 4])])) == [(0, 0, 3), (1, 0, 2)]


class Told:
    """A source that says what it is told to."""

    bounded, total = True, None

    def __init__(self, *polls: Any) -> None:
        self._polls = polls

    def partitions(self) -> tuple[int, ...]:
        return (0,)

    def open(self, schema: Any, positions: Any) -> Told:
        self._left = iter(self._polls)
        return self

    def poll(self) -> Any:
        return next(self._left, None)

    def close(self) -> None:
        pass


def cut(name: str, times: list[int], size: int) -> Told:
    deliveries = []
    for start in range(0, len(times), size):
        part = times[start : start + size]
        table = pa.table({"at": pa.array(part, pa.int64()), "of": [name] * len(part)})
        deliveries.append(Delivery(table, {0: start + len(part)}, 0, start))
    return Told(*deliveries)


@pytest.mark.parametrize("a", [1, 2, 10])
@pytest.mark.parametrize("b", [1, 3, 10])
def test_a_merge_does_not_depend_on_how_sources_cut(a: int, b: int) -> None:
    readers = {
        "x": cut("x", [1, 2, 2, 9, 4, 10], a).open(None, {}),
        "y": cut("y", [2, 2, 3, 11, 12], b).open(None, {}),
    }
    order = []
    for taken in merged(readers, lambda name, table: table["at"].combine_chunks()):
        rows = [
            (row["at"], row["of"], position)
            for feed in taken.feeds
            for row, position in zip(
                pa.table(feed.batch).to_pylist(), pa.array(feed.position).to_pylist(), strict=True
            )
        ]
        order += sorted(rows) if taken.order == "time" else rows
    assert [(at, of) for at, of, _ in order] == [
        *[(1, "x"), (2, "x"), (2, "x"), (2, "y"), (2, "y"), (3, "y")],
        *[(9, "x"), (4, "x"), (10, "x"), (11, "y"), (12, "y")],
    ]


def test_sources_that_do_not_end_are_asked_in_turn() -> None:
    rows = Delivery(pa.table({"at": [1]}), {0: 1})
    told = as_they_come({"a": Told(Quiet((0,)), rows).open(None, {}), "b": Told().open(None, {})})
    assert [(t.quiet, t.ended, len(t.feeds)) for t in told] == [
        ([("a", 0)], [], 0),
        ([], ["b"], 0),
        ([], [], 1),
        ([], ["a"], 0),
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (mt.sources.JsonLines("a.jsonl", follow=True), "JsonLines('a.jsonl', follow=True)"),
        (mt.sources.Csv(["a.csv", "b.csv"]), "Csv(['a.csv', 'b.csv'])"),
        (mt.sources.Csv("in/", watch=True), "Csv('in/', watch=True)"),
        (mt.sources.Parquet(Path("history")), "Parquet('history')"),
        (mt.sources.Arrow(pa.table({"n": [1]})), "Arrow(Table)"),
        (mt.sources.Rows([{"n": 1}]), "Rows(list)"),
        (mt.sources.JsonLines("-"), "JsonLines('-')"),
    ],
    ids=str,
)
def test_a_source_shows_what_it_reads(source: Any, text: str) -> None:
    assert repr(source) == text


@pytest.mark.parametrize("door", [mt.sources, mt.sinks])
def test_every_source_and_sink_has_a_repr_of_its_own(door: Any) -> None:
    made = [each for each in vars(door).values() if isinstance(each, type)]
    kinds = [each for each in made if hasattr(each, "stage") or hasattr(each, "partitions")]
    kinds = [each for each in kinds if not getattr(each, "_is_protocol", False)]
    assert len(kinds) >= 5
    assert [each.__name__ for each in kinds if each.__repr__ is object.__repr__] == []
