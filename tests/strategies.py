"""Hypothesis strategies: random streams, what is done with them, and plans over them.

A `Case` is a plan, the partitions of its inputs, and a list of operations that are valid for it:

    ("step", [Feed, ...], order)      ("advance", input, partition, watermark)
    ("idle", input, partition)        ("open", input, partition)        ("finish", input, partition)

`play` does them to a machine (the oracle, or anything with its methods); `recut` cuts the same rows
into other batches. Times lie on a small grid around 1970, so that ties, both ends of a window and
negative times are common. `plans.py` beside it draws the plans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from kinds import values
from oracle import Feed, Out, stamp
from plans import COLUMNS, HOUR, SHAPES, ZONES, S, plans

__all__ = ["COLUMNS", "Case", "S", "alone", "cases", "joined", "merge", "play", "recut", "rows"]

Op = tuple[Any, ...]

KEYS = {"str": ["a", "b", "c", "card 1234567"], "i64": [1, 2, 3, -1]}


@dataclass(frozen=True)
class Grid:
    """Where the times of a stream lie: so many microseconds apart, around a time; and the values of
    a key."""

    unit: int
    base: int = 0
    tags: tuple[str, ...] = ("x", "y", "z")


GRIDS = [Grid(1), Grid(S)]
CHANGES = [0, 1_711_846_800, 1_729_990_800, 1_712_415_600, 504_901_800, 1_325_239_200]
"""Moments at which clocks change somewhere, by an hour, half of one, a quarter, or a day."""


@st.composite
def calendar_grids(draw: st.DrawFn) -> Grid:
    """Times some hours or days apart, on both sides of a change of clocks; keys are zones."""
    unit = draw(st.sampled_from([HOUR, 7 * HOUR, 50 * HOUR]))
    base = draw(st.sampled_from(CHANGES)) * S + draw(st.integers(-20, 0)) * unit
    return Grid(unit, base, (*ZONES, "nowhere"))


@dataclass(frozen=True)
class Case:
    """A plan and what is done to it."""

    plan: dict
    partitions: dict[int, list[int]]
    ops: list[Op]
    types: list[dict[str, str]]
    """The types of the columns of each output."""


# ── operations ──────────────────────────────────────────────────────────────────────────────────


def play(machine: Any, ops: list[Op]) -> list[Out]:
    """Does every operation to `machine`; what each gave."""
    return [getattr(machine, name)(*arguments) for name, *arguments in ops]


def joined(outs: list[Out]) -> Out:
    """The results of several calls as one: cuts do not show in it."""
    first = outs[0]
    return Out(
        [[row for o in outs for row in o.outputs[i]] for i in range(len(first.outputs))],
        [alert for o in outs for alert in o.alerts],
        [[row for o in outs for row in o.late[i]] for i in range(len(first.late))],
        [[row for o in outs for row in o.invalid[i]] for i in range(len(first.invalid))],
    )


def single_rows(feeds: list[Feed]) -> list[Feed]:
    """The rows of `feeds`, each a feed of its own; their order is the given one."""
    return [
        Feed(
            feed.input,
            [row],
            feed.partition[i] if isinstance(feed.partition, list) else feed.partition,
            feed.position[i]
            if isinstance(feed.position, list)
            else None
            if feed.position is None
            else feed.position + i,
            feed.arrival[i] if isinstance(feed.arrival, list) else feed.arrival,
        )
        for feed in feeds
        for i, row in enumerate(feed.rows)
    ]


def merge(feeds: list[Feed]) -> list[Feed]:
    """The same rows in as few feeds as keep their order: runs of one input, counted or numbered."""
    runs: list[list[Feed]] = []
    for feed in single_rows(feeds):
        last = runs[-1][-1] if runs else None
        if last and last.input == feed.input and (last.position is None) == (feed.position is None):
            runs[-1].append(feed)
        else:
            runs.append([feed])
    return [
        Feed(
            run[0].input,
            [f.rows[0] for f in run],
            [f.partition for f in run],
            None if run[0].position is None else [f.position for f in run],
            [f.arrival for f in run],
        )
        for run in runs
    ]


def regroup(ops: list[Op], cut: Callable[[list[Feed]], list[list[Feed]]]) -> list[Op]:
    """Cuts every stretch of rows between two clock events anew; `cut` gives the steps.

    A step that sorts its rows is kept as it is: its order depends on what is in it.
    """
    out: list[Op] = []
    stretch: list[Feed] = []
    for op in [*ops, ("end",)]:
        if op[0] == "step" and op[2] == "given":
            stretch += single_rows(op[1])
            continue
        out += [("step", feeds, "given") for feeds in (cut(stretch) if stretch else [])]
        stretch = []
        out.append(op)
    return out[:-1]


def alone(ops: list[Op]) -> list[Op]:
    """Every row in a step of its own."""
    return regroup(ops, lambda rows: [[row] for row in rows])


def recut(ops: list[Op], data: st.DataObject) -> list[Op]:
    """The same rows in the same order, in other steps and other feeds."""

    def pieces(rows: list[Feed]) -> list[list[Feed]]:
        cuts = sorted(data.draw(st.sets(st.integers(0, len(rows)), max_size=4), label="cuts"))
        ends = zip([0, *cuts], [*cuts, len(rows)], strict=True)
        return [rows[a:b] for a, b in ends]

    def cut(rows: list[Feed]) -> list[list[Feed]]:
        return [[f for piece in pieces(step) for f in merge(piece)] for step in pieces(rows)]

    return regroup(ops, cut)


# ── streams ─────────────────────────────────────────────────────────────────────────────────────


@st.composite
def rows(draw: st.DrawFn, grid: Grid, words: dict[str, str], huge: bool, count: int) -> list:
    """`count` rows, mostly in order of time, on a grid."""
    now = draw(st.integers(-20, 10))
    zoned = "," in words["at"]
    pools = {name: [None, *values(word, huge)] for name, word in words.items()}
    pools |= {"k": [*KEYS.get(words["k"], values(words["k"])[:5]), None], "k2": [*grid.tags, None]}
    out = []
    for _ in range(count):
        now += draw(st.sampled_from([0, 0, 1, 1, 2, 3, 5, 9, 17]))
        behind = draw(st.sampled_from([0, 0, 0, 0, 1, 2, 4, 8, 15, 40]))
        time = (
            None
            if draw(st.integers(0, 39)) == 39
            else stamp(grid.base + (now - behind) * grid.unit, zoned)
        )
        row = {name: draw(st.sampled_from(pool)) for name, pool in pools.items() if name != "at"}
        out.append({"at": time} | row)
    return out


@st.composite
def operations(
    draw: st.DrawFn, plan: dict, partitions: dict[int, list[int]], grid: Grid, huge: bool, most: int
) -> list[Op]:
    """Steps of random rows with clock events between them; usually finished at the end."""
    alive = {i: list(p) for i, p in partitions.items()}
    names = {i: list(p) for i, p in partitions.items()}
    numbered = draw(st.booleans(), label="positions given")
    stamped = draw(st.booleans(), label="arrivals given")
    ops: list[Op] = []
    counts: dict[tuple[int, int], int] = {}
    total = draw(st.integers(1, most), label="rows")
    inputs, words = len(plan["inputs"]), dict(plan["inputs"][0]["schema"])
    pools = {i: draw(rows(grid=grid, words=words, huge=huge, count=total)) for i in range(inputs)}
    feeds: list[Feed] = []
    for n in range(total):
        i = draw(st.integers(0, inputs - 1)) if inputs > 1 else 0
        if alive[i]:
            partition = draw(st.sampled_from(alive[i]))
            position = counts.get((i, partition), 0) + draw(st.integers(0, 1)) if numbered else None
            counts[i, partition] = (position or 0) + 1
            arrival = None
            if stamped:
                arrival = grid.base + (n * 5 + draw(st.integers(-10, 40))) * grid.unit
            feeds.append(Feed(i, [pools[i][n]], partition, position, arrival))
        event = draw(st.sampled_from([None] * 12 + ["cut"] * 4 + EVENTS))
        if event is not None and feeds:
            order = draw(st.sampled_from(["given"] * 6 + ["time", "arrival"]))
            ops.append(("step", merge(feeds) if draw(st.booleans()) else feeds, order))
            feeds = []
        if event in EVENTS:
            ops += draw(events(event, i, alive, names, grid))
    if feeds:
        ops.append(("step", merge(feeds), "given"))
    if draw(st.integers(0, 4)) > 0:
        ops.append(("finish", None, None))
    return ops or [("advance", 0, None, 0)]


EVENTS = ["advance", "idle", "open", "finish"]


@st.composite
def events(draw: st.DrawFn, event: str, i: int, alive: dict, names: dict, grid: Grid) -> list[Op]:
    """One clock event at input `i`; a partition that ends, or begins, is noted in `alive`."""
    if not alive[i]:
        return []
    if event == "open":
        new = max(names[i]) + 1
        names[i].append(new)
        alive[i].append(new)
        return [("open", i, new)]
    partition = draw(st.sampled_from(alive[i]))
    if event == "finish":
        if draw(st.booleans()):
            return []
        alive[i].remove(partition)
        return [("finish", i, partition)]
    everything = draw(st.booleans())
    target = None if everything else partition
    if event == "idle":
        return [("idle", i, target)]
    to = grid.base + draw(st.integers(-30, 150)) * grid.unit
    return [("advance", i, target, to)]


@st.composite
def cases(draw: st.DrawFn, verbs: tuple[str, ...] = ()) -> Case:
    """A plan (of these shapes only, if named: see `plans.SHAPES`) and operations for it."""
    shape = draw(st.sampled_from(verbs or SHAPES), label="shape")
    grid = draw(calendar_grids() if "calendar" in shape else st.sampled_from(GRIDS), label="grid")
    zoned = draw(st.booleans(), label="zoned")
    text_keys = draw(st.booleans(), label="text keys")
    huge = draw(st.booleans(), label="huge")
    typed = draw(st.booleans(), label="all types")
    kinds = {"zoned": zoned, "text_keys": text_keys, "typed": typed}
    plan, types = draw(plans(unit=grid.unit, shapes=(shape,), **kinds))
    partitions = {i: list(range(draw(st.integers(1, 3)))) for i in range(len(plan["inputs"]))}
    most = draw(st.sampled_from([10, 40, 40, 120]), label="most rows")
    ops = draw(operations(plan, partitions, grid, huge, most))
    return Case(plan, partitions, ops, types)
