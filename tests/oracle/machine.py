"""The machine: inputs and their watermarks, the graph, one seq after another.

Decided here, where nothing else says so: a row that is invalid wakes no idle partition; advance
wakes none either; a finished partition counts neither as active nor as idle, so that the end of one
partition does not fire what another, idle one may still send; rows for a finished partition are an
error, and so is an advance of it; the ends of i64 are watermarks, hence no times; null arrivals
sort first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .events import Filter, History, Input, Select, Sliding, Union, WithColumns
from .expressions import evaluate
from .keyed import Deduplicate, Previous
from .node import Clock, Node
from .rules import Rules
from .sessions import Session, Silent
from .top import Top
from .values import (
    FOREVER,
    I64_MAX,
    I64_MIN,
    NEVER,
    CastFailed,
    Origin,
    Overflow,
    Row,
    is_zoned,
    micros,
    shift,
    watermark_of,
)
from .windows import Aligned

OPERATORS: dict[str, type[Node]] = {
    "input": Input,
    "filter": Filter,
    "with_columns": WithColumns,
    "select": Select,
    "union": Union,
    "tumbling": Aligned,
    "hopping": Aligned,
    "cumulative": Aligned,
    "session": Session,
    "sliding": Sliding,
    "history": History,
    "previous": Previous,
    "deduplicate": Deduplicate,
    "silent": Silent,
    "top": Top,
}


class Feed(NamedTuple):
    """Rows for one input: `partition`, `position`, `arrival` are one value for all, or one each.

    A position of None counts the rows of the partition, an int counts from there.
    """

    input: int
    rows: list[dict[str, Any]]
    partition: int | list[int] = 0
    position: int | list[int] | None = None
    arrival: int | list[int | None] | None = None


@dataclass
class Out:
    """What one call gives: rows by output, alerts, late and invalid records by input."""

    outputs: list[list[dict[str, Any]]]
    alerts: list[dict[str, Any]] = field(default_factory=list)
    late: list[list[dict[str, Any]]] = field(default_factory=list)
    invalid: list[list[dict[str, Any]]] = field(default_factory=list)


class Watermark:
    """W of each partition of an input, and the clock of the input."""

    def __init__(self, out_of_order: int, partitions: list[int]) -> None:
        self.out_of_order = out_of_order
        self.w: dict[int, float] = dict.fromkeys(partitions, NEVER)
        self.idle: set[int] = set()
        self.finished: set[int] = set()
        self.value: float = NEVER
        self.newest: float = NEVER

    def hear(self, partition: int, time: int) -> float:
        """A row of that time: wakes its partition, gives the watermark that judges the row."""
        self.idle.discard(partition)
        self.newest = max(self.newest, time)
        self.advance([partition], shift(time, -self.out_of_order))
        return self.w[partition]

    def advance(self, partitions: list[int], watermark: float) -> None:
        """Moves W of those partitions, never backwards, and the clock."""
        for partition in partitions:
            self.w[partition] = max(self.w[partition], watermark)
        if watermark != FOREVER:
            self.newest = max(self.newest, watermark)
        self.settle()

    def finish(self, partitions: list[int]) -> None:
        """Ends those partitions."""
        self.finished.update(partitions)
        self.advance(partitions, FOREVER)

    def settle(self) -> None:
        """The clock: the running maximum of the lowest active partition."""
        living = self.active() or [p for p in self.w if p not in self.finished] or list(self.w)
        self.value = max(self.value, min((self.w[p] for p in living), default=NEVER))

    def active(self) -> list[int]:
        """The partitions that hold the clock back."""
        return [p for p in self.w if p not in self.idle | self.finished]

    def clock(self) -> Clock:
        """The clock of the input's node."""
        idle = self.value != FOREVER and not self.active()
        return Clock(self.value, idle, self.newest)


class Arrival(NamedTuple):
    """A row as it was handed over."""

    origin: Origin
    time: int | None
    zoned: bool
    reason: str | None


