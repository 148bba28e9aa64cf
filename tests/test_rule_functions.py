"""Rules that are Python functions: what they get, what they may answer, and how they fail."""

from __future__ import annotations

import datetime as dt
import json
import logging
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import muntin as mt

START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
WORDS = {"at": "timestamp[us, UTC]", "k": "str", "v": "f64"}
EVENTS = mt.stream("events", time="at", out_of_order="0s", schema=WORDS)
COUNTED = EVENTS.sliding("1m", by="k").agg(n=mt.count())


def rows(*values: float | None, key: str = "a", start: int = 0) -> list[dict[str, Any]]:
    return [
        {"at": START + dt.timedelta(seconds=start + i), "k": key, "v": v}
        for i, v in enumerate(values)
    ]


def hits(result: mt.Result) -> list[Any]:
    return [(alert["time"] - START).seconds for alert in result.alerts]


ANSWERS: dict[str, Callable[[mt.Table], Any]] = {
    "arrow": lambda batch: pc.greater(batch["v"], 2),
    "arrow array": lambda batch: pc.greater(batch["v"], 2).combine_chunks(),
    "numpy": lambda batch: np.asarray(batch["v"]) > 2,
    "polars": lambda batch: batch.to_polars()["v"] > 2,
    "pandas": lambda batch: batch.to_pandas()["v"] > 2,
    "pandas with nulls": lambda batch: pd.Series([None, False, True], dtype="boolean"),
    "pandas objects": lambda batch: pd.Series([None, False, True], dtype=object),
    "list": lambda batch: [row["v"] > 2 for row in batch],
    "tuple": lambda batch: tuple(v > 2 for v in batch["v"].to_pylist()),
    "list of numpy": lambda batch: list(np.asarray(batch["v"]) > 2),
    "list with nulls": lambda batch: [None, None, True],
    "numpy objects": lambda batch: np.array([None, False, True], dtype=object),
    "polars of nulls": lambda batch: pl.Series([None, None, True]),
}


@pytest.mark.parametrize("of", ANSWERS)
def test_a_function_gets_a_table_and_may_answer_with_what_it_likes(of: str) -> None:
    seen: list[mt.Table] = []

    @mt.rule("high", by="k", cooldown="1s", message="{k}: {v}")
    def high(batch: mt.Table) -> object:
        seen.append(batch)
        return ANSWERS[of](batch)

    result = mt.operator(COUNTED, rules=[high]).push(rows(1, 2, 3))
    assert hits(result) == [2]
    assert [len(batch) for batch in seen] == [3]
    assert seen[0].columns == ["at", "k", "v", "n"]
    assert seen[0]["n"].to_pylist() == [1, 2, 3]
    assert pa.table(seen[0]).num_rows == pl.DataFrame(seen[0]).height == 3


def test_a_function_without_a_verdict_fires_for_no_row() -> None:
    silent = mt.rule("silent", by="k")(lambda batch: [None] * len(batch))
    assert len(mt.operator(COUNTED, rules=[silent]).push(rows(1, 2)).alerts) == 0


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def fail(error: BaseException) -> Callable[[mt.Table], Any]:
    def function(batch: mt.Table) -> Any:
        raise error

    return function


FAILURES: dict[str, tuple[Callable[[mt.Table], Any], str]] = {
    "raises": (fail(ValueError("bad")), 'rule "own": the function raised ValueError: bad'),
    "raises without a text": (fail(KeyError()), "the function raised KeyError"),
    "its text fails": (fail(Mute()), "raised Mute: its text cannot be shown"),
    "stops iteration": (fail(StopIteration()), "the function raised StopIteration"),
    "nothing": (lambda batch: None, 'rule "own": the answer is of type NoneType'),
    "one value": (lambda batch: True, "the answer is of type bool"),
    "text": (lambda batch: "yes", "the answer is of type str"),
    "an expression": (lambda batch: mt.col("v") > 1, "the answer is of type Call"),
    "short": (lambda batch: [True], "the answer has 1 value for 2 rows"),
    "long": (lambda batch: np.array([True] * 3), "the answer has 3 values for 2 rows"),
    "empty": (lambda batch: [], "the answer has 0 values for 2 rows"),
    "integers": (lambda batch: [0, 1], "the answer is of int64, not of booleans"),
    "floats": (lambda batch: np.array([0.0, 1.0]), "the answer is of double, not of booleans"),
    "mixed": (lambda batch: [True, "no"], "the answer is not a column"),
    "square": (lambda batch: np.ones((2, 2), bool), r"of type ndarray and shape \(2, 2\)"),
    "a frame": (lambda batch: batch.to_polars().select("k"), "the answer is of struct"),
    "a generator": (lambda batch: (True for _ in batch), "the answer is of type generator"),
}


