"""`history=`: the state is filled without results, and live rows come as after one whole run."""

from __future__ import annotations

import datetime as dt
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import muntin as mt
from muntin.sources import Arrow, JsonLines, Parquet, Rows
from runs import EVENTS, MINUTES, START, Cut, CutShort, rows_at

WORDS = {"at": "timestamp[us, UTC]", "k": "str", "v": "i64", "p": "i64"}
SALES = mt.stream("sales", time="at", out_of_order="20s", schema=WORDS)
OUTPUTS = [
    mt.output("minutes", SALES.tumbling("1m", by="k").agg(n=mt.count(), total=mt.sum("v"))),
    mt.output(
        "scored",
        SALES.sliding("2m", by="k").agg(n=mt.count()),
        rules=[mt.rule("many", "n >= 3", by="k", cooldown="3m")],
    ),
    mt.output("sessions", SALES.session("40s", by="k").agg(n=mt.count())),
]


def rows(seconds: list[tuple[int, str, int]]) -> list[dict[str, Any]]:
    return [
        {"at": START + dt.timedelta(seconds=at), "k": k, "v": v, "p": p}
        for v, (at, k, p) in enumerate(seconds)
    ]


def source(rows: list[dict[str, Any]], batch_rows: int = 3) -> Rows:
    return Rows(rows, partition="p", partitions=[0, 1], batch_rows=batch_rows)


class Kept:
    """What the sinks of a run got."""

    def __init__(self, source: Any, outputs: Any = OUTPUTS, **given: Any) -> None:
        self.rows: dict[str, list[Any]] = {each.name: [] for each in outputs}
        self.alerts: list[Any] = []
        self.late: list[Any] = []
        told = [
            mt.output(
                each.name,
                each.pipeline,
                rules=each.rules,
                sinks=[self.sink(self.rows[each.name])],
            )
            for each in outputs
        ]
        self.report = mt.run(
            source, told, alerts=[self.sink(self.alerts)], late=[self.sink(self.late)], **given
        )

    @staticmethod
    def sink(into: list[Any]) -> mt.sinks.Callback:
        return mt.sinks.Callback(lambda table: into.extend(table.to_dicts()))


