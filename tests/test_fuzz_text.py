"""Text that is wrong in random ways: JSON lines, CSV, SQL. It is refused by name or read, and what
stands beside it is not changed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from fuzzing import CORPUS, changed, rounds

SCHEMA = {
    **{"at": "timestamp[us, UTC]", "k": "str", "i": "i64", "u": "u64", "f": "f64", "s": "str"},
    **{"b": "bool", "d": "decimal(10, 2)"},
}
JSON = (CORPUS / "lines.jsonl").read_bytes().splitlines()
CSV = (CORPUS / "rows.csv").read_bytes()
SQL = (CORPUS / "expressions.sql").read_bytes().splitlines()


def read(source: Any) -> tuple[list[dict], list[dict]]:
    """What a source gives: rows in order of arrival, and invalid records."""
    rows: list[dict] = []
    invalid: list[dict] = []
    stream = mt.stream(time="at", out_of_order="0s", max_future_skew=None, schema=SCHEMA)
    taken = stream.select("k", "i", "f", "s")
    mt.run(
        source,
        taken,
        sinks=[mt.sinks.Callback(lambda t: rows.extend(t.to_dicts()))],
        invalid=[mt.sinks.Callback(lambda t: invalid.extend(t.to_dicts()))],
    )
    return rows, invalid


@pytest.mark.slow
def test_a_broken_json_line_harms_no_other(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    for seed, rng in rounds(60):
        good = [b'{"at": "2024-05-01T10:00:00Z", "k": "good", "i": %d}' % i for i in range(8)]
        broken = [changed(rng, rng.choice(JSON), JSON).replace(b"\n", b" ") for _ in good]
        file.write_bytes(
            b"\n".join(line for pair in zip(good, broken, strict=True) for line in pair)
        )
        try:
            rows, invalid = read(mt.sources.JsonLines(file))
        except mt.MuntinError as error:
            # the start of a file that does not look like JSON lines at all is refused
            assert "this is a bug" not in str(error), f"MUNTIN_FUZZ_SEED={seed}: {error}"
            continue
        found = [row["i"] for row in rows if row["k"] == "good" and row["f"] is None]
        assert [i for i in range(8) if i not in found] == [], f"MUNTIN_FUZZ_SEED={seed}"
        blank = sum(not line.strip() for line in broken)
        assert len(rows) + len(invalid) == 16 - blank, f"MUNTIN_FUZZ_SEED={seed}"


@pytest.mark.slow
def test_broken_csv_is_refused_or_read(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    head, rest = CSV.split(b"\n", 1)
    read_to_the_end = 0
    for seed, rng in rounds(60):
        body = changed(rng, rest, [rest, *JSON])
        begin = head if rng.random() < 0.9 else changed(rng, head, [rest])
        file.write_bytes(begin + b"\n" + body)
        try:
            read(mt.sources.Csv(file))
            read_to_the_end += 1
        except mt.MuntinError as error:
            assert "this is a bug" not in str(error), f"MUNTIN_FUZZ_SEED={seed}: {error}"
    assert read_to_the_end > 0


def test_broken_sql_is_refused_or_means_something() -> None:
    at = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
    table = pa.table(
        {
            "at": [at, at],
            "amount": [1.5, None],
            "quantity": [2**62, -1],
            "store": ["a", None],
            "odd name": [1, 2],
            "ok": [True, None],
        }
    )
    computed = 0
    for seed, rng in rounds(400):
        text = changed(rng, rng.choice(SQL), SQL).decode(errors="replace")
        stream = mt.stream(time="at", out_of_order="0s", max_future_skew=None)
        try:
            expr = mt.sql(text)
            repr(expr)
            mt.collect(stream.with_columns(result=expr), table)
            computed += 1
        except mt.MuntinError as error:
            assert "this is a bug" not in str(error), f"MUNTIN_FUZZ_SEED={seed}: {text!r}: {error}"
    assert computed > 0
