"""What a wrong call says: always one of our errors, with the value and what to write instead.

A table of calls as people write them. Each names the class of its error and pieces of the message;
of each class it is also the builtin that fits (`muntin.base.errors`).
"""

from __future__ import annotations

import datetime as dt
import pathlib
import re

import pyarrow as pa
import pytest

import muntin as mt
from muntin import col
from muntin.base.durations import parse

WORDS = {"at": "timestamp[us, UTC]", "store": "str", "card": "i64", "amount": "f64"}
ROW = {"at": "2024-05-01T10:00:00Z", "store": "a", "card": 1, "amount": 1.5}
AT = pa.array([0], pa.timestamp("us", "UTC"))
TABLE = pa.table({"at": AT, "store": ["a"], "card": [1], "amount": [1.5]})

s = mt.stream(time="at", out_of_order="0s", schema=WORDS)
per_minute = s.tumbling("1m", by="store").agg(n=mt.count())
per_card = s.sliding("1m", by="card").agg(n=mt.count())
burst = mt.rule("burst", "n > 1")


def op() -> mt.Operator:
    return mt.operator(per_minute)


def one_by_one() -> mt.Operator:
    return mt.operator(per_card)


def rows() -> mt.sources.Arrow:
    return mt.sources.Arrow(TABLE)


def feed(**other: object) -> list[mt.Feed]:
    return [mt.Feed(**({"input": None, "batch": [ROW]} | other))]


NAMES = {
    "Path": pathlib.Path, "ROW": ROW, "TABLE": TABLE, "burst": burst, "col": col, "dt": dt,
    "feed": feed, "mt": mt, "one_by_one": one_by_one, "op": op, "pa": pa, "per_card": per_card,
    "per_minute": per_minute, "rows": rows, "s": s,
}  # fmt: skip

