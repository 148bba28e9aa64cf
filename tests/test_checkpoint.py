"""Checkpoints: what is kept, what is refused, and what a run does with it."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.base import limits
from muntin.checkpoint import Directory, Keeper, Where
from muntin.checkpoint.manifest import Counts
from muntin.engine.operator import assembled, snapshot_contents
from muntin.loop.loop import Loop
from muntin.loop.routes import Destinations, Routes
from muntin.loop.saver import Saving
from muntin.monitor.moment import Scene
from muntin.sources import Delivery, Quiet
from runs import EVENTS, MINUTES, WORDS, Cut, CutShort, Script, rows_at

NEW_ROWS = (
    r"has new rows, but the run had already ended\nhint: .* checkpoint, or keep the input open"
)
WHERE = Where("test", {}, Counts(), False)


def no_sinks() -> dict[str, dict[str, Any]]:
    return {}


class Kept:
    """A durable sink in memory: what is visible, and what waits for it."""

    when = None

    def __init__(self, visible: list[dict[str, Any]]) -> None:
        self.visible = visible
        self.staged: list[dict[str, Any]] = []

    def open(self, output: str, key: Any) -> None:
        pass

    def restore(self, state: dict[str, Any] | None) -> None:
        del self.visible[0 if state is None else state["shown"] :]
        self.visible += [] if state is None else json.loads(state["next"])

    def stage(self, output: str, rows: mt.Table) -> None:
        self.staged += [
            {**row, "window_start": None, "window_end": None} for row in rows.to_dicts()
        ]

    def prepare(self) -> dict[str, Any]:
        return {"shown": len(self.visible), "next": json.dumps(self.staged)}

    def publish(self) -> None:
        self.visible += self.staged
        self.staged = []

    def close(self) -> None:
        pass


TABLE = rows_at(*range(0, 1000, 7), 3, *range(1000, 1500, 11))


def played(source: Any, directory: Path, visible: list[Any], **more: Any) -> mt.Report:
    checkpoint = mt.Checkpoint(directory, every="0s")
    return mt.run(source, MINUTES, sinks=[Kept(visible)], checkpoint=checkpoint, **more)


@pytest.mark.parametrize("polls", [0, 1, 2, 7, 30])
def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path, polls: int) -> None:
    whole: list[Any] = []
    report = played(mt.sources.Arrow(TABLE, batch_rows=3), tmp_path / "whole", whole)
    visible: list[Any] = []
    cuts = 0
    while True:
        try:
            last = played(CutShort(TABLE, polls + cuts), tmp_path / "cut", visible)
            break
        except Cut:
            cuts += 1
    assert cuts > 0
    assert visible == whole
    counted = ("sources", "outputs", "late", "invalid", "operators")
    assert [getattr(last, word) for word in counted] == [getattr(report, word) for word in counted]


def test_a_run_that_had_ended_ends_again_and_takes_no_new_rows(tmp_path: Path) -> None:
    visible: list[Any] = []
    first = played(mt.sources.Arrow(TABLE), tmp_path, visible)
    shown = list(visible)
    again = played(mt.sources.Arrow(TABLE), tmp_path, visible)
    assert visible == shown
    assert (again.rows, again.outputs) == (first.rows, first.outputs)
    assert (first.stopped, again.stopped) == (False, False)
    with pytest.raises(mt.SourceError, match=NEW_ROWS):
        played(mt.sources.Arrow(pa.concat_tables([TABLE, TABLE])), tmp_path, visible)


def test_another_pipeline_or_source_is_refused(tmp_path: Path) -> None:
    visible: list[Any] = []
    with pytest.raises(Cut):
        played(CutShort(TABLE, 4), tmp_path, visible)
    other = EVENTS.tumbling("2m", by="k").agg(n=mt.count())
    with pytest.raises(mt.SnapshotError, match="another pipeline"):
        mt.run(CutShort(TABLE, 4), other, checkpoint=tmp_path)
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"at": "2024-05-01T10:00:00Z", "k": "a", "v": 1}\n')
    with pytest.raises(
        mt.SourceError,
        match="the checkpoint was taken while reading 'Arrow', but the source now has",
    ):
        played(mt.sources.JsonLines(lines), tmp_path, visible)


def test_two_runs_do_not_share_a_checkpoint(tmp_path: Path) -> None:
    store = Directory(tmp_path)
    store.open()
    with pytest.raises(mt.SnapshotError, match="is in use by another run"):
        played(mt.sources.Arrow(TABLE), tmp_path, [])
    store.close()
    played(mt.sources.Arrow(TABLE), tmp_path, [])


def filled(directory: Path, steps: int = 6) -> mt.Operator:
    """A store after some checkpoints of a pipeline with many keys."""
    store, op = Directory(directory), mt.operator(EVENTS.sliding("1h", by="k").agg(n=mt.count()))
    store.open()
    keeper = Keeper(store)
    assert keeper.recover() is None
    for i in range(steps):
        keys = pa.array([str(n) for n in range(i * 10, i * 10 + 100 - 99 * (i > 0))])
        table = pa.table({"at": rows_at(*range(len(keys)))["at"], "k": keys, "v": range(len(keys))})
        op.push(table)
        saved = keeper.commit(op, WHERE, no_sinks)
        assert saved.number == i + 1
    store.close()
    return op


def recovered(directory: Path) -> Any:
    store = Directory(directory)
    store.open()
    try:
        return Keeper(store).recover()
    finally:
        store.close()


def test_a_checkpoint_holds_only_what_changed_and_two_are_kept(tmp_path: Path) -> None:
    op = filled(tmp_path)
    names = sorted(os.listdir(tmp_path))
    assert [n for n in names if n.startswith("checkpoint")] == [
        "checkpoint-00000005.json",
        "checkpoint-00000006.json",
    ]
    sizes = {n: os.path.getsize(tmp_path / n) for n in names if n.startswith("state")}
    assert sizes["state-00000006.muntin"] * 5 < sizes["state-00000001.muntin"]
    restored = recovered(tmp_path)
    assert restored.manifest.number == 6
    again = mt.operator(EVENTS.sliding("1h", by="k").agg(n=mt.count()), snapshot=restored.snapshot)
    assert again.stats["operators"] == op.stats["operators"]


KEYS = 20_000
MANY = {
    "tumbling": EVENTS.tumbling("1d", by="k").agg(n=mt.count()),
    "tumbling, revised": EVENTS.tumbling("1d", by="k", allowed_lateness="1h").agg(n=mt.count()),
    "hopping": EVENTS.hopping("1d", every="6h", by="k").agg(n=mt.count()),
    "hopping, changed": EVENTS.hopping("1d", every="6h", by="k", emit="changed").agg(n=mt.count()),
    "each": EVENTS.tumbling("1d", by="k", emit="each").agg(n=mt.count()),
    "session": EVENTS.session("1d", by="k").agg(n=mt.count()),
    "sliding": EVENTS.sliding("1d", by="k").agg(n=mt.count()),
    "silent": EVENTS.silent("1d", by="k"),
}


@pytest.mark.parametrize("verb", MANY)
def test_after_one_more_row_a_part_is_small(verb: str) -> None:
    """One key of many has changed: its range is written again, not all of them."""

    def rows(seconds: list[int], keys: list[str]) -> pa.Table:
        return pa.table({"at": rows_at(*seconds)["at"], "k": keys, "v": [1] * len(keys)})

    pipeline = MANY[verb]
    op, twin = mt.operator(pipeline), mt.operator(pipeline)
    first = rows([n // 100 for n in range(KEYS)], [f"k{n}" for n in range(KEYS)])
    for each in (op, twin):
        each.push(first)
    whole = op.snapshot()
    seen = snapshot_contents(whole)
    names = [name for name, _, _ in seen["chunks"]]
    more = rows([KEYS // 100 + 1], ["k7"])
    for each in (op, twin):
        each.push(more)
    part = op.changes(seen["manifest"]["epoch"], names)
    assert len(part) * 10 < len(whole)
    again = mt.operator(pipeline, snapshot=assembled([whole, part]))
    later = rows([90_000, 200_000, 200_001], ["k7", "k7", "other"])
    for twins in ([each.push(later) for each in (again, twin)], [again.finish(), twin.finish()]):
        restored, untouched = (pa.table(result.rows) for result in twins)
        assert restored.equals(untouched)


def damage_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one bit": damage_bit,
    "cut": lambda data: data[: len(data) - 9],
    "empty": lambda data: b"",
    "appended": lambda data: data + b"x",
}


@pytest.mark.parametrize("what", ["checkpoint-00000006.json", "state-00000006.muntin"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_the_one_before_stands_in_for_a_damaged_one(
    tmp_path: Path, what: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path)
    file = tmp_path / what
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert recovered(tmp_path).manifest.number == 5
    assert f'"{what}"' in caplog.text


def test_a_foreign_or_missing_part_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path / "a")
    filled(tmp_path / "b", 7)
    part = "state-00000006.muntin"
    (tmp_path / "a" / part).write_bytes((tmp_path / "b" / "state-00000007.muntin").read_bytes())
    assert recovered(tmp_path / "a").manifest.number == 5
    assert f'"{part}" is not the file that' in caplog.text
    # the newest two share no file: one that is missing takes one of them
    os.remove(tmp_path / "b" / "state-00000001.muntin")
    assert recovered(tmp_path / "b").manifest.number == 6
    assert '"state-00000001.muntin" is missing' in caplog.text
    os.remove(tmp_path / "b" / "state-00000002.muntin")
    with pytest.raises(mt.SnapshotError, match=r'"state-00000001\.muntin" is missing') as raised:
        recovered(tmp_path / "b")
    assert "hint: to start from the beginning" in str(raised.value)


def test_many_rows_that_wait_bring_the_next_checkpoint_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else they pile up until `every` has passed."""
    monkeypatch.setattr(limits, "STAGED_ROWS_MAX", 5)
    waiting: list[int] = []

    class Counted(Kept):
        def stage(self, output: str, rows: mt.Table) -> None:
            super().stage(output, rows)
            waiting.append(len(self.staged))

    checkpoint = mt.Checkpoint(tmp_path, every="1h")
    scored = EVENTS.select("v")
    source = mt.sources.Arrow(TABLE, batch_rows=3)
    mt.run(source, scored, sinks=[Counted([])], checkpoint=checkpoint)
    assert max(waiting) == 6


