"""A run that begins while no broker can be reached ends soon, and says so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import muntin as mt

pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

STREAM = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]", "k": "str"})
COUNTS = STREAM.tumbling("1m", by="k").agg(n=mt.count())
ROWS = [{"at": "2024-05-01T10:00:00Z", "k": "a"}]
SERVERS = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muntin.sources.brokers.kafka.CONNECT_S", 1.0)
    monkeypatch.setattr("muntin.clients.kafka.producer._LIST_S", 1.0)


def source() -> Any:
    return mt.sources.Kafka("p", servers=SERVERS, group="g")


def sink() -> Any:
    return mt.sinks.Kafka("o", servers=SERVERS)


CASES: dict[str, dict[str, Any]] = {
    "source": {"source": source},
    "source with history": {"source": source, "history": ROWS},
    "source, checkpoint": {"source": source, "checkpoint": True},
    "source, standby": {"source": source, "checkpoint": True, "standby": True},
    "sink": {"sinks": sink},
    "sink, checkpoint": {"sinks": sink, "checkpoint": True, "name": "x"},
    "sink, standby": {"sinks": sink, "checkpoint": True, "name": "x", "standby": True},
    "alerts": {"alerts": sink},
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_ends_soon_and_names_the_servers(tmp_path: Path, case: str) -> None:
    given = dict(CASES[case])
    read = given.pop("source", lambda: ROWS)()
    for word in ("sinks", "alerts"):
        if word in given:
            given[word] = given[word]()
    if given.pop("checkpoint", None):
        given["checkpoint"] = tmp_path / "state"
    began = time.monotonic()
    with pytest.raises((mt.SourceError, mt.SinkError)) as failed:
        mt.run(read, COUNTS, **given)
    assert time.monotonic() - began < 10
    assert f'"{SERVERS}"' in str(failed.value)
    assert "hint: is a broker running there?" in str(failed.value)


PROGRAM = f"""
import muntin as mt
import muntin.sources.brokers.kafka as kafka
kafka.CONNECT_S = 1.0
stream = mt.stream(time="at", out_of_order="0s", schema={{"at": "timestamp[us, UTC]"}})
mt.run(mt.sources.Kafka("p", servers="{SERVERS}", group="g"), stream)
"""


def test_the_command_ends_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    ended = subprocess.run(
        [sys.executable, "-m", "muntin", "run", "app.py"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "error: Kafka: the cluster cannot be reached" in ended.stderr
    assert "Traceback" not in ended.stderr
