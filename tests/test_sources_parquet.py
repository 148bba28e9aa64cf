"""Parquet: going on without reading what was had, and files whose columns differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.sources import Parquet


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
    source = Parquet(str(tmp_path / "*.parquet"), partition="p")
    assert numbers(source, {0: 3, 1: 4}) == [6, 8, 9, 10, 11]
    assert groups == [0, 1]
    with pytest.raises(mt.SourceError, match="Parquet: 12 records, but 13 had been read"):
        numbers(Parquet(str(tmp_path / "*.parquet")), {0: 13})


def test_columns_of_the_first_file_hold_for_all(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", pa.table({"n": pa.array([1], pa.int64()), "s": ["x"]}))
    write(tmp_path, "b.parquet", pa.table({"s": ["y"], "n": pa.array([2], pa.int32())}))
    source = Parquet(str(tmp_path / "*.parquet"))
    assert numbers(source, {}) == [1, 2]
    write(tmp_path, "b.parquet", pa.table({"n": ["2"], "s": ["y"]}))
    with pytest.raises(mt.SourceError, match=r'b\.parquet: column "n" is a string, but a int64'):
        numbers(source, {})
    write(tmp_path, "b.parquet", pa.table({"n": [2]}))
    with pytest.raises(mt.SourceError, match=r'b\.parquet: unknown column "s"'):
        numbers(source, {})
    write(tmp_path, "b.parquet", pa.table({"n": [2], "s": ["y"], "more": [0]}))
    with pytest.raises(mt.SourceError, match=r'column "more" is not in .*a\.parquet'):
        numbers(source, {})
    assert numbers(Parquet(str(tmp_path / "*.parquet"), columns=["n"]), {}) == [1, 2]
