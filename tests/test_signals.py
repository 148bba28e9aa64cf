"""Signals at any time end a run in good order: none is lost, none becomes an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = 60

RUNS = """
import os, random, signal, sys, threading
import muntin as mt
from muntin.base import limits

path, rounds = sys.argv[1], int(sys.argv[2])
limits.BLOCK_BYTES = 256
words = {"at": "timestamp[us, UTC]", "n": "i64", "s": "str"}
rows = mt.stream(time="at", out_of_order="0s", schema=words).filter("n >= 0")
draw = random.Random(5)
for i in range(rounds):
    number = (signal.SIGTERM, signal.SIGINT)[i % 2]
    seconds = draw.uniform(0.001, 0.05)
    # a signal that was lost shows as a run that does not end
    alarm = threading.Timer(20, os._exit, (3,))
    alarm.start()
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    class Source(mt.sources.Csv):
        def open(self, schema, positions, mark=None):
            reader = super().open(schema, positions, mark)
            threading.Timer(seconds, os.kill, (os.getpid(), number)).start()
            return reader

    report = mt.run(Source(path, follow=True), rows)
    alarm.cancel()
    assert report.stopped, report
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
print("stopped", rounds)
"""


@pytest.mark.slow
def test_a_signal_while_csv_is_read_ends_the_run(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    line = '2024-05-01T10:00:00Z,{},"a, b"\n'
    path.write_text("at,n,s\n" + "".join(line.format(n) for n in range(20_000)))
    told = [sys.executable, "-c", RUNS, str(path), str(ROUNDS)]
    run = subprocess.run(told, capture_output=True, text=True, timeout=240, check=False)
    assert (run.returncode, run.stdout) == (0, f"stopped {ROUNDS}\n"), run.stderr[-2_000:]
