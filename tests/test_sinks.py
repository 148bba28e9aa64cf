"""Sinks and the loop that feeds them: rows, alerts by route, late and invalid records."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.sources import Arrow

START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
WORDS = {"at": "timestamp[us, UTC]", "k": "str", "v": "i64"}
ROWS = pa.table(
    {
        "at": [START + dt.timedelta(seconds=s) for s in (0, 10, 70, 30, 200)],
        "k": ["a", "b", "a", "a", "b"],
        "v": [1, 2, 3, 4, 5],
    },
    pa.schema([("at", pa.timestamp("us", "UTC")), ("k", pa.string()), ("v", pa.int64())]),
)
EVENTS = mt.stream("events", time="at", out_of_order="0s", schema=WORDS)
MINUTES = EVENTS.tumbling("1m", by="k").agg(n=mt.count(), total=mt.sum("v"))
RULES = [
    mt.rule("high", "total >= 3", severity="critical", message="{k}: {total}"),
    mt.rule("any", "n >= 1", severity="info", message="{k} is there"),
    mt.rule("quiet", "n >= 1", shadow=True),
]


class Kept:
    """A sink that keeps everything and how it was treated."""

    def __init__(self, when: Any = None) -> None:
        self.when = when
        self.opened: dict[str, tuple[str, ...]] = {}
        self.staged: list[tuple[str, mt.Table]] = []
        self.published: list[dict[str, Any]] = []
        self.closed = 0

    def open(self, output: str, key: Any) -> None:
        self.opened[output] = tuple(key)

    def stage(self, output: str, rows: mt.Table) -> None:
        assert len(rows)
        self.staged.append((output, rows))

    def publish(self) -> None:
        self.published += [row for _, rows in self.staged for row in rows.to_dicts()]
        self.staged = []

    def close(self) -> None:
        self.closed += 1


def test_rows_late_records_and_keys_reach_their_sinks() -> None:
    rows, late, invalid = Kept(), Kept(), Kept()
    report = mt.run(Arrow(ROWS), MINUTES, sinks=[rows], late=[late], invalid=[invalid], name="t")
    assert sorted((r["window_start"], r["k"], r["n"], r["total"]) for r in rows.published) == [
        (START, "a", 1, 1),
        (START, "b", 1, 2),
        (START + dt.timedelta(minutes=1), "a", 1, 3),
        (START + dt.timedelta(minutes=3), "b", 1, 5),
    ]
    assert rows.opened == {"rows": ("k", "window_start", "window_end")}
    assert [(r["reason"], r["v"], r["position"]) for r in late.published] == [("late", 4, 3)]
    assert invalid.published == []
    assert (rows.closed, late.closed, invalid.closed) == (1, 1, 1)
    assert (report.rows, report.outputs, report.late) == (5, {"rows": 4}, 1)
    assert repr(report).startswith("run t\nrows      5 in ")


def test_alerts_are_routed_by_their_columns() -> None:
    every, critical, shadow = Kept(), Kept("severity = 'critical'"), Kept(mt.col("shadow"))
    report = mt.run(Arrow(ROWS), MINUTES, rules=RULES, alerts=[every, critical, shadow])
    assert [r["rule"] for r in every.published] == ["any", "any", "high", "any", "high", "any"]
    assert [r["message"] for r in critical.published] == ["a: 3", "b: 5"]
    assert {r["rule"] for r in shadow.published} == {"quiet"}
    assert report.alerts == {"high": 2, "any": 4, "quiet": 4}
    assert every.opened == {"alerts": ("id",)}


def test_a_sink_may_stand_in_several_places() -> None:
    sink = Kept()
    outputs = [mt.output("a", MINUTES, sinks=[sink]), mt.output("b", EVENTS.filter("v > 3"))]
    mt.run(Arrow(ROWS), outputs, sinks=[sink])
    assert set(sink.opened) == {"a", "b"}
    assert sink.closed == 1


def test_what_is_no_sink_is_refused_before_anything_runs() -> None:
    opened = Kept()
    with pytest.raises(mt.SinkError, match="is not a sink"):
        mt.run(Arrow(ROWS), MINUTES, sinks=[opened, print])  # type: ignore[list-item]
    with pytest.raises(mt.SinkError, match="when= is for sinks in alerts="):
        mt.run(Arrow(ROWS), MINUTES, sinks=[Kept("n > 1")])
    with pytest.raises(mt.ColumnError, match='unknown column "sevrity"\nhint: did you mean'):
        mt.run(Arrow(ROWS), MINUTES, alerts=[Kept("sevrity = 'x'")])
    assert opened.opened == {}


@pytest.mark.parametrize("word", ["state_dir"])
def test_parameters_that_are_not_there_yet_say_so(word: str) -> None:
    with pytest.raises(mt.PlanError, match=f"run: {word}= is not there yet"):
        mt.run(Arrow(ROWS), MINUTES, **{word: "x"})


def test_sources_and_inputs_must_fit() -> None:
    with pytest.raises(mt.PlanError, match='unknown input "event"\nhint: did you mean "events"'):
        mt.run({"event": Arrow(ROWS)}, MINUTES)
    with pytest.raises(mt.SourceError, match="is not a source"):
        mt.run(5, MINUTES)
    other = mt.stream("other", time="at", out_of_order="0s", schema=WORDS)
    both = mt.union(EVENTS, other)
    with pytest.raises(mt.PlanError, match="a source is needed for each"):
        mt.run(Arrow(ROWS), both)
    with pytest.raises(mt.PlanError, match=r"no source for the inputs \['other'\]"):
        mt.run({"events": Arrow(ROWS)}, both)


def test_several_sources_are_merged_by_time() -> None:
    other = mt.stream("other", time="at", out_of_order="0s", schema=WORDS)
    both = mt.union(EVENTS, other, tag="of").tumbling("1m", by="of").agg(n=mt.count())
    rows, late = Kept(), Kept()
    ordered = ROWS.take([0, 1, 3, 2, 4])
    sources = {"events": Arrow(ordered, batch_rows=2), "other": Arrow(ordered, batch_rows=3)}
    mt.run(sources, both, sinks=[rows], late=[late])
    assert late.published == []
    result = mt.collect(both, {"events": ROWS, "other": ROWS})
    assert rows.published == result.rows.to_dicts()


def test_json_lines_hold_rows_as_plain_values(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    mt.run(Arrow(ROWS), MINUTES, sinks=[mt.sinks.JsonLines(path)])
    first, *rest = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["window_start"] == "2024-05-01T10:00:00Z"
    assert (first["n"], len(rest)) == (1, 3)
    mt.run(Arrow(ROWS), MINUTES, sinks=[mt.sinks.JsonLines(path, mode="append")])
    assert len(path.read_text().splitlines()) == 8
    mt.run(Arrow(ROWS), MINUTES, sinks=[mt.sinks.JsonLines(path, mode="overwrite")])
    assert len(path.read_text().splitlines()) == 4


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    sink = mt.sinks.JsonLines(tmp_path / "none" / "rows.jsonl")
    with pytest.raises(mt.SinkError, match=r"rows\.jsonl.*cannot be written"):
        mt.run(Arrow(ROWS), MINUTES, sinks=[sink])


def test_the_console_prints_rows_up_to_its_limit_and_alerts_as_lines() -> None:
    rows, alerts = io.StringIO(), io.StringIO()
    mt.run(
        Arrow(ROWS, batch_rows=1),
        MINUTES,
        rules=RULES[:1],
        sinks=[mt.sinks.Console(limit=3, stream=rows)],
        alerts=[mt.sinks.Console(stream=alerts)],
    )
    printed = rows.getvalue().splitlines()
    assert sum(line.startswith("rows: ") for line in printed) == 2
    assert sum(line.startswith(("a ", "b ")) for line in printed) == 3
    assert alerts.getvalue().splitlines() == [
        "2024-05-01T10:01:59.999999Z critical high: a: 3",
        "2024-05-01T10:03:59.999999Z critical high: b: 5",
    ]


def test_what_a_callback_raises_ends_the_run_and_closes_the_sinks() -> None:
    kept = Kept()

    def fail(rows: mt.Table) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        mt.run(Arrow(ROWS), MINUTES, sinks=[kept, mt.sinks.Callback(fail)])
    assert kept.closed == 1


@pytest.mark.parametrize(
    ("pipeline", "key"),
    [
        (MINUTES.filter("n > 0"), ("k", "window_start", "window_end")),
        (MINUTES.select("k", "window_start", "n"), ()),
        (MINUTES.with_columns(k="k"), ()),
        (EVENTS, ()),
        (EVENTS.sliding("1m", by="k").agg(n=mt.count()), ()),
        (EVENTS.silent("1m", by="k"), ("k", "window_start", "window_end")),
    ],
    ids=repr,
)
def test_the_upsert_key_is_the_windows(pipeline: mt.Stream, key: tuple[str, ...]) -> None:
    assert mt.operator(pipeline).upsert_keys == {"rows": key}
