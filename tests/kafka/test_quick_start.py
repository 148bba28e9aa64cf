"""The quick start in docs/kafka.md works as it stands: its programs are pasted and killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "kafka.md"
TOPICS = ("payments", "scored", "alerts", "payments-bad")


def programs(names: dict[str, str]) -> list[str]:
    """The programs of the quick start, with other names of topics and of the group."""
    start = PAGE.read_text().partition("## Quick start")[2].partition("\n## ")[0]
    found = [part.partition("```")[0] for part in start.split("```python\n")[1:]]
    quoted = re.compile("|".join(f'"{re.escape(name)}"' for name in (*TOPICS, "fraud")))
    return [quoted.sub(lambda match: f'"{names[match[0][1:-1]]}"', text) for text in found]


def topics_of(kafka) -> set[str]:
    return set(kafka.admin().list_topics(timeout=10).topics)


def until(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_quick_start_works_as_pasted(kafka, tmp_path: Path) -> None:
    names = {name: kafka.name(name) for name in (*TOPICS, "fraud")}
    send, app = programs(names)
    app = app.replace('mt.stream(\n    "' + names["payments"], 'mt.stream(\n    "payments')
    (tmp_path / "send.py").write_text(send)
    (tmp_path / "app.py").write_text(app)
    options = {"cwd": tmp_path, "env": {**os.environ, "KAFKA": kafka.servers}}
    muntin = [sys.executable, "-m", "muntin"]
    checked = subprocess.run(
        [*muntin, "check", "--main", "app.py"], capture_output=True, text=True, **options
    )
    assert checked.returncode == 0, checked.stderr
    assert "exactly once for readers of read_committed" in checked.stdout
    assert "scope          partition: " in checked.stdout
    sender = subprocess.Popen([sys.executable, "send.py"], **options)
    log = (tmp_path / "log").open("wb")
    runs = []
    try:
        until(lambda: set(names.values()) - {names["fraud"]} <= topics_of(kafka))
        for how in (signal.SIGKILL, signal.SIGTERM):
            before = len(kafka.read(names["scored"]))
            runs.append(
                subprocess.Popen([*muntin, "run", "app.py"], stdout=log, stderr=log, **options)
            )
            until(lambda seen=before: len(kafka.read(names["scored"])) > seen + 100)
            if how == signal.SIGTERM:
                until(lambda: kafka.read(names["alerts"]))
                sender.terminate()
                sender.wait(20)
                all_sent = len(kafka.read(names["payments"]))
                until(lambda wanted=all_sent: len(kafka.read(names["scored"])) == wanted)
            runs[-1].send_signal(how)
            runs[-1].wait(30)
    finally:
        for each in (sender, *runs):
            each.kill()
        log.close()
    said = (tmp_path / "log").read_text()
    sent = sorted(record.value for record in kafka.read(names["payments"]))
    payments = [json.loads(value)["paid_at"] for value in sent]
    scored = [json.loads(record.value) for record in kafka.read(names["scored"])]
    assert len(payments) > 100
    assert len(scored) == len(payments), said
    assert len({(row["paid_at"], row["card"], row["n_1h"]) for row in scored}) == len(scored)
    alerts = [json.loads(record.value)["message"] for record in kafka.read(names["alerts"])]
    assert any(text.startswith("card-7: ") for text in alerts), said
    assert kafka.read(names["payments-bad"]) == []