@pytest.mark.parametrize("how", FAILURES)
def test_a_rules_failure_is_its_own(how: str) -> None:
    function, message = FAILURES[how]
    broken = {"yes": True}
    own = mt.rule("own", by="k")(lambda batch: function(batch) if broken["yes"] else [True])
    other = mt.rule("other", "v > 1", by="k")
    op, whole = mt.operator(COUNTED, rules=[own, other]), mt.operator(COUNTED, rules=[other])
    with pytest.raises(mt.RuleError, match=message) as caught:
        op.push(rows(1, 2))
    assert 'hint: fix the function, or set on_error="skip"' in str(caught.value)
    assert (caught.value.rule, isinstance(caught.value, mt.MuntinError)) == ("own", True)
    # the step is complete: its rows, the other rules' alerts, the state
    expected = whole.push(rows(1, 2))
    result = caught.value.result
    assert result.rows.to_dicts() == expected.rows.to_dicts()
    assert [a["rule"] for a in result.alerts] == [a["rule"] for a in expected.alerts] == ["other"]
    assert op.stats["failed"] == {"own": 1}
    # the operator and its snapshot live on
    broken["yes"] = False
    again = mt.operator(COUNTED, rules=[own, other], snapshot=op.snapshot())
    for each in (op, again):
        assert each.stats["failed"] == {"own": 1}
        after = each.push(rows(5, start=10))
        assert [row["n"] for row in after.rows] == [3]
        assert [alert["rule"] for alert in after.alerts] == ["own", "other"]


def test_a_rule_may_skip_what_its_function_cannot_judge(caplog: pytest.LogCaptureFixture) -> None:
    @mt.rule("own", by="k", on_error="skip")
    def own(batch: mt.Table) -> object:
        if len(batch) == 1:
            raise ValueError("too few")
        return [True] * len(batch)

    assert repr(own).endswith('on_error="skip")')
    op = mt.operator(COUNTED, rules=[own])
    with caplog.at_level(logging.WARNING, "muntin.rules"):
        assert [len(op.push(rows(v, start=v)).alerts) for v in (1, 2, 3)] == [0, 0, 0]
    assert hits(op.push(rows(1, 2, start=10))) == [10, 11]
    assert op.stats["failed"] == {"own": 3}
    (record,) = caplog.records
    assert (
        'rule "own": the function raised ValueError: too few; this batch has no'
        in record.getMessage()
    )
    with pytest.raises(mt.PlanError, match='on_error: "ignore" is not one of raise'):
        mt.rule("own", by="k", on_error="ignore")  # type: ignore[call-overload]


def test_several_failures_of_a_step_are_all_told() -> None:
    both = [mt.rule(name, by="k")(fail(ValueError(name))) for name in ("a", "b")]
    with pytest.raises(mt.RuleError, match='rule "a"') as caught:
        mt.operator(COUNTED, rules=both).push(rows(1))
    assert isinstance(caught.value.__cause__, ValueError)
    assert 'in the same step: rule "b"' in caught.value.__notes__[0]
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (copied.rule, copied.result.rows.to_dicts()) == (
        "a", caught.value.result.rows.to_dicts(),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_an_interrupt_stays_one_and_the_step_is_complete(kind: Any, on_error: Any) -> None:
    broken = {"yes": True}

    def function(batch: mt.Table) -> object:
        if broken.pop("yes", False):
            raise kind
        return [True] * len(batch)

    op = mt.operator(COUNTED, rules=[mt.rule("own", by="k", on_error=on_error)(function)])
    with pytest.raises(kind):
        op.push(rows(1))
    result = op.push(rows(1, start=1))
    assert ([row["n"] for row in result.rows], len(result.alerts)) == ([2], 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda op: op.push(rows(9, start=9)),
        lambda op: op.ask(rows(9, start=9)[0]),
        lambda op: op.peek(rows(9, start=9)[0]),
        lambda op: op.stats,
        lambda op: op.watermark,
        lambda op: op.snapshot(),
        lambda op: op.finish(),
    ],
)
def test_a_function_that_calls_its_own_operator_is_told(call: Callable[[Any], Any]) -> None:
    @mt.rule("own", by="k")
    def own(batch: mt.Table) -> object:
        return call(op)

    op = mt.operator(COUNTED, rules=[own])
    done: list[BaseException] = []

    def push() -> None:
        with pytest.raises(mt.RuleError, match="a rule called the operator that it bel") as caught:
            op.push(rows(1))
        done.append(caught.value)

    thread = threading.Thread(target=push, daemon=True)
    thread.start()
    thread.join(20)
    assert len(done) == 1, "deadlock"
    assert op.stats["seq"] == 1


