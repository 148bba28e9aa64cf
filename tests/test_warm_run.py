"""A run whose pipeline has changed goes on from its checkpoint: state, sinks and what they show."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.checkpoint import Directory, Keeper, Where
from muntin.checkpoint.manifest import Counts
from muntin.engine.operator import snapshot_contents
from runs import EVENTS, MINUTES, Cut, CutShort, rows_at

TABLE = rows_at(*range(0, 1500, 7))
LONG = EVENTS.tumbling("5m", by="k").agg(n=mt.count())
POLLS = 40


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def played(place: Path, outputs: Any, polls: float | None = None, **more: Any) -> mt.Report:
    """A run over the same rows, perhaps cut short."""
    source = mt.sources.Arrow(TABLE, batch_rows=3) if polls is None else CutShort(TABLE, polls)
    checkpoint = mt.Checkpoint(place / "state", every="0s", **more)
    return mt.run(source, outputs, checkpoint=checkpoint)


def outputs(place: Path, **pipelines: mt.Stream) -> list[Any]:
    return [
        mt.output(name, each, sinks=[mt.sinks.JsonLines(place / f"{name}.jsonl")])
        for name, each in pipelines.items()
    ]


def cut(place: Path, made: Any, polls: float = POLLS, **more: Any) -> None:
    with pytest.raises(Cut):
        played(place, made, polls, **more)


@pytest.mark.parametrize("on_change", ["warm", "keep"])
def test_what_is_unchanged_is_shown_as_in_an_undisturbed_run(
    tmp_path: Path, on_change: Any, caplog: pytest.LogCaptureFixture
) -> None:
    whole, place = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    place.mkdir()
    played(whole, outputs(whole, minutes=MINUTES, long=LONG))
    old = EVENTS.sliding("1m", by="k").agg(n=mt.count())
    cut(place, [mt.output("old", old), *outputs(place, minutes=MINUTES)])
    caplog.set_level(logging.WARNING)
    made = outputs(place, long=LONG, minutes=MINUTES)
    # cut again and again while the new verb warms
    for polls in range(1, 7):
        cut(place, made, polls, on_change=on_change)
    report = played(place, made, on_change=on_change)
    assert lines(place / "minutes.jsonl") == lines(whole / "minutes.jsonl")
    check_long(lines(place / "long.jsonl"), lines(whole / "long.jsonl"), on_change)
    assert set(report.outputs) == {"minutes", "long"}
    new = "warming" if on_change == "warm" else "new, with results from only the rows they see"
    said = [r.message for r in caplog.records if "verbs restored" in r.message]
    verbs = f"restored: tumbling#2; {new}: tumbling#1; dropped with their state: sliding#1"
    assert said == [f"the pipeline changed since the checkpoint; verbs {verbs}"]


def check_long(got: list[dict[str, Any]], want: list[dict[str, Any]], on_change: str) -> None:
    missing = len(want) - len(got)
    assert missing > 0
    first, *rest = got
    assert rest == want[missing + 1 :]
    if on_change == "warm":
        assert first == want[missing] | {"n": None}
    else:
        assert 0 < first["n"] < want[missing]["n"]


def test_checkpoints_behind_a_change_build_on_the_chunks_that_hold(tmp_path: Path) -> None:
    """Cooldowns and verbs stand elsewhere in the new plan; their chunks are still their own."""
    where = Where("test", {}, Counts(), False)
    # of each key both fire in one step, a at its first row and b at its second
    rules = [mt.rule(name, f"n > {n}", by="k", cooldown="1h") for n, name in enumerate("ab")]
    old = EVENTS.sliding("1h", by="k").agg(n=mt.count())
    keys = ["x", "y", "z"]
    store = Directory(tmp_path)
    store.open()
    keeper = Keeper(store)
    keeper.recover()
    op = mt.operator([mt.output("gone", MINUTES), mt.output("kept", old, rules=rules)])
    for second, key in enumerate(keys):
        assert len(pushed(op, key, second, second + 1).alerts) == len(rules)
        keeper.commit(op, where, dict)
    made = [mt.output("kept", old, rules=rules[1:]), mt.output("new", LONG)]
    for second, key in enumerate(keys, 10):
        keeper = Keeper(store)
        restored = keeper.recover()
        assert restored is not None
        op = mt.operator(made, snapshot=restored.snapshot, on_change="warm")
        for each in (second, second + 1):
            assert len(pushed(op, key, each).alerts) == 0
            saved = keeper.commit(op, where, dict)
            assert saved.written < saved.bytes
            again = Keeper(store).recover()
            assert again is not None
            assert chunks(again.snapshot) == chunks(op.snapshot())
    store.close()


def pushed(op: mt.Operator, key: str, *seconds: int) -> mt.Result:
    times = rows_at(*seconds)["at"].to_pylist()
    return op.push([{"at": at, "k": key, "v": 1} for at in times])


def chunks(snapshot: bytes) -> dict[str, bytes]:
    """What a snapshot holds, by name."""
    places = snapshot_contents(snapshot)["chunks"]
    return {name: snapshot[at : at + length] for name, at, length in places}


# ── sinks ───────────────────────────────────────────────────────────────────────────────────────


class Slow(CutShort):
    """A source that takes its time, to be stopped meanwhile."""

    def open(self, schema: Any, positions: Any) -> Any:
        reader = super().open(schema, positions)
        poll = reader.poll

        def slowly() -> Any:
            time.sleep(0.01)
            return poll()

        reader.poll = slowly
        return reader


def test_an_output_may_go_when_its_run_was_stopped(tmp_path: Path) -> None:
    checkpoint = mt.Checkpoint(tmp_path / "state", every="0s", on_change="warm")
    file = tmp_path / "minutes.jsonl"
    made = outputs(tmp_path, minutes=MINUTES)
    running = mt.run(Slow(TABLE, 1e9), made, checkpoint=checkpoint, background=True)
    while not (file.exists() and lines(file)):
        time.sleep(0.01)
    assert running.stop(60).stopped
    shown = lines(file)
    played(tmp_path, outputs(tmp_path, long=LONG), on_change="warm")
    assert lines(file) == shown


class Dies(mt.sinks.JsonLines):
    """A file whose process dies when it is about to show rows for the n-th time."""

    left = 0

    def publish(self) -> None:
        if self.left == 0:
            raise Cut
        self.left -= 1
        super().publish()


def test_rows_that_were_about_to_be_shown_are_not_lost_with_their_output(tmp_path: Path) -> None:
    sink = Dies(tmp_path / "minutes.jsonl")
    sink.left = 20
    made = [mt.output("minutes", MINUTES, sinks=[sink])]
    with pytest.raises(Cut):
        played(tmp_path, made)
    before = lines(tmp_path / "minutes.jsonl")
    changed = outputs(tmp_path, long=LONG)
    removed = "the sink rows/minutes/0/Dies was removed, but has 1 rows"
    with pytest.raises(mt.SinkError, match=removed) as raised:
        played(tmp_path, changed, on_change="warm")
    assert "hint: run once more with it" in str(raised.value)
    # the way that the hint names: the old pipeline, stopped
    sink.left = 10
    with pytest.raises(Cut):
        played(tmp_path, made)
    assert len(lines(tmp_path / "minutes.jsonl")) > len(before)
    sink.left = -1
    played(tmp_path, made)
    played(tmp_path, changed, on_change="warm")


def staged_and_died(monkeypatch: pytest.MonkeyPatch, play: Callable[[], object]) -> bool:
    """A run that dies when a checkpoint holds rows which the database does not show yet."""
    prepare, holds = mt.sinks.Sqlite.prepare, [False]

    def prepared(self: Any) -> dict[str, Any]:
        state: dict[str, Any] = prepare(self)
        holds[0] = bool(state["tables"])
        return state

    def publish(self: Any) -> None:
        if holds[0]:
            raise Cut

    with monkeypatch.context() as patched, pytest.raises(Cut):
        patched.setattr(mt.sinks.Sqlite, "prepare", prepared)
        patched.setattr(mt.sinks.Sqlite, "publish", publish)
        play()
    return holds[0]


def test_a_database_goes_on_whichever_of_its_outputs_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(**pipelines: mt.Stream) -> list[Any]:
        database = mt.sinks.Sqlite(tmp_path / "out.db")
        return [mt.output(name, each, sinks=[database]) for name, each in pipelines.items()]

    def table(name: str) -> list[Any]:
        with sqlite3.connect(tmp_path / "out.db") as database:
            return database.execute(f'SELECT window_start, n FROM "{name}" ORDER BY 1').fetchall()

    cut(tmp_path, made(first=MINUTES, second=LONG))
    shown = table("first")
    assert staged_and_died(monkeypatch, lambda: played(tmp_path, made(first=MINUTES, second=LONG)))
    played(tmp_path, made(third=LONG, second=LONG), on_change="warm")
    minutes = [row["n"] for row in mt.collect(MINUTES, TABLE).rows.to_dicts()]
    assert [n for _, n in table("first")] == minutes[: len(shown) + 1]
    want = mt.collect(LONG, TABLE).rows.to_dicts()
    assert [n for _, n in table("second")] == [row["n"] for row in want]
    assert table("third") == table("second")[-len(table("third")) :]


def test_a_table_with_another_key_is_refused_before_anything_changes(tmp_path: Path) -> None:
    def made(pipeline: mt.Stream) -> list[Any]:
        return [mt.output("rows", pipeline, sinks=[mt.sinks.Sqlite(tmp_path / "out.db")])]

    cut(tmp_path, made(MINUTES))
    with pytest.raises(mt.SinkError, match=r'"rows" has the key \["k", "window_start"'):
        played(tmp_path, made(EVENTS.tumbling("1m").agg(n=mt.count())), on_change="warm")
    played(tmp_path, made(MINUTES))


CHANGED = EVENTS.tumbling("1m", by="k").agg(n=mt.count(), most=mt.max("v"))


def test_files_of_other_columns(tmp_path: Path) -> None:
    def made(pipeline: mt.Stream, make: Callable[[], Any]) -> list[Any]:
        return [mt.output("rows", pipeline, sinks=[make()])]

    def changed(name: str, make: Callable[[], Any]) -> None:
        place = tmp_path / name
        place.mkdir()
        cut(place, made(MINUTES, make))
        played(place, made(CHANGED, make), on_change="warm")

    with pytest.raises(mt.SinkError, match=r"it has the columns .*'total'.*'most'"):
        changed("csv", lambda: mt.sinks.Csv(tmp_path / "rows.csv"))
    changed("parquet", lambda: mt.sinks.Parquet(tmp_path / "parts"))
    parts = [pq.read_table(part) for part in sorted((tmp_path / "parts").glob("*.parquet"))]
    assert {tuple(part.column_names[3:]) for part in parts} == {("n", "total"), ("n", "most")}
    changed("sqlite", lambda: mt.sinks.Sqlite(tmp_path / "rows.db"))
    with sqlite3.connect(tmp_path / "rows.db") as database:
        rows = database.execute("SELECT total IS NULL, most IS NULL FROM rows").fetchall()
    assert {(0, 1), (1, 0)} <= set(rows)
    assert sum(part.num_rows for part in parts) == len(rows)