# call | error | pieces of the message, each after a bar
CALLS = r"""
mt.stream(5, time="at", out_of_order="0s")                     | PlanError      | stream: 5
mt.stream("", time="at", out_of_order="0s")                    | PlanError      | stream: ''
mt.stream(time=5, out_of_order="0s")                           | PlanError      | time=5
mt.stream(time="at")                                           | PlanError      | out_of_order=
mt.stream(time="at", out_of_order=10)                          | DurationError  | 10 is not | "10s"
mt.stream(time="at", out_of_order="10")                     | DurationError  | "10" is not | "10s"
mt.stream(time="at", out_of_order=None)                        | DurationError  | None | "1m"
mt.stream(time="at", out_of_order="0s", idle_after=True)       | DurationError  | idle_after: True
mt.stream(time="at", out_of_order="0s", idle_after="0s")       | DurationError  | "0s" is zero
mt.stream(time="at", out_of_order="0s", max_future_skew=1)     | DurationError  | "1s"
mt.stream(time="at", out_of_order="0s", schema="at")           | SchemaError    | schema
mt.stream(time="at", out_of_order="0s", schema={"at": int})    | SchemaError    | at | i64
mt.stream(time="when", out_of_order="0s", schema={"at": "date"}) | ColumnError  | "when" | at
s.filter(True)                                 | PlanError       | True | col("amount") > 0
s.filter(lambda row: row)                      | PlanError       | filter("amount > 0")
s.filter("amuont > 1")                         | ColumnError     | "amuont" | did you mean "amount"
s.filter("amount >")                           | ExpressionError | amount >
s.with_columns(x=[1, 2])                       | ExpressionError | x: [1, 2]
s.with_columns()                               | PlanError       | no column
s.with_columns("amount * 2")                   | PlanError       | "amount * 2" has no name
s.with_columns(x=mt.when(True).then(1))        | ExpressionError | when: True
s.select(["at", "store"])                      | PlanError       | ['at', 'store']
s.select()                                     | PlanError       | no column
s.tumbling().agg(n=mt.count())                 | PlanError       | size is missing | "1m"
s.tumbling(60)                                 | DurationError   | 60 | "60s"
s.tumbling("1 minute")                         | DurationError   | did you mean "1m"
s.tumbling("1m", by=5)                         | PlanError       | by=5
s.tumbling("1m", by=None)                      | PlanError       | by=None | leave by= out
s.tumbling("1m", by=col("store"))              | PlanError       | write by="store"
s.tumbling("1m", by=col("card") + 1)           | PlanError       | with_columns()
s.tumbling("1m", by={"store": 1})              | PlanError       | a list of columns
s.tumbling("1m", by="stor")                    | ColumnError     | did you mean "store"
s.tumbling("1m", by=["store", "store"])        | ColumnError     | twice
s.tumbling("1m", emit="all")                   | PlanError       | emit: "all" | final, each
s.tumbling("1m", emit=None)                    | PlanError       | emit: None
s.tumbling("1m", revisions="no")               | PlanError       | revisions="no" | True or False
s.tumbling("1m").agg()                         | PlanError       | write .agg(n=mt.count())
s.tumbling("1m").agg(mt.count())               | PlanError       | count() has no name | agg(n=...)
s.tumbling("1m").agg(n=len)                    | PlanError       | len | mt.count() | count_distinct
s.tumbling("1m").agg(n=sum)                    | PlanError       | sum | mt.sum("column")
s.tumbling("1m").agg(n=mt.count)               | PlanError       | count | n=mt.count()
s.tumbling("1m").agg(n=mt.mean)                | PlanError       | mean | n=mt.mean("column")
s.tumbling("1m").agg(n="sum(amount)")          | PlanError       | "sum(amount)" | mt.sum("amount")
s.tumbling("1m").agg(n="count(*)")             | PlanError       | n=mt.count()
s.tumbling("1m").agg(n="amount")               | PlanError       | "amount" | mt.sum("amount")
s.tumbling("1m").agg(n=col("amount"))          | PlanError       | mt.sum("amount")
s.tumbling("1m").agg(n=("amount", "sum"))      | PlanError       | there is count, sum
s.tumbling("1m").agg(n=lambda rows: 1)         | PlanError       | a lambda | there is count, sum
s.tumbling("1m").agg(window_start=mt.count())  | ColumnError     | "window_start"
s.hopping("1h").agg(n=mt.count())              | PlanError       | every is missing
s.hopping("5m", "1h")                          | PlanError       | allow_gaps=True
s.hopping("1h", "5m", allow_gaps=1)            | PlanError       | allow_gaps=1 | True or False
s.session(1800)                                | DurationError   | 1800 | "1800s"
s.session("30m", gap_closed="x")               | PlanError       | gap_closed="x"
s.sliding([])                                  | PlanError       | no size
s.sliding(["1m", 5])                           | DurationError   | 5 is not | "5s"
s.sliding({"1m": 1})                           | PlanError       | a list of durations
s.sliding("1m", closed="middle")               | PlanError       | "middle" | right, left
s.sliding("1m", include_current=0)             | PlanError       | include_current=0
s.sliding("1m", by="card").agg(mt.count())     | PlanError       | count() has no name
s.silent("20m", by=None)                       | PlanError       | by=None
s.silent(20, by="store")                       | DurationError   | "20s"
s.silent("20m", by="store", known=5)           | PlanError       | known=5 | a list of keys
mt.union(s)                                    | PlanError       | union: 1 stream
mt.union(s, TABLE)                             | PlanError       | union(a, b)
mt.union([s, s])                               | PlanError       | union(a, b)
mt.union(s, s, tag="kind")                     | PlanError       | give each input a name
mt.sum(5)                                      | PlanError       | 5 is not a column
mt.sum(mt.count())                             | PlanError       | count() | .agg()
mt.sum("amount", where=True)                   | PlanError       | where=True
mt.epoch("minutes", "at")                      | ExpressionError | minutes | ms
mt.epoch("ms", 5)                              | ExpressionError | 5 is not a column
mt.rule(5, "n > 1")                            | PlanError       | 5
mt.rule("r", True)                             | PlanError       | True is not a condition
mt.rule("r", lambda rows: rows)                | PlanError       | a lambda | @mt.rule("r")
mt.rule("r", "n >")                            | ExpressionError | n >
mt.rule("r", "n > 1", by=5)                    | PlanError       | by=5
mt.rule("r", "n > 1", by=[5])                  | PlanError       | by=5
mt.rule("r", "n > 1", by=col("card"))          | PlanError       | write by="card"
mt.rule("r", "n > 1", severity="high")         | PlanError       | "high" | info, warning, critical
mt.rule("r", "n > 1", severity="critcal")      | PlanError       | did you mean "critical"
mt.rule("r", "n > 1", cooldown="10 minutes")   | DurationError   | did you mean "10m"
mt.rule("r", "n > 1", message="{")             | PlanError       | message
mt.rule("r", "n > 1", score="5")               | PlanError       | score='5'
mt.rule("r", "n > 1", version=0)               | PlanError       | version=0 | at least 1
mt.rule("r", "n > 1", shadow="yes")            | PlanError       | shadow="yes"
mt.rule("r")(5)                                | PlanError       | 5 is not a function
mt.output(5, per_minute)                       | PlanError       | name, not 5
mt.output("o", TABLE)                          | PlanError       | a Table is not a pipeline
mt.output("o", s.tumbling("1m"))               | PlanError       | .agg(...)
mt.output("o", per_minute, rules="n > 1")      | PlanError       | "n > 1" is not a rule | mt.rule(
mt.output("o", per_minute, rules=[len])        | PlanError       | len is not a rule
mt.output("o", per_minute, rules=mt.rule("r")) | PlanError       | is not a rule
mt.output("o", per_minute, sinks=[print])      | SinkError       | mt.sinks.Callback(print)
mt.output("o", per_minute, sinks="a.parquet")  | SinkError       | mt.sinks.Parquet("a.parquet")
mt.operator(5)                                 | PlanError       | 5 is not a pipeline | mt.stream(
mt.operator("per_minute")                      | PlanError       | "per_minute" is not a pipeline
mt.operator([per_minute])                      | PlanError       | mt.output("name", pipeline)
mt.operator({5: per_minute})                   | PlanError       | name, not 5
mt.operator(per_minute, rules=5)               | PlanError       | rules=5 | a list of rules
mt.operator(per_minute, threads=-1)           | PlanError | threads must be at least 1, got -1
mt.operator(per_minute, threads=0)             | PlanError       | threads must be at least 1, got 0
mt.operator(per_minute, threads="4")           | PlanError       | threads: "4"
mt.operator(per_minute, threads=2.0)           | PlanError       | threads: 2.0
mt.operator(per_minute, threads=None)          | PlanError       | threads: None
mt.operator(per_minute, threads=2**70)         | PlanError       | threads must be at most 1024
mt.operator(per_minute, partitions=5)          | PlanError       | partitions=5 | a list
mt.operator(per_minute, partitions=["a"])      | PartitionError  | "a" is not a whole number
mt.operator(per_minute, partitions=[0, 0])     | PartitionError  | 0 comes twice
mt.operator(per_minute, partitions=[2**63])    | PartitionError  | at most
mt.operator(per_minute, partitions={"x": [0]}) | PlanError       | "x" | input
mt.operator(per_minute, snapshot="state")      | SnapshotError   | snapshot()
mt.operator(per_minute, on_change=None)        | PlanError       | on_change: None | refuse, warm
op().push(5)                                   | DataError       | a list of dicts
op().push([5])                                 | DataError       | a row must be a dict
op().push([ROW], input=5)                      | PlanError       | "5" | input
op().push([ROW], partition="0")                | DataError       | partition: '0'
op().step(5)                                   | DataError       | 5 is not a list of feeds
op().step([ROW])                               | DataError       | mt.Feed(
op().step(TABLE)                               | DataError       | mt.Feed(
op().step(feed(), "random")                    | PlanError       | "random" | given, arrival, time
op().step(feed(input="x"))                     | PlanError       | "x"
op().step(feed(position="a"))                  | DataError       | position
op().step(feed(arrival="now"))                 | DataError       | arrival
op().advance(2**63)                            | DataError | got 9223372036854775808 | microseconds
op().advance(-(2**63) - 1)                     | DataError       | got -9223372036854775809
op().advance("2024-01-01")                     | DataError       | "2024-01-01" | datetime
op().advance(1.5)                              | DataError       | 1.5
op().advance(True)                             | DataError       | True
op().advance(0, partition="a")                 | PartitionError  | "a" is not a whole number
op().advance(0, partition=5)                   | PartitionError  | 5
op().idle(partition="a")                       | PartitionError  | "a"
op().idle(input=5)                             | PlanError       | "5"
op().open(partition=None)                      | PartitionError  | None
op().open(partition=0)                         | PartitionError  | 0
op().open(partition=2**63)                     | PartitionError  | at most
op().finish(partition="x")                     | PartitionError  | "x"
op().finish(input="x")                         | PlanError       | "x"
op().ask(ROW)                                  | PlanError       | row by row
one_by_one().ask(5)                            | DataError       | dict
one_by_one().ask([ROW])                        | DataError       | dict
one_by_one().ask(ROW, input="x")               | PlanError       | "x"
one_by_one().peek(None)                        | DataError       | dict
mt.collect(5, [ROW])                           | PlanError       | 5 is not a pipeline
mt.collect([ROW], per_minute)                  | PlanError       | is not an output
mt.collect(per_minute, [ROW], order="random")  | PlanError       | "random" is not an order
mt.collect(per_minute, [ROW], threads="x")     | PlanError       | threads: "x"
mt.collect(per_minute, [ROW], rules=5)         | PlanError       | rules=5
mt.run(per_minute, rows())                     | PlanError       | mt.run(source, pipeline)
mt.run(5, per_minute)                          | SourceError     | source
mt.run(mt.sources.Arrow, per_minute)           | SourceError     | Arrow | mt.sources.Arrow(...)
mt.run({"x": rows()}, per_minute)              | PlanError       | "x" | input
mt.run(rows(), [per_minute])                   | PlanError       | mt.output("name", pipeline)
mt.run(rows(), per_minute, sinks=[print])      | SinkError       | print | mt.sinks.Callback(print)
mt.run(rows(), per_minute, sinks=print)        | SinkError       | mt.sinks.Callback(print)
mt.run(rows(), per_minute, sinks=5)            | SinkError       | sinks=5 | a list of sinks
mt.run(rows(), per_minute, sinks="out.parquet")     | SinkError  | mt.sinks.Parquet("out.parquet")
mt.run(rows(), per_minute, sinks=["out.parquet"])   | SinkError  | mt.sinks.Parquet("out.parquet")
mt.run(rows(), per_minute, sinks=[Path("a/b.csv")]) | SinkError  | mt.sinks.Csv("a/b.csv")
mt.run(rows(), per_minute, sinks=["x.jsonl"])       | SinkError  | mt.sinks.JsonLines("x.jsonl")
mt.run(rows(), per_minute, sinks=["x.db"])          | SinkError  | mt.sinks.Sqlite("x.db")
mt.run(rows(), per_minute, sinks=[mt.sinks.Console]) | SinkError | call it: Console(...)
mt.run(rows(), per_minute, sinks=[object()])        | SinkError  | it lacks when, open
mt.run(rows(), per_minute, sinks={"rows": 1})       | SinkError  | mt.output(name, pipeline, sinks
mt.run(rows(), per_minute, alerts="https://a.example/x") | SinkError | Webhook("https://a.example/x")
mt.run(rows(), per_minute, alerts=["on@example.org"])    | SinkError | Email("on@example.org"
mt.run(rows(), per_minute, alerts=print)       | SinkError       | alerts | mt.sinks.Callback(print)
mt.run(rows(), per_minute, late=["late.csv"])  | SinkError       | late | mt.sinks.Csv("late.csv")
mt.run(rows(), per_minute, late=5)             | SinkError       | late=5
mt.run(rows(), per_minute, invalid=["x.json"]) | SinkError       | mt.sinks.JsonLines("x.json")
mt.run(rows(), per_minute, invalid=5)          | SinkError       | invalid=5
mt.run(rows(), per_minute, rules="n > 1")      | PlanError       | "n > 1" is not a rule
mt.run(rows(), per_minute, rules=mt.rule("r")) | PlanError       | is not a rule
mt.run(rows(), per_minute, name=5)             | PlanError       | name=5
mt.run(rows(), per_minute, threads=-1)         | PlanError | threads must be at least 1, got -1
mt.run(rows(), per_minute, checkpoint=5)       | PlanError       | checkpoint=5 | mt.Checkpoint(
mt.run(rows(), per_minute, dashboard=5.5)      | PlanError       | dashboard=5.5 | ":8080"
mt.run(rows(), per_minute, dashboard=object()) | PlanError       | is not a page
mt.run(rows(), per_minute, background="yes")   | PlanError       | background="yes"
mt.Checkpoint(5)                               | PlanError       | 5 is not a directory
mt.Checkpoint("")                              | PlanError       | an empty path
mt.Checkpoint("x", every=10)                   | DurationError   | "10s"
mt.Checkpoint("x", on_change="cold")           | PlanError       | "cold" | refuse, warm, keep
mt.Dashboard(8080)                             | PlanError       | 8080 | ":8080"
mt.Dashboard(("127.0.0.1", 80))                | PlanError       | is not an address
mt.Dashboard(":1", token=5)                    | PlanError       | token
mt.Dashboard(":1", mask="card")                | PlanError       | mask=("card",)
mt.Dashboard(":1", mask=5)                     | PlanError       | mask=5
mt.Dashboard(":1", hosts="example.org")        | PlanError       | hosts=("example.org",)
mt.Dashboard(":1", hosts=[5])                  | PlanError       | 5 is not a text
mt.Dashboard(":1", history="5")                | PlanError       | history: "5"
mt.sources.Arrow(5)                            | SourceError     | 5 is not an Arrow object
mt.sources.Arrow("x.parquet")                  | SourceError     | mt.sources.Parquet(
mt.sources.Arrow(TABLE, partition=5)           | SourceError     | partition=5
mt.sources.Arrow(TABLE, batch_rows=0)          | SourceError     | batch_rows must be at least 1
mt.sources.Arrow(TABLE, speed="fast")          | SourceError     | fast
mt.sources.Parquet(5)                          | SourceError     | 5 is not a path
mt.sources.Parquet(TABLE)                      | SourceError     | mt.sources.Arrow(...)
mt.sources.Parquet([])                         | SourceError     | no path
mt.sources.Parquet("x", columns="a")           | SourceError     | a list of columns
mt.sources.JsonLines(None)                     | SourceError     | None is not a path
mt.sources.JsonLines("x", schema="y")          | SourceError     | schema="y" is not a dict
mt.sources.JsonLines("x", follow="yes")        | SourceError     | follow="yes"
mt.sources.JsonLines("x", partitions=5)        | SourceError     | a list
mt.sources.JsonLines("x", lost="keep")         | SourceError     | "keep" | error, skip
mt.sources.Csv("x", delimiter=None)            | SourceError     | delimiter
mt.sources.Csv("x", header="no")               | SourceError     | header="no"
mt.sources.Csv("x", null_values="NA")          | SourceError     | a list of texts
mt.sinks.JsonLines(5)                          | SinkError       | JsonLines: 5 is not a path
mt.sinks.JsonLines("x", when=lambda alert: 1)  | SinkError       | a lambda is not a condition
mt.sinks.Csv(None)                             | SinkError       | None is not a path
mt.sinks.Parquet("d", rows_per_file="x")       | SinkError       | rows_per_file: "x"
mt.sinks.Parquet("d", compression="zip")       | SinkError       | "zip" | did you mean "gzip"
mt.sinks.Parquet("d", compression="best")      | SinkError       | "best" | zstd, snappy, gzip
mt.sinks.Parquet("d", compression=None)        | SinkError       | compression: None
mt.sinks.Sqlite("x.db", table=5)               | SinkError       | table=5
mt.sinks.Webhook("example.org")                | SinkError       | https
mt.sinks.Webhook("https://a.example", secret=5)      | SinkError | secret is an int
mt.sinks.Webhook("https://a.example", headers="x")   | SinkError | headers are a str
mt.sinks.Webhook("https://a.example", dead_letter=5) | SinkError | 5 is not a path
mt.sinks.Webhook("https://a.example", attempts=0)    | SinkError | attempts=0
mt.sinks.Email(5, server="m.example", sender="a@m.example")        | SinkError | to=5
mt.sinks.Email("a@m.example", server=5, sender="a@m.example")      | SinkError | server
mt.sinks.Email("a@m.example", server="m.example", sender="a@m.example", port="x") | SinkError | "x"
mt.sinks.Console(limit=-1)                     | SinkError       | limit must be at least 0, got -1
mt.sinks.Console(stream=5)                     | SinkError       | stream=5
mt.sinks.Callback("print")                     | SinkError       | "print" is not a function
"""
TABLE_OF_CALLS = [
    [part.strip() for part in line.split(" | ")] for line in CALLS.split("\n") if line
]


