"""What a run writes is its own: two sinks, a source, a checkpoint or another run on one place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import muntin as mt
from muntin.base.locks import Held, Lock
from muntin.sinks import Csv, JsonLines, Parquet, Sqlite, Webhook
from muntin.sources import Arrow
from runs import EVENTS, CutShort, rows_at

SCORED = EVENTS.sliding("1m", by="k").agg(n=mt.count())
TABLE = rows_at(0, 7, 14)
RULE = mt.rule("often", "n >= 1", by="k")
LINE = '{"at": "2024-05-01T10:00:00Z", "k": "a", "v": 1}\n'


def run(first: mt.Sink, second: mt.Sink, **more: Any) -> mt.Report:
    return mt.run(Arrow(TABLE), SCORED, rules=[RULE], sinks=[first], alerts=[second], **more)


def through_a_link(path: Path) -> Path:
    link = path.parent / "link"
    link.symlink_to(path)
    return link


def through_a_folder(path: Path) -> Path:
    link = path.parent.parent / "folder"
    link.symlink_to(path.parent)
    return link / path.name


def by_hard_link(path: Path) -> Path:
    path.touch()
    link = path.parent / "hard"
    os.link(path, link)
    return link


def relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


def around(path: Path) -> Path:
    return path.parent / "." / ".." / path.parent.name / path.name


WAYS = [lambda path: path, through_a_link, through_a_folder, by_hard_link, relative, around]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("checkpoint", [False, True])
def test_two_sinks_on_one_path_are_refused(
    way: Callable[[Path], Path], checkpoint: bool, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "rows"
    more = {"checkpoint": tmp_path / "state"} if checkpoint else {}
    with pytest.raises(mt.SinkError, match=r"is written by two sinks: rows/.*, alerts/.*\nhint"):
        run(JsonLines(path), Csv(way(path)), **more)
    assert not path.exists() or path.read_bytes() == b""


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_file_of_a_source_is_no_output(way: Callable[[Path], Path], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "rows.jsonl"
    path.write_text(LINE * 9)
    other = path if way is by_hard_link else way(path)
    if way is by_hard_link:
        other = path.parent / "hard"
        os.link(path, other)
    for more in ({}, {"checkpoint": tmp_path / "state"}):
        for mode in ("error", "append", "overwrite"):
            with pytest.raises(mt.SinkError, match=r'input "events" reads .*and rows/rows/0'):
                mt.run(mt.sources.JsonLines(path), SCORED, sinks=[JsonLines(other, mode=mode)],
                       **more)  # fmt: skip
    assert path.read_text() == LINE * 9


@pytest.mark.parametrize(
    ("reads", "writes", "refused"),
    [
        ("in", "in/out.jsonl", True),
        ("in", "in/deep/out.jsonl", True),
        ("in", "in/_out/rows.jsonl", False),
        ("in", "in/.out.jsonl", False),
        ("in", "out.jsonl", False),
        ("in", "in2/out.jsonl", False),
        ("in/*.jsonl", "in/out.jsonl", True),
        ("in/*.jsonl", "in/out.csv", False),
        ("in/*.jsonl", "in/out/rows.jsonl", False),
        ("in/**/*.jsonl", "in/a/b/rows.jsonl", True),
        ("in/row?.jsonl", "in/rows.jsonl", True),
    ],
)
def test_what_a_source_would_read_in_its_next_run_is_no_output(
    reads: str, writes: str, refused: bool, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "row1.jsonl").write_text(LINE)
    path = tmp_path / writes
    path.parent.mkdir(parents=True, exist_ok=True)
    pipeline = EVENTS.filter("v > 9")
    source = mt.sources.JsonLines(tmp_path / reads)
    if refused:
        with pytest.raises(mt.SinkError, match='input "events" reads'):
            mt.run(source, pipeline, sinks=[JsonLines(path)])
        assert not path.exists()
    else:
        mt.run(source, pipeline, sinks=[JsonLines(path)])


def test_folders_in_one_another_are_refused(tmp_path: Path) -> None:
    for inner in (JsonLines(tmp_path / "parts" / "a.jsonl"), Parquet(tmp_path / "parts" / "more")):
        with pytest.raises(mt.SinkError, match="one is in the other"):
            run(Parquet(tmp_path / "parts"), inner)
        with pytest.raises(mt.SinkError, match="one is in the other"):
            run(inner, Parquet(tmp_path / "parts"))
    with pytest.raises(mt.SinkError, match="is written by two sinks"):
        run(Parquet(tmp_path / "parts"), Parquet(f"{tmp_path}/parts/"))
    run(Parquet(tmp_path / "parts"), Parquet(tmp_path / "parts2"))


def test_outputs_and_checkpoints_are_apart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for sink in (JsonLines(state / "rows"), Parquet(state), Parquet(tmp_path), Sqlite(state / "d")):
        with pytest.raises(mt.SinkError, match=r"and the checkpoint is .*\nhint: keep outputs"):
            mt.run(Arrow(TABLE), SCORED, sinks=[sink], checkpoint=state)
    assert not state.exists()


def test_a_parquet_folder_is_no_source_of_itself(tmp_path: Path) -> None:
    mt.run(Arrow(TABLE), EVENTS, sinks=[Parquet(tmp_path / "parts")])
    source = mt.sources.Parquet(tmp_path / "parts" / "*.parquet")
    with pytest.raises(mt.SinkError, match='input "events" reads'):
        mt.run(source, EVENTS, sinks=[Parquet(tmp_path / "parts", mode="append")])


def test_tables_of_one_database_may_be_written_by_several_sinks(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    run(Sqlite(path), Sqlite(path))
    with pytest.raises(mt.SinkError, match="is written by two sinks"):
        run(Sqlite(path, table="a", mode="append"), Sqlite(path, table="A", mode="append"))
    with pytest.raises(mt.SinkError, match="is written by two sinks"):
        run(Sqlite(path, mode="append"), JsonLines(path, mode="append"))
    with pytest.raises(mt.SinkError, match="is written by two sinks"):
        run(Sqlite(path, mode="append"), JsonLines(f"{path}-wal"))


def test_the_same_sink_may_stand_in_several_places(tmp_path: Path) -> None:
    both = JsonLines(tmp_path / "rows.jsonl")
    run(both, both)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2 * len(TABLE)


def test_dead_letters_are_shared_with_their_like_alone(tmp_path: Path) -> None:
    dead = tmp_path / "dead.jsonl"
    hooks = [Webhook(f"https://example.com/{n}", dead_letter=dead) for n in range(2)]
    none = EVENTS.filter("v > 100")
    mt.run(Arrow(TABLE), none, sinks=hooks)
    with pytest.raises(mt.SinkError, match="is written by two sinks"):
        mt.run(Arrow(TABLE), none, sinks=[hooks[0], JsonLines(dead)])


def test_pipes_and_devices_are_nobodys(tmp_path: Path) -> None:
    run(JsonLines("/dev/null"), JsonLines("/dev/null"))
    assert not list(Path("/dev").glob(".null*"))


HOLDER = """
import sys, time, muntin as mt
sys.path.insert(0, sys.argv[1])
from test_claims import SCORED, TABLE, kinds
from runs import CutShort

