"""`once=True`: what is there now, nothing closed that is open, and the next run goes on."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.checkpoint import Keeper
from muntin.sources import Csv, JsonLines, Parquet, Rows
from muntin.sources.files import records
from runs import EVENTS, MINUTES, START, rows_at


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "WAIT_SECONDS", 0.001)


def row(second: int) -> dict[str, Any]:
    return {"at": START + dt.timedelta(seconds=second), "k": "a", "v": second}


def texts(kind: str, *seconds: int) -> str:
    rows = [{**row(s), "at": row(s)["at"].isoformat()} for s in seconds]
    if kind == "csv":
        return "".join(",".join(map(str, each.values())) + "\n" for each in rows)
    return "".join(json.dumps(each) + "\n" for each in rows)


class Job:
    """A pipeline that is run again and again."""

    def __init__(self, folder: Path, source: Callable[[], Any]) -> None:
        self.out, self.state, self.source = folder / "out", folder / "state", source

    def run(self, *, once: bool = True) -> mt.Report:
        sinks = [mt.sinks.JsonLines(self.out)]
        return mt.run(self.source(), MINUTES, sinks=sinks, checkpoint=self.state, once=once)

    def shown(self) -> list[tuple[int, int]]:
        """The count and the sum of each minute that has fired."""
        rows = map(json.loads, self.out.read_text().splitlines())
        return [(each["n"], each["total"]) for each in rows]


HEAD = "at,k,v\n"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_file_that_grows_between_two_runs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"log.{kind}"
    source = Csv if kind == "csv" else JsonLines
    job = Job(tmp_path, lambda: source(path))
    path.write_text((HEAD if kind == "csv" else "") + texts(kind, 0, 30))
    report = job.run()
    assert (report.rows, report.stopped, job.shown()) == (2, False, [])
    assert job.run().rows == 2
    half = texts(kind, 59, 70)
    with open(path, "a") as out:
        out.write(half[:-12])
    assert job.run().rows == 3
    assert job.shown() == []
    with open(path, "a") as out:
        out.write(half[-12:])
    assert job.run().rows == 4
    # the second row of the half line has brought the watermark past the first minute
    assert job.shown() == [(3, 89)]
    os.rename(path, tmp_path / f"log.{kind}.1")
    with open(tmp_path / f"log.{kind}.1", "a") as out:
        out.write(texts(kind, 80))
    path.write_text((HEAD if kind == "csv" else "") + texts(kind, 90, 200))
    assert job.run().rows == 7
    assert job.shown() == [(3, 89), (3, 240)]
    report = job.run(once=False)
    assert job.shown() == [(3, 89), (3, 240), (1, 200)]
    with open(path, "a") as out:
        out.write(texts(kind, 300))
    with pytest.raises(mt.SourceError, match="has new rows, but the run had already ended"):
        job.run()


def put(folder: Path, kind: str, name: str, *seconds: int) -> None:
    folder.mkdir(exist_ok=True)
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row(s) for s in seconds]), folder / f"{name}.parquet")
    else:
        data = ((HEAD if kind == "csv" else "") + texts(kind, *seconds)).encode()
        (folder / f"{name}.{kind}.gz").write_bytes(gzip.compress(data.rstrip(b"\n")))


SOURCES: dict[str, Any] = {"csv": Csv, "jsonl": JsonLines, "parquet": Parquet}


@pytest.mark.parametrize("watch", [False, True], ids=["folder", "watched"])
@pytest.mark.parametrize("kind", SOURCES)
def test_files_that_come_between_two_runs(tmp_path: Path, kind: str, watch: bool) -> None:
    folder = tmp_path / "in"
    job = Job(tmp_path, lambda: SOURCES[kind](folder, watch=watch))
    put(folder, kind, "f9", 0, 30)
    assert job.run().rows == 2
    assert job.run().rows == 2
    put(folder, kind, "f10", 59, 70)
    assert job.run().rows == 4
    assert job.shown() == [(3, 89)]
    put(folder, kind, "f1", 80, 200)
    if watch:
        assert job.run().rows == 6
        assert job.shown() == [(3, 89), (2, 150)]
    else:
        with pytest.raises(mt.SourceError, match="files may be added after the existing"):
            job.run()


def test_rows_that_are_given_again(tmp_path: Path) -> None:
    rows = [row(s) for s in (0, 30)]
    for source in (lambda: rows, lambda: Rows(lambda: iter(rows), live=True)):
        folder = tmp_path / str(len(rows))
        folder.mkdir()
        job = Job(folder, source)
        assert job.run().rows == len(rows)
        rows.append(row(90))
        assert job.run().rows == len(rows)
        assert job.shown() == [(2, 30)]


def test_several_inputs_are_merged_as_they_are(tmp_path: Path) -> None:
    other = mt.stream(
        "other",
        time="at",
        out_of_order="5s",
        schema={"at": "timestamp[us, UTC]", "k": "str", "v": "i64"},
    )
    minutes = mt.union(EVENTS, other).tumbling("1m", by="k").agg(n=mt.count())
    paths = {"events": tmp_path / "a", "other": tmp_path / "b"}
    for path in paths.values():
        path.write_text("")

    def run() -> mt.Report:
        sources = {name: JsonLines(path) for name, path in paths.items()}
        out = [mt.sinks.JsonLines(tmp_path / "out")]
        return mt.run(sources, minutes, sinks=out, checkpoint=tmp_path / "state", once=True)

    for seconds, which in ((0, "events"), (10, "other"), (70, "events"), (75, "other")):
        with open(paths[which], "a") as out:
            out.write(texts("jsonl", seconds))
        assert run().late == 0
    assert [json.loads(line)["n"] for line in (tmp_path / "out").read_text().splitlines()] == [2]


def test_a_run_whose_only_checkpoint_cannot_be_written_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    job = Job(tmp_path, lambda: Rows([row(0), row(200)]))
    with monkeypatch.context() as patched:
        patched.setattr(Keeper, "write", full)
        with pytest.raises(mt.SnapshotError, match="No space left"):
            job.run()
    job.run()
    assert job.shown() == [(1, 0)]


def test_once_needs_a_checkpoint_and_no_pace(tmp_path: Path) -> None:
    with pytest.raises(mt.PlanError, match="once=True without checkpoint= would lose open windows"):
        mt.run(rows_at(0), MINUTES, once=True)
    slow = mt.sources.Arrow(rows_at(0), speed=mt.sources.Pace(1, by="at"))
    with pytest.raises(mt.SourceError, match="once=True with a source that has speed="):
        mt.run(slow, MINUTES, once=True, checkpoint=tmp_path / "state")
