"""Errors for names that do not exist: what to write instead, or that they are not implemented."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Never

from muntin.base.errors import MissingName, did_you_mean, with_hint

_BY = 'a key is written as by=: stream.tumbling("1m", by="store").agg(n=mt.count())'
_ROWS = "take it into a library: .to_polars(), .to_pandas(), .to_arrow() or .to_dicts()"

ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(("groupby", "group_by", "key_by", "keyBy", "partition_by"), _BY),
    **dict.fromkeys(("where", "query"), 'write filter: stream.filter("amount > 0")'),
    **dict.fromkeys(("assign", "with_column", "mutate", "withColumn"), "write with_columns"),
    **dict.fromkeys(("window", "rolling", "over"), "write sliding, tumbling, hopping or session"),
    **dict.fromkeys(("aggregate", "reduce"), "write .agg(...) behind a window"),
    **dict.fromkeys(("resample", "group_by_dynamic"), 'write tumbling("1m")'),
    **dict.fromkeys(("collect", "execute"), "write mt.collect(stream, rows)"),
    **dict.fromkeys(("run", "start"), "write mt.run(source, stream)"),
    **dict.fromkeys(("count", "sum", "mean", "len", "size"), "write .agg(n=mt.count())"),
    "top": 'write .agg(sold=mt.sum("amount")).top(3, "sold"): it ranks the rows of a window',
    **dict.fromkeys(("cumulate", "expanding"), 'write cumulative("1d", "1h")'),
    **dict.fromkeys(("rename", "drop"), "write select: stream.select(new=col('old'))"),
}
"""What other libraries call it, and what to write here."""

AGGREGATES: dict[str, str] = {
    **dict.fromkeys(("avg", "average"), 'write mt.mean("amount")'),
    **dict.fromkeys(("stddev", "stddev_samp", "stdev"), 'write mt.std("amount")'),
    "stddev_pop": 'write mt.std("amount", ddof=0)',
    **dict.fromkeys(("variance", "var_samp"), 'write mt.var("amount")'),
    "var_pop": 'write mt.var("amount", ddof=0)',
    **dict.fromkeys(("covar_samp", "covariance"), 'write mt.cov("x", "y")'),
    "covar_pop": 'write mt.cov("x", "y", ddof=0)',
    **dict.fromkeys(("correlation", "pearson_corr"), 'write mt.corr("x", "y")'),
    "regr_slope": 'write mt.slope("y", "x")',
    "regr_intercept": 'write mt.intercept("y", "x")',
    "skewness": 'write mt.skew("amount")',
    **dict.fromkeys(("kurt", "kurtosis_samp"), 'write mt.kurtosis("amount")'),
    "kurtosis_pop": 'write mt.kurtosis("amount", bias=True)',
    **dict.fromkeys(("nunique", "n_unique"), 'write mt.count_distinct("customer")'),
    **dict.fromkeys(("len", "size", "count_star"), "write mt.count()"),
    **dict.fromkeys(("bool_and", "every", "logical_and"), 'write mt.all("ok")'),
    **dict.fromkeys(("bool_or", "some", "logical_or"), 'write mt.any("ok")'),
    **dict.fromkeys(("max_by", "argmax", "latest_by"), 'write mt.arg_max("x", by="y")'),
    **dict.fromkeys(("min_by", "argmin", "earliest_by"), 'write mt.arg_min("x", by="y")'),
    **dict.fromkeys(
        ("percentile", "percentile_cont", "quantile_cont", "perc"),
        'write mt.quantile("amount", 0.95)',
    ),
    **dict.fromkeys(("first_value", "earliest"), 'write mt.first("amount")'),
    **dict.fromkeys(("last_value", "latest"), 'write mt.last("amount")'),
    **dict.fromkeys(("minimum", "lowest"), 'write mt.min("amount")'),
    **dict.fromkeys(("maximum", "highest"), 'write mt.max("amount")'),
    **dict.fromkeys(("total", "fsum", "add"), 'write mt.sum("amount")'),
    **dict.fromkeys(
        ("list", "implode", "collect_list", "array", "list_agg"), 'write mt.array_agg("amount")'
    ),
    **dict.fromkeys(("weighted_mean", "wavg", "vwap"), 'write mt.mean("price", weight="volume")'),
    **dict.fromkeys(("count_if", "countif"), 'write mt.count(where="amount > 500")'),
}
"""Aggregates as other libraries call them, and what to write here."""

ROWS: dict[str, str] = {
    **dict.fromkeys(("groupby", "group_by", "filter", "sort", "join", "select", "describe"), _ROWS),
    **dict.fromkeys(("to_list", "to_pylist", "rows", "collect", "tolist"), "write .to_dicts()"),
    **dict.fromkeys(("df", "to_df", "pandas"), "write .to_pandas()"),
    **dict.fromkeys(("pl", "polars"), "write .to_polars()"),
    **dict.fromkeys(("arrow", "to_table"), "write .to_arrow()"),
    "shape": "write len(table) and table.columns",
    "dtypes": "write table.schema",
    "tail": "write table[-5:]",
    "iterrows": "write: for row in table",
}
"""What to do with rows that came out."""


NOT_YET: dict[str, frozenset[str]] = {
    "Stream": frozenset("decide explode join join_asof lookup map".split()),
    "muntin": frozenset(
        "Aggregate approx_count_distinct backtest collect_distinct decayed_sum ewma "
        "rate table".split()
    ),
    "muntin.sinks": frozenset("Postgres Delta Iceberg DuckDB".split()),
    "muntin.sources": frozenset("Http Kinesis Mqtt WebSocket Avro Protobuf".split()),
}
"""What is planned: the names exist in no version so far."""


class Hinting:
    """An object that says what to write in place of a name that it does not have."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Never:
            owner = type(self).__name__
            known = dir(type(self))
            raise missing(owner, name, known, hints=ELSEWHERE, not_yet=NOT_YET.get(owner, ()))


def missing(
    owner: str,
    name: str,
    known: Iterable[str],
    *,
    hints: Mapping[str, str] | None = None,
    not_yet: Iterable[str] = (),
) -> AttributeError:
    """The error for a name that an object does not have.

    Libraries look up names with a leading underscore to inspect what they were given, so it
    gets the plain error.

    >>> print(missing("Stream", "groupby", (), hints=ELSEWHERE))
    Stream has no "groupby"
    hint: a key is written as by=: stream.tumbling("1m", by="store").agg(n=mt.count())
    >>> print(missing("Stream", "join", (), not_yet=("join",)))
    Stream.join is not there yet
    """
    if name.startswith("_"):
        return AttributeError(f"{owner} has no attribute {name!r}")
    if name in not_yet:
        return MissingName(f"{owner}.{name} is not there yet")
    public = [word for word in known if not word.startswith("_")]
    # of two words that differ by case alone, the one written as the name is
    public.sort(key=lambda word: word[:1].isupper() != name[:1].isupper())
    hint = (hints or {}).get(name) or did_you_mean(name, public)
    return MissingName(with_hint(f'{owner} has no "{name}"', hint))
