"""Outputs that vanish, or are changed by others: missed at the start and before each checkpoint."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from runs import EVENTS, Cut, CutShort, rows_at
from test_sinks_durable import KINDS

TABLE = rows_at(*range(0, 300, 7))
SCORED = EVENTS.sliding("1m", by="k").agg(n=mt.count(), total=mt.sum("v"))


def run(place: Path, kind: str, polls: float, **more: Any) -> None:
    """A run that is cut short after some polls."""
    sink = KINDS[kind][0](place / f"rows.{kind}")
    checkpoint = mt.Checkpoint(place / "state", every="0s")
    try:
        mt.run(CutShort(TABLE, polls), SCORED, sinks=[sink], checkpoint=checkpoint, **more)
    except Cut:
        assert polls < 99


def seen(place: Path, kind: str) -> list[tuple[int, int]]:
    return [(int(row["n"]), int(row["total"])) for row in KINDS[kind][1](place / f"rows.{kind}")]


def removed(path: Path) -> None:
    for each in path.parent.glob(path.name + "*"):
        shutil.rmtree(each) if each.is_dir() else each.unlink()


def truncated(path: Path) -> None:
    if path.is_dir():
        path = sorted(path.glob("*.parquet"))[0]
    os.truncate(path, path.stat().st_size // 2)


def edited(path: Path) -> None:
    if path.is_dir():
        path = sorted(path.glob("*.parquet"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def replaced(path: Path) -> None:
    if path.is_dir():
        part = sorted(path.glob("*.parquet"))[0]
        pq.write_table(pa.table({"n": range(1000)}), part)
    elif path.suffix == ".sqlite":
        removed(path)
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE rows (n, total)")
        db.close()
    else:
        path.unlink()
        path.write_text('{"n": 1}\n' * 1000)


def without_its_first_part(path: Path) -> None:
    sorted(path.glob("*.parquet"))[0].unlink()


def without_its_table(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE rows")
    db.close()


CASES: list[tuple[str, Callable[[Path], None]]] = [
    *((kind, how) for kind in ("jsonl", "csv") for how in (removed, truncated, edited, replaced)),
    *(("parquet", how) for how in (removed, truncated, edited, replaced, without_its_first_part)),
    *(("sqlite", how) for how in (removed, replaced, without_its_table)),
]


@pytest.mark.parametrize(("kind", "how"), CASES)
def test_an_output_that_changed_between_two_runs_is_refused_by_name(
    kind: str, how: Callable[[Path], None], tmp_path: Path
) -> None:
    run(tmp_path, kind, 6)
    path = tmp_path / f"rows.{kind}"
    shutil.copytree(tmp_path, tmp_path / "kept")
    how(path)
    for _ in range(2):
        with pytest.raises(mt.SinkError, match=rf"rows\.{kind}.*\nhint: "):
            run(tmp_path, kind, 99)
    # as the message says: put back, all is well; the inode and the times are others then
    removed(path)
    for each in (tmp_path / "kept").glob(path.name + "*"):
        if each.is_dir():
            shutil.copytree(each, tmp_path / each.name, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(each, tmp_path / each.name)
    run(tmp_path, kind, 99)
    run(tmp_path / "kept", kind, 99)
    assert seen(tmp_path, kind) == seen(tmp_path / "kept", kind)
    assert len(seen(tmp_path, kind)) == len(TABLE)


def test_an_older_copy_of_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    run(tmp_path, "sqlite", 3)
    shutil.copy(path, tmp_path / "older")
    run(tmp_path, "sqlite", 3)
    removed(path)
    shutil.copy(tmp_path / "older", path)
    with pytest.raises(mt.SinkError, match="it is an older copy"):
        run(tmp_path, "sqlite", 99)


class Meddled(CutShort):
    """A source that does something to an output in the middle."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__(TABLE, 99)
        self.meddle = meddle

    def open(self, schema: Any, positions: Any) -> Any:
        reader = super().open(schema, positions)
        left, poll = [7], reader.poll

        def counted() -> Any:
            left[0] -= 1
            if left[0] == 0:
                self.meddle()
            return poll()

        reader.poll = counted
        return reader


@pytest.mark.parametrize(("kind", "how"), [c for c in CASES if c[1] is not without_its_table])
def test_an_output_that_changes_under_a_run_ends_it_by_name(
    kind: str, how: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / f"rows.{kind}"
    checkpoint = mt.Checkpoint(tmp_path / "state", every="0s")
    with pytest.raises(mt.SinkError, match=rf"rows\.{kind}"):
        mt.run(Meddled(lambda: how(path)), SCORED, sinks=[KINDS[kind][0](path)],
               checkpoint=checkpoint)  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_file_that_is_removed_under_a_run_without_checkpoints_ends_it(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"rows.{kind}"
    with pytest.raises(mt.SinkError, match=rf"rows\.{kind}.*it was removed while the run wrote it"):
        mt.run(Meddled(lambda: removed(path)), SCORED, sinks=[KINDS[kind][0](path)])


def test_touching_an_output_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    checkpoint = mt.Checkpoint(tmp_path / "state", every="0s")
    sink = mt.sinks.JsonLines(path)
    mt.run(Meddled(lambda: os.utime(path, (1, 1))), SCORED, sinks=[sink], checkpoint=checkpoint)
    assert len(seen(tmp_path, "jsonl")) == len(TABLE)


def test_what_others_appended_is_kept_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, "jsonl", 6)
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write("a note of mine\n")
    run(tmp_path, "jsonl", 99)
    assert len(seen(tmp_path, "jsonl")) == len(TABLE)
    (kept,) = tmp_path.glob("rows.jsonl.behind-*")
    assert kept.read_text() == "a note of mine\n"
    assert str(kept) in caplog.text