def test_functions_run_while_other_threads_push() -> None:
    @mt.rule("own", by="k")
    def own(batch: mt.Table) -> object:
        if batch[0]["k"] == "bad":
            raise ValueError("bad")
        return [True] * len(batch)

    op = mt.operator(COUNTED, rules=[own])
    counts = {"failed": 0, "alerts": 0}
    lock = threading.Lock()

    def work(key: str) -> None:
        for _ in range(20):
            try:
                alerts = len(op.push(rows(1, key=key)).alerts)
                failed = 0
            except mt.RuleError as error:
                alerts, failed = len(error.result.alerts), 1
                assert key == error.result.rows[0]["k"] == "bad"
            with lock:
                counts["failed"] += failed
                counts["alerts"] += alerts

    threads = [threading.Thread(target=work, args=(key,)) for key in ("a", "bad", "b", "bad")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == {"failed": 40, "alerts": 40}
    assert op.stats["failed"] == {"own": 40}


def test_ask_and_peek_tell_of_it() -> None:
    op = mt.operator(COUNTED, rules=[mt.rule("own", by="k")(fail(ValueError("bad")))])
    with pytest.raises(mt.RuleError, match="bad"):
        op.peek(rows(1)[0])
    assert op.stats["failed"] == {}
    with pytest.raises(mt.RuleError, match="bad") as caught:
        op.ask(rows(1)[0])
    assert caught.value.result.rows[0]["n"] == 1
    assert op.stats["failed"] == {"own": 1}


def test_collect_gives_what_there_is_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muntin.base.limits.SLICE_ROWS", 2)

    @mt.rule("own", by="k")
    def own(batch: mt.Table) -> object:
        if 3.0 in batch["v"].to_pylist():
            raise ValueError("three")
        return [True] * len(batch)

    with pytest.raises(mt.RuleError, match="three") as caught:
        mt.collect(COUNTED, rows(1, 2, 3, 4, 5), rules=[own])
    assert [row["v"] for row in caught.value.result.rows] == [1, 2, 3, 4]
    assert hits(caught.value.result) == [0, 1]


def _run(path: Path, function: Callable[[mt.Table], Any], **more: Any) -> list[list[Any]]:
    own = mt.rule("own", by="k")(function)
    source = mt.sources.Arrow(pa.table(mt.operator(EVENTS).push(rows(1, 2, 3)).rows), batch_rows=1)
    sink, alerts = mt.sinks.JsonLines(path / "rows"), mt.sinks.JsonLines(path / "alerts")
    try:
        mt.run(source, COUNTED, rules=[own], sinks=[sink], alerts=[alerts], **more)
    finally:
        found = [
            [json.loads(line)[name] for line in (path / file).read_text().splitlines()]
            for file, name in (("rows", "v"), ("alerts", "time"))
        ]
    return found


def test_a_run_ends_with_the_rows_of_the_step(tmp_path: Path) -> None:
    def function(batch: mt.Table) -> object:
        if batch["v"].to_pylist() == [2.0]:
            raise ValueError("two")
        return [True] * len(batch)

    with pytest.raises(mt.RuleError, match="two"):
        _run(tmp_path, function)
    kept = [json.loads(line)["v"] for line in (tmp_path / "rows").read_text().splitlines()]
    assert kept == [1, 2]


def test_with_a_checkpoint_a_restart_asks_the_function_again(tmp_path: Path) -> None:
    mended: list[int] = []

    def function(batch: mt.Table) -> object:
        if batch["v"].to_pylist() == [2.0] and not mended:
            raise ValueError("two")
        return [True] * len(batch)

    state = {"checkpoint": mt.Checkpoint(tmp_path / "state", every="1ms")}
    with pytest.raises(mt.RuleError, match="two"):
        _run(tmp_path, function, **state)
    mended.append(1)
    values, times = _run(tmp_path, function, **state)
    assert values == [1, 2, 3]
    assert times == [f"2024-05-01T10:00:0{second}Z" for second in range(3)]