class Slow(CutShort):
    bounded = False
    def open(self, schema, positions):
        reader = super().open(schema, positions)
        def poll():
            print("running", flush=True)
            sys.stdin.readline()
        reader.poll = poll
        return reader

more = {"checkpoint": sys.argv[4]} if sys.argv[4] else {}
mt.run(Slow(TABLE, 9), SCORED, sinks=[kinds(sys.argv[3])[sys.argv[2]]], name="first", **more)
"""


def kinds(folder: str) -> dict[str, mt.Sink]:
    return {
        "jsonl": JsonLines(f"{folder}/rows"),
        "jsonl append": JsonLines(f"{folder}/rows", mode="append"),
        "csv": Csv(f"{folder}/rows"),
        "parquet": Parquet(f"{folder}/rows"),
        "sqlite": Sqlite(f"{folder}/rows"),
        "sqlite append": Sqlite(f"{folder}/rows", mode="append"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("kind", ["jsonl append", "csv", "parquet", "sqlite"])
def test_two_processes_do_not_write_one_output(kind: str, checkpoint: bool, tmp_path: Path) -> None:
    tests, state = str(Path(__file__).parent), str(tmp_path / "state") if checkpoint else ""
    place = tmp_path / "out"
    place.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tests, kind, str(place), state],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "running\n"
        sink = kinds(str(place))[kind]
        more: Any = {"checkpoint": tmp_path / "state-2"} if checkpoint else {}
        said = rf'is written by another run: process {holder.pid} on .*\(run "first"\), since 20'
        with pytest.raises(mt.SinkError, match=said):
            mt.run(Arrow(TABLE), SCORED, sinks=[sink], **more)
        if checkpoint:
            with pytest.raises(
                mt.SnapshotError, match=f"in use by another run: process {holder.pid}"
            ):
                mt.run(Arrow(TABLE), SCORED, checkpoint=state)
    finally:
        holder.kill()
        holder.wait()
    # the lock went with the process, however it ended
    more = {"checkpoint": state} if checkpoint else {}
    mt.run(Arrow(TABLE), SCORED, sinks=[kinds(str(place))[kind]], name="second", **more)
    assert not list(place.glob(".*lock"))


def test_two_runs_of_one_process_do_not_write_one_output(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"

    class Waits(CutShort):
        bounded = False

        def open(self, schema: Any, positions: Any) -> Any:
            reader = super().open(schema, positions)
            reader.poll = lambda: time.sleep(0.01) or mt.sources.Quiet((0,))
            return reader

    first = mt.run(Waits(TABLE, 9), SCORED, sinks=[JsonLines(path)], background=True)
    while not path.exists():
        time.sleep(0.01)
    with pytest.raises(mt.SinkError, match=f"process {os.getpid()}"):
        mt.run(Arrow(TABLE), SCORED, sinks=[JsonLines(path)])
    first.stop()
    mt.run(Arrow(TABLE), SCORED, sinks=[JsonLines(path)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_keep_the_locks_of_its_parent(tmp_path: Path) -> None:
    """A parent that takes a lock, forks and is killed; the child lives on."""
    code = """