@pytest.mark.parametrize("row", TABLE_OF_CALLS, ids=lambda row: row[0])
def test_a_wrong_call_says_what_to_write(row: list[str]) -> None:
    call, error, *pieces = row
    with pytest.raises(mt.MuntinError) as raised:
        eval(call, dict(NAMES))
    said = str(raised.value)
    assert type(raised.value) is getattr(mt, error), said
    for piece in pieces:
        assert piece in said
    # lower case unless it begins with a name of ours, no full stop, no address of an object
    first = re.split(r"\W", said, maxsplit=1)[0]
    ours = {*dir(mt), *dir(mt.sinks), *dir(mt.sources), "True"}
    assert first[:1] == first[:1].lower() or first in ours
    assert not said.endswith(".") or said.endswith("...")
    assert " object at 0x" not in said


def test_the_table_is_of_the_whole_surface() -> None:
    assert len(TABLE_OF_CALLS) > 200


OTHER_DURATIONS = {
    "1 minute": "1m", "5 minutes": "5m", "1M": "1m", "1min": "1m", "1 Min": "1m", "10sec": "10s",
    "10 seconds": "10s", "10 s": "10s", " 10s": "10s", "1H": "1h", "1 hour": "1h", "2 hrs": "2h",
    "1D": "1d", "2 days": "2d", "1W": "1w", "1 week": "1w", "1MS": "1ms", "5 millis": "5ms",
    "5µs": "5us", "PT1M": "1m", "P1D": "1d", "PT1H30M": "1h30m", "1 hour 30 minutes": "1h30m",
    "1 hour, 30 min": "1h30m", "1h and 30m": "1h30m", "00:01:00": "1m", "1:30": "1h30m", "1T": "1m",
}  # fmt: skip


