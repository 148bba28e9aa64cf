"""Which files a source reads: folders, order, keys, compression, folders that are watched."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.base import limits
from muntin.sources import Csv, Delivery, JsonLines, Parquet, Quiet
from muntin.sources.deliveries.split import split
from muntin.sources.files import records
from muntin.sources.files.paths import files_of
from muntin.testing import check_source

KINDS: dict[str, Any] = {"jsonlines": JsonLines, "csv": Csv}
WORDS = {"n": "i64", "s": "str"}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "WAIT_SECONDS", 0.001)


def text(kind: str, *numbers: int) -> bytes:
    if kind == "csv":
        return b"n,s\n" + b"".join(b'%d,"a\nb"\n' % n for n in numbers)
    return b"".join(json.dumps({"n": n, "s": "a\nb"}).encode() + b"\n" for n in numbers)


def zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read(source: Any) -> list[dict[str, Any]]:
    reader = source.open(None, {})
    found: list[dict[str, Any]] = []
    while isinstance(polled := reader.poll(), Delivery):
        assert polled.undecodable == ()
        found += pa.table(polled.batch).to_pylist()
    reader.close()
    return found


def numbers(source: Any) -> list[int]:
    return [row["n"] for row in read(source)]


# ── compression ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["rows.{}", "rows"], ids=["by name", "by its first bytes"])
@pytest.mark.parametrize("form", ["gz", "zst", "gz in two members", "zst in two frames"])
@pytest.mark.parametrize("kind", KINDS)
def test_compressed_files_are_read_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, form: str, name: str
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 64)
    pack = gzip.compress if "gz" in form else zstd
    data = text(kind, *range(20))
    halves = [data[:90], data[90:]] if "two" in form else [data]
    path = put(tmp_path / name.format(form[:3].strip()), b"".join(map(pack, halves)))

    def make() -> Any:
        return KINDS[kind](path, schema=WORDS, batch_rows=3)

    assert numbers(make()) == list(range(20))
    assert check_source(make) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_compressed_file_that_is_cut_short_is_named(tmp_path: Path, kind: str) -> None:
    for pack, name in ((gzip.compress, "gzip"), (zstd, "zstd")):
        data = pack(text(kind, *range(2_000)))
        path = put(tmp_path / f"rows.{name}", data[: len(data) // 2])
        with pytest.raises(mt.SourceError, match=rf"rows\.{name}\" cannot be read as {name}"):
            read(KINDS[kind](path, schema=WORDS))


@pytest.mark.parametrize("data, said", [(b"", "it is empty"), (b'{"n": 1}\n', "does not begin as")])
def test_a_name_that_promises_compression_is_checked(
    tmp_path: Path, data: bytes, said: str
) -> None:
    path = put(tmp_path / "rows.jsonl.gz", data)
    with pytest.raises(mt.SourceError, match=rf"cannot be read as gzip: {said}|{said}"):
        read(JsonLines(path))


WRONG = {
    "Parquet": b"PAR1....",
    "UTF-16": '{"n": 1}\n'.encode("utf-16"),
    "UTF-8 text: 9 of its first 18 bytes are NUL": '{"n": 1}\n'.encode("utf-16-le"),
    "bzip2": b"BZh91AY&SY....",
    "xz": b"\xfd7zXZ\x00....",
    "zip archive": b"PK\x03\x04....",
    "SQLite": b"SQLite format 3\x00",
    "Avro": b"Obj\x01....",
    "Arrow file": b"ARROW1\x00\x00",
}


@pytest.mark.parametrize("follow", [False, True], ids=["bounded", "followed"])
@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_format_is_named(
    tmp_path: Path, kind: str, what: str, follow: bool
) -> None:
    path = put(tmp_path / "rows", WRONG[what])
    with pytest.raises(mt.SourceError, match=f'rows" is not .*{what}.*\nhint: '):
        read(KINDS[kind](path, schema=WORDS, follow=follow))


@pytest.mark.parametrize(
    "kind, data, said",
    [
        ("jsonlines", '[{"n": 1}, {"n": 2}]', "it is a JSON array\nhint: read its rows with mt.s"),
        ("jsonlines", '[\n  {\n    "n": 1\n  }\n]\n', "it is a JSON array"),
        ("jsonlines", "n,s\n1,a\n2,b\n", "it looks like CSV\nhint: read it with mt.sources.Csv("),
        ("csv", '{"n": 1, "s": "a"}\n{"n": 2}\n', "its first line is a JSON object\nhint: read it"),
    ],
)
def test_text_of_another_format_is_named(tmp_path: Path, kind: str, data: str, said: str) -> None:
    for schema in (WORDS, None):
        with pytest.raises(mt.SourceError) as error:
            read(KINDS[kind](put(tmp_path / "rows", data.encode()), schema=schema))
        assert said in str(error.value)


@pytest.mark.parametrize(
    "data, more",
    [
        ("n;s\n1;a\n2;b\n", {"schema": WORDS}),
        ("n;s\n1;a\n2;b\n", {}),
        ("n\ts\n1\ta\n", {}),
        ("n|s\n", {"schema": WORDS}),
        ("1;a\n2;b\n", {"schema": WORDS, "header": False}),
        ("1;a\n2;b\n", {"header": False}),
        ("n,s\n1,a\n", {"schema": WORDS, "delimiter": ";"}),
    ],
)
def test_a_wrong_delimiter_is_named(tmp_path: Path, data: str, more: dict[str, Any]) -> None:
    right = {";": ";", "\t": r"\t", "|": "|", ",": ","}[
        next(mark for mark in ";\t|," if mark in data)
    ]
    with pytest.raises(mt.SourceError) as error:
        read(Csv(put(tmp_path / "rows.csv", data.encode()), **more))
    assert 'rows.csv" has one column where' in str(error.value)
    assert f'hint: write delimiter="{right}"' in str(error.value)


@pytest.mark.parametrize(
    "data, more, rows",
    [
        ("s\na;b\nc;d\n", {}, [{"s": "a;b"}, {"s": "c;d"}]),
        ("n;s\n1\n2\n", {}, [{"n;s": 1}, {"n;s": 2}]),
        ("s\n1|2\n", {"schema": {"s": "str"}}, [{"s": "1|2"}]),
        ("a;b\n", {"header": False}, [{"f0": "a;b"}]),
        ("a\n;\n", {"header": False, "schema": {"s": "str"}}, [{"s": "a"}, {"s": ";"}]),
        ('"n;s"\n"1;2"\n', {}, [{"n;s": "1;2"}]),
    ],
)
def test_one_column_may_hold_other_delimiters(
    tmp_path: Path, data: str, more: dict[str, Any], rows: Any
) -> None:
    assert read(Csv(put(tmp_path / "rows.csv", data.encode()), **more)) == rows


# ── names ───────────────────────────────────────────────────────────────────────────────────────


def test_folders_and_patterns_are_in_natural_order(tmp_path: Path) -> None:
    names = ["a10", "a9", "a1", "b/x2", "b/x10", "B", "a01"]
    hidden = [".a", "_a", "a.tmp", "a~", "c.part", ".git/x", "_old/x"]
    for name in [*names, *hidden]:
        put(tmp_path / "d" / name, b"")
    found = [os.path.relpath(name, tmp_path / "d") for name in files_of(tmp_path / "d")]
    assert found == ["B", "a01", "a1", "a9", "a10", "b/x2", "b/x10"]
    some = [os.path.basename(name) for name in files_of(str(tmp_path / "d" / "a*[0-9]"))]
    assert some == ["a01", "a1", "a9", "a10"]
    both = files_of([tmp_path / "d" / "a9", str(tmp_path / "d" / "b")])
    assert [os.path.basename(name) for name in both] == ["a9", "x2", "x10"]


@pytest.mark.parametrize("kind", [*KINDS.values(), Parquet])
def test_what_is_not_there_is_named(
    tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    put(tmp_path / "file", b"")
    cases = {
        "none.csv": 'no file ".*none.csv"',
        "*.csv": r'no file matches ".*\*\.csv"',
        "empty": 'the folder ".*empty" has no files',
        "pipe": '".*pipe" is not a file\nhint: a pipe is read as standard input',
        "file/x": 'no file ".*file/x"',
    }
    for path, said in cases.items():
        with pytest.raises(mt.SourceError, match=said):
            kind(str(tmp_path / path)).open(None, {}).poll()
    for nothing in ([], 5, b"x", "\0"):
        with pytest.raises(mt.SourceError, match=r"no path|is not a path"):
            kind(nothing)

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refused)
    if kind is not Parquet:
        with pytest.raises(mt.SourceError, match='file" cannot be read: permission denied\nhint'):
            kind(tmp_path / "file").open(None, {}).poll()
    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(mt.SourceError, match='file" cannot be read: permission denied'):
        kind(tmp_path / "file").open(None, {})


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_shrinks_while_it_is_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 64)
    path = put(tmp_path / "rows", text(kind, *range(50)))
    reader = KINDS[kind](path, schema=WORDS).open(None, {})
    assert isinstance(reader.poll(), Delivery)
    os.truncate(path, 100)
    with pytest.raises(mt.SourceError, match=r'rows" was cut while it was read: it had'):
        while reader.poll() is not None:
            pass


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_were_read_may_not_change(tmp_path: Path, kind: str) -> None:
    for i in range(3):
        put(tmp_path / f"{i}", text(kind, i))
    source = KINDS[kind]([tmp_path / f"{i}" for i in range(3)], schema=WORDS)
    reader = source.open(None, {})
    polled = [reader.poll() for _ in range(2)]
    mark = msgspec.to_builtins(polled[1].mark, str_keys=True)
    assert numbers_from(source, {0: 2}, mark) == [2]
    put(tmp_path / "1", text(kind, 7))
    with pytest.raises(mt.SourceError, match=r'1" is another file now: it had been read up to'):
        numbers_from(source, {0: 2}, mark)
    put(tmp_path / "1", text(kind, 1))
    put(tmp_path / "0", text(kind, 70))
    with pytest.raises(mt.SourceError, match=r'0" is not the file that was read: its length'):
        numbers_from(source, {0: 2}, mark)
    forged = [
        *({"file": 5}, {}, {**mark, "at": -1}, {**mark, "line": 0}, {**mark, "more": 0}),
        *({**mark, "memory": {"schema": "x"}}, {**mark, "next": {"0": -1}}),
    ]
    forged += [{**mark, "memory": {"names": 5}}] if kind == "csv" else []
    for each in forged:
        with pytest.raises(
            mt.SourceError, match=r"of the source cannot be read|in the source cannot"
        ):
            numbers_from(KINDS[kind](tmp_path / "0"), {0: 2}, each)


def numbers_from(source: Any, positions: dict[int, int], mark: Any) -> list[int]:
    reader = source.open(None, positions, mark)
    found: list[int] = []
    while isinstance(polled := reader.poll(), Delivery):
        found += pa.table(polled.batch)["n"].to_pylist()
    return found


def test_a_last_line_that_has_grown_since_is_an_error(tmp_path: Path) -> None:
    path = put(tmp_path / "rows", b'{"n": 1}\n{"n": 2}')
    source = JsonLines(path, schema={"n": "i64"})
    reader = source.open(None, {})
    polled = [reader.poll() for _ in range(2)]
    mark = msgspec.to_builtins(polled[1].mark, str_keys=True)
    put(path, b'{"n": 1}\n{"n": 2}\n{"n": 3}')
    assert numbers_from(source, {0: 2}, mark) == [3]
    put(path, b'{"n": 1}\n{"n": 2}{"n": 3}')
    with pytest.raises(mt.SourceError, match="which had no line end, has grown since it was read"):
        numbers_from(source, {0: 2}, mark)


# ── keys of folders ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_folders_are_columns(tmp_path: Path, kind: str) -> None:
    for year, month, city in ((2024, "05", "S%C3%A3o"), (2024, "12", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / f"year={year}" / f"month={month}" / f"city={city}"
        put(folder / "a", text(kind, int(month)))
    keys = [(row["year"], row["month"], row["city"]) for row in read(KINDS[kind](tmp_path))]
    assert keys == [(2024, 5, "São"), (2024, 12, None)]
    typed = {"n": "i64", "year": "i16", "month": "str", "city": "str"}
    found = read(KINDS[kind](tmp_path, schema=typed))
    assert found == [
        {"n": 5, "year": 2024, "month": "05", "city": "São"},
        {"n": 12, "year": 2024, "month": "12", "city": None},
    ]
    assert read(KINDS[kind](tmp_path, schema={"month": "i64"})) == [{"month": 5}, {"month": 12}]
    parts = KINDS[kind](tmp_path, schema={"n": "i64"}, partition="month")
    assert list(parts.partitions()) == [5, 12]
    assert check_source(lambda: KINDS[kind](tmp_path, schema=typed, batch_rows=1)) == 2


def test_a_files_own_column_comes_before_a_key(tmp_path: Path) -> None:
    put(tmp_path / "n=7" / "a", b'{"n": 1}\n{"s": "x"}\n')
    assert read(JsonLines(tmp_path)) == [{"n": 1, "s": None}, {"n": 7, "s": "x"}]
    put(tmp_path / "n=7" / "a", b"n\n1\n")
    assert read(Csv(tmp_path)) == [{"n": 1}]
    put(tmp_path / "n=7" / "a", b"x\ny\n")
    words = {"n": "i64", "s": "str"}
    assert read(Csv(tmp_path, header=False, schema=words))[1] == {"n": 7, "s": "y"}


def test_a_key_that_does_not_fit_its_type_makes_invalid_records(tmp_path: Path) -> None:
    put(tmp_path / "k=x" / "a.jsonl", b'{"n": 1}\n')
    put(tmp_path / "k=x" / "a.csv", b"n\n1\n")
    words = {"n": "i64", "k": "i64"}
    for source in (
        JsonLines(tmp_path / "k=x" / "a.jsonl", schema=words),
        Csv(tmp_path / "k=x" / "a.csv", schema=words),
    ):
        polled = source.open(None, {}).poll()
        assert isinstance(polled, Delivery)
        assert 'column "k"' in polled.undecodable[0].detail


# ── a folder that is watched ────────────────────────────────────────────────────────────────────


def drained(reader: Any) -> tuple[list[int], Any, dict[int, int]]:
    found: list[int] = []
    mark, at = None, {}
    while isinstance(polled := reader.poll(), Delivery):
        found += pa.table(polled.batch)["n"].to_pylist()
        mark = msgspec.to_builtins(polled.mark, str_keys=True) if polled.mark else mark
        at.update(polled.resume)
    assert polled == Quiet((0,))
    return found, mark, at


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_read_as_they_appear(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    source = KINDS[kind](folder, schema=WORDS, watch=True)
    assert not source.bounded
    assert source.identity() == [str(folder)]
    reader = source.open(None, {})
    assert drained(reader)[0] == []
    put(folder / "b10", text(kind, 10))
    put(folder / "b9", gzip.compress(text(kind, 9).rstrip(b"\n")))
    put(folder / ".b1", text(kind, 1))
    put(folder / "b2.tmp", text(kind, 2))
    found, mark, at = drained(reader)
    assert found == [9, 10]
    os.rename(folder / "b2.tmp", folder / "b2")
    assert drained(reader)[0] == [2]
    reader.close()
    again = source.open(None, at, mark)
    assert drained(again)[0] == [2]
    os.remove(folder / "b10")
    put(folder / "x=1" / "c", text(kind, 3))
    assert drained(again)[0] == [3]
    again.close()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("kind", KINDS)
def test_files_that_were_read_may_be_taken_away(tmp_path: Path, kind: str, packed: bool) -> None:
    def data(*numbers: int) -> bytes:
        return gzip.compress(text(kind, *numbers)) if packed else text(kind, *numbers)

    source = KINDS[kind](str(tmp_path / "*"), schema=WORDS, watch=True)
    for i in range(3):
        put(tmp_path / f"a{i}", data(i))
    found, mark, at = drained(source.open(None, {}))
    assert (found, at) == ([0, 1, 2], {0: 3})
    for i in range(3):
        os.remove(tmp_path / f"a{i}")
    put(tmp_path / "a3", data(3))
    found, mark, at = drained(source.open(None, at, mark))
    assert (found, at) == ([3], {0: 4})
    put(tmp_path / "a3", data(4))
    with pytest.raises(mt.SourceError, match='a3" is another file now'):
        drained(source.open(None, at, mark))


@pytest.mark.parametrize("kind", [*KINDS, "parquet"])
def test_a_file_that_appears_before_the_one_being_read_comes_after_it(
    tmp_path: Path, kind: str
) -> None:
    def write(name: str, *values: int) -> None:
        if kind == "parquet":
            pq.write_table(pa.table({"n": values}), tmp_path / name)
        else:
            put(tmp_path / name, text(kind, *values))

    source = {**KINDS, "parquet": Parquet}[kind](tmp_path, watch=True, batch_rows=2)
    write("b", *range(6))
    reader = source.open(None, {})
    polled = reader.poll()
    assert isinstance(polled, Delivery)
    # a part of the first rows, as where rows are handed over in time
    for parted in (polled, split(polled, 1)[0]):
        mark = msgspec.to_builtins(parted.mark, str_keys=True)
        write("a", 7, 8)
        rest = drained(source.open(None, parted.resume, mark))[0]
        had = len(pa.table(parted.batch))
        assert rest == [*range(had, 6), 7, 8]
        os.remove(tmp_path / "a")


def test_a_file_that_grows_after_it_was_read_is_an_error(tmp_path: Path) -> None:
    path = put(tmp_path / "a", b'{"n": 1}\n')
    reader = JsonLines(tmp_path, schema=WORDS, watch=True).open(None, {})
    assert drained(reader)[0] == [1]
    put(path, b'{"n": 1}\n{"n": 2}\n')
    with pytest.raises(mt.SourceError, match=r'a" has changed after it was read: it had 9 bytes'):
        drained(reader)


def test_following_and_watching_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(mt.SourceError, match="follow= and watch= at once"):
        JsonLines(tmp_path, follow=True, watch=True)
    with pytest.raises(mt.SourceError, match="watch= and partition= need partitions="):
        Csv(tmp_path, partition="p", watch=True)


@pytest.mark.parametrize("kind", [*KINDS, "parquet"])
def test_a_run_over_a_watched_folder_goes_on(tmp_path: Path, kind: str) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    words = {"n": "i64", "at": "i64"}
    rows = mt.stream(time=mt.epoch("s", "at"), out_of_order="1h", schema=words).filter("n >= 0")

    def write(name: str, *values: int) -> None:
        table = pa.table({"n": values, "at": values})
        hidden = folder / f".{name}"
        if kind == "parquet":
            pq.write_table(table, hidden)
        elif kind == "csv":
            pc.write_csv(table, hidden)
        else:
            hidden.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
        hidden.rename(folder / name)

    def until(count: int) -> list[int]:
        source = {**KINDS, "parquet": Parquet}[kind](folder, watch=True)
        checkpoint = mt.Checkpoint(tmp_path / "state", every="0s")
        sinks = [mt.sinks.JsonLines(out)]
        running = mt.run(source, rows, sinks=sinks, checkpoint=checkpoint, background=True)
        end = time.monotonic() + 30
        while running.alive and len(shown()) < count and time.monotonic() < end:
            time.sleep(0.01)
        running.stop(30)
        return shown()

    def shown() -> list[int]:
        return (
            [json.loads(each)["n"] for each in out.read_text().splitlines()] if out.exists() else []
        )

    write("b10", 3, 4)
    write("b9", 1, 2)
    assert until(4) == [1, 2, 3, 4]
    write("a", 5)
    (folder / "b9").unlink()
    assert until(5) == [1, 2, 3, 4, 5]
    assert until(5) == [1, 2, 3, 4, 5]
