"""The files of checkpoints: their names, which may be lost, in what order they are made."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import muntin as mt
from muntin.checkpoint import Directory, Keeper, Where
from muntin.checkpoint.manifest import Counts
from runs import EVENTS, MINUTES, Cut, CutShort, rows_at
from test_checkpoint import Kept, filled, no_sinks, recovered

WHERE = Where("test", {}, Counts(), False)
TABLE = rows_at(*range(0, 600, 7))


def committed(keeper: Keeper, op: mt.Operator, second: int) -> int:
    op.push(rows_at(second))
    return keeper.commit(op, WHERE, no_sinks).number


def test_names_go_on_behind_eight_digits(tmp_path: Path) -> None:
    (tmp_path / "state-99999997.muntin").write_bytes(b"left by a checkpoint that failed")
    visible: list[Any] = []
    checkpoint = mt.Checkpoint(tmp_path, every="0s")
    with pytest.raises(Cut):
        mt.run(CutShort(TABLE, 9), MINUTES, sinks=[Kept(visible)], checkpoint=checkpoint)
    assert max(map(len, os.listdir(tmp_path))) == len("checkpoint-100000000.json")
    restored = recovered(tmp_path)
    assert restored.manifest.number > 100_000_000
    mt.run(CutShort(TABLE, 99), MINUTES, sinks=[Kept(visible)], checkpoint=checkpoint)
    whole = mt.collect(MINUTES, TABLE).rows
    assert sum(row["n"] for row in visible) == sum(row["n"] for row in whole.to_dicts())
    kept = [name for name in os.listdir(tmp_path) if name.startswith("checkpoint-")]
    assert len(kept) == 2
    # a name that only looks like one is not one
    (tmp_path / "checkpoint-0000000000000009.json").write_bytes(b"{}")
    assert recovered(tmp_path).manifest.ended


@pytest.mark.parametrize("steps", [2, 3, 9])
def test_any_one_file_may_be_lost_or_damaged(steps: int, tmp_path: Path) -> None:
    """The newest two checkpoints share no file: one of them is always whole."""
    filled(tmp_path / "whole", steps)
    files = sorted(each for each in os.listdir(tmp_path / "whole") if each != "in-use")
    for i, name in enumerate(files):
        for damage in ("lost", "damaged"):
            place = tmp_path / f"{i} {damage}"
            shutil.copytree(tmp_path / "whole", place)
            file = place / name
            if damage == "lost":
                file.unlink()
            else:
                data = bytearray(file.read_bytes())
                data[len(data) // 2] ^= 1
                file.write_bytes(data)
            assert recovered(place).manifest.number >= steps - 1, (name, damage)


@pytest.mark.parametrize("how", ["removed", "cut", "folder removed"])
def test_what_vanishes_under_a_run_is_written_again(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "state"
    store, op = Directory(place), mt.operator(EVENTS.sliding("1h", by="k").agg(n=mt.count()))
    store.open()
    keeper = Keeper(store)
    keeper.recover()
    for second in range(5):
        committed(keeper, op, second)
    if how == "folder removed":
        shutil.rmtree(place)
    for file in place.glob("state-*"):
        if how == "removed":
            file.unlink()
        else:
            os.truncate(file, 10)
    last = [committed(keeper, op, second) for second in range(5, 9)][-1]
    assert "is gone" in caplog.text if "folder" in how else "the whole state" in caplog.text
    store.close()
    restored = recovered(place)
    assert restored.manifest.number == last
    again = mt.operator(EVENTS.sliding("1h", by="k").agg(n=mt.count()), snapshot=restored.snapshot)
    assert again.push(rows_at(9)).rows.to_dicts() == op.push(rows_at(9)).rows.to_dicts()


def test_files_are_synced_before_their_names_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut may take was never named, and what is named was synced before."""
    events: list[tuple[str, str]] = []
    fsync, link = os.fsync, os.link

    def synced(file: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{file}"))
        events.append(("sync", re.sub(r"\.[0-9a-f]{8}\.tmp$", ".tmp", name)))
        fsync(file)

    def named(before: str, after: str) -> None:
        events.append(("name", os.path.basename(after)))
        link(before, after)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc to tell which file is synced")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", named)
    store, op = Directory(tmp_path), mt.operator(MINUTES)
    store.open()
    keeper = Keeper(store)
    keeper.recover()
    for number in (1, 2):
        events.clear()
        committed(keeper, op, number)
        manifest = f"checkpoint-{number:08}.json"
        assert events == [
            ("sync", f"state-{number:08}.muntin"),
            ("sync", tmp_path.name),
            ("sync", f"{manifest}.tmp"),
            ("name", manifest),
            ("sync", tmp_path.name),
        ]
    store.close()


