"""`muntin inspect`: what is inside a checkpoint and a snapshot, for people and for machines."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

import muntin as mt
from muntin.commands.app import app
from muntin.monitor.logs import log_to
from runs import EVENTS, rows_at

LOGGER = logging.getLogger("muntin")
LATEST = mt.rule("late_riser", "n_1m >= 2", by="k", cooldown="1m")
SCORED = EVENTS.sliding(["1m", "1h"], by="k").agg(n=mt.count())


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    source = mt.sources.Arrow(rows_at(0, 10, 80), batch_rows=2)
    sink = mt.sinks.JsonLines(tmp_path / "rows.jsonl")
    place = tmp_path / "state"
    mt.run(source, SCORED, rules=[LATEST], sinks=[sink], checkpoint=place, name="risers")
    return place


def told(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["inspect", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_checkpoint_is_shown_as_tables(checkpoint: Path) -> None:
    text = told(checkpoint)
    assert "output rows" in text
    for word in ("risers", "inputs", "events", "ended", "sliding#1", "late_riser"):
        assert word in text, text


def test_a_checkpoint_is_told_as_json(checkpoint: Path) -> None:
    found = json.loads(told(checkpoint, "--json"))
    assert (found["run"], found["read"], found["ended"]) == ("risers", 3, True)
    assert "".join(found["pipelines"]["rows"]) == repr(SCORED)
    assert found["inputs"] == [
        {
            "input": "events",
            "partition": 0,
            "next position": 3,
            "watermark": "ended",
            "idle": False,
            "reads": ["Arrow"],
        }
    ]
    assert [(op["verb"], op["rows_in"]) for op in found["operators"]] == [
        ("input#0", 3),
        ("sliding#1", 3),
    ]
    assert found["rules"] == [{"output": "rows", "rule": "late_riser", "fired": 1}]


def test_the_rows_of_a_chunk_are_shown(tmp_path: Path) -> None:
    op = mt.operator(SCORED, rules=[LATEST])
    op.push(rows_at(0, 1))
    file = tmp_path / "state.muntin"
    file.write_bytes(op.snapshot())
    chunks = [name for name, _ in json.loads(told(file, "--json"))["chunks"]]
    cooldown = next(name for name in chunks if name.startswith("r-"))
    assert json.loads(told(file, "--chunk", cooldown, "--json"))[0]["key.0"] == "a"
    assert "1 row" in told(file, "--chunk", cooldown)
    result = CliRunner().invoke(app, ["inspect", str(file), "--chunk", "r-0"])
    assert result.exit_code == 1


def test_a_snapshot_in_a_file_is_shown_and_damage_is_named(tmp_path: Path) -> None:
    op = mt.operator(SCORED)
    op.push(rows_at(0, 1))
    file = tmp_path / "state.muntin"
    file.write_bytes(op.snapshot())
    assert json.loads(told(file, "--json"))["operators"][0]["rows_in"] == 2
    file.write_bytes(op.snapshot()[:-3])
    result = CliRunner().invoke(app, ["inspect", str(file)])
    assert result.exit_code == 1
    empty = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert empty.exit_code == 1


def test_a_log_line_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("handlers", "level", "propagate"):
        # put back at the end: other tests read what is logged
        monkeypatch.setattr(LOGGER, name, getattr(LOGGER, name))
    with open(tmp_path / "log", "w") as stream:
        log_to(stream, as_json=True)
        LOGGER.getChild("run").warning("%d rows", 3, extra={"input": "events"})
        try:
            raise ValueError("broken")
        except ValueError:
            LOGGER.getChild("run").exception("failed")
    first, second = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (first["level"], first["message"], first["input"]) == ("warning", "3 rows", "events")
    assert "ValueError: broken" in second["error"]
