"""The command line around a user's program: its errors, its plans, and how it ends."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import muntin as mt
from muntin.commands.app import app
from pages import eventually
from runs import EVENTS, Script, rows_at

START = """
import muntin as mt
words = {"at": "timestamp[us, UTC]", "store": "str", "amount": "f64"}
sales = mt.stream("sales", time="at", out_of_order="0s", schema=words)
"""


@pytest.fixture(autouse=True)
def quiet_logger():
    logger = logging.getLogger("muntin")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = before


def called(command: str, folder: Path, program: str, *options: str) -> Result:
    file = folder / "program.py"
    file.write_text(program)
    return CliRunner().invoke(app, [command, str(file), *options])


def test_the_version_is_told() -> None:
    answer = CliRunner().invoke(app, ["--version"])
    assert (answer.exit_code, answer.stdout) == (0, f"muntin {mt.__version__}\n")


def test_an_error_of_the_users_code_is_shown_as_that(tmp_path: Path) -> None:
    answer = called("run", tmp_path, "def f():\n    return 1 / 0\n\nf()\n")
    assert answer.exit_code == 1
    lines = answer.stderr.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1].startswith("ZeroDivisionError")
    assert "program.py" in lines[1] and "line 4" in lines[1]
    assert "runpy" not in answer.stderr and "cli.py" not in answer.stderr


@pytest.mark.parametrize("command", ["run", "check"])
def test_an_import_that_fails_and_wrong_syntax_are_the_users(command: str, tmp_path: Path) -> None:
    missing = called(command, tmp_path, "\nimport no_such_module_at_all\n")
    assert missing.exit_code == 1
    assert "line 2" in missing.stderr and "no_such_module_at_all" in missing.stderr
    assert "muntin/" not in missing.stderr
    wrong = called(command, tmp_path, "x = = 1\n")
    assert wrong.exit_code == 1 and "line 1" in wrong.stderr and "SyntaxError" in wrong.stderr
    (tmp_path / "program.py").write_bytes(b"PAR1\0\0")
    binary = CliRunner().invoke(app, [command, str(tmp_path / "program.py")])
    assert binary.exit_code == 1 and "muntin/" not in binary.stderr


def test_an_error_of_muntin_names_the_users_line(tmp_path: Path) -> None:
    answer = called("run", tmp_path, START + 'big = sales.filter("amuont > 5")\n')
    assert answer.exit_code == 1
    assert answer.stderr.startswith('error: filter: unknown column "amuont"\nhint: did you mean')
    assert "program.py, line 5: big = sales.filter" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_program_that_runs_nothing_says_so(tmp_path: Path) -> None:
    for program in (START, "print('hello')\n"):
        answer = called("run", tmp_path, program)
        assert answer.exit_code == 1
        assert "runs no pipeline\nhint: end it with mt.run" in answer.stderr
    none = called("check", tmp_path, "x = 1\n")
    assert none.exit_code == 1 and "program.py: no pipeline at the top level" in none.stderr


def test_exit_codes_of_the_program_are_kept(tmp_path: Path) -> None:
    assert called("run", tmp_path, "import sys\nsys.exit(7)\n").exit_code == 7
    interrupted = called("run", tmp_path, "raise KeyboardInterrupt\n")
    assert (interrupted.exit_code, interrupted.stderr) == (130, "interrupted\n")


def test_check_reports_all_that_is_wrong_with_its_line(tmp_path: Path) -> None:
    program = (
        START
        + """
minutes = sales.tumbling("1m", by="store").agg(n=mt.count())
twice = mt.output("twice", minutes, rules=[mt.rule("a", "n > 1"), mt.rule("a", "n > 2")])
good = mt.rule("good", "n > 5")
rules = [mt.rule("typo", "m > 5"), mt.rule("key", "n > 5", by="shop")]
_private = mt.rule("unseen", "nothing > 5")
"""
    )
    answer = called("check", tmp_path, program)
    assert answer.exit_code == 1
    faults = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert len(faults) == 3
    assert 'program.py:7: twice: output "twice": rule "a" comes twice' in faults[0]
    assert 'program.py:9: rules: rule "typo": unknown column "m"' in faults[1]
    assert 'program.py:9: rules: rule "key"' in faults[2] and '"shop"' in faults[2]
    assert 'rule("good"' in answer.stdout and "unseen" not in answer.stderr


def test_check_prints_the_plans_with_their_rules(tmp_path: Path) -> None:
    program = (
        START
        + """
minutes = sales.tumbling("1m").agg(n=mt.count())
outputs = [mt.output("minutes", minutes, rules=mt.rule("r", "n > 1"))]
"""
    )
    answer = called("check", tmp_path, program)
    assert answer.exit_code == 0, answer.stderr
    assert 'tumbling("1m")' in answer.stdout and 'rule("r", "n > 1")' in answer.stdout


def test_json_is_all_that_a_run_says(tmp_path: Path) -> None:
    program = START + "mt.run(mt.sources.Arrow(5), sales)\n"
    for options in (["--json"], ["--log", "json"]):
        answer = called("run", tmp_path, program, *options)
        (line,) = [json.loads(line) for line in answer.stderr.splitlines()]
        assert answer.exit_code == 1 and line["event"] == "exit"
        assert "not an Arrow object" in line["message"]


WAITING = """
import time
try:
    print("here", flush=True)
    time.sleep(30)
finally:
    print("closed", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_program_starts_ends_it_cleanly(
    number: int, code: int, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(WAITING)
    command = [sys.executable, "-m", "muntin", "run", str(tmp_path / "program.py")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "closed\n")
    assert "Traceback" not in err


class Endless(Script):
    """A source with a row every few milliseconds."""

    def partitions(self) -> tuple[int, ...]:
        return (0,)

    def open(self, schema: object, positions: object) -> Endless:
        self.read = 0
        return self

    def poll(self) -> mt.sources.Delivery:
        time.sleep(0.005)
        self.read += 1
        return mt.sources.Delivery(rows_at(self.read), {0: self.read}, 0, self.read - 1)


def test_a_checkpoint_in_use_can_be_looked_into(tmp_path: Path) -> None:
    place = tmp_path / "state"
    source = Endless()
    stream = EVENTS.tumbling("1m", by="k").agg(n=mt.count())
    running = mt.run(
        source, stream, checkpoint=mt.Checkpoint(place, every="100ms"), background=True
    )
    try:
        eventually(lambda: place.exists() and any(place.iterdir()), bool)
        looks = []
        until = time.monotonic() + 2
        while time.monotonic() < until or len(looks) < 5:
            answer = CliRunner().invoke(app, ["inspect", str(place), "--json"])
            if answer.exit_code == 0:
                looks.append(json.loads(answer.stdout)["checkpoint"])
            else:
                assert "holds no checkpoint" in answer.stderr and not looks, answer.stderr
        assert looks == sorted(looks)
        assert running.alive and threading.active_count() > 1
    finally:
        running.stop(30)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "state"
    mt.run(mt.sources.Arrow(rows_at(0, 1)), EVENTS.filter("v > 0"), checkpoint=place)
    (place / "checkpoint-00000009.tmp").write_bytes(b"half")
    before = sorted((each.name, each.stat().st_mtime_ns) for each in place.iterdir())
    assert CliRunner().invoke(app, ["inspect", str(place)]).exit_code == 0
    assert sorted((each.name, each.stat().st_mtime_ns) for each in place.iterdir()) == before
    empty = tmp_path / "empty"
    empty.mkdir()
    assert CliRunner().invoke(app, ["inspect", str(empty)]).exit_code == 1
    assert not list(empty.iterdir())