def no_links(*_: object) -> None:
    raise OSError(1, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_no_name_is_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """A run that was paused and has a successor must not damage what that one wrote."""
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    store = Directory(tmp_path)
    store.open()
    for write in (store.write, store.commit):
        name = f"{write.__name__}-1"
        write(name, b"its successor's")
        with pytest.raises(FileExistsError):
            write(name, b"its own")
        assert store.read(name) == b"its successor's"
    assert store.names() == ["commit-1", "write-1"]
    assert not list(tmp_path.glob("*.tmp"))
    store.close()


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is synced, renamed and removed, in order."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc to tell which file is synced")
    found: list[tuple[str, str]] = []
    before = {name: getattr(os, name) for name in ("fsync", "rename", "replace", "unlink")}

    def recorded(word: str, name: str, at: int) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{args[0]}") if word == "sync" else args[at]
            found.append((word, os.path.basename(path)))
            return before[name](*args, **more)

        return call

    calls = [("sync", "fsync", 0), ("rename", "rename", 1), ("rename", "replace", 1)]
    for word, name, at in [*calls, ("remove", "unlink", 0)]:
        monkeypatch.setattr(os, name, recorded(word, name, at))
    return found


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_lines_are_synced_before_what_held_them_goes(
    kind: str, tmp_path: Path, events: list[tuple[str, str]]
) -> None:
    path = tmp_path / f"rows.{kind}"
    sink = {"jsonl": mt.sinks.JsonLines, "csv": mt.sinks.Csv}[kind](path)
    sink.open("rows", ())
    sink.restore(None)
    assert events == [("sync", tmp_path.name)]
    events.clear()
    for _ in range(2):
        sink.stage("rows", mt.Table([rows_at(1)]))
        sink.prepare()
        assert events == [("sync", f".rows.{kind}.1.staged"), ("sync", tmp_path.name)]
        events.clear()
    state = sink.prepare()
    events.clear()
    sink.publish()
    assert events == [("sync", path.name), ("remove", f".rows.{kind}.1.staged")]
    sink.close()
    events.clear()
    again = type(sink)(path)
    again.open("rows", ())
    again.restore(state)
    assert events == [("sync", path.name), ("sync", tmp_path.name)]
    again.close()


def test_parts_are_synced_before_they_are_named(
    tmp_path: Path, events: list[tuple[str, str]]
) -> None:
    sink = mt.sinks.Parquet(tmp_path / "parts", rows_per_file=1)
    sink.open("rows", ())
    sink.restore(None)
    sink.stage("rows", mt.Table([rows_at(1, 2)]))
    sink.prepare()
    hidden = [f".part-000000{n}.parquet.staged" for n in range(2)]
    assert events == [("sync", n) for name in hidden for n in (name, "parts")]
    events.clear()
    sink.publish()
    shown = [("rename", f"part-000000{n}.parquet") for n in range(2)]
    assert events == [*shown, ("sync", "parts")]
    sink.close()


def test_a_database_is_synced_where_a_checkpoint_relies_on_it(tmp_path: Path) -> None:
    sink = mt.sinks.Sqlite(tmp_path / "rows.db")
    sink.open("rows", ())
    sink.restore(None)
    said: list[str] = []
    assert sink._db is not None
    sink._db.set_trace_callback(said.append)
    for call, safe in (
        (lambda: sink.stage("rows", mt.Table([rows_at(1)])), False),
        (sink.prepare, True),
        (sink.publish, True),
    ):
        said.clear()
        call()
        assert said[0] == f"PRAGMA synchronous = {'FULL' if safe else 'NORMAL'}"
        wrote = [each for each in said if "_muntin_commits" in each]
        assert (said[1], said[-1], bool(wrote)) == ("BEGIN IMMEDIATE", "COMMIT", safe)
    sink.close()


def test_what_an_unfinished_commit_left_is_removed(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "checkpoint-00000007.json.tmp").write_bytes(b"{")
    store = Directory(tmp_path)
    store.open()
    store.close()
    assert not list(tmp_path.glob("*.tmp"))
    (tmp_path / "checkpoint-00000008.json.tmp").mkdir()
    with pytest.raises(mt.SnapshotError, match=f'"{tmp_path}" cannot be used: '):
        Directory(tmp_path).open()


def test_a_store_of_ones_own_needs_no_sizes(tmp_path: Path) -> None:
    class Plain:
        def __init__(self) -> None:
            self.pieces: dict[str, bytes] = {}

        def open(self) -> None: ...
        def close(self) -> None: ...

        def names(self) -> list[str]:
            return list(self.pieces)

        def read(self, name: str) -> bytes:
            if name not in self.pieces:
                raise FileNotFoundError(errno.ENOENT, "no such piece", name)
            return self.pieces[name]

        def write(self, name: str, data: bytes) -> None:
            self.pieces[name] = data

        commit = write

        def remove(self, name: str) -> None:
            self.pieces.pop(name, None)

    store: Any = Plain()
    visible: list[Any] = []
    checkpoint = mt.Checkpoint(store, every="0s")
    mt.run(CutShort(TABLE, 99), MINUTES, sinks=[Kept(visible)], checkpoint=checkpoint)
    assert len(visible) == len(mt.collect(MINUTES, TABLE).rows)
    assert Keeper(store).recover().manifest.ended  # type: ignore[union-attr]
