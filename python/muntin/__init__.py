"""muntin: windowed features and rules over streams of Arrow record batches.

The names follow the order of the data: a stream and its verbs make a pipeline, rules test its
rows, and `collect`, `operator` or `run` executes it.

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

from muntin import sinks, sources, testing
from muntin.base import missing
from muntin.base.core import VERSION
from muntin.base.durations import Duration
from muntin.base.errors import (
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
from muntin.checkpoint import Checkpoint
from muntin.engine.collect import collect
from muntin.engine.feeds import Feed
from muntin.engine.operator import Operator, operator
from muntin.engine.result import Answer, Result
from muntin.expr.build import Expr, col, lit, when
from muntin.expr.functions import arrival, epoch, is_late
from muntin.expr.sql import sql
from muntin.loop.background import Running
from muntin.loop.run import explain, run
from muntin.monitor.dashboard import Dashboard, serve
from muntin.monitor.report import Report
from muntin.pipeline.aggregates import (
    Agg,
    arg_max,
    arg_min,
    array_agg,
    count,
    count_distinct,
    first,
    last,
    max,
    mean,
    median,
    min,
    quantile,
    sum,
)
from muntin.pipeline.counted import histogram, mode, product, sum_distinct, top_k
from muntin.pipeline.plan import Output, output
from muntin.pipeline.rules import Rule, rule
from muntin.pipeline.start import stream, union
from muntin.pipeline.statistics import (
    all,
    any,
    bit_and,
    bit_or,
    bit_xor,
    corr,
    cov,
    intercept,
    kurtosis,
    skew,
    slope,
    std,
    var,
)
from muntin.pipeline.stream import Stream
from muntin.sinks import Sink
from muntin.sources import Source
from muntin.sources.decode.messages import DecodedMessages, decode
from muntin.values.table import Table

__version__ = VERSION

__all__ = [
    "Agg",
    "Answer",
    "Checkpoint",
    "ColumnError",
    "Dashboard",
    "DataError",
    "DecodedMessages",
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
    "all",
    "any",
    "arg_max",
    "arg_min",
    "array_agg",
    "arrival",
    "bit_and",
    "bit_or",
    "bit_xor",
    "col",
    "collect",
    "corr",
    "count",
    "count_distinct",
    "cov",
    "decode",
    "epoch",
    "explain",
    "first",
    "histogram",
    "intercept",
    "is_late",
    "kurtosis",
    "last",
    "lit",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "operator",
    "output",
    "product",
    "quantile",
    "rule",
    "run",
    "serve",
    "sinks",
    "skew",
    "slope",
    "sources",
    "sql",
    "std",
    "stream",
    "sum",
    "sum_distinct",
    "testing",
    "top_k",
    "union",
    "var",
    "when",
]


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Never:
        hints = missing.AGGREGATES | {"dashboard": "write mt.serve(8080) or dashboard=8080"}
        raise missing.missing(
            "muntin", name, __all__, hints=hints, not_yet=missing.NOT_YET["muntin"]
        )
