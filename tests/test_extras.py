"""What works with pyarrow and msgspec alone, and which extra an error names for the rest."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

ALONE = """
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


BLOCKED = {"sqlglot", "rich", "typer", "click", "starlette", "uvicorn", "prometheus_client"}
BLOCKED |= {"polars", "pandas", "numpy", "duckdb"}
sys.meta_path.insert(0, Blocked())
import muntin as mt
from muntin import col

STREAM = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]", "v": "i64"})
ROWS = [{"at": f"2024-05-01T10:0{minute}:00Z", "v": minute} for minute in range(5)]
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", ALONE + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_pipelines_rules_and_runs_need_no_extra() -> None:
    code = """
assert mt.stream(time="at", out_of_order="0s").tumbling("2m").agg(total=mt.sum("v"))
windows = STREAM.filter(col("v") > 0).tumbling("2m").agg(n=mt.count(), total=mt.sum("v"))
rule = mt.rule("much", col("total") > 4, message="{total}")
result = mt.collect(windows, ROWS, rules=[rule])
print(result.rows["total"].to_pylist(), len(result.alerts))
seen = []
mt.run(ROWS, windows, sinks=[mt.sinks.Callback(lambda table: seen.extend(table["n"].to_pylist()))])
print(seen, mt.operator(STREAM).push(ROWS).rows.columns)
"""
    assert run(code).splitlines() == ["[1, 5, 4] 1", "[1, 2, 1] ['at', 'v']"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "extra"),
    [
        ('STREAM.filter("v > 0")', "sql"),
        ('mt.sql("v + 1")', "sql"),
        ("mt.serve(0)", "dashboard"),
        ("mt.collect(STREAM, ROWS).rows.to_polars()", "polars"),
        ("mt.collect(STREAM, ROWS).rows.to_pandas()", "pandas"),
    ],
)
def test_an_error_names_what_to_install(call: str, extra: str) -> None:
    code = f"""
try:
    {call}
except mt.MissingExtra as error:
    print(error)
"""
    said = run(code)
    assert "hint: pip install" in said and extra in said


def test_the_command_line_names_what_to_install() -> None:
    code = """
from muntin.commands import main
try:
    main()
except SystemExit as stopped:
    print(stopped)
"""
    assert 'hint: pip install "muntin[cli]"' in run(code)


def test_what_the_core_needs_is_short() -> None:
    assert [re.match(r"[\w-]+", each)[0] for each in PROJECT["dependencies"]] == [
        "msgspec",
        "pyarrow",
    ]
    for extra in ("sql", "cli", "dashboard"):
        for bundle in ("demo", "test"):
            assert set(EXTRAS[extra]) <= set(EXTRAS[bundle]), f"{bundle} lacks some of {extra}"