@pytest.mark.parametrize("written", OTHER_DURATIONS, ids=repr)
def test_a_duration_in_another_form_is_answered_in_ours(written: str) -> None:
    with pytest.raises(mt.DurationError) as raised:
        parse(written, "size")
    meant = OTHER_DURATIONS[written]
    assert f'did you mean "{meant}"?' in str(raised.value)
    parse(meant, "size")


@pytest.mark.parametrize("written", ["", " ", "soon", "1 fortnight", "m", "1m minute x", "P", "PT"])
def test_what_means_nothing_gets_no_guess(written: str) -> None:
    with pytest.raises(mt.DurationError, match="write a number and a unit"):
        parse(written, "size")


def test_one_rule_and_one_sink_need_no_list() -> None:
    seen: list[mt.Table] = []
    sink = mt.sinks.Callback(seen.append)
    mt.run(rows(), per_minute, rules=mt.rule("any", "n > 0"), sinks=sink, alerts=sink)
    assert [table.columns[0] for table in seen] == ["store", "id"]
    assert mt.output("o", per_minute, rules=burst, sinks=sink).rules == (burst,)
    assert len(mt.collect(per_minute, [ROW], rules=mt.rule("any", "n > 0")).alerts) == 1


@pytest.mark.parametrize("error", [getattr(mt, name) for name in dir(mt) if name.endswith("Error")])
def test_each_error_is_also_a_builtin_that_fits(error: type[mt.MuntinError]) -> None:
    builtins = (ValueError, TypeError, KeyError, OSError, RuntimeError, ImportError, AttributeError)
    assert error is mt.MuntinError or issubclass(error, (*builtins, IndexError))
