"""Streams: pipelines as frozen values without data; each verb returns a new stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Never

from muntin.base.arguments import not_yet
from muntin.base.durations import Duration
from muntin.base.errors import ColumnError, PlanError, unknown, with_hint
from muntin.expr.build import Column, Expr, IntoExpr, resolve
from muntin.pipeline.calls import call_text
from muntin.pipeline.explain import explain
from muntin.pipeline.inputs import ONLY_INPUT, text_of
from muntin.pipeline.keyed import deduplicate, previous
from muntin.pipeline.keys import By, no_collisions
from muntin.pipeline.plan import Node, check, dumps
from muntin.pipeline.scope import columns_of
from muntin.pipeline.top import top
from muntin.pipeline.windowed import Windowing
from muntin.pipeline.windows.base import all_named
from muntin.pipeline.windows.silent import KeyValue, silent
from muntin.values.literals import Json, text


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Stream(Windowing):
    """A pipeline: where rows come from and what is done to them, as a frozen value.

    Made by `mt.stream` and `mt.union`; each verb gives a new one. Two streams are equal if they
    compute the same from the same inputs, and equal beginnings have one state in a plan.

    >>> from muntin import stream
    >>> payments = stream(time="paid_at", out_of_order="200ms")
    >>> payments.filter("amount > 0") == payments.filter(Column("amount") > 0)
    True
    """

    node: Node

    @property
    def name(self) -> str | None:
        """The name of its input; None if it has several or the input has no name.

        >>> from muntin import stream
        >>> stream("payments", time="at", out_of_order="0s").filter("amount > 0").name
        'payments'
        """
        inputs = self.node.inputs()
        name = str(inputs[0].fields()["name"])
        return name if len(inputs) == 1 and name != ONLY_INPUT else None

    @property
    def schema(self) -> dict[str, str] | None:
        """Each column with its type word; None unless all inputs declare a schema.

        >>> from muntin import stream
        >>> orders = stream(time="at", out_of_order="0s", schema={"at": "date", "amount": "f64"})
        >>> orders.select("at", half="amount / 2").schema
        {'at': 'date', 'half': 'f64'}
        """
        words = check(self.node)[-1]["schema"] if self.node.typed else None
        return None if words is None else dict(words)

    @property
    def fingerprint(self) -> str:
        """A hash of what it computes, as hex: equal for equal streams.

        >>> from muntin import stream
        >>> orders = stream(time="at", out_of_order="0s")
        >>> orders.filter("n > 1").fingerprint == orders.filter("1 < n").fingerprint
        False
        """
        return self.node.fingerprint

    def explain(
        self,
        rows_per_second: float | None = None,
        keys: int | None = None,
        *,
        partitioned_by: str | Sequence[str] | None = None,
    ) -> str:
        """The typed plan as text: nodes, columns, scope and why. `mt.explain` is that of a run.

        Args:
            partitioned_by: the columns by which the source is partitioned. Without them the text
                says which could be declared.
            rows_per_second, keys: for an estimate of memory; not implemented.

        Raises:
            ColumnError: the stream has no such column.

        >>> from muntin import stream
        >>> orders = stream(time="at", out_of_order="0s", schema={"at": "date", "shop": "str"})
        >>> print(orders.select("shop").explain())
        plan ...
          0  input "input", out of order 0s
             at date, shop str
          1  select("shop")  <- 0
             shop str
        ...
        >>> from muntin import count
        >>> daily = orders.tumbling("1d", by="shop").agg(n=count())
        >>> print(daily.explain(partitioned_by="shop").splitlines()[-3])
        scope          partition: the key of tumbling#1 contains "shop", unchanged from the source
        """
        given = rows_per_second is not None, keys is not None
        not_yet("explain", rows_per_second=given[0], keys=given[1])
        return explain(self.node, columns_of(partitioned_by, "explain: partitioned_by"))

    def filter(self, where: Expr | str) -> Stream:
        """Keep the rows where the condition is true; false and null drop them.

        Raises `ExpressionError`, `ColumnError`, `SchemaError` if the condition is wrong.

        >>> from muntin import stream
        >>> stream(time="at", out_of_order="0s").filter("amount > 0")
        stream(time="at", out_of_order="0s").filter("amount > 0")
        """
        if not isinstance(where, Expr | str):
            hint = 'write a condition: filter(col("amount") > 0), or filter("amount > 0")'
            raise PlanError(with_hint(f"filter: {where!r} is not a condition", hint))
        condition = resolve(where, self.node.columns, "filter").to_json()
        call = call_text("filter", [where])
        return self._then("filter", {"where": condition}, call, self.node.columns)

    def with_columns(self, /, *unnamed: Never, **exprs: IntoExpr) -> Stream:
        """Add columns, or replace them in place; all are computed from the columns before.

        A string is the name of a column or SQL text; for a constant text write `lit("x")`.

        >>> from muntin import stream
        >>> stream(time="at", out_of_order="0s").with_columns(total="price * quantity")
        stream(time="at", out_of_order="0s").with_columns(total="price * quantity")
        """
        all_named(unnamed, "with_columns", "with_columns(total=...)")
        if not exprs:
            raise PlanError("with_columns: no column")
        before = self.node.columns
        after = None if before is None else (*before, *(n for n in exprs if n not in before))
        body: dict[str, Json] = {"columns": _columns(exprs, before, "with_columns")}
        return self._then("with_columns", body, call_text("with_columns", [], **exprs), after)

    def select(self, /, *names: str, **exprs: IntoExpr) -> Stream:
        """Keep the named columns, then add the computed ones; others are gone.

        The event time stays known to later windows, even if its column is not kept.

        >>> from muntin import stream
        >>> stream(time="at", out_of_order="0s").select("card", cents="amount * 100")
        stream(time="at", out_of_order="0s").select("card", cents="amount * 100")
        """
        before = self.node.columns
        kept: list[Json] = []
        for name in names:
            if not isinstance(name, str):
                hint = "names first, computed columns by keyword: select(total=...)"
                raise PlanError(with_hint(f"select: {name!r} is not a name of a column", hint))
            if before is not None and name not in before:
                raise ColumnError(unknown("column", name, before, "select"))
            kept.append([name, Column(text(name, "select")).to_json()])
        if not names and not exprs:
            raise PlanError("select: no column")
        columns = (*names, *exprs)
        no_collisions(columns, "select")
        body: dict[str, Json] = {"columns": [*kept, *_columns(exprs, before, "select")]}
        return self._then("select", body, call_text("select", names, **exprs), columns)

    def previous(
        self, /, *unnamed: Never, by: By, ago: Duration | None = None, **new: str
    ) -> Stream:
        """Add columns of the key's row before: `new="old"` adds `new`, its value of `old`.

        The row before is the newest of those at or before this row's time that came earlier. With
        `ago` it is the newest row that is at least `ago` older, in event time. A row comes out at
        once, and a row that comes later changes no answer. Without such a row, and without a
        key (a null in `by`), the columns are null. They are also null for a late row if its key has
        a row between it and the watermark, since the row before may be forgotten.

        A key keeps its newest row for ever, so memory grows with the number of keys.

        Raises `PlanError`, `ColumnError`, `SchemaError`, `DurationError` for bad parameters.

        >>> from muntin import collect, stream
        >>> words = {"at": "timestamp[us]", "card": "str", "shop": "str"}
        >>> paid = stream(time="at", out_of_order="0s", schema=words)
        >>> rows = [
        ...     {"at": f"2024-05-01T10:00:0{second}", "card": card, "shop": shop}
        ...     for second, card, shop in [(1, "a", "x"), (2, "b", "y"), (3, "a", "z")]
        ... ]
        >>> collect(paid.previous(by="card", last="shop"), rows).rows["last"].to_pylist()
        [None, None, 'x']
        """
        all_named(unnamed, "previous", 'previous(by="card", last="shop")')
        return stream_of(previous(self.node, by, ago, new))

    def deduplicate(self, by: By, within: Duration) -> Stream:
        """Drop a row if one of the same key came out that lies at most `within` from it.

        `within` is measured in event time, before and after. The first row to arrive is kept, at
        once; those dropped are counted as `filtered`. A dropped row drops no others, so a key that
        goes on and on comes out about once in `within`. A row that is more than `within` behind the
        watermark is late: it is listed in `late` and dropped. A null in `by` is no key: such a row
        is no duplicate. A key is forgotten when the watermark is 2 x `within` ahead of it.

        Raises `PlanError`, `ColumnError`, `SchemaError`, `DurationError` for bad parameters.

        >>> from muntin import collect, stream
        >>> words = {"at": "timestamp[us]", "id": "i64"}
        >>> orders = stream(time="at", out_of_order="10s", schema=words)
        >>> rows = [
        ...     {"at": f"2024-05-01T10:00:{second}", "id": number}
        ...     for second, number in [("01", 7), ("02", 8), ("03", 7)]
        ... ]
        >>> collect(orders.deduplicate("id", "1m"), rows).rows["id"].to_pylist()
        [7, 8]
        """
        return stream_of(deduplicate(self.node, by, within))

    def top(self, n: int, order: IntoExpr, *, by: By = (), ties: bool = False) -> Stream:
        """Of the rows of each window keep the `n` with the greatest `order`, the greatest first.

        It stands behind `tumbling`, `hopping` or `cumulative` windows that fire once. With `by` it
        keeps `n` rows for each value of those columns. Of equal rows the first to come out is kept;
        with `ties=True` all rows that are equal to the last one. Rows whose `order` is null or NaN
        are dropped. For the smallest first write a negative: `top(3, "-sold")`.

        Raises `PlanError`, `ColumnError`, `ExpressionError` for bad parameters.

        >>> from muntin import stream, sum
        >>> sales = stream(time="at", out_of_order="0s")
        >>> hourly = sales.tumbling("1h", by="shop").agg(sold=sum("amount"))
        >>> hourly.top(3, "sold") == hourly.top(3, Column("sold"))
        True
        """
        return stream_of(top(self.node, n, order, by, ties))

    def silent(
        self,
        after: Duration,
        by: By,
        *,
        known: Iterable[KeyValue | Sequence[KeyValue]] | None = None,
        every: Duration | None = None,
    ) -> Stream:
        """A row each time a key has sent nothing for more than `after`; with `every`, again then.

        It holds the key, `window_start` and `last_event_time` (the last row's time), `window_end`
        (that plus `after`, and a multiple of `every`). `known` names keys that may never send, as
        values or, for several columns, as tuples; they count from the first watermark.

        >>> from muntin import stream
        >>> stream(time="at", out_of_order="0s").silent("20m", by="store")
        stream(time="at", out_of_order="0s").silent("20m", by="store")
        """
        return stream_of(silent(self.node, after, by, known, every))

    def _made(self, node: Node) -> Stream:
        return stream_of(node)

    def _then(
        self,
        op: str,
        body: dict[str, Json],
        call: str,
        columns: tuple[str, ...] | None,
    ) -> Stream:
        node = self.node
        made = Node(op, (node,), dumps(body), call, columns, node.typed, node.revisions)
        return stream_of(made)

    def __eq__(self, other: object) -> bool:
        return (
            self.node.fingerprint == other.node.fingerprint
            if isinstance(other, Stream)
            else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(self.node.fingerprint)

    def __repr__(self) -> str:
        return text_of(self.node)


def stream_of(node: Node) -> Stream:
    """The stream of a node, checked by the engine where all its inputs have a schema."""
    if node.typed or node.op == "union":
        check(node)
    return Stream(node)


def _columns(exprs: dict[str, IntoExpr], before: tuple[str, ...] | None, place: str) -> list[Json]:
    return [
        [text(name, place), resolve(value, before, f"{place}: {name}").to_json()]
        for name, value in exprs.items()
    ]
