"""Fresh starts: what already exists, what a run without rows leaves, odd names, all records."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.sinks import Csv, JsonLines, Parquet, Sqlite
from muntin.sources import Arrow
from runs import EVENTS, MINUTES, Cut, CutShort, rows_at
from test_sinks_durable import csv_rows, json_rows, parquet_rows, sqlite_rows

KINDS: dict[str, Any] = {
    "jsonl": (JsonLines, json_rows),
    "csv": (Csv, csv_rows),
    "parquet": (Parquet, parquet_rows),
    "sqlite": (Sqlite, sqlite_rows),
}
SCORED = EVENTS.sliding("1m", by="k").agg(n=mt.count())
TABLE = rows_at(0, 7, 14)
EMPTY = TABLE.slice(0, 0)


def counts(kind: str, path: Path) -> list[int]:
    return [int(row["n"]) for row in KINDS[kind][1](path)]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["checkpoint", "no checkpoint"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A checkpoint for each run of a test, or none."""
    numbers = iter(range(99))
    if request.param == "checkpoint":
        return lambda: mt.Checkpoint(tmp_path / f"state-{next(numbers)}", every="0s")
    return lambda: None


def test_each_mode_does_what_it_says(kind: str, saved: Any, tmp_path: Path) -> None:
    make, path = KINDS[kind][0], tmp_path / f"rows.{kind}"
    mt.run(Arrow(TABLE), SCORED, sinks=[make(path)], checkpoint=saved())
    assert counts(kind, path) == [1, 2, 3]
    for more in ({}, {"mode": "error"}):
        with pytest.raises(mt.SinkError, match=rf"rows\.{kind}.*already exists.*\nhint: mode="):
            mt.run(Arrow(TABLE), SCORED, sinks=[make(path, **more)], checkpoint=saved())
    assert counts(kind, path) == [1, 2, 3]
    mt.run(Arrow(TABLE), SCORED, sinks=[make(path, mode="append")], checkpoint=saved())
    assert counts(kind, path) == [1, 2, 3] * 2
    mt.run(Arrow(TABLE[:2]), SCORED, sinks=[make(path, mode="overwrite")], checkpoint=saved())
    assert counts(kind, path) == [1, 2]
    with pytest.raises(mt.SinkError, match='unknown mode "replace"'):
        make(path, mode="replace")


@pytest.mark.parametrize("mode", ["error", "append", "overwrite"])
@pytest.mark.parametrize("polls", [0, 1, 2, 4])
def test_a_restart_goes_on_whatever_the_mode(
    kind: str, mode: str, polls: int, tmp_path: Path
) -> None:
    make, path = KINDS[kind][0], tmp_path / f"rows.{kind}"
    table, before = rows_at(*range(0, 70, 7)), []
    if mode != "error":
        mt.run(Arrow(TABLE), SCORED, sinks=[make(path)])
        before = [1, 2, 3] if mode == "append" else []
    checkpoint = mt.Checkpoint(tmp_path / "state", every="0s")
    for more in (polls, 0, 2, 99):
        try:
            mt.run(CutShort(table, more), SCORED, sinks=[make(path, mode=mode)],
                   checkpoint=checkpoint)  # fmt: skip
        except Cut:
            continue
    assert counts(kind, path) == before + [row["n"] for row in mt.collect(SCORED, table).rows]


def test_lost_checkpoints_do_not_cut_what_was_written(kind: str, tmp_path: Path) -> None:
    make, path = KINDS[kind][0], tmp_path / f"rows.{kind}"
    checkpoint = mt.Checkpoint(tmp_path / "state")
    mt.run(Arrow(TABLE), SCORED, sinks=[make(path)], checkpoint=checkpoint)
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(mt.SinkError, match="already exists"):
        mt.run(Arrow(TABLE), SCORED, sinks=[make(path)], checkpoint=checkpoint)
    assert counts(kind, path) == [1, 2, 3]


