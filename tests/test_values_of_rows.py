"""Aggregates with two arguments, with a parameter and with lists: every type in every window,
through every way out.

The strategies of `test_oracle.py` draw them, too; here no type and no window is left to chance.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import random
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from engine import Engine, check_same, comparable
from kinds import NUMBERS, WORDS, values
from oracle import Feed, Machine
from plans import S
from small_plans import at, hopping, plan, session, sliding, source, tumbling
from strategies import joined, play

COLUMNS = {f"c{i}": word for i, word in enumerate(dict.fromkeys(WORDS))}
SCHEMA = {"at": "timestamp[us]", "k": "str"} | COLUMNS
FEW = ["c0", "c1"]


def aggregate(name: str, kind: str, *args: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "args": [{"col": a} for a in args], "where": None} | more


def pairs() -> list[tuple[str, str]]:
    """Each type as the answer and as what decides, beside a few others, and beside its like."""
    some = [(x, y) for x in COLUMNS for y in FEW] + [(x, y) for x in FEW for y in COLUMNS]
    return list(dict.fromkeys([*some, *((x, x) for x in COLUMNS)]))


def all_aggregates() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The aggregates, and the types of their columns."""
    made = [(aggregate("n", "count"), "i64")]
    for kind in ("arg_max", "arg_min"):
        made += [(aggregate(f"{kind} {x} {y}", kind, x, y), COLUMNS[x]) for x, y in pairs()]
    for x, word in COLUMNS.items():
        made.append((aggregate(f"list {x}", "array_agg", x), f"list[{word}]"))
        if word in [*NUMBERS, "bool"]:
            q = {"parameters": [{"lit": 0.3, "type": "f64"}]}
            made.append((aggregate(f"quantile {x}", "quantile", x, **q), "f64"))
    return [each for each, _ in made], {each["name"]: word for each, word in made}


ALL, TYPES = all_aggregates()
FEATURES = [{"name": each["name"], "aggregate": i, "size": 0} for i, each in enumerate(ALL)]
WINDOWS: dict[str, dict[str, Any]] = {
    "tumbling": tumbling(9, by=("k",), aggregates=ALL),
    "tumbling again": tumbling(9, by=("k",), aggregates=ALL, allowed_lateness=20 * S),
    "hopping": hopping(9, 4, by=["k"], aggregates=ALL),
    "session": session(2, by=["k"], aggregates=ALL),
    "sliding": sliding(9, aggregates=ALL, columns=FEATURES),
    "sliding late": sliding(5, aggregates=ALL, columns=FEATURES, closed="both"),
    "sliding without itself": sliding(9, aggregates=ALL, columns=FEATURES, include_current=False),
    "sliding on watermark": sliding(9, aggregates=ALL, columns=FEATURES, emit="watermark"),
}


