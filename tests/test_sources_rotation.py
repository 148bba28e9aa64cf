"""Logs that are rotated, copied, replaced or lost, while they are read and while no run goes on."""

from __future__ import annotations

import gzip
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

import muntin as mt
from muntin.sources import Csv, Delivery, JsonLines, Quiet
from muntin.sources.files import records
from muntin.sources.files.rotation import rotated


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "WAIT_SECONDS", 0.001)


class Log:
    """A log of numbers, and a reader of it that can be ended and opened again."""

    def __init__(self, path: Path, kind: Any) -> None:
        self.path, self.kind = path, kind
        self.lost = "error"
        self.reader: Any = None
        self.mark: Any = None
        self.next: dict[int, int] = {}

    def write(self, *numbers: int, path: Path | None = None) -> None:
        path = path or self.path
        head = "n\n" if self.kind is Csv and not (path.exists() and path.stat().st_size) else ""
        line = "{}" if self.kind is Csv else '{{"n": {}}}'
        with open(path, "a") as out:
            out.write(head + "".join(line.format(n) + "\n" for n in numbers))

    def moved(self, name: str) -> Path:
        return self.path.rename(self.path.with_name(name))

    def read(self) -> list[int]:
        """What there is now."""
        if self.reader is None:
            source = self.kind(self.path, schema={"n": "i64"}, follow=True, lost=self.lost)
            self.reader = source.open(None, self.next, *([self.mark] if self.mark else []))
        found: list[int] = []
        while isinstance(polled := self.reader.poll(), Delivery):
            found += pa.table(polled.batch)["n"].to_pylist()
            self.next.update(polled.resume)
            if polled.mark is not None:
                self.mark = msgspec.json.decode(msgspec.json.encode(polled.mark))
        assert polled == Quiet((0,))
        return found

    def end(self) -> None:
        self.reader.close()
        self.reader = None


@pytest.fixture(params=[JsonLines, Csv], ids=["jsonlines", "csv"])
def log(tmp_path: Path, request: Any) -> Iterator[Log]:
    made = Log(tmp_path / "log.txt", request.param)
    made.write(0, 1, 2)
    assert made.read() == [0, 1, 2]
    yield made
    if made.reader is not None:
        made.end()


def once(log: Log) -> None:
    log.moved("log.txt.1")


def late_lines(log: Log) -> None:
    log.write(3, 4, path=log.moved("log.txt.1"))


def twice(log: Log) -> None:
    log.write(3)
    log.moved("log.txt.2")
    log.write(4)
    log.moved("log.txt.1")


def twice_compressed(log: Log) -> None:
    twice(log)
    compress(log.path.with_name("log.txt.2"))


def ten_times(log: Log) -> None:
    log.moved("log.txt.10")
    for i in range(9, 0, -1):
        log.write(12 - i)
        log.moved(f"log.txt.{i}")


def dated(log: Log) -> None:
    log.write(3)
    log.moved("log.txt-20240501")
    log.write(4)
    log.moved("log.txt-20240502")


def dated_inside(log: Log) -> None:
    log.write(3)
    log.moved("log-2024-05-01.txt")
    log.write(4)
    log.moved("log-2024-05-02.txt")
    compress(log.path.with_name("log-2024-05-01.txt"))
    compress(log.path.with_name("log-2024-05-02.txt"))


def renamed(log: Log) -> None:
    log.write(3)
    log.moved("something else")


def copied(log: Log) -> None:
    log.write(3)
    shutil.copy(log.path, log.path.with_name("log.txt.1"))
    os.truncate(log.path, 0)


def compress(path: Path) -> None:
    with gzip.open(f"{path}.gz", "wb") as out:
        out.write(path.read_bytes())
    path.unlink()


ROTATIONS: dict[Callable[[Log], None], list[int]] = {
    once: [],
    late_lines: [3, 4],
    twice: [3, 4],
    twice_compressed: [3, 4],
    ten_times: list(range(3, 12)),
    dated: [3, 4],
    dated_inside: [3, 4],
    renamed: [3],
    copied: [3],
}


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "running"])
@pytest.mark.parametrize("rotate", ROTATIONS, ids=lambda each: each.__name__)
def test_no_line_of_a_rotated_log_is_lost(
    log: Log, rotate: Callable[[Log], None], stopped: bool
) -> None:
    if stopped:
        log.end()
    rotate(log)
    # enough for a cut file to become longer than it was
    log.write(*range(100, 120))
    assert log.read() == [*ROTATIONS[rotate], *range(100, 120)]
    log.end()
    log.write(120)
    assert log.read() == [120]


@pytest.mark.parametrize("rotate", ROTATIONS, ids=lambda each: each.__name__)
def test_a_run_goes_on_from_each_place_of_a_rotated_log(
    log: Log, rotate: Callable[[Log], None]
) -> None:
    log.end()
    rotate(log)
    log.write(100, 101)
    expected = [*ROTATIONS[rotate], 100, 101]
    source = log.kind(log.path, schema={"n": "i64"}, follow=True, batch_rows=1)
    next_of, mark = dict(log.next), log.mark
    for i in range(len(expected)):
        reader = source.open(None, next_of, mark)
        polled = reader.poll()
        assert pa.table(polled.batch)["n"].to_pylist() == [expected[i]]
        next_of.update(polled.resume)
        mark = mark if polled.mark is None else msgspec.to_builtins(polled.mark, str_keys=True)
        reader.close()