def test_nothing_is_replaced_before_all_is_looked_at(saved: Any, tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    for path in (one, two):
        path.write_text("mine\n")
    sinks = [JsonLines(one, mode="overwrite"), JsonLines(two)]
    if saved() is None:
        with pytest.raises(mt.SinkError, match=r"two\.jsonl"):
            mt.run(Arrow(TABLE), SCORED, sinks=sinks)
        assert one.read_text() == two.read_text() == "mine\n"


@pytest.mark.parametrize("declared", [True, False])
def test_a_run_without_rows_leaves_what_says_so(
    kind: str, declared: bool, saved: Any, tmp_path: Path
) -> None:
    make, path = KINDS[kind][0], tmp_path / f"rows.{kind}"
    stream = EVENTS if declared else mt.stream("events", time="at", out_of_order="0s")
    checkpoint = saved()
    pipeline = stream.sliding("1m", by="k").agg(n=mt.count()).filter("n > 100")
    for _ in range(2 if checkpoint else 1):
        mt.run(Arrow(TABLE), pipeline, sinks=[make(path)], checkpoint=checkpoint)
        check_empty(kind, path, ["at", "k", "v", "n"])


def check_empty(kind: str, path: Path, columns: list[str]) -> None:
    if kind == "jsonl":
        assert path.read_text() == ""
    elif kind == "csv":
        assert path.read_text() == ",".join(columns) + "\n"
    elif kind == "parquet":
        (part,) = path.glob("*.parquet")
        assert (pq.read_schema(part).names, pq.read_metadata(part).num_rows) == (columns, 0)
    else:
        with sqlite3.connect(path) as db:
            found = db.execute("SELECT name FROM pragma_table_info('rows')").fetchall()
        db.close()
        assert [name for (name,) in found] == columns
        assert sqlite_rows(path) == []


def test_rows_after_none_stand_behind_the_header(kind: str, tmp_path: Path) -> None:
    make, path = KINDS[kind][0], tmp_path / f"rows.{kind}"
    checkpoint = mt.Checkpoint(tmp_path / "state", every="0s")

    class Stopped(CutShort):
        """A source that has nothing yet."""

        bounded = False

        def open(self, schema: Any, positions: Any) -> Any:
            reader = super().open(schema, positions)
            reader.poll = lambda: mt.sources.Quiet((0,))
            return reader

    run = mt.run(Stopped(TABLE, 0), SCORED, sinks=[make(path)], checkpoint=checkpoint,
                 background=True)  # fmt: skip
    run.stop()
    mt.run(CutShort(TABLE, 99), SCORED, sinks=[make(path)], checkpoint=checkpoint)
    assert counts(kind, path) == [1, 2, 3]


def test_late_and_invalid_records_of_all_kinds_go_into_one_csv(tmp_path: Path) -> None:
    words = {"at": "timestamp[us, UTC]", "k": "str", "v": "i64"}
    other = mt.stream("other", time="at", out_of_order="0s", schema={"at": words["at"], "w": "f64"})
    both = mt.union(EVENTS, other).tumbling("1m").agg(n=mt.count())
    lines = tmp_path / "other.jsonl"
    rows = [{"at": "2024-05-01T10:09:00Z", "w": 1.5}, {"at": "2024-05-01T10:00:00Z", "w": 2.5}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows) + "not json\n" + '{"w": 1}\n')
    late, invalid, all_late = (tmp_path / f"{name}.csv" for name in ("late", "invalid", "all"))
    sources = {"events": Arrow(rows_at(0, 500, 1)), "other": mt.sources.JsonLines(lines)}
    shared = Csv(all_late)
    report = mt.run(sources, both, late=[Csv(late), shared], invalid=[Csv(invalid), shared])
    assert report.late == 2
    assert report.invalid == 2
    found = csv_rows(late)
    assert {row["input"]: json.loads(row["row"]) for row in found} == {
        "events": {"at": "2024-05-01T10:00:01Z", "k": "a", "v": 1},
        "other": {"at": "2024-05-01T10:00:00Z", "w": 2.5},
    }
    found = csv_rows(invalid)
    assert {row["reason"] for row in found} == {"undecodable", "null_time"}
    assert [row["text"] for row in found if row["reason"] == "undecodable"] == ["not json"]
    assert len(csv_rows(all_late)) == 4