def rows(seed: int, n: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    pools = {name: [None, *values(word, huge=True)] for name, word in COLUMNS.items()}
    made = []
    for i in range(n):
        row = {name: rng.choice(pool) for name, pool in pools.items()}
        made.append(at(i // 2 - rng.choice([0, 0, 0, 1, 3, 12]), k=rng.choice("ab"), **row))
    return made


@pytest.mark.parametrize("window", WINDOWS)
def test_every_type_in_every_window(window: str) -> None:
    behind = 0 if window in ("tumbling again", "sliding late") else 12 * S
    whole = plan(
        WINDOWS[window], inputs=[source(out_of_order=behind, schema=[*map(list, SCHEMA.items())])]
    )
    ops: list[Any] = [("step", [Feed(0, [row])], "given") for row in rows(1, 30)]
    ops.append(("finish", None, None))
    engine, outs = Engine(whole, {0: [0]}), []
    for i, op in enumerate(ops):
        outs += play(engine, [op])
        engine = engine.restored() if i % 9 == 8 else engine
    want = joined(play(Machine(whole, {0: [0]}), ops))
    types = [SCHEMA | TYPES | dict.fromkeys(("window_start", "window_end"), "timestamp[us]")]
    check_same(comparable(joined(outs), whole, types), comparable(want, whole, types))
    assert sum(len(out.outputs[0]) for out in outs) > 6


# ── lists on their way out ──────────────────────────────────────────────────────────────────────

START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)


def visits(word: str, given: list[Any]) -> tuple[mt.Stream, list[dict[str, Any]]]:
    words = {"at": "timestamp[us, UTC]", "k": "str", "v": word}
    made = [
        {"at": START + dt.timedelta(seconds=9 - i), "k": "x", "v": v} for i, v in enumerate(given)
    ]
    made.append({"at": START, "k": "none", "v": None})
    stream = mt.stream(time="at", out_of_order="1m", schema=words)
    return stream, made


LISTS = visits("str", ["b", 'q"', None, ""])
HOURLY = LISTS[0].tumbling("1h", by="k").agg(all=mt.array_agg("v"))
WANTED = {"x": ["", 'q"', "b"], "none": None}


@pytest.mark.parametrize(
    ("word", "given"),
    [
        ("str", ["a", 'q"', ""]),
        ("f64", [1.5, math.inf, -0.0]),
        ("binary", [b"\x00\xff", b""]),
        ("timestamp[us, Europe/Berlin]", [START, START - dt.timedelta(days=9)]),
        ("bool", [True, False]),
        ("u64", [2**64 - 1, 0]),
    ],
)
def test_a_list_is_a_list_of_python(word: str, given: list[Any]) -> None:
    stream, data = visits(word, given)
    result = mt.collect(stream.tumbling("1h", by="k").agg(all=mt.array_agg("v")), data)
    found = {row["k"]: row["all"] for row in result.rows}
    assert found == {"x": given[::-1], "none": None}
    assert pa.table(result).schema.field("all").type == pa.list_(
        pa.table(result)["all"].type.value_type
    )
    assert {row["k"]: row["all"] for row in result.rows.to_polars().to_dicts()}["none"] is None


def test_files_and_tables_hold_lists(tmp_path: Path) -> None:
    """Parquet as lists, JSON lines as arrays, CSV and SQLite as JSON text."""
    paths = {name: tmp_path / f"out.{name}" for name in ("parquet", "jsonl", "csv", "db")}
    sinks = [mt.sinks.Parquet(paths["parquet"]), mt.sinks.JsonLines(paths["jsonl"])]
    sinks += [mt.sinks.Csv(paths["csv"]), mt.sinks.Sqlite(paths["db"], table="rows")]
    mt.run(LISTS[1], HOURLY, sinks=sinks)
    assert {r["k"]: r["all"] for r in pq.read_table(paths["parquet"]).to_pylist()} == WANTED
    lines = [json.loads(line) for line in paths["jsonl"].read_text().splitlines()]
    assert {r["k"]: r["all"] for r in lines} == WANTED
    with paths["csv"].open(newline="") as file:
        cells = {r["k"]: r["all"] for r in csv.DictReader(file)}
    assert cells["none"] == "" and json.loads(cells["x"]) == WANTED["x"]
    with sqlite3.connect(paths["db"]) as connection:
        found = dict(connection.execute('select k, "all" from rows').fetchall())
    assert found["none"] is None and json.loads(found["x"]) == WANTED["x"]


def test_alerts_and_answers_hold_lists() -> None:
    stream, data = LISTS
    rule = mt.rule("many", "n >= 2", message="{all}")
    scored = stream.sliding("1h", by="k").agg(n=mt.count(), all=mt.array_agg("v"))
    op = mt.operator(scored, rules=[rule])
    found = []
    for row in sorted(data, key=lambda row: row["at"]):
        peeked = op.peek(row).row
        answer = op.ask(row)
        assert answer.row == peeked
        found.append(answer.row["all"])
        op = mt.operator(scored, rules=[rule], snapshot=op.snapshot())
    assert found == [None, [""], [""], ["", 'q"'], WANTED["x"]]
    alerts = list(mt.collect(HOURLY.with_columns(n=3), data, rules=[rule]).alerts)
    told = [json.loads(alert["values"])["all"] for alert in alerts]
    assert told == [
        json.loads(alert["message"]) if alert["message"] != "null" else None for alert in alerts
    ]
    assert WANTED["x"] in told and None in told and len(told) == 2


def test_a_list_may_be_counted_carried_and_not_aggregated_again() -> None:
    behind = HOURLY.filter("k = 'x'").tumbling("1d").agg(n=mt.count("all"))
    assert [row["n"] for row in mt.collect(behind, LISTS[1]).rows] == [1]
    with pytest.raises(mt.PlanError, match=r"array_agg of list\[str\]\nhint: "):
        HOURLY.tumbling("1d").agg(again=mt.array_agg("all"))
    with pytest.raises(mt.PlanError, match=r"arg_max of list\[str\]\nhint: "):
        HOURLY.tumbling("1d").agg(top=mt.arg_max("k", by="all"))


# ── what is refused ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("q", [95, -0.1, 1.0000001, math.nan, math.inf, True, "0.5", None])
def test_a_share_is_a_number_between_0_and_1(q: Any) -> None:
    with pytest.raises(
        mt.PlanError, match=r"^quantile\(\): q=.* is not a number between 0 and 1\n"
    ):
        mt.quantile("v", q)


def test_parameters_belong_to_the_plan() -> None:
    numbers = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]", "v": "i64"})
    at_q = {q: numbers.tumbling("1h").agg(p=mt.quantile("v", q)) for q in (0, 0.5, 1)}
    assert at_q[0.5] == numbers.tumbling("1h").agg(p=mt.median("v")) != at_q[1]
    op = mt.operator(at_q[0.5])
    op.push([{"at": dt.datetime(2024, 5, 1), "v": 3}])
    with pytest.raises(
        mt.PipelineChanged, match=r'- \.tumbling\("1h"\)\.agg\(p=quantile\("v", 0\.5\)\)'
    ):
        mt.operator(at_q[1], snapshot=op.snapshot())
    with pytest.raises(mt.PlanError, match=r'aggregate "p": quantile of str\nhint: '):
        LISTS[0].tumbling("1h").agg(p=mt.quantile("v", 0.5))
