"""Disks that are full, folders that cannot be written: a named error, and nothing lost after it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.sources import Arrow
from runs import EVENTS, rows_at
from test_sinks_durable import KINDS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")

ROWS = 3000
SCORED = EVENTS.sliding("1m", by="k").agg(n=mt.count(), total=mt.sum("v"))
LIMITED = """
import resource, signal, sys, json
sys.path.insert(0, sys.argv[1])
from test_disk_full import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import muntin as mt
from pathlib import Path
limit = int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    run(Path(sys.argv[2]), sys.argv[3], bool(int(sys.argv[5])))
except BaseException as error:
    named = isinstance(error, mt.MuntinError)
    print(json.dumps([type(error).__name__, named, str(error)]))
else:
    print(json.dumps(["none", True, ""]))
"""


def table() -> pa.Table:
    values = pa.array([f"{i * 7919 % ROWS:x}" * 3 for i in range(ROWS)])
    rows = rows_at(*[i / 10 for i in range(ROWS)])
    return rows.set_column(1, "k", values)


def run(place: Path, kind: str, checkpoint: bool) -> None:
    sink = KINDS[kind][0](place / f"rows.{kind}")
    state = mt.Checkpoint(place / "state", every="0s") if checkpoint else None
    mt.run(Arrow(table(), batch_rows=500), SCORED, sinks=[sink], checkpoint=state)


def seen(place: Path, kind: str) -> list[tuple[str, int]]:
    if kind == "parquet":
        files = sorted((place / "rows.parquet").glob("*.parquet"))
        return [(row["k"], row["n"]) for each in files for row in pq.read_table(each).to_pylist()]
    return [(row["k"], int(row["n"])) for row in KINDS[kind][1](place / f"rows.{kind}")]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [3_000, 40_000])
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_ends_a_run_by_name_and_loses_nothing(
    kind: str, limit: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", LIMITED, str(Path(__file__).parent), str(tmp_path), kind]
    for checkpoint in (True, False):
        said = subprocess.run([*command, str(limit), str(int(checkpoint))], check=True, text=True,
                              capture_output=True).stdout  # fmt: skip
        name, named, message = json.loads(said)
        assert named, said
        assert name in ("SinkError", "SnapshotError", "none")
        assert name == "none" or str(tmp_path) in message
        if checkpoint:
            run(tmp_path, kind, checkpoint)
            result = mt.collect(SCORED, table()).rows.to_arrow()
            expected = list(zip(*(result[c].to_pylist() for c in ("k", "n")), strict=True))
            assert seen(tmp_path, kind) == expected
        tmp_path = tmp_path / "without"
        tmp_path.mkdir()
        command[4] = str(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_device_that_is_full_is_named(kind: str) -> None:
    with pytest.raises(mt.SinkError, match=r'"/dev/full" cannot be written: .*No space left'):
        mt.run(Arrow(rows_at(1)), SCORED, sinks=[KINDS[kind][0]("/dev/full")])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["file/rows", "none/rows", "folder"])
def test_a_place_that_cannot_be_written_is_named(kind: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "more").mkdir(parents=True)
    if (kind, where) in (("parquet", "none/rows"), ("parquet", "folder")):
        where = "file"
    for more in ({}, {"checkpoint": tmp_path / "state"}):
        with pytest.raises(mt.SinkError, match=str(tmp_path / where)):
            mt.run(Arrow(rows_at(1)), SCORED, sinks=[KINDS[kind][0](tmp_path / where)], **more)
    with pytest.raises(mt.SnapshotError, match=str(tmp_path / "file")):
        mt.run(Arrow(rows_at(1)), SCORED, checkpoint=tmp_path / "file")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["", "a\0b", None, 7])
def test_what_is_not_a_path_is_refused_at_once(kind: str, path: Any) -> None:
    make: Any = {"parquet": mt.sinks.Parquet}.get(kind, KINDS[kind][0])
    with pytest.raises(mt.SinkError, match="is not a path"):
        make(path)


CALLS = ["fsync", "unlink", "rename", "replace"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("nth", [1, 2, 5])
def test_no_error_of_the_system_is_bare(
    kind: str, call: str, nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th call of each kind fails, once; then the run is started again."""
    done, before = [0], getattr(os, call)

    def failing(*args: Any, **more: Any) -> Any:
        done[0] += 1
        if done[0] == nth:
            raise OSError(errno.EIO, "injected")
        return before(*args, **more)

    small = table()[:60]

    def start() -> None:
        sink = KINDS[kind][0](tmp_path / f"rows.{kind}")
        checkpoint = mt.Checkpoint(tmp_path / "state", every="0s")
        mt.run(Arrow(small, batch_rows=10), SCORED, sinks=[sink], checkpoint=checkpoint)

    monkeypatch.setattr(os, call, failing)
    try:
        start()
    except (mt.SinkError, mt.SnapshotError) as error:
        assert "injected" in str(error)
    monkeypatch.undo()
    start()
    result = mt.collect(SCORED, small).rows.to_arrow()
    expected = list(zip(*(result[c].to_pylist() for c in ("k", "n")), strict=True))
    assert seen(tmp_path, kind) == expected