def test_nested_late_rows_go_into_csv(tmp_path: Path) -> None:
    words = {"at": "timestamp[us, UTC]", "tags": "list[str]"}
    stream = mt.stream("events", time="at", out_of_order="0s", schema=words)
    pipeline = stream.tumbling("1m").agg(n=mt.count())
    times = rows_at(0, 300, 1)["at"]
    table = pa.table({"at": times, "tags": [["a"], None, ['b"', "c,d"]]})
    mt.run(Arrow(table), pipeline, late=[Csv(tmp_path / "late.csv")])
    (row,) = csv_rows(tmp_path / "late.csv")
    assert json.loads(row["row"])["tags"] == ['b"', "c,d"]


def test_columns_without_a_type_word_are_no_hindrance(kind: str, tmp_path: Path) -> None:
    table = TABLE.append_column("of", pa.array([{"x": 1}, None, {"x": 2}]))
    stream = mt.stream("events", time="at", out_of_order="0s")
    for where, n in (("v = 1", 3), ("v = 2", 0)):
        path = tmp_path / f"{n}.{kind}"
        mt.run(Arrow(table), stream.filter(where), sinks=[KINDS[kind][0](path)])
        assert len(KINDS[kind][1](path)) == n
        if kind == "parquet":
            (part,) = path.glob("*.parquet")
            assert pq.read_schema(part).field("of").type == table.schema.field("of").type


ODD_NAMES = ["rowid", "oid", "_rowid_", "", 'a"b', "a'b", "a b", "select", "window_start", "x,y"]
ODD_NAMES += ["line\nend", "number", "name", "at", "naïve", "%s", "?", "a.b", "[c]", "`d`"]


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_that_mean_something_inside_change_no_answer(
    kind: str, name: str, keyed: bool, tmp_path: Path
) -> None:
    """Numbers that fall, so that nothing is sorted by them, and come again."""
    path = tmp_path / f"rows.{kind}"
    values = [5, 4, 3, 4]
    expected = [(5, 0), (4, 3), (3, 2)] if keyed and kind == "sqlite" else []
    expected = expected or list(zip(values, range(4), strict=True))

    def opened(state: Any) -> Any:
        sink = KINDS[kind][0](path)
        sink.open("rows", (name,) if keyed else ())
        sink.restore(state)
        return sink

    def stage(sink: Any, start: int, stop: int) -> None:
        columns = {name: values[start:stop], "other": list(range(start, stop))}
        sink.stage("rows", mt.Table([pa.table(columns)]))

    first = opened(None)
    stage(first, 0, 2)
    before = json.dumps(first.prepare())
    first.publish()
    stage(first, 2, 4)
    first.prepare()
    first.publish()
    first.close()
    # back by one, and again
    second = opened(json.loads(before))
    assert seen(kind, path, name) == expected_until(values, 2)
    stage(second, 2, 4)
    second.prepare()
    second.publish()
    second.close()
    assert sorted(seen(kind, path, name)) == sorted(expected)


def expected_until(values: list[int], stop: int) -> list[tuple[int, int]]:
    return list(zip(values[:stop], range(stop), strict=True))


def seen(kind: str, path: Path, name: str) -> list[tuple[int, int]]:
    if kind == "sqlite":
        with sqlite3.connect(path) as db:
            rows = db.execute("SELECT * FROM rows").fetchall()
        db.close()
        return rows
    return [(int(row[name]), int(row["other"])) for row in KINDS[kind][1](path)]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["rowid", "OID", "_rowid_"], "are all there"),
        (["Card", "card"], 'columns "Card" and "card" differ by case alone'),
        (["_muntin_number"], "'_muntin_number' cannot be a column: it is reserved"),
        (["_Muntin_row"], "it is reserved"),
        ([f"c{i}" for i in range(1999)], "are more than the 1,998"),
    ],
    ids=str,
)
def test_sqlite_says_what_it_has_no_place_for_before_the_run(
    names: list[str], said: str, tmp_path: Path
) -> None:
    words = {"at": "timestamp[us, UTC]"} | dict.fromkeys(names, "i64")
    stream = mt.stream("events", time="at", out_of_order="0s", schema=words)

    class Unread(CutShort):
        def open(self, schema: Any, positions: Any) -> Any:
            raise AssertionError("it is read")

    with pytest.raises(mt.SinkError, match=said):
        mt.run(Unread(TABLE, 0), stream, sinks=[Sqlite(tmp_path / "rows.db")])