import os, sys, time
from muntin.checkpoint import Directory
from muntin.base.locks import Lock
store = Directory(sys.argv[1]); store.open()
lock = Lock.take(sys.argv[1] + "/../out.lock")
child = os.fork()
if child == 0:
    store.close()
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True
    )
    child = 0
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.1)
        # the child lets go, and the parent's hold is not lost by it
        for path in (tmp_path / "state" / "in-use", tmp_path / "out.lock"):
            with pytest.raises(Held, match=f"process {parent.pid}"):
                Lock.take(str(path))
        parent.kill()
        parent.wait()
        os.kill(child, 0)
        for path in (tmp_path / "state" / "in-use", tmp_path / "out.lock"):
            Lock.take(str(path)).release()
    finally:
        parent.kill()
        parent.wait()
        if child:
            os.kill(child, signal.SIGKILL)


def test_a_lock_says_who_has_it_and_leaves_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    lock = Lock.take(path, 'run "a"')
    with pytest.raises(Held, match=rf'process {os.getpid()} on .* \(run "a"\), since 20'):
        Lock.take(path)
    assert json.loads(Path(path).read_text())["pid"] == os.getpid()
    lock.release(remove=True)
    lock.release(remove=True)
    assert os.listdir(tmp_path) == []
    Path(path).write_text("not what a lock says")
    lock = Lock.take(path)
    Path(path).write_text("[]")
    with pytest.raises(Held, match="another process"):
        Lock.take(path)
    lock.release()
