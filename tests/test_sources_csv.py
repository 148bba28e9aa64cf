"""CSV files: what is a record, which types, and that a bad record costs no other."""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import muntin as mt
from muntin.base import limits
from muntin.sources import Csv, Delivery, Undecodable

WORDS = {"at": "timestamp[us, UTC]", "n": "i64", "s": "str"}


def file(folder: Path, text: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(source: Csv, words: Any = None) -> tuple[list[dict[str, Any]], list[Undecodable]]:
    reader = source.open(words, {})
    found = [d for d in iter(reader.poll, None) if isinstance(d, Delivery)]
    reader.close()
    rows = [row for d in found for row in pa.table(d.batch).to_pylist()]
    return rows, [bad for d in found for bad in d.undecodable]


def test_types_of_the_schema(tmp_path: Path) -> None:
    words = {
        "t": "timestamp[us, UTC]",
        "l": "timestamp[ms]",
        "d": "date",
        "m": "decimal(8, 2)",
        "f": "f64",
        "b": "bool",
        "w": "duration[s]",
        "s": "str",
    }
    path = file(
        tmp_path,
        "s,x,t,l,d,m,f,b,w\n"
        '"a ""b"", c",0,2024-05-01T10:00:00+02:00,2024-05-01 10:00:00.5,2024-05-01,1.5, 2 ,true,7\n'
        ",0,2024-05-01T10:00,2024-05-01T10:00:00Z,,,,,\n",
    )
    first, second = read(Csv(path, schema=words))[0]
    assert first == {
        "t": dt.datetime(2024, 5, 1, 8, tzinfo=dt.UTC),
        "l": dt.datetime(2024, 5, 1, 10, 0, 0, 500_000),
        "d": dt.date(2024, 5, 1),
        "m": first["m"],
        "f": 2.0,
        "b": True,
        "w": dt.timedelta(seconds=7),
        "s": 'a "b", c',
    }
    assert str(first["m"]) == "1.50"
    assert second["t"] == dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
    assert second["l"] == dt.datetime(2024, 5, 1, 10)
    assert [second[name] for name in "dmfbws"] == [None] * 6


def test_without_a_schema_the_first_records_decide(tmp_path: Path) -> None:
    path = file(tmp_path, "t,z,n,f,s,e\n2024-05-01T10:00:00,2024-05-01T10:00Z,1,1.5,x,\n")
    delivery = Csv(path).open(None, {}).poll()
    assert isinstance(delivery, Delivery)
    assert pa.table(delivery.batch).schema.types == [
        pa.timestamp("us"),
        pa.timestamp("us", "UTC"),
        pa.int64(),
        pa.float64(),
        pa.string(),
        pa.string(),
    ]
    rows, _ = read(Csv(path), [("n", "f64")])
    assert rows == [{"n": 1.0}]


@pytest.mark.parametrize("block", [1, 7, 4 << 20])
def test_a_record_that_does_not_fit_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    path = file(
        tmp_path,
        b'n,s\r\n1,a\r\n\r\n2\r\nx,b\r\n3,"c\r\nd"\r\n4,e,f\r\n5,\xff\r\n99999999999999999999,g\r\n6,h',
    )
    rows, bad = read(Csv(path, schema={"n": "i64", "s": "str"}))
    assert rows == [{"n": 1, "s": "a"}, {"n": 3, "s": "c\r\nd"}, {"n": 6, "s": "h"}]
    assert [(b.position, b.line, b.text) for b in bad] == [
        (1, 4, "2"),
        (2, 5, "x,b"),
        (4, 8, "4,e,f"),
        (5, 9, "5,\ufffd"),
        (6, 10, "99999999999999999999,g"),
    ]
    assert all(b.file == str(path) for b in bad)
    assert bad[0].detail == "it has 1 fields, not 2"
    assert bad[1].detail == 'column "n" does not fit i64: "x" is of another type'


def test_a_quote_that_is_never_closed_costs_its_line(tmp_path: Path) -> None:
    path = file(tmp_path, 'n,s\n1,a\n2,"b\n3,c\n4,d\n')
    rows, bad = read(Csv(path, schema={"n": "i64"}))
    assert [row["n"] for row in rows] == [1, 3, 4]
    assert [(b.position, b.line, b.text) for b in bad] == [(1, 3, '2,"b')]


@pytest.mark.parametrize(
    "text",
    [b'\xef\xbb\xbf"n"\n1\n2\n', b"n\r1\r2", b"\n\nn\n1\n\n2", b'"n"\r\n"1"\r\n"2"\r\n'],
    ids=["BOM", "CR", "empty lines", "quoted"],
)
def test_ways_to_write_the_same(tmp_path: Path, text: bytes) -> None:
    assert read(Csv(file(tmp_path, text))) == ([{"n": 1}, {"n": 2}], [])


def test_empty_files_and_bare_headers_have_no_rows(tmp_path: Path) -> None:
    for text in ("", "\n", "n\n", "n"):
        assert read(Csv(file(tmp_path, text), schema={"n": "i64"})) == ([], [])


def test_each_file_has_its_own_header(tmp_path: Path) -> None:
    file(tmp_path, "n,s\n1,a\n", "a.csv")
    file(tmp_path, "", "b.csv")
    file(tmp_path, "s,x,n\nb,0,2", "c.csv")
    source = Csv(str(tmp_path / "*.csv"))
    assert read(source)[0] == [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}]
    assert source.identity() == [str(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv")]
    file(tmp_path, "n,t\n2,b", "c.csv")
    with pytest.raises(mt.SourceError, match=r'c\.csv: unknown column "s"'):
        read(source)


def test_without_a_header_the_schema_names_the_columns(tmp_path: Path) -> None:
    path = file(tmp_path, "1;a\n2;-\n")
    bare = {"delimiter": ";", "header": False, "null_values": ["-"]}
    words = {"n": "i64", "s": "str"}
    expected = [{"n": 1, "s": "a"}, {"n": 2, "s": None}]
    assert read(Csv(path, schema=words, **bare))[0] == expected
    assert read(Csv(path, **bare), list(words.items()))[0] == expected
    assert read(Csv(path, **bare))[0] == [{"f0": 1, "f1": "a"}, {"f0": 2, "f1": None}]


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path, "n,n\n1,2\n")
    with pytest.raises(mt.SourceError, match='has two columns "n"'):
        read(Csv(path))
    with pytest.raises(mt.SourceError, match="delimiter must be one ASCII character, got ';;'"):
        Csv(path, delimiter=";;")
    with pytest.raises(mt.SourceError, match='column "n" cannot be a list'):
        Csv(path, schema={"n": "list[i64]"}).open(None, {})
    with pytest.raises(mt.SourceError, match="without a header needs schema="):
        Csv(path, header=False, partition="p")
    with pytest.raises(mt.SourceError, match="2 records, but 3 had been read"):
        Csv(file(tmp_path, "n\n1\n2\n")).open(None, {0: 3}).poll()
    with pytest.raises(mt.SourceError, match="has no header: a quote is opened"):
        read(Csv(file(tmp_path, '"n\n1\n2\n')))


@given(
    rows=st.lists(st.tuples(*[st.text(st.sampled_from('ab,"\n\r é'), max_size=5)] * 2), max_size=9),
    block=st.integers(1, 40),
)
def test_any_text_comes_back(
    rows: list[tuple[str, str]], block: int, tmp_path_factory: Any
) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([("x", "y"), *rows])
    path = file(tmp_path_factory.mktemp("any"), written.getvalue())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "BLOCK_BYTES", block)
        source = Csv(path, schema={"x": "str", "y": "str"}, null_values=[])
        found, bad = read(source)
    assert [(row["x"], row["y"]) for row in found] == rows
    assert bad == []
