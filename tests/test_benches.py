"""The benchmarks: their data, the comparison of outputs, and a small run of the whole."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from benches.__main__ import main
from benches.compare import canonical, difference, totals_differ
from benches.data.make import make
from benches.measure import alone
from benches.measure import run as measuring
from benches.measure.lines import Line
from benches.peers import KNOWN, Clock, load
from benches.report.markdown import markdown
from benches.report.text import text
from benches.workloads import CATALOGUE, Data, Point, Workload, chosen
from muntin.commands import bench
from muntin.commands.app import app

MINUTES = next(each for each in CATALOGUE if each.name == "tumbling-z100k")
ROWS = Data(rows=5_000, keys=100)
SHAPES = [
    ROWS,
    replace(ROWS, spread="uniform"),
    replace(ROWS, key="text"),
    replace(ROWS, key="two"),
    replace(ROWS, late=0.5, late_seconds=60),
    replace(ROWS, partitions=4),
    replace(ROWS, kind="ads"),
    replace(ROWS, kind="auctions"),
    replace(ROWS, kind="bidders"),
]


@pytest.mark.parametrize("data", SHAPES, ids=lambda data: f"{data.kind}-{data.key}-{data.late}")
def test_a_seed_gives_the_same_events_each_time(data: Data) -> None:
    table = make(data)
    assert table.equals(make(data))
    assert len(table) == data.rows
    assert data.kind == "ads" or not table.equals(make(replace(data, seed=8)))
    assert all(column.null_count == 0 for column in table.columns)


def test_events_are_as_late_as_the_workload_says() -> None:
    ts = make(replace(ROWS, late=0.5, late_seconds=60))["ts"].cast(pa.int64()).to_pylist()
    newest = pc.cumulative_max(pa.array(ts)).to_pylist()
    late = [(high - t) / 1e6 for high, t in zip(newest, ts, strict=True) if t < high]
    assert 0.3 < len(late) / len(ts) < 0.6
    assert 30 < max(late) <= 60


def test_names_are_unique_and_a_workload_survives_json() -> None:
    names = [each.name for each in CATALOGUE]
    assert len(names) == len(set(names))
    for each in CATALOGUE:
        assert Workload.from_json(json.loads(json.dumps(each.to_json()))) == each
    with pytest.raises(ValueError, match="no workload begins with 'b99'"):
        chosen("small", ["b99"])


def output(starts: list[int], sums: list[float]) -> pa.Table:
    columns = {"start": pa.array(starts, pa.timestamp("us")), "key": [1] * len(starts)}
    results = {"n": [1] * len(starts), "s": sums, "lo": sums, "hi": sums}
    return canonical(MINUTES, pa.table({**columns, **results}))


def test_the_order_of_rows_and_the_rounding_of_sums_are_no_difference() -> None:
    ours = output([0, 60], [0.3, 2.0])
    assert difference(MINUTES, ours, output([60, 0], [2.0, 0.1 + 0.2])) is None


def test_a_difference_says_which_rows() -> None:
    ours = output([0, 60], [1.0, 2.0])
    fewer = difference(MINUTES, ours, output([0], [1.0]))
    assert fewer == (
        "2 and 1 rows; not in its output: 1, such as [(60, 1)]; only there: 0, such as []"
    )
    other = difference(MINUTES, ours, output([0, 60], [1.0, 2.5]))
    assert other is not None and other.startswith("1 rows differ in s") and "2.5" in other
    assert totals_differ({"rows": 2, "s": 3.0}, {"rows": 2, "s": 3.5}) == (
        "the total of s is 3.5; muntin's is 3.0"
    )


def test_a_run_with_a_difference_has_no_ratio(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(measuring, "difference", lambda *_: "1 rows differ in s")
    path = tmp_path / "found.json"
    code = main(["run", "tumbling-z100k", "--size=small", "--peers=duckdb", f"--json={path}"])
    found = json.loads(path.read_text())
    ours, theirs = found["lines"]
    assert code == 1
    assert ours["equal"] and "ns_per_event" in ours
    assert theirs["note"] == "differs from muntin: 1 rows differ in s"
    assert theirs["ratio"] is None and "ns_per_event" not in theirs
    assert "differs from muntin" in text(found)


@pytest.mark.slow
def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "found.json"
    names = ["tumbling-z100k", "rules"]
    peers = "--peers=dict,pandas,polars,duckdb,bytewax"
    assert main(["run", *names, "--size=small", peers, f"--json={path}"]) == 0
    found = json.loads(path.read_text())
    lines = [line for line in found["lines"] if line["peer"] != "bytewax"]
    assert len(lines) == 5
    for line in lines:
        assert line["equal"] and line["ns_per_event"] > 0 and line["rows"] > 0
        assert (line["ratio"] is None) == (line["peer"] == "muntin")
    assert {point["group"] for point in found["points"]} == {"rules"}
    shown = capsys.readouterr().out
    assert "tumbling 1 min, 100,000 keys, zipf" in shown and "DuckDB" in shown
    if not KNOWN["bytewax"].is_there():
        assert "Bytewax: python -m benches install bytewax" in shown


def test_a_page_of_results_is_one_file() -> None:
    from plotly.offline import get_plotlyjs

    from benches.report.page import page

    line = Line(MINUTES.of(20), "muntin", "muntin </script>", "1", 20, equal=True)
    other = replace(line, peer="duckdb", title="DuckDB", note="differs from muntin: <b>")
    line.cpu = line.wall = [0.5]
    points = [asdict(Point("latency", "an open loop", "rate", 1_000, {"p50, ms": 1.0}))]
    points[0]["values"] |= {"p99, ms": 2.0, "p99.9, ms": 3.0, "max, ms": 4.0}
    found = {
        "machine": {"cores": "2"},
        "size": "small",
        "seconds": 1.0,
        "lines": [line.to_json(), other.to_json()],
        "points": points,
        "peers": {"muntin": {"title": "muntin", "settings": {"threads": "1"}}},
        "absent": [{"name": "spark", "title": "Spark", "install": "python -m benches install x"}],
    }
    found = json.loads(json.dumps(found))
    text = page(found)
    assert not re.search(r"(src|href)=.?https?:", text.replace(get_plotlyjs(), ""))
    assert "differs from muntin: &lt;b&gt;" in text and "install x" in text
    assert markdown(found).splitlines()[2:6] == [
        "| workload | muntin </script> |",
        "|---|---:|",
        "| tumbling 1 min, 100,000 keys, zipf | 25,000,000 |",
        "",
    ]
    assert "muntin <\\/script>" in text and "muntin &lt;/script&gt;" in text


def test_what_muntin_is_measured_at_alone() -> None:
    for probe in (alone.snapshots, alone.ask, alone.latency):
        for point in probe("small"):
            assert all(value > 0 for value in point.values.values()), point


@pytest.mark.parametrize("name", ["dict", "pandas", "polars", "duckdb"])
@pytest.mark.parametrize("workload", CATALOGUE, ids=lambda workload: workload.name)
def test_each_peer_gives_what_muntin_gives(name: str, workload: Workload) -> None:
    """In one process, over few events of each workload."""
    few = replace(workload, data=replace(workload.data, rows=1_500, keys=40))
    if load(name).refuses(few):
        return
    table, got = make(few.data), {}
    for peer in ("muntin", name):
        tables: list[pa.Table] = []
        load(peer).run(few, table, Clock(), tables.append)
        got[peer] = canonical(few, pa.concat_tables(tables))
    assert len(got["muntin"]) > 0
    assert difference(few, got["muntin"], got[name]) is None


def test_muntin_bench_finds_the_source(monkeypatch, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["bench", "list"]).exit_code == 0
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["bench", "list"])
    assert answer.exit_code == 1
    assert "no folder benches in" in answer.stderr and "hint: take the source" in answer.stderr
