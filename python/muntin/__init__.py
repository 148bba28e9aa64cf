"""muntin: windowed features and rules over streams of Arrow record batches.

The names stand in the order of the data: a stream and its verbs make a pipeline, rules watch
its rows, and `collect`, `operator` or `run` bring it to life.

>>> import muntin as mt
>>> from muntin import col
>>> sales = (
...     mt.stream(time="at", out_of_order="10s",
...               schema={"at": "timestamp[us, UTC]", "store": "str", "amount": "f64"})
...     .filter(col("amount") > 0)
...     .tumbling("1m", by="store")
...     .agg(orders=mt.count(), revenue=mt.sum("amount"))
... )
>>> rows = [{"at": "2024-05-01T10:00:00Z", "store": "a", "amount": 2.5}]
>>> mt.collect(sales, rows).rows.to_dicts()[0]["revenue"]
2.5
"""

from typing import TYPE_CHECKING, Never

from muntin import missing, sinks, sources, testing
from muntin.aggregates import Agg, count, count_distinct, first, last, max, mean, min, sum
from muntin.checkpoint import Checkpoint
from muntin.collect import collect
from muntin.dashboard import Dashboard
from muntin.durations import Duration
from muntin.errors import (
    ColumnError,
    DataError,
    DurationError,
    EngineError,
    ExpressionError,
    MissingExtra,
    MissingName,
    MuntinError,
    PartitionError,
    PipelineChanged,
    PlanError,
    RowError,
    RuleError,
    SchemaError,
    SinkError,
    SnapshotError,
    SourceError,
)
from muntin.expressions import Expr, col, lit, when
from muntin.feeds import Feed
from muntin.functions import arrival, epoch, is_late
from muntin.operator import Operator, operator
from muntin.plan import Output, output
from muntin.report import Report
from muntin.result import Answer, Result, Table
from muntin.rules import Rule, rule
from muntin.run import run
from muntin.running import Running
from muntin.sinks import Sink
from muntin.sources import Source
from muntin.sql import sql
from muntin.stream import Stream, stream, union

__version__ = "0.1.0"

__all__ = [
    "Agg",
    "Answer",
    "Checkpoint",
    "ColumnError",
    "Dashboard",
    "DataError",
    "Duration",
    "DurationError",
    "EngineError",
    "Expr",
    "ExpressionError",
    "Feed",
    "MissingExtra",
    "MissingName",
    "MuntinError",
    "Operator",
    "Output",
    "PartitionError",
    "PipelineChanged",
    "PlanError",
    "Report",
    "Result",
    "RowError",
    "Rule",
    "RuleError",
    "Running",
    "SchemaError",
    "Sink",
    "SinkError",
    "SnapshotError",
    "Source",
    "SourceError",
    "Stream",
    "Table",
    "arrival",
    "col",
    "collect",
    "count",
    "count_distinct",
    "epoch",
    "first",
    "is_late",
    "last",
    "lit",
    "max",
    "mean",
    "min",
    "operator",
    "output",
    "rule",
    "run",
    "sinks",
    "sources",
    "sql",
    "stream",
    "sum",
    "testing",
    "union",
    "when",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Never:
        hints = {"len": "write mt.count()"}
        raise missing.missing(
            "muntin", name, __all__, hints=hints, not_yet=missing.NOT_YET["muntin"]
        )