class Full(Directory):
    """A directory on a disk that is full for some writes."""

    def __init__(self, path: Path, failing: set[int]) -> None:
        super().__init__(path)
        self.failing, self.puts = failing, 0

    def put(self, place: str, data: bytes) -> None:
        self.puts += 1
        if self.puts in self.failing:
            Path(place).write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", place)
        super().put(place, data)


def test_a_full_disk_is_survived_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole: list[Any] = []
    played(mt.sources.Arrow(TABLE, batch_rows=3), tmp_path / "whole", whole)
    visible: list[Any] = []
    caplog.set_level(logging.INFO, "muntin")
    store = Full(tmp_path / "full", {3, 8, 9})
    played(mt.sources.Arrow(TABLE, batch_rows=3), store, visible)  # type: ignore[arg-type]
    assert visible == whole
    assert caplog.text.count("No space left on device") == 3
    assert caplog.text.count("checkpoints are written again") == 2
    left = [n for n in os.listdir(store.path) if "tmp" in n]
    assert left == []


@pytest.mark.parametrize("failing", [set(range(9, 40)), {10}])
def test_a_disk_that_stays_full_ends_the_run_and_nothing_is_lost(
    tmp_path: Path, failing: set[int]
) -> None:
    whole: list[Any] = []
    played(mt.sources.Arrow(TABLE, batch_rows=3), tmp_path / "whole", whole)
    visible: list[Any] = []
    store: Any = Full(tmp_path / "full", failing)
    with pytest.raises(mt.SnapshotError, match="No space left on device"):
        played(mt.sources.Arrow(TABLE, batch_rows=3), store, visible)
    assert len(visible) < len(whole)
    played(mt.sources.Arrow(TABLE, batch_rows=3), tmp_path / "full", visible)
    assert visible == whole