def test_the_old_file_is_left_when_the_new_one_has_something(log: Log) -> None:
    old = log.moved("log.txt.1")
    log.path.touch()
    assert log.read() == []
    log.write(3, path=old)
    assert log.read() == [3]
    log.end()
    log.write(4, path=old)
    assert log.read() == [4]
    log.write(5, path=old)
    log.write(6)
    assert log.read() == [5, 6]


def test_a_run_starts_between_a_rotation_and_the_first_line(log: Log) -> None:
    log.end()
    old = log.moved("log.txt.1")
    log.write(3, path=old)
    assert log.read() == [3]
    log.write(4)
    assert log.read() == [4]


def test_the_last_line_of_a_rotated_file_needs_no_end(log: Log) -> None:
    log.end()
    old = log.moved("log.txt.1")
    with open(old, "a") as out:
        out.write("3" if log.kind is Csv else '{"n": 3}')
    log.write(4)
    assert log.read() == [3, 4]


def test_a_file_that_was_replaced_is_not_taken_for_the_old_one(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    log.end()
    log.path.unlink()
    log.write(5, 6, 7, 8)
    with pytest.raises(mt.SourceError) as error:
        log.read()
    said = str(error.value)
    assert 'log.txt" is another file now: it had been read up to byte' in said
    assert "line" in said and 'lost="skip"' in said
    log.reader = None
    log.lost = "skip"
    with caplog.at_level(logging.WARNING):
        assert log.read() == [5, 6, 7, 8]
    assert "the rest of it is not read" in caplog.text


def test_the_same_path_with_the_same_bytes_is_the_same_file(log: Log) -> None:
    log.end()
    copy = shutil.copy(log.path, log.path.with_name("restored"))
    log.path.unlink()
    os.rename(copy, log.path)
    log.write(3)
    assert log.read() == [3]


def test_a_missing_part_of_a_rotation_is_named(log: Log) -> None:
    log.end()
    log.moved("log.txt.3")
    log.write(3)
    log.moved("log.txt.1")
    log.write(4)
    with pytest.raises(mt.SourceError, match="was rotated to number 3, and number 2 is not there"):
        log.read()
    log.reader.close()
    log.reader, log.lost = None, "skip"
    assert log.read() == [3, 4]


def test_a_file_that_was_cut_without_a_copy_is_an_error(log: Log) -> None:
    os.truncate(log.path, 0)
    log.write(*range(100, 120))
    with pytest.raises(mt.SourceError, match=r"log\.txt\" was rewritten after \d+ bytes"):
        log.read()
    log.end()
    with pytest.raises(mt.SourceError, match=r"log\.txt\" is another file now"):
        log.read()


def test_a_copy_before_a_cut_is_said(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    copied(log)
    with caplog.at_level(logging.WARNING):
        assert log.read() == [3]
    assert "lines written between the copy and the cut are in neither" in caplog.text


def test_a_file_that_vanishes_while_it_is_read_is_said(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    log.write(3)
    log.path.unlink()
    log.write(4)
    with caplog.at_level(logging.WARNING):
        assert log.read() == [3, 4]
    assert "was not found beside it as a rotated log" in caplog.text


def test_compressed_files_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"n": 1}\n'))
    with pytest.raises(mt.SourceError, match="is compressed with gzip and cannot be followed"):
        JsonLines(path, follow=True).open(None, {}).poll()


def test_names_of_rotated_files(tmp_path: Path) -> None:
    names = ["a.log.10", "a.log.2.gz", "a.log.1", "a.log.1.gz", "a.3.log", "a-20240501.log"]
    others = ["a.log", "a.logs", "b.log.1", "a.log.x", "a.log.old", "aa.log.1", "a.log.1.bz2"]
    for name in (*names, *others):
        (tmp_path / name).touch()
    (tmp_path / "a.log.4").mkdir()
    found = [Path(each.path).name for each in rotated(str(tmp_path / "a.log"))]
    assert found == ["a.log.10", "a.3.log", "a.log.2.gz", "a.log.1", "a-20240501.log"]


RUN = """
import sys, muntin as mt
log, out, state = sys.argv[1:]
words = {"at": "timestamp[us, UTC]", "n": "i64"}
rows = mt.stream(time="at", out_of_order="1h", schema=words).filter("n >= 0")
mt.run(mt.sources.JsonLines(log, follow=True), rows, sinks=[mt.sinks.JsonLines(out)],
       checkpoint=mt.Checkpoint(state, every="0s"))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_around_rotations_loses_nothing(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"

    def write(start: int, stop: int) -> None:
        rows = [
            {"at": f"2024-05-01T00:{n // 60:02}:{n % 60:02}Z", "n": n} for n in range(start, stop)
        ]
        with open(log, "a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))

    def shown() -> list[int]:
        return (
            [json.loads(line)["n"] for line in out.read_text().splitlines()] if out.exists() else []
        )

    def until(count: int) -> None:
        told = [sys.executable, "-c", RUN, str(log), str(out), str(tmp_path / "state")]
        with subprocess.Popen(told) as run:
            end = time.monotonic() + 60
            while len(shown()) < count and time.monotonic() < end and run.poll() is None:
                time.sleep(0.02)
            run.send_signal(signal.SIGKILL)

    write(0, 100)
    until(100)
    log.rename(tmp_path / "log.1")
    write(100, 150)
    until(150)
    (tmp_path / "log.1").rename(tmp_path / "log.2")
    write(150, 200)
    log.rename(tmp_path / "log.1")
    write(200, 300)
    until(300)
    assert shown() == list(range(300))
