"""The window verbs of a stream, and the windows that wait for their aggregates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Never, Self, TypeAlias, TypeVar

from muntin.base.arguments import not_yet
from muntin.base.durations import Duration, Span
from muntin.base.errors import PlanError, with_hint
from muntin.base.missing import Hinting
from muntin.expr.build import Expr
from muntin.pipeline.aggregates import Agg
from muntin.pipeline.keys import By, no_collisions
from muntin.pipeline.plan import Node, dumps
from muntin.pipeline.windows.aligned import Calendar, Firing, aligned
from muntin.pipeline.windows.base import Window, agg_json, aggregated, aggregates_text, all_named
from muntin.pipeline.windows.session import session
from muntin.pipeline.windows.sliding import NAMES, feature_names, history, sizes_of, sliding
from muntin.values.literals import Json

Emit: TypeAlias = Literal["final", "each", "changed"]
Closed: TypeAlias = Literal["right", "left", "both", "none"]
WeekStart: TypeAlias = Literal[
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
]
S = TypeVar("S", bound="Windowing")


class Windowing(Hinting):
    """What has window verbs: a stream."""

    __slots__ = ()

    node: Node

    def _made(self, node: Node) -> Self:
        """The stream of a node."""
        raise NotImplementedError

    def tumbling(
        self,
        size: Duration | None = None,
        by: By = (),
        *,
        rows: int | None = None,
        offset: Duration = "0s",
        time_zone: str | Expr | None = None,
        week_start: WeekStart = "monday",
        emit: Emit = "final",
        emit_every: Duration | None = None,
        allowed_lateness: Duration = "0s",
        revisions: bool = True,
        fill: str | None = None,
    ) -> Windowed[Self]:
        """Windows `[start, start + size)` side by side.

        Sizes in hours and below are elapsed time, counted from 1970 UTC. Days, weeks, months,
        quarters and years (`"1d"`, `"1w"`, `"1mo"`, `"1q"`, `"1y"`) are those of the calendar in
        `time_zone`: a name such as `"Europe/Berlin"`, or `col("zone")` for a column of names, which
        must be in `by`. Without it they are in the zone of the time column, else in UTC. Weeks
        begin on `week_start`. `offset` moves all bounds; in a calendar by local time, so that with
        `offset="4h"` a day begins at 04:00.

        A window comes out when the watermark reaches its end. With `allowed_lateness`, each late
        row that is still taken sends its window again with `revision` + 1; with `revisions=False`
        it comes out once, that much later. `emit="each"` sends the running value at every row,
        `emit_every` also the changed windows at each step of event time.

        Raises `PlanError` and its kin for invalid parameters; `rows` and `fill` are not there yet.

        >>> from muntin import count, stream
        >>> stream(time="at", out_of_order="0s").tumbling("1m", by="store").agg(n=count())
        stream(time="at", out_of_order="0s").tumbling("1m", by="store").agg(n=count())
        """
        not_yet("tumbling", rows=rows is not None, fill=fill is not None)
        firing = Firing(emit, emit_every, allowed_lateness, revisions)
        calendar = Calendar(offset, time_zone, week_start)
        window = aligned(self.node, "tumbling", size, None, by, calendar, firing)
        return Windowed(self, window)

    def hopping(
        self,
        size: Duration | None = None,
        every: Duration | None = None,
        by: By = (),
        *,
        rows: int | None = None,
        offset: Duration = "0s",
        time_zone: str | Expr | None = None,
        week_start: WeekStart = "monday",
        emit: Emit = "final",
        emit_every: Duration | None = None,
        allowed_lateness: Duration = "0s",
        revisions: bool = True,
        allow_gaps: bool = False,
    ) -> Windowed[Self]:
        """Windows of `size`, one starting `every` so often; a row is in each that covers it.

        As `tumbling` otherwise. If both sizes are days and weeks, or both months, quarters and
        years, they are those of the calendar; days beside hours are 24 hours. `emit="changed"`
        sends a key's window only if rows entered or left since its window before. At most 10,000
        windows may cover a row; a step longer than the size needs `allow_gaps=True`, and rows in
        the gaps are counted as such.

        >>> from muntin import count, stream
        >>> stream(time="at", out_of_order="0s").hopping("1h", "5m").agg(n=count())
        stream(time="at", out_of_order="0s").hopping("1h", "5m").agg(n=count())
        """
        not_yet("hopping", rows=rows is not None)
        firing = Firing(emit, emit_every, allowed_lateness, revisions)
        calendar = Calendar(offset, time_zone, week_start)
        window = aligned(
            self.node, "hopping", size, every, by, calendar, firing, allow_gaps=allow_gaps
        )
        return Windowed(self, window)

    def cumulative(
        self,
        size: Duration | None = None,
        step: Duration | None = None,
        by: By = (),
        *,
        offset: Duration = "0s",
        time_zone: str | Expr | None = None,
        week_start: WeekStart = "monday",
        emit: Emit = "final",
        emit_every: Duration | None = None,
        allowed_lateness: Duration = "0s",
        revisions: bool = True,
    ) -> Windowed[Self]:
        """Windows that start together and grow by `step` until they are `size` long.

        With a size of a day and a step of an hour: the day so far, each hour. `size` is a whole
        number of steps; where a day has 23 or 25 hours it has as many steps. As `tumbling`
        otherwise; `emit="changed"` sends a key's window only if it has rows of its last step.

        >>> from muntin import count, stream
        >>> stream(time="at", out_of_order="0s").cumulative("1d", "1h").agg(n=count())
        stream(time="at", out_of_order="0s").cumulative("1d", "1h").agg(n=count())
        """
        firing = Firing(emit, emit_every, allowed_lateness, revisions)
        calendar = Calendar(offset, time_zone, week_start)
        window = aligned(self.node, "cumulative", size, step, by, calendar, firing)
        return Windowed(self, window)

    def session(
        self,
        gap: Duration,
        by: By = (),
        *,
        gap_closed: bool = True,
        gap_max: Duration | None = None,
        allowed_lateness: Duration = "0s",
    ) -> Windowed[Self]:
        """Rows of a key that follow each other within `gap`; exactly `gap` apart still belongs.

        With `gap_closed=False` exactly `gap` apart is another session. A session comes out once,
        when the watermark has passed its last row by more than `gap` + `allowed_lateness`, with
        `window_end` = last + gap and `last_event_time`. `gap_max` is not there yet.

        >>> from muntin import count, stream
        >>> stream(time="at", out_of_order="0s").session("30m", by="user").agg(n=count())
        stream(time="at", out_of_order="0s").session("30m", by="user").agg(n=count())
        """
        not_yet("session", gap_max=gap_max is not None)
        window = session(
            self.node, gap, by, gap_closed=gap_closed, allowed_lateness=allowed_lateness
        )
        return Windowed(self, window)

    def sliding(
        self,
        size: Duration | Sequence[Duration] | None = None,
        by: By = (),
        *,
        rows: int | None = None,
        ago: Duration = "0s",
        closed: Closed = "right",
        include_current: bool = True,
        emit: Literal["arrival", "watermark"] = "arrival",
        allowed_lateness: Duration = "0s",
        names: str = NAMES,
        null_key: Literal["null", "group"] = "null",
        expire_after: Duration | None = None,
    ) -> Sliding[Self]:
        """For every row, aggregates over its key's rows of the last `size`, the row included.

        The row comes out at once with the aggregates as new columns. The window is
        `(time - size, time]`; `closed` says which ends belong to it, and `include_current=False`
        leaves the row itself out. With `ago` it ends that much earlier: `ago="24h"` gives
        `(time - ago - size, time - ago]`, the same hour yesterday. Several sizes give a column
        each, called `{name}_{size}`. `emit="watermark"` answers when no earlier row can come any
        more, over all rows up to that time. A null in `by` gives null features, unless
        `null_key="group"`.

        Without a size it is over all rows of the key since the beginning, with `rows=n` over its
        last `n`. Such a key is kept for ever, unless `expire_after` says how much older than a row
        the key's newest row may be: else the key begins anew.

        Raises `PlanError` and its kin for bad parameters.

        >>> from muntin import count, stream
        >>> stream(time="at", out_of_order="0s").sliding(["1m", "1h"], by="card").agg(n=count())
        stream(time="at", out_of_order="0s").sliding(["1m", "1h"], by="card").agg(n=count())
        """
        spans, many = sizes_of(size)
        if spans and (rows is not None or expire_after is not None):
            given = "rows=" if rows is not None else "expire_after="
            hint = f"leave the size out: sliding(None, {given}...)"
            raise PlanError(with_hint(f"sliding: {given} beside a size", hint))
        if not spans:
            window = history(
                self.node,
                by,
                rows=rows,
                expire_after=expire_after,
                ago=ago,
                closed=closed,
                include_current=include_current,
                emit=emit,
                allowed_lateness=allowed_lateness,
                null_key=null_key,
            )
            return Sliding(self, window, (), False, names)
        window = sliding(
            self.node,
            spans,
            many,
            by,
            ago=ago,
            closed=closed,
            include_current=include_current,
            emit=emit,
            allowed_lateness=allowed_lateness,
            names=names,
            null_key=null_key,
        )
        return Sliding(self, window, tuple(spans), many, names)


@dataclass(frozen=True, repr=False, slots=True)
class Windowed(Hinting, Generic[S]):
    """Windows of a stream that wait for their aggregates."""

    stream: S
    window: Window

    def agg(self, /, *unnamed: Never, **aggregates: Agg) -> S:
        """One row per key and window: the key, `window_start`, `window_end`, the aggregates.

        Raises `PlanError` without an aggregate, `ColumnError` if two columns have one name.

        >>> from muntin import count, stream, sum
        >>> sales = stream(time="at", out_of_order="0s")
        >>> sales.tumbling("1m", by="store").agg(n=count(), revenue=sum("amount")).node.columns
        ('store', 'window_start', 'window_end', 'n', 'revenue')
        """
        all_named(unnamed, self.window.op, "agg(n=...)")
        return self.stream._made(aggregated(self.stream.node, self.window, aggregates))

    def __repr__(self) -> str:
        return f"{self.stream!r}{self.window.call}"


@dataclass(frozen=True, repr=False, slots=True)
class Sliding(Hinting, Generic[S]):
    """Per-event windows of a stream that wait for their aggregates."""

    stream: S
    window: Window
    sizes: tuple[Span, ...]
    many: bool
    names: str

    def agg(self, /, *unnamed: Never, **aggregates: Agg) -> S:
        """The rows as they came, with a column for each aggregate and size.

        Raises `PlanError` without an aggregate, `ColumnError` if a column has the name already.
        """
        all_named(unnamed, "sliding", "agg(n=...)")
        node = self.stream.node
        written = agg_json(node, "sliding", aggregates)
        features = feature_names(self.names, self.sizes, self.many, aggregates)
        added = tuple(name for name, _, _ in features)
        no_collisions((*(node.columns or ()), *added), "sliding")
        named: list[Json] = [{"name": n, "aggregate": i, "size": j} for n, i, j in features]
        tail = f',"aggregates":{dumps([*written])},"columns":{dumps(named)}}}'
        columns = None if node.columns is None else (*node.columns, *added)
        call = self.window.call + aggregates_text(aggregates)
        body = self.window.body[:-1] + tail
        return self.stream._made(Node(self.window.op, (node,), body, call, columns, node.typed))

    def __repr__(self) -> str:
        return f"{self.stream!r}{self.window.call}"
