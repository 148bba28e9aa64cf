"""Parquet: going on without reading what was had, and files whose columns differ."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.sources import Delivery, Parquet, Quiet
from muntin.sources.files import records
from muntin.testing import check_source


def write(folder: Path, name: str, table: pa.Table) -> None:
    pq.write_table(table, folder / name, row_group_size=3)


def numbers(source: Parquet, positions: dict[int, int]) -> list[int]:
    reader = source.open(None, positions)
    found: list[int] = []
    for delivery in iter(reader.poll, None):
        found += pa.table(delivery.batch)["n"].to_pylist()
    return found


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The row groups of which all columns are read."""
    read: list[int] = []
    whole = pq.ParquetFile.iter_batches

    def counted(self: Any, rows: int, groups: Any, **more: Any) -> Any:
        read.extend(groups)
        return whole(self, rows, groups, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    return read


def test_row_groups_that_were_had_are_not_read(tmp_path: Path, groups: list[int]) -> None:
    table = pa.table({"n": range(12), "p": [0, 1] * 6})
    write(tmp_path, "a.parquet", table.slice(0, 6))
    write(tmp_path, "b.parquet", table.slice(6))
    assert numbers(Parquet(str(tmp_path / "*.parquet")), {0: 10}) == [10, 11]
    assert groups == [1]
    groups.clear()
    source = Parquet(str(tmp_path / "*.parquet"), partition="p", partitions=[0, 1])
    assert numbers(source, {0: 3, 1: 4}) == [6, 8, 9, 10, 11]
    assert groups == [0, 1]
    with pytest.raises(mt.SourceError, match="Parquet: 12 records, but 13 had been read"):
        numbers(Parquet(str(tmp_path / "*.parquet")), {0: 13})


def files(folder: Path, *columns: Any) -> Parquet:
    """A file for each column, read as one."""
    for i, column in enumerate(columns):
        write(folder, f"{i}.parquet", pa.table({"n": [i], "v": column}))
    return Parquet(folder)


def table(source: Parquet, words: Any = None) -> tuple[pa.Table, list[str]]:
    reader = source.open(words, {})
    found = list(iter(reader.poll, None))
    said = [bad.detail for each in found for bad in each.undecodable]
    return pa.concat_tables([pa.table(each.batch) for each in found]), said


DAY = dt.datetime(2024, 5, 1)
TEXT = pa.array(["x"])
FIT = {
    "null first": ([pa.nulls(1), TEXT], pa.string(), [None, "x"]),
    "null last": ([pa.array([1]), pa.nulls(1)], pa.int64(), [1, None]),
    "only nulls": ([pa.nulls(1), pa.nulls(1)], pa.null(), [None, None]),
    "large text": ([TEXT, TEXT.cast(pa.large_string())], pa.string(), ["x", "x"]),
    "dictionary": ([TEXT.dictionary_encode(), TEXT], pa.string(), ["x", "x"]),
    "large binary": (
        [pa.array([b"x"]), pa.array([b"x"], pa.large_binary())],
        pa.binary(),
        [b"x"] * 2,
    ),
    "integers": ([pa.array([1], pa.int8()), pa.array([2**40])], pa.int64(), [1, 2**40]),
    "unsigned": ([pa.array([1], pa.int8()), pa.array([200], pa.uint8())], pa.int16(), [1, 200]),
    "wide": ([pa.array([-1]), pa.array([2**32 - 1], pa.uint32())], pa.int64(), [-1, 2**32 - 1]),
    "floats": ([pa.array([0.5], pa.float32()), pa.array([0.1])], pa.float64(), [0.5, 0.1]),
    "small": ([pa.array([3], pa.int16()), pa.array([0.5], pa.float32())], pa.float32(), [3.0, 0.5]),
    "units": (
        [pa.array([DAY], pa.timestamp("ms")), pa.array([DAY], pa.timestamp("us"))],
        pa.timestamp("us"),
        [DAY, DAY],
    ),
    "decimals": (
        [
            pa.array([Decimal("1.5")], pa.decimal128(4, 1)),
            pa.array([Decimal("0.25")], pa.decimal128(5, 2)),
        ],
        pa.decimal128(5, 2),
        [Decimal("1.50"), Decimal("0.25")],
    ),
    "lists": (
        [pa.array([[1]], pa.list_(pa.int32())), pa.array([[2**40]])],
        pa.list_(pa.int64()),
        [[1], [2**40]],
    ),
    "null lists": (
        [pa.array([None], pa.list_(pa.null())), pa.array([["x"]])],
        pa.list_(pa.string()),
        [None, ["x"]],
    ),
}


@pytest.mark.parametrize("case", FIT)
def test_files_of_different_types_that_go_together(tmp_path: Path, case: str) -> None:
    columns, kind, values = FIT[case]
    for order in (1, -1):
        for old in tmp_path.glob("*"):
            old.unlink()
        found, bad = table(files(tmp_path, *columns[::order]))
        assert bad == []
        assert found.schema.field("v").type == kind
        assert found["v"].to_pylist() == values[::order]


APART = {
    "text and integer": ([TEXT, pa.array([1])], "int64", "string"),
    "integer and float": ([pa.array([1]), pa.array([1.5])], "double", "int64"),
    "unsigned and signed": ([pa.array([1], pa.uint64()), pa.array([1])], "int64", "uint64"),
    "zones": (
        [pa.array([DAY], pa.timestamp("us")), pa.array([DAY], pa.timestamp("us", "UTC"))],
        r"timestamp\[us, tz=UTC\]",
        r"timestamp\[us\]",
    ),
    "text and binary": ([TEXT, pa.array([b"x"])], "binary", "string"),
    "bool and integer": ([pa.array([True]), pa.array([1])], "int64", "bool"),
}


@pytest.mark.parametrize("case", APART)
def test_files_of_types_that_do_not_go_together_are_named(tmp_path: Path, case: str) -> None:
    columns, kind, first = APART[case]
    said = rf'1\.parquet: column "v" is a {kind}, but a {first} in ".*0\.parquet"\nhint: '
    with pytest.raises(mt.SourceError, match=said):
        table(files(tmp_path, *columns))


def test_a_declared_schema_wins(tmp_path: Path) -> None:
    source = files(
        tmp_path, pa.array([1], pa.int32()), pa.array([2.0]), pa.array([2.5]), pa.nulls(1)
    )
    words = [("v", "i64")]
    found, bad = table(source, words)
    assert found.schema == pa.schema([("v", pa.int64())])
    assert found["v"].to_pylist() == [1, 2, None]
    assert bad == ['column "v" does not fit i64: 2.5 has a fraction']
    own = Parquet(tmp_path, schema={"v": "f64", "n": "i16"})
    assert table(own, words)[0].schema == pa.schema([("v", pa.float64()), ("n", pa.int16())])
    assert check_source(lambda: Parquet(tmp_path), schema=words) == 4
    with pytest.raises(mt.SourceError, match=r'column "v" is a int32, but a string in the schema'):
        table(source, [("v", "str")])
    with pytest.raises(mt.SourceError, match=r'unknown column "w"\nhint: did you mean|there is'):
        table(source, [("w", "i64")])


def test_more_digits_than_the_unit_make_an_invalid_record(tmp_path: Path) -> None:
    times = pa.array([1_000, 1_001, None], pa.timestamp("ns", "UTC"))
    write(tmp_path, "a.parquet", pa.table({"at": times, "p": [0, None, 0]}))
    found, bad = table(Parquet(tmp_path), [("at", "timestamp[us, UTC]")])
    assert len(found) == 2
    assert len(bad) == 1 and "has more digits than it keeps" in bad[0]
    parts = Parquet(tmp_path, partition="p")
    assert list(parts.partitions()) == [0]
    assert table(parts, [("at", "timestamp[ns, UTC]")])[1] == ['it has no partition in "p"']
    reader = parts.open([("at", "timestamp[us, UTC]")], {})
    (polled,) = iter(reader.poll, None)
    (record,) = polled.undecodable
    assert (record.file, record.line) == (str(tmp_path / "a.parquet"), 2)
    assert "p=None" in record.text


def test_columns_that_files_do_not_have_are_null(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", pa.table({"n": [1], "s": ["x"]}))
    write(tmp_path, "b.parquet", pa.table({"more": [0.5], "n": pa.array([2], pa.int32())}))
    assert table(Parquet(tmp_path))[0].to_pylist() == [
        {"n": 1, "s": "x", "more": None},
        {"n": 2, "s": None, "more": 0.5},
    ]
    assert table(Parquet(tmp_path, columns=["s", "n"]))[0].to_pylist()[1] == {"s": None, "n": 2}
    with pytest.raises(mt.SourceError, match='unknown column "ss"\nhint: did you mean "s"'):
        table(Parquet(tmp_path, columns=["ss"]))
    assert check_source(lambda: Parquet(tmp_path, batch_rows=1)) == 2


def test_keys_of_folders_are_columns(tmp_path: Path) -> None:
    for year, city in (("2024", "a b"), ("2025", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / f"year={year}" / f"city={city.replace(' ', '%20')}"
        folder.mkdir(parents=True)
        write(folder, "0.parquet", pa.table({"n": [int(year)]}))
    rows = table(Parquet(tmp_path))[0].to_pylist()
    assert rows == [
        {"n": 2024, "year": 2024, "city": "a b"},
        {"n": 2025, "year": 2025, "city": None},
    ]
    found = table(Parquet(tmp_path), [("year", "str"), ("n", "i64")])[0]
    assert found.to_pylist()[0] == {"year": "2024", "n": 2024}
    assert list(Parquet(tmp_path, partition="year").partitions()) == [2024, 2025]
    assert check_source(lambda: Parquet(tmp_path, partition="year")) == 2


def test_a_folder_that_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "WAIT_SECONDS", 0.001)
    source = Parquet(tmp_path, watch=True)
    assert (source.bounded, source.total, source.identity()) == (False, None, [str(tmp_path)])

    def taken(reader: Any) -> tuple[list[int], Any]:
        found: list[int] = []
        mark = None
        while isinstance(polled := reader.poll(), Delivery):
            found += pa.table(polled.batch)["n"].to_pylist()
            mark = msgspec.to_builtins(polled.mark, str_keys=True)
        assert polled == Quiet((0,))
        return found, mark

    reader = source.open(None, {})
    assert taken(reader) == ([], None)
    write(tmp_path, "b10.parquet", pa.table({"n": [3, 4]}))
    write(tmp_path, "b9.parquet", pa.table({"n": [1, 2]}))
    write(tmp_path, ".a.parquet", pa.table({"n": [9]}))
    found, mark = taken(reader)
    assert found == [1, 2, 3, 4]
    reader.close()
    assert reader.poll() is None
    (tmp_path / "b9.parquet").unlink()
    write(tmp_path, "a.parquet", pa.table({"n": pa.array([5], pa.int8())}))
    found, more = taken(source.open(None, {0: 4}, mark))
    assert found == [5]
    (tmp_path / "a.parquet").unlink()
    (tmp_path / "b10.parquet").unlink()
    assert taken(source.open(None, {0: 5}, more)) == ([], None)
    write(tmp_path, "c.parquet", pa.table({"n": ["x"]}))
    with pytest.raises(mt.SourceError, match=r'c\.parquet: column "n" is a string, but a int64'):
        taken(source.open(None, {0: 5}, more))


def test_a_file_that_was_read_may_not_change(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", pa.table({"n": range(9)}))
    source = Parquet(tmp_path, batch_rows=3)
    mark = msgspec.to_builtins(source.open(None, {}).poll().mark, str_keys=True)
    assert numbers(source, {0: 3}) == list(range(3, 9))
    reader = source.open(None, {0: 3}, mark)
    assert pa.table(reader.poll().batch)["n"].to_pylist() == [3, 4, 5]
    write(tmp_path, "a.parquet", pa.table({"n": range(1, 10)}))
    with pytest.raises(mt.SourceError, match=r'a\.parquet" is another file now: it had been read'):
        source.open(None, {0: 3}, mark).poll()


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 9, b'{"n": 1}\n', b"x" * 500])
def test_files_that_are_not_parquet_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(mt.SourceError, match=r'a\.parquet" cannot be read as Parquet'):
        table(Parquet(tmp_path))
    for length in range(0, 400, 7):
        write(tmp_path, "a.parquet", pa.table({"n": range(50)}))
        whole = (tmp_path / "a.parquet").read_bytes()
        (tmp_path / "a.parquet").write_bytes(whole[:length])
        with pytest.raises(mt.SourceError, match=r'a\.parquet" cannot be read as Parquet'):
            table(Parquet(tmp_path))