@pytest.mark.parametrize("count", [1, 1998])
def test_many_columns_go_through(kind: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{kind}"
    sink = KINDS[kind][0](path)
    sink.open("rows", ())
    names = [f"c{i}" for i in range(count)]
    sink.stage("rows", mt.Table([pa.table({name: [i] for i, name in enumerate(names)})]))
    sink.publish()
    sink.close()
    (row,) = KINDS[kind][1](path)
    assert [int(row[name]) for name in names] == list(range(count))


def test_a_header_is_read_back_with_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    sink = Csv(path)
    sink.open("rows", ())
    table = pa.table({name: ["x"] for name in ODD_NAMES})
    sink.stage("rows", mt.Table([table]))
    sink.publish()
    sink.close()
    more = Csv(path, mode="append")
    more.open("rows", ())
    more.stage("rows", mt.Table([table]))
    more.publish()
    more.close()
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ODD_NAMES
    assert rows == [["x"] * len(ODD_NAMES)] * 2


def test_windows_with_the_key_of_a_reserved_name(tmp_path: Path) -> None:
    words = {"at": "timestamp[us, UTC]", "rowid": "i64"}
    stream = mt.stream("events", time="at", out_of_order="0s", schema=words)
    pipeline = stream.tumbling("1m", by="rowid").agg(n=mt.count())
    table = pa.table({"at": rows_at(0, 70, 140, 210)["at"], "rowid": [9, 9, 1, 2]})
    checkpoint = mt.Checkpoint(tmp_path / "state", every="0s")
    path = tmp_path / "rows.db"
    with pytest.raises(Cut):
        mt.run(CutShort(table, 1), pipeline, sinks=[Sqlite(path)], checkpoint=checkpoint)
    mt.run(CutShort(table, 99), pipeline, sinks=[Sqlite(path)], checkpoint=checkpoint)
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT * FROM rows").fetchall()
    db.close()
    assert [(row[0], row[-1]) for row in rows] == [(9, 1), (9, 1), (1, 1), (2, 1)]


def test_a_plan_whose_minutes_are_kept_in_each(tmp_path: Path) -> None:
    """Outputs with keys in every kind of sink, with and without rows."""
    sinks = [KINDS[each][0](tmp_path / f"rows.{each}") for each in KINDS]
    mt.run(Arrow(EMPTY), MINUTES, sinks=sinks)
    check_empty("csv", tmp_path / "rows.csv", ["k", "window_start", "window_end", "n", "total"])


# ── values without a place ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("kind", ["plain", "zoned", "list", "struct", "dictionary"])
def test_a_time_that_parquet_has_no_unit_for_is_named(
    tmp_path: Path, kind: str, checkpoint: bool
) -> None:
    seconds = pa.array([1, 2**55, 2], pa.timestamp("s", "UTC" if kind == "zoned" else None))
    column = {
        "list": pa.array([[each] for each in seconds], pa.list_(seconds.type)),
        "struct": pa.StructArray.from_arrays([seconds], ["a"]),
        "dictionary": seconds.dictionary_encode(),
    }.get(kind, seconds)
    rows = pa.table({"at": pa.array([1, 2, 3], pa.timestamp("us", "UTC")), "x": column})
    events = mt.stream(time="at", out_of_order="0s")
    sink = mt.sinks.Parquet(tmp_path / "out")
    said = (
        r'(?s)out.* cannot be written: column "x": .*\+1141709097-06-13T06:26:08.* of type .*hint'
    )
    with pytest.raises(mt.SinkError, match=said):
        mt.run(rows, events, sinks=[sink], checkpoint=tmp_path / "state" if checkpoint else None)
