"""Files that grow while they are read: half lines, rotation, truncation, the end of a wait."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.sources import Csv, Delivery, JsonLines, Quiet
from muntin.sources.files import records


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "WAIT_SECONDS", 0.001)


def append(path: Path, text: str) -> None:
    with open(path, "a") as out:
        out.write(text)


def taken(reader: Any) -> list[Any]:
    """What there is, up to the next quiet poll."""
    found: list[Any] = []
    while isinstance(polled := reader.poll(), Delivery):
        found += pa.table(polled.batch)["n"].to_pylist()
        found += [bad.text for bad in polled.undecodable]
    assert polled == Quiet((0,))
    return found


def test_lines_are_read_as_they_are_ended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"n": 1}\n{"n"')
    source = JsonLines(path, schema={"n": "i64"}, follow=True)
    assert not source.bounded
    reader = source.open(None, {})
    assert taken(reader) == [1]
    append(path, ": 2}")
    assert taken(reader) == []
    append(path, '\n{"n": 3}\noops\n')
    assert taken(reader) == [2, 3, "oops"]
    reader.close()
    assert reader.poll() is None


def test_a_quoted_line_end_does_not_end_a_record(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("n,")
    reader = Csv(path, schema={"n": "i64"}, follow=True).open(None, {})
    assert taken(reader) == []
    append(path, 's\n1,"a\nb')
    assert taken(reader) == []
    append(path, '"\n2,c\n3,"')
    assert taken(reader) == [1, 2]
    append(path, '"\n')
    assert taken(reader) == [3]
    reader.close()


@pytest.mark.parametrize(
    "kind, text", [(JsonLines, '{{"n": {}}}\n'), (Csv, "{}\n")], ids=["jsonlines", "csv"]
)
def test_a_rotated_file_is_read_to_its_end_first(tmp_path: Path, kind: Any, text: str) -> None:
    head = "n\n" if kind is Csv else ""
    first, path = tmp_path / "a", tmp_path / "b"
    first.write_text(head + text.format(0).rstrip("\n"))
    path.write_text(head + text.format(1))
    reader = kind([first, path], schema={"n": "i64"}, follow=True).open(None, {})
    assert taken(reader) == [0, 1]
    os.rename(path, tmp_path / "b.1")
    assert taken(reader) == []
    append(tmp_path / "b.1", text.format(2) + text.format(3).rstrip("\n"))
    path.write_text(head + text.format(4))
    assert taken(reader) == [2, 3, 4]
    append(path, text.format(5))
    assert taken(reader) == [5]
    reader.close()


def test_a_file_that_becomes_shorter_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"n": 1}\n{"n": 2}\n')
    source = JsonLines(path, schema={"n": "i64"}, follow=True)
    reader = source.open(None, {})
    assert taken(reader) == [1, 2]
    path.write_text('{"n": 3}\n')
    with pytest.raises(mt.SourceError, match=r'log" was cut to 9 bytes after 18 had been read'):
        reader.poll()
    reader.close()
    with pytest.raises(mt.SourceError, match=r"log: 1 records, but 2 had been read"):
        source.open(None, {0: 2}).poll()


def test_close_ends_a_wait_in_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "WAIT_SECONDS", 60)
    path = tmp_path / "log"
    path.write_text("")
    reader = JsonLines(path, schema={"n": "i64"}, follow=True).open(None, {})
    polled: list[Any] = []
    thread = threading.Thread(target=lambda: polled.append(reader.poll()))
    thread.start()
    reader.close()
    thread.join(30)
    assert not thread.is_alive()
    assert polled == [None]


def test_partitions_of_a_growing_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"n": 1, "p": 4}\n')
    with pytest.raises(mt.SourceError, match="follow= and partition= need partitions="):
        JsonLines(path, partition="p", follow=True)
    with pytest.raises(mt.SourceError, match=r"name the column that has them"):
        JsonLines(path, partitions=[1])
    source = JsonLines(path, schema={"n": "i64"}, partition="p", partitions=[4, 5], follow=True)
    reader = source.open(None, {})
    delivery = reader.poll()
    assert isinstance(delivery, Delivery)
    assert pa.table(delivery.batch).column_names == ["n"]
    assert delivery.resume == {4: 1}
    assert reader.poll() == Quiet((5,)), "nothing came for it beside the row of the other"
    assert reader.poll() == Quiet((4, 5))
    reader.close()