def without_place(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what tells rows of different sources apart."""
    return [{k: v for k, v in row.items() if k not in ("id", "position")} for row in rows]


EVENT = st.tuples(st.integers(0, 400), st.sampled_from("ab"), st.integers(0, 1))


@given(st.lists(EVENT, max_size=40), st.data())
def test_live_rows_come_as_in_one_run_over_both(
    seconds: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    every = rows(seconds)
    at = data.draw(st.integers(0, len(every)))
    before = mt.operator(OUTPUTS, partitions=(0, 1))
    done = [before.push(each, partition=each[0]["p"]) for each in ([row] for row in every[:at])]
    whole = Kept(source(every))
    found = Kept(source(every[at:]), history=source(every[:at], batch_rows=2))
    for name, kept in whole.rows.items():
        assert found.rows[name] == kept[sum(len(each[name]) for each in done) :]
    alerts = sum(len(each.alerts) for each in done)
    assert without_place(found.alerts) == without_place(whole.alerts[alerts:])
    late = sum(len(each.late) for each in done)
    assert without_place(found.late) == without_place(whole.late[late:])
    report = found.report
    assert report.filled == {"sales": at} and report.sources == {"sales": len(every) - at}
    assert report.outputs == {name: len(kept) for name, kept in found.rows.items()}
    assert report.alerts.get("many", 0) == len(found.alerts)


def test_two_inputs_are_filled_in_the_order_of_their_times() -> None:
    a, b = (mt.stream(name, time="at", out_of_order="20s", schema=WORDS) for name in "ab")
    both = mt.union(a, b, tag="of").tumbling("1m", by="of").agg(n=mt.count())
    early, later = (
        rows([(s, "x", 0) for s in range(0, 100, 7)]),
        rows([(s, "x", 0) for s in range(100, 300, 7)]),
    )
    history = {"a": Rows(early), "b": Rows(early)}
    found = Kept({"a": Rows(later), "b": Rows(later)}, [mt.output("n", both)], history=history)
    whole = Kept(dict.fromkeys("ab", Rows(early + later)), [mt.output("n", both)])
    assert found.rows["n"] == whole.rows["n"][2:] and len(found.rows["n"]) > 2
    assert found.report.filled == {"a": len(early), "b": len(early)}


PAST, LIVE = rows_at(*range(0, 100, 5)), rows_at(*range(100, 300, 5))


def job(folder: Path, source: Any, history: Any, **given: Any) -> mt.Report:
    given.setdefault("checkpoint", mt.Checkpoint(folder / "state", every="0s"))
    sinks = [mt.sinks.JsonLines(folder / "out.jsonl")]
    return mt.run(source, MINUTES, history=history, sinks=sinks, **given)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("undisturbed")
    job(folder, Arrow(LIVE), Arrow(PAST), checkpoint=None)
    text = (folder / "out.jsonl").read_text()
    assert '"n":12' in text and text.count("\n") == 4  # the second minute has rows of both
    return text


@pytest.mark.parametrize("polls", range(8))
def test_a_run_that_breaks_while_it_fills_begins_again(
    tmp_path: Path, polls: int, undisturbed: str
) -> None:
    with pytest.raises(Cut):
        job(tmp_path, Arrow(LIVE), CutShort(PAST, polls))
    assert (tmp_path / "out.jsonl").read_text() == ""
    assert job(tmp_path, Arrow(LIVE), Arrow(PAST)).filled == {"events": 20}
    assert (tmp_path / "out.jsonl").read_text() == undisturbed


@pytest.mark.parametrize("polls", [0, 1, 5, 13])
def test_a_run_that_breaks_later_is_not_filled_again(
    tmp_path: Path, polls: int, undisturbed: str
) -> None:
    with pytest.raises(Cut):
        job(tmp_path, CutShort(LIVE, polls), Arrow(PAST))
    report = job(tmp_path, CutShort(LIVE, 99), CutShort(PAST, 0))
    assert (report.filled, report.rows) == ({"events": 20}, 40)
    assert (tmp_path / "out.jsonl").read_text() == undisturbed


PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_history as t
from muntin.sources import Arrow

class Killed(Arrow):
    def open(self, schema, positions):
        reader = super().open(schema, positions)
        left, poll = [{polls}], reader.poll
        def counted():
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return poll()
        reader.poll = counted
        return reader

kind = Killed if {past} else Arrow
live = Arrow if {past} else Killed
t.job(Path({folder!r}), live(t.LIVE, batch_rows=3), kind(t.PAST, batch_rows=3))
"""


@pytest.mark.parametrize(("past", "polls"), [(True, 4), (False, 4)])
def test_killed_while_it_fills_and_later(
    tmp_path: Path, past: bool, polls: int, undisturbed: str
) -> None:
    tests = str(Path(__file__).parent)
    text = PROGRAM.format(tests=tests, polls=polls, past=past, folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", text], env=os.environ, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    report = job(tmp_path, Arrow(LIVE), Arrow(PAST) if past else CutShort(PAST, 0))
    assert report.filled == {"events": 20}
    assert (tmp_path / "out.jsonl").read_text() == undisturbed


def test_a_stop_while_it_fills_saves_nothing(tmp_path: Path, undisturbed: str) -> None:
    class Stopping(Arrow):
        def open(self, schema: Any, positions: Any) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            return super().open(schema, positions)

    report = job(tmp_path, Arrow(LIVE), Stopping(PAST))
    assert report.stopped and report.saved is None
    job(tmp_path, Arrow(LIVE), Arrow(PAST))
    assert (tmp_path / "out.jsonl").read_text() == undisturbed


class Begins(Arrow):
    """A live source that begins at a time."""

    def __init__(self, table: Any, begins_at: int | None, **given: Any) -> None:
        super().__init__(table, **given)
        self.begins_at = begins_at

    def begins(self) -> Mapping[int, int]:
        return {0: 0}

    def before(self, history: Any, begins: Any) -> None:
        return None


@pytest.mark.parametrize("arrival", ["at", None])
@pytest.mark.parametrize("cut", [-5, 50, 97, 100, 130, 400])
def test_a_history_ends_where_the_live_source_begins_in_time(
    tmp_path: Path, arrival: str | None, cut: int
) -> None:
    """Both hold rows of the same minutes; each row counts once."""
    every = rows_at(*range(0, 300, 5))
    pq.write_table(every.slice(0, 40), tmp_path / "past.parquet")
    live = every.slice(20)
    at = int((START + dt.timedelta(seconds=cut)).timestamp() * 1e6)
    past = Parquet(tmp_path / "past.parquet", arrival=arrival)
    found = Kept(
        Begins(live, at, arrival=arrival),
        [mt.output("n", MINUTES)],
        history=past,
        checkpoint=tmp_path / "state",
    )
    counts = [row["n"] for row in found.rows["n"]]
    # from second 100 on both have each row, before it only the history has them
    taken = [s for s in range(0, 200, 5) if s < cut] + [s for s in range(100, 300, 5) if s >= cut]
    if not found.report.filled["events"]:
        taken = list(range(100, 300, 5))
    per_minute = [len([s for s in taken if s // 60 == m]) for m in range(5)]
    closed = len([m for m in range(5) if any(s >= (m + 1) * 60 + 5 for s in taken if s < cut)])
    assert counts == [n for n in per_minute[closed:] if n]


def test_after_a_restart_rows_before_the_cut_are_still_left_out(tmp_path: Path) -> None:
    every = rows_at(*range(0, 300, 5))
    at = int((START + dt.timedelta(seconds=100)).timestamp() * 1e6)
    got: list[int] = []
    sinks = [mt.sinks.Callback(lambda table: got.extend(table["n"].to_pylist()))]
    given: dict[str, Any] = {"sinks": sinks, "checkpoint": mt.Checkpoint(tmp_path, every="0s")}

    class Broken(Begins, CutShort):
        pass

    broken = Broken(every, at, polls=4)
    with pytest.raises(Cut):
        mt.run(broken, MINUTES, history=Arrow(every), **given)
    report = mt.run(Begins(every, at), MINUTES, history=CutShort(every, 0), **given)
    assert got == [12, 12, 12, 12] and report.filled == {"events": 20}


def test_records_of_the_history_are_counted_and_told_only_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "muntin.run")
    past = rows([(100, "a", 0), (0, "a", 0)])
    past.append({**past[0], "at": None})
    found = Kept(source(rows([(200, "a", 0)])), history=source(past))
    report = found.report
    assert (report.late, report.invalid, found.late) == (0, 0, [])
    text = "filled with 3 rows of history; not reported: 3 late, 1 invalid"
    assert [r.levelno for r in caplog.records if text in r.message] == [logging.WARNING]
    assert "history   sales 3" in repr(report)


def test_watchers_see_how_far_the_filling_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muntin.loop.status._SEND_S", -1.0)
    seen: list[tuple[bool, int, int]] = []
    scenes: list[Any] = []

    class Watcher:
        def begin(self, scene: Any) -> None:
            scenes.append(scene)

        def gave(self, result: Any, undecodable: Any) -> None:
            assert len(seen) >= 2

        def moment(self, moment: Any) -> None:
            rows = sum(moment.sources.values())
            seen.append((moment.filling, sum(moment.filled.values()), rows))

        def end(self, error: Any) -> None:
            pass

        close = end

    past = Arrow(PAST, batch_rows=10)
    mt.run(Arrow(LIVE), MINUTES, history=past, dashboard=Watcher())
    assert seen[:3] == [(True, 10, 0), (True, 20, 0), (True, 20, 0)]
    assert seen[-1] == (False, 20, 40)
    assert (scenes[0].history, scenes[0].total) == (20, 40)


def test_partitions_of_the_source_join_where_the_history_has_ended() -> None:
    """History of one partition, then two: the second begins at the present clock."""
    got: list[int] = []
    sinks = [mt.sinks.Callback(lambda table: got.extend(table["n"].to_pylist()))]
    live = rows([(130, "a", 0), (130, "a", 1), (200, "a", 0), (200, "a", 1)])
    past = Rows([{k: row[k] for k in WORDS} for row in rows([(s, "a", 0) for s in (0, 10, 100)])])
    mt.run(source(live), OUTPUTS[0].pipeline, history=past, sinks=sinks)
    assert got == [1, 2, 2]


class Parted(Rows):
    """A source whose partitions follow from the keys."""

    partitioned_by = ("k",)

    def partition_count(self) -> int:
        return 2


@pytest.mark.parametrize("parted", [True, False])
def test_each_partition_with_a_state_of_its_own_is_filled(parted: bool) -> None:
    live = rows([(30, "a", 0), (31, "b", 1), (90, "a", 0)])
    past = rows([(0, "a", 0), (1, "b", 1)])
    history = source(past) if parted else Rows(past)
    got: list[Any] = []
    sinks = [
        mt.sinks.Callback(lambda table: got.extend((r["k"], r["n"]) for r in table.to_dicts()))
    ]
    read = Parted(live, partition="p", partitions=[0, 1])
    if parted:
        mt.run(read, OUTPUTS[0].pipeline, history=history, sinks=sinks)
        assert got == [("a", 2), ("a", 1), ("b", 2)]
    else:
        with pytest.raises(mt.PlanError, match="but the history has one partition"):
            mt.run(read, OUTPUTS[0].pipeline, history=history, sinks=sinks)


PATH = "never/there.parquet"
ROWS = [{"at": START, "k": "a", "v": 1}]
SAME = Arrow(PAST)
BOTH = mt.union(EVENTS, mt.stream("more", time="at", out_of_order="0s", schema=WORDS), tag="of")


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"history": {"event": SAME}}, mt.PlanError, 'history: unknown input "event"'),
        ({"history": 5}, mt.SourceError, "a int is not a source"),
        ({"history": PATH}, mt.SourceError, f'the path "{PATH}" is not a source'),
        ({"history": "earliest"}, mt.SourceError, 'the path "earliest" is not a source'),
        ({"history": START}, mt.SourceError, "a datetime is not a source"),
        ({"source": SAME, "history": SAME}, mt.PlanError, "the history is the source itself"),
        (
            {"source": JsonLines("a.jsonl"), "history": JsonLines("a.jsonl")},
            mt.PlanError,
            "its rows count twice",
        ),
        (
            {"history": Rows([{**ROWS[0], "p": 7}], partition="p")},
            mt.PlanError,
            "the history has partition 7, the source has not",
        ),
        (
            {"history": Arrow(PAST, arrival="at", speed=1.0)},
            mt.SourceError,
            "a history with speed=",
        ),
        (
            {"history": iter(ROWS), "checkpoint": "state"},
            mt.SourceError,
            "can be read only once",
        ),
        (
            {"source": {"events": SAME, "more": SAME}, "pipeline": BOTH, "history": Arrow(PAST)},
            mt.PlanError,
            "history= for which of",
        ),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    error: type[Exception],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = {"source": Arrow(LIVE), "pipeline": MINUTES, **given}
    with pytest.raises(error) as refused:
        mt.run(asked.pop("source"), asked.pop("pipeline"), **asked)
    assert said in str(refused.value)


def test_a_checkpoint_without_history_is_continued_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job(tmp_path, Arrow(PAST), None, once=True)
    job(tmp_path, Arrow(PAST), CutShort(PAST, 0), once=True)
    assert "history= is not read" in caplog.text


def test_a_sink_does_not_write_what_the_history_reads(tmp_path: Path) -> None:
    pq.write_table(PAST, tmp_path / "past.parquet")
    past = Parquet(tmp_path)
    with pytest.raises(mt.SinkError, match="the run would read its own output"):
        mt.run(Arrow(LIVE), MINUTES, history=past, sinks=[mt.sinks.Parquet(tmp_path)])


def test_a_history_that_grows_is_read_as_far_as_it_is_now(tmp_path: Path) -> None:
    past = Rows(PAST.to_pylist(), live=True)
    assert mt.run(Arrow(LIVE), MINUTES, history=past).filled == {"events": 20}
