"""What a run logs of itself: as records with fields, as text, and as JSON lines."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pyarrow as pa
import pytest

import muntin as mt
from muntin.monitor.logs import JsonLog, log_to
from runs import EVENTS, rows_at

PER_MINUTE = EVENTS.tumbling("1m", by="k").agg(n=mt.count())


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture):
    logger = logging.getLogger("muntin")
    before = (list(logger.handlers), logger.level, logger.propagate)
    logger.handlers, logger.propagate = [], True
    caplog.set_level(logging.INFO, "muntin")
    yield lambda: [r for r in caplog.records if hasattr(r, "event")]
    logger.handlers, logger.level, logger.propagate = before


def words(records) -> list[str]:
    return [record.event for record in records]


def test_start_first_late_rows_and_end(events) -> None:
    table = rows_at(0, 200, 1, 2, 300, 3)
    mt.run(mt.sources.Arrow(table, batch_rows=1), PER_MINUTE, name="minutes")
    found = events()
    assert words(found) == ["start", "first_late", "end"]
    start, late, end = found
    assert (start.run, start.sinks) == ("minutes", [])
    assert (late.input, late.operator, late.reason) == ("events", "tumbling#1", "late")
    assert late.position == 2 and late.levelname == "WARNING"
    assert (end.rows_read, end.late, end.invalid) == (6, 3, 0)


def test_the_first_invalid_row_of_each_kind(events, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    rows = ['{"at": "2024-05-01T10:00:00Z", "k": "a"}', '{"at": null}', "not json", "nor this"]
    path.write_text("\n".join([*rows, '{"at": null}', ""]))
    stream = mt.stream("events", time="at", out_of_order="0s",
                       schema={"at": "timestamp[us, UTC]", "k": "str"})  # fmt: skip
    mt.run(mt.sources.JsonLines(path), stream.filter("k = 'a'"))
    found = [record for record in events() if record.event == "first_invalid"]
    assert sorted((record.operator, record.reason) for record in found) == [
        ("decode", "undecodable"), ("input#0", "null_time"),
    ]  # fmt: skip
    torn = next(record for record in found if record.reason == "undecodable")
    assert (Path(torn.file).name, torn.line) == ("events.jsonl", 3)


def test_where_a_run_goes_on_and_why_it_fails(events, tmp_path: Path) -> None:
    def boom(_rows: mt.Table) -> None:
        raise ValueError("boom")

    place = tmp_path / "state"
    mt.run(mt.sources.Arrow(rows_at(0, 10)), PER_MINUTE, checkpoint=place)
    mt.run(mt.sources.Arrow(rows_at(0, 10)), PER_MINUTE, checkpoint=place)
    with pytest.raises(ValueError, match="boom"):
        mt.run(mt.sources.Arrow(rows_at(0, 10)), PER_MINUTE, sinks=mt.sinks.Callback(boom))
    found = events()
    resumed = ["guarantee", "resume", "end"]
    assert words(found) == ["guarantee", "start", "end", *resumed, "start", "fail"]
    assert (found[4].checkpoint, found[4].rows_read) == (1, 2)
    assert "writes nothing" in found[0].getMessage()
    assert (found[-1].levelname, found[-1].error_type) == ("ERROR", "ValueError")


def test_all_of_it_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("muntin")
    before = (list(logger.handlers), logger.level, logger.propagate)
    said = io.StringIO()
    try:
        log_to(said, as_json=True)
        mt.run(mt.sources.Arrow(rows_at(0, 200, 1)), PER_MINUTE, dashboard=":0")
    finally:
        logger.handlers, logger.level, logger.propagate = before
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    events = [line["event"] for line in lines if "event" in line]
    assert events == ["start", "first_late", "end"]
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in lines)
    # the address of the page is a line of the log, too, and nothing else is on standard error
    assert any("dashboard at" in line["message"] for line in lines)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", ["\udcff", 2**70, {1: object()}, float("nan"), b"\xff", None])
def test_any_value_can_be_logged(value: object) -> None:
    record = logging.makeLogRecord({"name": "muntin", "levelname": "INFO", "msg": "m %s",
                                    "args": (value,), "created": 0.0, "extra": value})  # fmt: skip
    assert "extra" in json.loads(JsonLog().format(record))


def test_kinds_are_bounded(events) -> None:
    from muntin.monitor import journal
    from muntin.monitor.journal import Journal
    from muntin.sources import Undecodable

    watcher = Journal(None)
    for i in range(journal.KINDS_MAX + 50):
        watcher.gave(_nothing(), [(f"input {i}", Undecodable(0, i, "f", i, "text", "why"))])
    assert len(events()) == journal.KINDS_MAX


def _nothing() -> mt.Result:
    from muntin.values.table import PerInput

    return mt.Result({}, mt.Table([pa.table({})]), PerInput({}), PerInput({}), dict)
