"""Standard input as a source: read as it comes, to its end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import muntin as mt
from muntin.sources import Csv, JsonLines

KINDS: dict[str, Any] = {"jsonlines": JsonLines, "csv": Csv}


def text(kind: str, *numbers: int) -> bytes:
    line = "{}\n" if kind == "csv" else '{{"n": {}}}\n'
    return (("n\n" if kind == "csv" else "") + "".join(map(line.format, numbers))).encode()


STDIN = """
import sys, muntin as mt
kind = getattr(mt.sources, sys.argv[1])
rows = mt.stream(time=mt.epoch("s", "n"), out_of_order="0s", schema={"n": "i64"}).filter("n >= 0")
report = mt.run(kind("-"), rows, sinks=[mt.sinks.Callback(
    lambda table: print([row["n"] for row in table.to_dicts()], flush=True))])
print(report.rows, report.invalid)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_standard_input_is_read_as_it_comes(kind: str) -> None:
    told = [sys.executable, "-c", STDIN, KINDS[kind].__name__]
    with subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdin is not None and run.stdout is not None
        data = text(kind, 1, 2)
        run.stdin.write(data)
        run.stdin.flush()
        assert run.stdout.readline() == b"[1, 2]\n"
        run.stdin.write(text(kind, 3).removeprefix(b"n\n").rstrip(b"\n"))
        run.stdin.close()
        assert run.stdout.read() == b"[3]\n3 0\n"
        assert run.wait(30) == 0


@pytest.mark.slow
def test_a_run_on_standard_input_can_be_stopped() -> None:
    told = [sys.executable, "-c", STDIN, "JsonLines"]
    with subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdin is not None and run.stdout is not None
        run.stdin.write(b'{"n": 1}\n')
        run.stdin.flush()
        assert run.stdout.readline() == b"[1]\n"
        run.terminate()
        start = time.monotonic()
        assert run.wait(30) == 0
        assert time.monotonic() - start < 20
        assert run.stdout.read() == b"1 0\n"


def test_what_standard_input_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mt.SourceError, match="standard input with follow= or watch="):
        JsonLines("-", follow=True)
    with pytest.raises(mt.SourceError, match="partition= need partitions="):
        Csv("-", partition="p")
    rows = mt.stream(time="at", out_of_order="0s").filter("n >= 0")
    with pytest.raises(mt.SourceError, match="can be read only once"):
        mt.run(JsonLines("-"), rows, checkpoint=tmp_path / "state")
