"""Names that are not there: what to write in their place, or that they are not there yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from muntin.errors import MissingName, did_you_mean, with_hint

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
    **dict.fromkeys(("rename", "drop"), "write select: stream.select(new=col('old'))"),
}
"""What other libraries call it, and what to write here."""

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


def missing(
    owner: str,
    name: str,
    known: Iterable[str],
    *,
    hints: Mapping[str, str] | None = None,
    not_yet: Iterable[str] = (),
) -> AttributeError:
    """The error for a name that an object does not have.

    A name with an underscore in front is what a library asks for to see what it was given, so it
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
    hint = (hints or {}).get(name) or did_you_mean(name, public)
    return MissingName(with_hint(f'{owner} has no "{name}"', hint))