def test_what_a_run_logs_of_sinks_that_repeat(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    seen: list[mt.Table] = []
    sink = mt.sinks.Callback(seen.append)
    mt.run(mt.sources.Arrow(TABLE), MINUTES, sinks=[sink], checkpoint=tmp_path)
    assert "sink rows/rows/0/Callback delivers at least once" in caplog.text


def test_what_a_checkpoint_cannot_do_is_said_before_the_run() -> None:
    word: Any = "warmer"
    with pytest.raises(mt.PlanError, match='on_change: "warmer" is not one of refuse'):
        mt.Checkpoint("state", on_change=word)


# ── verdicts of the clock ───────────────────────────────────────────────────────────────────────


def quiet_run(
    directory: Path, visible: list[Any], *told: Any, every: float
) -> tuple[mt.Report | None, list[float]]:
    """A run on a clock of its own, which may break; each poll takes ten seconds."""
    events = mt.stream("events", time="at", out_of_order="0s", idle_after="30s", schema=WORDS)
    op_of = partial(mt.operator, events.tumbling("1m").agg(n=mt.count()), partitions=(0, 1))
    store, clock = Directory(directory), [0.0]
    store.open()
    try:
        keeper = Keeper(store)
        restored = keeper.recover()
        op = op_of(snapshot=restored.snapshot if restored else None)
        routes = Routes(Destinations({"rows": [Kept(visible)]}, (), (), ()), op.upsert_keys)
        scene = Scene("test", op.plan, op.facts, [], {}, {}, [], 0.0, None)
        source = Script(*told, clock=clock, each=10.0)
        saving = Saving(keeper, every, restored)
        loop = Loop(op, {"events": source}, routes, scene, saving=saving, clock=lambda: clock[0])
        return loop.run(), clock
    except Cut:
        return None, clock
    finally:
        store.close()


@pytest.mark.parametrize(("every", "shown"), [(0.0, [2]), (1e6, [])])
def test_what_follows_from_a_verdict_is_shown_after_the_checkpoint_that_holds_it(
    tmp_path: Path, every: float, shown: list[int]
) -> None:
    visible: list[Any] = []
    rows = Delivery(rows_at(0, 50), {0: 2}, 0, 0)
    quiet = [Quiet((0, 1))] * 8
    quiet_run(tmp_path, visible, rows, *quiet, Cut(), every=every)
    assert [row["n"] for row in visible] == shown
    # by the verdict 0:55 is late where it was shown, and counts where nothing had been
    begun = [Delivery(rows_at(55), {0: 3}, 0, 2)] if shown else [rows, *quiet]
    report, _ = quiet_run(tmp_path, visible, *begun, every=every)
    assert report is not None and report.late == len(shown)
    assert [row["n"] for row in visible] == [2]


@pytest.mark.parametrize("ended", [True, False])
def test_a_sink_may_be_taken_away_after_a_run_that_was_not_cut_short(
    tmp_path: Path, ended: bool
) -> None:
    visible: list[Any] = []
    kept, file = Kept(visible), mt.sinks.JsonLines(tmp_path / "rows.jsonl")
    state = tmp_path / "state"
    mt.run(
        mt.sources.Arrow(TABLE, batch_rows=10),
        MINUTES,
        sinks=[kept, file],
        checkpoint=mt.Checkpoint(state, every="1h"),
        once=not ended,
    )
    seen = Keeper(Directory(state)).look()
    assert seen is not None and visible
    assert (seen.manifest.staged, seen.manifest.ended) == ({}, ended)
    mt.run(mt.sources.Arrow(TABLE), MINUTES, sinks=[Kept(visible)], checkpoint=state)
