"""`muntin demo --kafka`: events go through topics, and a killed run loses and repeats nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "muntin", "demo", "--sample", "--once", "--no-page"]
RESULT = re.compile(r"(\w+) +│ +([\d,]+) │$", re.M)


def test_a_run_that_is_killed_loses_nothing_and_repeats_nothing(kafka, tmp_path) -> None:
    before = set(kafka.admin().list_topics(timeout=10).topics)
    demo = subprocess.Popen(
        [*COMMAND, "--kafka", kafka.servers, "--speed", "1500000"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert demo.stdout is not None
    said, killed = "", False
    try:
        for line in demo.stdout:
            said += line
            if not killed and "critical" in line:  # results are committed, and more come
                pid = int(re.search(r"process id (\d+)", said)[1])
                os.kill(pid, signal.SIGKILL)
                killed = True
        code = demo.wait(60)
    finally:
        demo.kill()
    assert killed, said
    assert code == 0, said
    assert "the run was killed; it starts again" in said
    assert "none of them twice" in said
    assert "5 of 5 planted anomalies found" in said
    found = {name: int(count.replace(",", "")) for name, count in RESULT.findall(said)}
    assert found["households"] == 20_000  # one for each purchase
    gone = time.monotonic() + 20
    while any("muntin-demo" in name for name in kafka.admin().list_topics(timeout=10).topics):
        assert time.monotonic() < gone, before
        time.sleep(0.2)


def test_without_a_broker_the_demo_says_so(tmp_path, monkeypatch) -> None:
    pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")
    from typer.testing import CliRunner

    from muntin.commands.app import app
    from muntin.commands.demo.kafka import topics

    monkeypatch.setattr(topics, "_CONNECT_S", 1.0)
    answer = CliRunner().invoke(app, ["demo", "--kafka", "127.0.0.1:1", "--sample"])
    assert answer.exit_code == 1
    assert 'error: demo: the cluster cannot be reached at "127.0.0.1:1"' in answer.stderr
    assert "is a broker running there?" in answer.stderr


def test_an_extra_that_is_missing_is_said_in_two_lines(tmp_path) -> None:
    """The rules of the demo are SQL text, read while its modules are imported."""
    (tmp_path / "sqlglot.py").write_text("raise ModuleNotFoundError('sqlglot', name='sqlglot')")
    where = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    for more in ([], ["--kafka", "127.0.0.1:1"]):
        ended = subprocess.run(
            [*COMMAND, *more],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": where}, capture_output=True, text=True,
        )  # fmt: skip
        assert ended.returncode == 1
        assert ended.stderr.startswith("error: SQL text needs sqlglot")
        assert "Traceback" not in ended.stderr
