"""Lines of any length and any ending: what is a record does not depend on how a file is read."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import muntin as mt
from muntin.base import limits
from muntin.sources import Csv, Delivery, JsonLines, Quiet
from muntin.sources.files import records
from muntin.testing import check_source

KINDS = {"jsonlines": JsonLines, "csv": Csv}
LIMIT = 40


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "WAIT_SECONDS", 0.0001)


def positions_of(delivery: Delivery) -> list[int]:
    rows = len(pa.table(delivery.batch))
    if isinstance(delivery.position, int):
        return list(range(delivery.position, delivery.position + rows))
    return pa.array(delivery.position).to_pylist()


def read(source: Any) -> list[tuple[int, Any]]:
    """Rows and what is none, by position."""
    reader = source.open(None, {})
    found: list[tuple[int, Any]] = []
    while isinstance(polled := reader.poll(), Delivery):
        positions = positions_of(polled)
        found += zip(positions, pa.table(polled.batch).to_pylist(), strict=True)
        found += [(bad.position, (bad.line, bad.text, bad.detail)) for bad in polled.undecodable]
    assert polled is None or isinstance(polled, Quiet)
    reader.close()
    return sorted(found, key=lambda each: each[0])


LONG = "x" * 100


@pytest.mark.parametrize("follow", [False, True], ids=["bounded", "followed"])
@pytest.mark.parametrize("block", [1, 7, 64, 4 << 20])
def test_a_line_above_the_limit_is_an_invalid_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, follow: bool
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    monkeypatch.setattr(records, "SHOWN_BYTES", 20)
    path = tmp_path / "rows"
    path.write_text(f'{{"n": 1}}\n{{"n": 2, "s": "{LONG}"}}\n\n{{"n": 3}}\n{LONG}\n')
    source = JsonLines(path, schema={"n": "i64"}, line_bytes_max=LIMIT, follow=follow)
    said = f"it has {{}} bytes, more than line_bytes_max={LIMIT}"
    assert read(source) == [
        (0, {"n": 1}),
        (1, (2, '{"n": 2, "s": "xxxxx', said.format(117))),
        (3, {"n": 3}),
        (4, (5, "x" * 20, said.format(100))),
    ]


@pytest.mark.parametrize("follow", [False, True], ids=["bounded", "followed"])
@pytest.mark.parametrize("block", [1, 7, 64, 4 << 20])
def test_a_record_above_the_limit_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, follow: bool
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    monkeypatch.setattr(records, "SHOWN_BYTES", 5)
    path = tmp_path / "rows"
    many = "".join(f"{n},b\r\n" for n in range(5, 25))
    path.write_bytes(
        f'n,s\r\n1,a\r\n2,{LONG}\r\n\r\n3,"a\r\nb"\r\n4,"open\r\n{many}{LONG}\r9,c\r'.encode()
        + b"10,d\r\n"
    )
    source = Csv(path, schema={"n": "i64"}, line_bytes_max=LIMIT, follow=follow)
    said = f"it has {{}} bytes, more than line_bytes_max={LIMIT}"
    rows = read(source)
    assert rows[:4] == [
        (0, {"n": 1}),
        (1, (3, "2,xxx", said.format(102))),
        (2, {"n": 3}),
        (3, (7, '4,"open', "a quote is opened and never closed")),
    ]
    assert rows[4:24] == [(4 + i, {"n": 5 + i}) for i in range(20)]
    assert rows[24:] == [
        (24, (28, "xxxxx", said.format(100))),
        (25, {"n": 9}),
        (26, {"n": 10}),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_that_grows_slowly_is_taken_when_it_ends(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"n\n" if kind == "csv" else b"")
    source = KINDS[kind](path, schema={"n": "i64"}, line_bytes_max=LIMIT, follow=True)
    reader = source.open(None, {})
    line = b"1" + b"0" * 100 if kind == "csv" else b'{"n": 1, "s": "' + b"x" * 100 + b'"}'
    with open(path, "ab", buffering=0) as out:
        for i in range(0, len(line), 9):
            out.write(line[i : i + 9])
            assert reader.poll() == Quiet((0,))
        out.write(b"\n7\n" if kind == "csv" else b'\n{"n": 7}\n')
    found = [reader.poll(), reader.poll()]
    (bad,) = found[0].undecodable
    assert (bad.position, bad.detail.partition(",")[0]) == (0, f"it has {len(line)} bytes")
    assert pa.table(found[1].batch)["n"].to_pylist() == [7]
    reader.close()


@pytest.mark.parametrize("quote", ["", '"'], ids=["plain", "quoted"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_line_takes_bounded_memory(tmp_path: Path, kind: str, quote: str) -> None:
    path, size = tmp_path / "rows", 96 << 20
    with open(path, "wb") as out:
        out.write(b"n,s\n1," if kind == "csv" else b'{"n": 1, "s": "')
        out.write(quote.encode())
        for _ in range(size >> 20):
            out.write(b"x" * (1 << 20))
        out.write(f"{quote}\n2,\n".encode() if kind == "csv" else b'"}\n{"n": 2}\n')
    source = KINDS[kind](path, schema={"n": "i64"}, line_bytes_max=2 << 20)
    tracemalloc.start()
    found = read(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [position for position, _ in found] == [0, 1]
    assert "more than line_bytes_max=2,097,152" in found[0][1][2]
    assert len(found[0][1][1]) <= records.SHOWN_BYTES
    assert found[1][1] == {"n": 2}
    assert peak < 32 << 20


def test_limits_below_one_are_refused(tmp_path: Path) -> None:
    for word in ("line_bytes_max", "batch_rows"):
        with pytest.raises(mt.SourceError, match=f"Csv: {word} must be at least 1, got 0"):
            Csv(tmp_path / "a", **{word: 0})
    with pytest.raises(mt.SourceError, match='lost: "maybe" is not one of error, skip'):
        JsonLines(tmp_path / "a", lost="maybe")  # type: ignore[arg-type]


PIECES = {
    "jsonlines": [
        *(b"\n", b"\r\n", b"\r", b" ", b'{"n": 1}', b'{"n": 2}\n', b'{"n":', b"\xff", b"abcd\x00"),
        *(b'{"n": 3, "p": 1}\n', b"null", b"x" * 30, "\ufeff".encode(), "é€".encode(), b'"'),
    ],
    "csv": [
        *(b"\n", b"\r\n", b"\r", b" ", b"1,a\n", b"2,b\r\n", b"3", b",", b'"', b'""', b"\xff"),
        *(b"4,c\r", b'5,"d\ne"\n', b"x" * 30, "\ufeff".encode(), "é€".encode(), b"abcd\x00"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_how_a_file_is_read_changes_nothing(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pieces = data.draw(st.lists(st.sampled_from(PIECES[kind]), max_size=14))
    limit = data.draw(st.sampled_from([8, 20, 1 << 20]))
    path = tmp_path_factory.mktemp("any") / "rows"
    path.write_bytes((b"n,s\n" if kind == "csv" else b"") + b"".join(pieces))
    words = {"n": "i64", "s": "str"}

    def make() -> Any:
        return KINDS[kind](path, schema=words, line_bytes_max=limit, batch_rows=1)

    whole = read(make())
    block = data.draw(st.integers(1, 12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "BLOCK_BYTES", block)
        assert read(make()) == whole
        assert check_source(make) == len(whole)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_followed_file_gives_what_a_whole_one_gives(
    kind: str, data: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pieces = data.draw(st.lists(st.sampled_from(PIECES[kind]), max_size=14))
    path = tmp_path_factory.mktemp("any") / "rows"
    start = b"n,s\n" if kind == "csv" else b""
    words = {"n": "i64", "s": "str"}
    path.write_bytes(start)
    source = KINDS[kind](path, schema=words, line_bytes_max=20, follow=True)
    reader, found = source.open(None, {}), []
    for piece in [*pieces, b"\n"]:
        with open(path, "ab") as out:
            out.write(piece)
        while isinstance(polled := reader.poll(), Delivery):
            positions = positions_of(polled)
            found += zip(positions, pa.table(polled.batch).to_pylist(), strict=True)
            found += [(b.position, (b.line, b.text, b.detail)) for b in polled.undecodable]
    reader.close()
    whole = read(KINDS[kind](path, schema=words, line_bytes_max=20))
    # an open quote may yet be closed in a followed file
    assert sorted(found, key=lambda each: each[0]) == whole[: len(found)]