class Machine:
    """The reference machine of a plan; `partitions` declares those of each input.

    `masks` are the callables of `{"mask": k}`: they take a row's columns and give a verdict.
    """

    def __init__(
        self,
        plan: dict,
        partitions: dict[int, list[int]],
        masks: list[Callable[[dict], Any]] | None = None,
    ) -> None:
        self.plan = plan
        self.seq = 0
        schemas = [i.get("schema") or [] for i in plan["inputs"]]
        self.columns = [[name for name, _ in schema] for schema in schemas]
        self.words = {name: word for schema in schemas for name, word in schema}
        self.zoned: dict[int, bool] = {}
        self.watermarks = [
            Watermark(spec["out_of_order"], partitions[i]) for i, spec in enumerate(plan["inputs"])
        ]
        self.counts: dict[tuple[int, int], int] = {}
        self.nodes = [OPERATORS[s["op"]](i, s, self) for i, s in enumerate(plan["nodes"])]
        self.rules = [Rules(output, masks or []) for output in plan["outputs"]]

    # ── calls ───────────────────────────────────────────────────────────────────────────────────

    def step(self, feeds: list[Feed | tuple], order: str = "given") -> Out:
        """Takes the rows of `feeds` one after another, in the order that `order` names."""
        arrivals = [a for feed in feeds for a in self.unpack(Feed(*feed))]
        if order == "arrival":
            arrivals.sort(key=lambda a: (first_if_null(a.origin.arrival), *place(a.origin)))
        elif order == "time":
            arrivals.sort(key=lambda a: (first_if_null(a.time), *place(a.origin)))
        out = self.out()
        for arrival in arrivals:
            self.tick(out, arrival)
        return out

    def advance(self, input: int, partition: int | None, watermark: int) -> Out:
        """Promises that nothing older than `watermark` comes any more; wakes nothing."""
        mine = self.watermarks[input]
        self.check_unfinished(input, partition)
        mine.advance(self.declared(input, partition), watermark_of(watermark))
        return self.tick(self.out())

    def idle(self, input: int, partition: int | None) -> Out:
        """Partitions that do not hold the clock back until their next row."""
        mine = self.watermarks[input]
        mine.idle.update(self.declared(input, partition))
        mine.settle()
        return self.tick(self.out())

    def open(self, input: int, partition: int) -> Out:
        """A new partition, at the present clock."""
        mine = self.watermarks[input]
        if partition in mine.w:
            raise ValueError(f"partition {partition} is declared already")
        if mine.value == FOREVER:
            raise ValueError(f"partition {partition} cannot open: the input is finished")
        mine.w[partition] = mine.value
        return self.tick(self.out())

    def finish(self, input: int | None = None, partition: int | None = None) -> Out:
        """The end of a partition, of all of an input, or of everything."""
        inputs = range(len(self.watermarks)) if input is None else [input]
        for i in inputs:
            self.watermarks[i].finish(self.declared(i, partition))
        return self.tick(self.out())

    @property
    def stats(self) -> list[dict[str, Any]]:
        """The counters of each node, in the order of the plan."""
        return [{"node": n.index, "op": n.spec["op"], **n.counters} for n in self.nodes]

    @property
    def watermark(self) -> float:
        """The lowest clock of the inputs."""
        return min(w.value for w in self.watermarks)

    # ── rows as they are handed over ────────────────────────────────────────────────────────────

    def declared(self, input: int, partition: int | None) -> list[int]:
        """One partition, or all of the input; an undeclared one is an error."""
        mine = self.watermarks[input]
        if partition is not None and partition not in mine.w:
            raise ValueError(f"partition {partition} is not declared")
        return list(mine.w) if partition is None else [partition]

    def check_unfinished(self, input: int, partition: int | None) -> None:
        """Nothing more may come of a finished partition."""
        if partition in self.watermarks[input].finished:
            raise ValueError(f"partition {partition} is finished")

    def unpack(self, feed: Feed) -> list[Arrival]:
        """The rows of a feed with where each comes from, decoded."""
        arrivals = []
        self.columns[feed.input] = self.columns[feed.input] or list(next(iter(feed.rows), {}))
        for i, row in enumerate(feed.rows):
            partition = feed.partition[i] if isinstance(feed.partition, list) else feed.partition
            arrival = feed.arrival[i] if isinstance(feed.arrival, list) else feed.arrival
            self.check_unfinished(feed.input, partition)
            count = self.count(feed.input, partition)
            if isinstance(feed.position, list):
                position = feed.position[i]
            else:
                position = count if feed.position is None else feed.position + i
            source = {name: row.get(name) for name in self.columns[feed.input]}
            origin = Origin(feed.input, partition, position, arrival, source)
            arrivals.append(self.decode(origin))
        return arrivals

    def count(self, input: int, partition: int) -> int | None:
        """How many rows of a partition came before; nobody counts those of an undeclared one."""
        if partition not in self.watermarks[input].w:
            return None
        count = self.counts.get((input, partition), 0)
        self.counts[input, partition] = count + 1
        return count

    def decode(self, origin: Origin) -> Arrival:
        """The time of a row, or the reason why it has none."""
        if origin.partition not in self.watermarks[origin.input].w:
            return Arrival(origin, None, False, "undeclared_partition")
        spec = self.plan["inputs"][origin.input]
        raw = Row(origin.source or {}, 0, NEVER, False, origin)
        try:
            value = evaluate(spec["time"], raw)
        except CastFailed as lost:
            return Arrival(origin, None, False, lost.reason)
        except Overflow:
            return Arrival(origin, None, False, "time_out_of_range")
        if value is None:
            return Arrival(origin, None, False, "null_time")
        time = micros(value)
        zoned = is_zoned(value) or spec["time"].get("fn", "").startswith("epoch_")
        if not I64_MIN < time < I64_MAX:
            return Arrival(origin, None, zoned, "time_out_of_range")
        skew = spec.get("max_future_skew")
        future = None not in (origin.arrival, skew) and time > origin.arrival + skew
        return Arrival(origin, time, zoned, "future" if future else None)

    # ── one seq ─────────────────────────────────────────────────────────────────────────────────

    def out(self) -> Out:
        """An empty result."""
        inputs = self.plan["inputs"]
        return Out([[] for _ in self.rules], [], [[] for _ in inputs], [[] for _ in inputs])

    def tick(self, out: Out, arrival: Arrival | None = None) -> Out:
        """One seq: a row, or a clock event, through the whole graph."""
        self.seq += 1
        row = None if arrival is None else self.judged(arrival)
        clocks_before = [node.output_clock for node in self.nodes]
        done: list[tuple[list[Row], Clock]] = []
        for node in self.nodes:
            if node.spec["op"] == "input":
                mine = node.spec["input"]
                if arrival is not None and arrival.origin.input == mine and row is None:
                    node.counters["rows_in"] += 1
                    node.refuse(Row({}, 0, NEVER, False, arrival.origin), arrival.reason)
                rows = [row] if row is not None and row.origin.input == mine else []
                done.append(node.run(rows, self.watermarks[mine].clock()))
            elif isinstance(node, Union):
                done.append(node.run(*node.merge([done[s] for s in node.sources])))
            else:
                done.append(node.run(*done[node.sources[0]]))
            self.collect(node, out)
        for index, output in enumerate(self.plan["outputs"]):
            rows = done[output["node"]][0]
            out.outputs[index] += [dict(r.columns) for r in rows]
            out.alerts += self.rules[index].alerts(rows, clocks_before[output["node"]])
        return out

    def judged(self, arrival: Arrival) -> Row | None:
        """The row with the watermark that judges it; None for an invalid one."""
        if arrival.reason is not None:
            return None
        origin = arrival.origin
        self.zoned[origin.input] = arrival.zoned
        judge = self.watermarks[origin.input].hear(origin.partition, arrival.time)
        return Row(dict(origin.source), arrival.time, judge, arrival.zoned, origin)

    def collect(self, node: Node, out: Out) -> None:
        """Moves a node's records of this seq into the result."""
        for records, target in ((node.late, out.late), (node.invalid, out.invalid)):
            for record in records:
                target[record.input].append(record.columns)
            records.clear()

    # ── what is known about the graph ───────────────────────────────────────────────────────────

    def first_input(self, index: int) -> int:
        """The first of the inputs above a node."""
        node = self.nodes[index] if index < len(self.nodes) else None
        spec = node.spec if node else self.plan["nodes"][index]
        if spec["op"] == "input":
            return spec["input"]
        return min(self.first_input(s) for s in node.sources)

    def time_zone(self, index: int) -> str | None:
        """The zone of the event time behind a node, as the type of the time column names it."""
        spec = self.plan["inputs"][self.first_input(index)]
        name = spec["time"].get("col", "")
        word = dict(spec.get("schema") or []).get(name, "")
        return word.rstrip("]").split(", ")[1] if ", " in word else None

    def columns_of(self, index: int) -> list[str]:
        """The columns of a node, as far as its inputs have been heard or have a schema."""
        node = self.nodes[index]
        spec = node.spec
        if spec["op"] == "input":
            return self.columns[spec["input"]]
        if spec["op"] == "select":
            return [name for name, _ in spec["columns"]]
        aggregates = [a["name"] for a in node.aggregates]
        bounds = ["window_start", "window_end"]
        if isinstance(node, Aligned):
            return [*node.by, *bounds, *aggregates, *["revision"] * node.has_revision]
        if isinstance(node, Session | Silent):
            return [*node.by, *bounds, "last_event_time", *aggregates]
        above = list(dict.fromkeys(c for s in node.sources for c in self.columns_of(s)))
        if isinstance(node, Union):
            return above + [spec["tag"]] * bool(spec.get("tag"))
        added = [] if isinstance(node, Filter | Deduplicate | Top) else spec["columns"]
        names = [c["name"] if isinstance(c, dict) else c[0] for c in added]
        return list(dict.fromkeys(above + names))


def first_if_null(value: int | None) -> tuple[bool, int]:
    """A sort key that puts null before every time."""
    return (value is not None, value or 0)


def place(origin: Origin) -> tuple[int, int, int]:
    """Where a row stands in the order of its input."""
    position = I64_MIN if origin.position is None else origin.position
    return (origin.input, origin.partition, position)
