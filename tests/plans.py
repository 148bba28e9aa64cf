"""Hypothesis strategies for plans: every verb, chains, unions, shared prefixes, rules.

`SHAPES` names the shapes; `plans` draws one of them. A `Branch` is a node under construction with
the columns that stand behind it, so that whatever is drawn is well typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from kinds import DECIMALS, INTEGERS, KEYS, WORDS, is_list, sum_of, weighted_sum_of
from oracle.aggregates import KINDS

S = 1_000_000
HOUR = 3600 * S
DAY = 24 * HOUR
ZONES = ["Europe/Berlin", "Europe/Paris", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
COLUMNS = ["at", "k", "k2", "v", "x", "s", "d"]
FLOATS = ["f32", "f64"]
Draw = Callable[[st.SearchStrategy], object]


@dataclass(frozen=True)
class Branch:
    """A node, the types of its columns, and whether rows behind it can be revised."""

    node: int
    columns: dict[str, str]
    time: str
    """The type of a window's bounds."""
    revised: bool = False

    def of(self, *words: str) -> list[str]:
        """The columns of these types."""
        return [name for name, word in self.columns.items() if word in words]


@dataclass
class Graph:
    """Nodes under construction; equal nodes are one."""

    draw: Draw
    unit: int
    nodes: list[dict] = field(default_factory=list)
    names: int = 0

    def add(self, node: dict) -> int:
        """The index of `node`."""
        if node not in self.nodes:
            self.nodes.append(node)
        return self.nodes.index(node)

    def name(self) -> str:
        """A column name that was not used before."""
        self.names += 1
        return f"c{self.names}"

    def one(self, *choices: object) -> object:
        """One of `choices`."""
        return self.draw(st.sampled_from(choices))

    def span(self, low: int, high: int) -> int:
        """A duration on the grid."""
        return self.draw(st.integers(low, high)) * self.unit


# ── expressions ─────────────────────────────────────────────────────────────────────────────────


def call(name: str, *args: dict) -> dict:
    """A function call."""
    return {"fn": name, "args": list(args)}


def lit(value: object, word: str) -> dict:
    """A literal."""
    return {"lit": value, "type": word}


def number(g: Graph, b: Branch) -> tuple[dict, str]:
    """A numeric expression and its type."""
    ints, floats, exact = b.of(*INTEGERS), b.of(*FLOATS), b.of(*DECIMALS)
    kinds = ["int", "int", "sum"] * bool(ints) + ["float", "float", "half"] * bool(floats)
    kind = g.one(*kinds, *["case"] * bool(b.of("i64")), *["exact"] * bool(exact), "lit")
    if kind == "lit":
        return lit(g.one(0, 1, 5), "i64"), "i64"
    of = {"float": floats, "half": floats, "exact": exact, "case": b.of("i64")}
    name = g.one(*of.get(kind, ints))
    column, word = {"col": name}, b.columns[name]
    if kind == "half":
        return call("div", column, lit(2, "i64")), "f64"
    if kind == "sum":
        return call(g.one("add", "sub", "mul", "mod"), column, lit(g.one(-2, 0, 3), "i64")), "i64"
    if kind == "case":
        positive = call("gt", column, lit(0, "i64"))
        return {"case": [[positive, column]], "else": g.one(None, lit(-1, "i64"))}, "i64"
    return column, word


def predicate(g: Graph, b: Branch, depth: int = 2) -> dict:
    """A boolean expression."""
    kind = g.one("compare", "null", "text", "late", "logic", "in")
    if kind == "logic" and depth:
        parts = [predicate(g, b, depth - 1) for _ in range(2)]
        return call("not", parts[0]) if g.one(True, False) else call(g.one("and", "or"), *parts)
    if kind == "late":
        return call("not", call("is_late"))
    if kind == "null":
        return call(g.one("is_null", "is_not_null"), {"col": g.one(*b.columns)})
    texts = b.of("str")
    if kind == "text" and texts:
        test = g.one("starts_with", "ends_with", "contains", "eq")
        return call(test, {"col": g.one(*texts)}, lit(g.one("a", "b", ""), "str"))
    if kind == "in" and b.of("i64"):
        return call("in", {"col": g.one(*b.of("i64"))}, lit(1, "i64"), lit(3, "i64"))
    left, _ = number(g, b)
    return call(g.one("ne", "eq", "lt", "le", "gt", "ge"), left, lit(g.one(0, 1, 4), "i64"))


PARAMETERS = {
    **dict.fromkeys(("var", "std", "cov"), ((0, "i64"), (1, "i64"), (1, "i64"))),
    **dict.fromkeys(("skew", "kurtosis"), ((False, "bool"), (True, "bool"))),
    "top_k": ((1, "i64"), (2, "i64"), (100, "i64")),
}
"""The parameters that an aggregate is tried with."""
MOMENTS = ("var", "std", "skew", "kurtosis")
"""The aggregates over a number that take a parameter."""
PAIRS = ("cov", "corr", "slope", "intercept")
"""The aggregates over two numbers."""


def aggregate(g: Graph, b: Branch) -> tuple[dict, str]:
    """An aggregate and the type of its column."""
    kind = g.one(*KINDS)
    where = predicate(g, b, 1) if g.one(False, False, True) else None
    made = {"name": g.name(), "kind": kind, "args": [], "where": where}
    if kind == "quantile":
        made["parameters"] = [lit(g.one(0.0, 0.1, 0.25, 0.5, 0.99, 1.0), "f64")]
    if kind in PARAMETERS:
        value, word = g.one(*PARAMETERS[kind])
        made["parameters"] = [lit(value, word)]
    if kind in ("any", "all"):
        return made | {"args": [predicate(g, b, 1)]}, "bool"
    if kind.startswith("bit_"):
        ints = b.of(*INTEGERS)
        if not ints:
            return made | {"kind": "count"}, "i64"
        name = g.one(*ints)
        return made | {"args": [{"col": name}]}, b.columns[name]
    if kind == "histogram":
        made["parameters"] = [lit(edge, "f64") for edge in (-1.0, 0.0, 2.5)]
        argument, _ = number(g, b)
        return made | {"args": [argument]}, "list[i64]"
    weighted = kind in ("sum", "mean") and g.one(False, False, True)
    if kind in PAIRS or weighted:
        (one, left), (two, right) = number(g, b), number(g, b)
        word = weighted_sum_of(left, right) if kind == "sum" else "f64"
        return made | {"args": [one, two]}, word
    if kind in ("sum", "mean", "sum_distinct", "product", "quantile", *MOMENTS):
        spans = b.of("duration[us]") if kind.startswith("sum") else []
        argument, word = number(g, b)
        if spans and g.one(True, False):
            argument, word = {"col": g.one(*spans)}, "duration[us]"
        return made | {"args": [argument]}, sum_of(word) if kind.startswith("sum") else "f64"
    if kind == "count" and g.one(True, False):
        return made, "i64"
    known = [name for name, word in b.columns.items() if kind == "count" or not is_list(word)]
    name, word = g.one(*known), "i64"
    if kind in ("arg_min", "arg_max"):
        made["args"] = [{"col": name}, {"col": g.one(*known)}]
        return made, b.columns[name]
    if kind in ("array_agg", "top_k"):
        word = f"list[{b.columns[name]}]"
    elif not kind.startswith("count"):
        word = b.columns[name]
    return made | {"args": [{"col": name}]}, word


def aggregates(g: Graph, b: Branch) -> tuple[list[dict], dict[str, str]]:
    """A count, one to three more, and the types of their columns."""
    count = {"name": g.name(), "kind": "count", "args": [], "where": None}
    made = [(count, "i64"), *(aggregate(g, b) for _ in range(g.one(1, 2, 3)))]
    return [a for a, _ in made], {a["name"]: word for a, word in made}


# ── verbs ───────────────────────────────────────────────────────────────────────────────────────


BY: list[list[str]] = [[], ["k"], ["k2"], ["k", "k2"], ["d"], ["k", "d"]]


def keys(g: Graph, b: Branch, least: int = 0) -> list[str]:
    """Columns to group by."""
    usable = [name for name in ("k", "k2", "d") if b.columns.get(name) in KEYS]
    choices = [by for by in BY if set(by) <= set(usable)]
    return g.one(*[by for by in choices if len(by) >= least] or [[]])


def filtered(g: Graph, b: Branch) -> Branch:
    """filter."""
    where = predicate(g, b)
    if g.one(True, False):
        where = call("or", where, call("is_not_null", {"col": g.one(*b.columns)}))
    node = {"op": "filter", "from": b.node, "where": where}
    return replace(b, node=g.add(node))


def with_columns(g: Graph, b: Branch) -> Branch:
    """with_columns: one new column, and perhaps `v` replaced."""
    columns, words = [], dict(b.columns)
    for name in [g.name()] + ["v"] * ("v" in b.columns and g.one(True, False)):
        value, word = number(g, b)
        if name == "v" and word != b.columns["v"]:
            continue
        columns.append([name, value])
        words[name] = word
    node = {"op": "with_columns", "from": b.node, "columns": columns}
    return replace(b, node=g.add(node), columns=words)


def select(g: Graph, b: Branch) -> Branch:
    """select: some columns in another order, and a computed one."""
    kept = g.draw(st.permutations([n for n in b.columns if n != "s"]))
    value, word = number(g, b)
    name = g.name()
    columns = [[n, {"col": n}] for n in kept] + [[name, value]]
    words = {n: b.columns[n] for n in kept} | {name: word}
    node = {"op": "select", "from": b.node, "columns": columns}
    return replace(b, node=g.add(node), columns=words)


def aligned(g: Graph, b: Branch, op: str, last: bool) -> Branch:
    """tumbling, hopping or cumulative; revised only where nothing stands behind it."""
    by = keys(g, b)
    node = {"size": g.span(1, 30), "offset": g.span(-5, 35) if g.one(True, False) else 0}
    if op == "hopping":
        every = g.span(1, 12)
        node |= {"every": every, "allow_gaps": every > node["size"]}
    if op == "cumulative":
        step = g.span(1, 9)
        node |= {"every": step, "size": step * g.one(1, 2, 3, 7)}
    return fired(g, b, {"op": op, "from": b.node, "by": by} | node, last)


def calendar(g: Graph, b: Branch, last: bool) -> Branch:
    """Windows of days or months, in one time zone or in that of their key."""
    op, unit = g.one("tumbling", "hopping", "cumulative"), g.one("days", "days", "months")
    count = g.one(1, 1, 2, 3, 7)
    node: dict = {"op": op, "from": b.node, "by": keys(g, b), "size": {unit: count}}
    if op == "hopping":
        every = g.one(1, 2, 3)
        node |= {"every": {unit: every}, "allow_gaps": every > count}
    if op == "cumulative":
        days = [{"days": 1}, {"days": 9}] * (unit == "months")
        node |= {"every": g.one({unit: 1}, *days, 4 * HOUR if unit == "days" else 99 * HOUR)}
    node |= {"offset": g.one(0, 0, 4 * HOUR, 5 * DAY + HOUR // 2)}
    node |= {"offset_months": g.one(1, 2)} if unit == "months" and g.one(True, False) else {}
    zone = g.one(None, "UTC", *ZONES, "column", "column") if "k2" in b.columns else None
    if zone == "column":
        node |= {
            "by": [*["k"] * ("k" in b.columns and g.one(0, 1)), "k2"],
            "time_zone": {"col": "k2"},
        }
    elif zone is not None:
        node |= {"time_zone": zone}
    return fired(g, b, node, last)


def fired(g: Graph, b: Branch, node: dict, last: bool) -> Branch:
    """A window that comes out when it closes, or before."""
    made, words = aggregates(g, b)
    op, by, lateness = node["op"], node["by"], g.one(0, 0, g.span(1, 12))
    emits = ["final"] * 3 + ["changed"] * (op != "tumbling") * 2 + ["each"] * last
    node |= {"emit": g.one(*emits), "emit_every": None}
    if last and node["emit"] != "each" and g.one(True, False, False):
        node |= {"emit_every": g.span(1, 12)}
    node |= {"allowed_lateness": lateness, "revisions": last and g.one(True, True, False)}
    revised = node["emit"] == "each" or node["emit_every"] is not None
    revised = revised or (lateness > 0 and node["revisions"])
    columns = {name: b.columns[name] for name in by} | bounds(b) | words
    columns |= {"revision": "i64"} if revised else {}
    return Branch(g.add(node | {"aggregates": made}), columns, b.time, revised)


def bounds(b: Branch) -> dict[str, str]:
    """The columns of a window's bounds."""
    return dict.fromkeys(("window_start", "window_end"), b.time)


def session(g: Graph, b: Branch) -> Branch:
    """session."""
    by = keys(g, b)
    made, words = aggregates(g, b)
    node = {"op": "session", "from": b.node, "by": by, "gap": g.span(1, 12)}
    node |= {"gap_closed": g.one(True, False), "allowed_lateness": g.one(0, 0, g.span(1, 12))}
    columns = {name: b.columns[name] for name in by} | bounds(b)
    columns |= {"last_event_time": b.time} | words
    return Branch(g.add(node | {"aggregates": made}), columns, b.time)


def sliding(g: Graph, b: Branch) -> Branch:
    """sliding with one or two sizes."""
    by = keys(g, b)
    made, words = aggregates(g, b)
    emit = g.one("arrival", "arrival", "watermark")
    sizes = sorted({g.span(1, 30) for _ in range(g.one(1, 2))})
    columns = [
        {"name": f"{a['name']}_{j}", "aggregate": i, "size": j}
        for i, a in enumerate(made)
        for j in range(len(sizes))
    ]
    node = {"op": "sliding", "from": b.node, "by": by, "sizes": sizes, "emit": emit}
    node |= {"ago": g.span(1, 12)} if g.one(True, False, False, False) else {}
    node |= {"closed": g.one("right", "left", "both", "none")}
    node |= {"include_current": g.one(True, True, False), "null_key": g.one("null", "group")}
    node |= {"allowed_lateness": 0 if emit == "watermark" else g.one(0, 0, g.span(1, 12))}
    index = g.add(node | {"aggregates": made, "columns": columns})
    added = {c["name"]: words[made[c["aggregate"]]["name"]] for c in columns}
    return Branch(index, b.columns | added, b.time)


def history(g: Graph, b: Branch) -> Branch:
    """sliding without a length."""
    by = keys(g, b)
    made, words = aggregates(g, b)
    columns = [{"name": a["name"], "aggregate": i, "size": 0} for i, a in enumerate(made)]
    node = {"op": "history", "from": b.node, "by": by, "rows": g.one(None, None, 1, 2, 5)}
    node |= {"expire_after": g.one(None, None, g.span(1, 20))}
    node |= {"ago": g.span(1, 12)} if g.one(True, False, False, False) else {}
    node |= {"closed": g.one("right", "right", "left", "both", "none")}
    node |= {"include_current": g.one(True, True, False), "null_key": g.one("null", "group")}
    node |= {"allowed_lateness": g.one(0, 0, g.span(1, 12))}
    index = g.add(node | {"aggregates": made, "columns": columns})
    added = {c["name"]: words[made[c["aggregate"]]["name"]] for c in columns}
    return Branch(index, b.columns | added, b.time)


def previous(g: Graph, b: Branch) -> Branch:
    """previous: one or two columns of any type."""
    by = keys(g, b)
    columns = [[g.name(), g.one(*b.columns)] for _ in range(g.one(1, 2))]
    node = {"op": "previous", "from": b.node, "by": by, "columns": columns}
    node |= {"ago": g.one(None, None, g.span(1, 12))}
    words = {name: b.columns[old] for name, old in columns}
    return replace(b, node=g.add(node), columns=b.columns | words)


def deduplicate(g: Graph, b: Branch) -> Branch:
    """deduplicate."""
    node = {"op": "deduplicate", "from": b.node, "by": keys(g, b, least=1)}
    return replace(b, node=g.add(node | {"within": g.span(1, 12)}))


def silent(g: Graph, b: Branch) -> Branch:
    """silent, perhaps with keys that may never be heard of."""
    by = keys(g, b, least=1)
    known = None
    if by == ["k2"]:
        known = g.one(None, [["x"], ["never"]])
    node = {"op": "silent", "from": b.node, "by": by, "after": g.span(1, 20), "known": known}
    if g.one(False, False, True):
        node |= {"every": g.span(1, 9)}
    columns = {name: b.columns[name] for name in by} | bounds(b)
    return Branch(g.add(node), columns | {"last_event_time": b.time}, b.time)


def top(g: Graph, b: Branch) -> Branch:
    """top: behind windows that fire once."""
    order = number(g, b)[0] if g.one(True, False) else {"col": g.one(*scalars(b))}
    usable = [name for name in ("k", "k2", "d") if b.columns.get(name) in KEYS]
    by = g.one([], *[[name] for name in usable])
    node = {"op": "top", "from": b.node, "by": by, "n": g.one(1, 1, 2, 3), "order": order}
    return replace(b, node=g.add(node | {"ties": g.one(True, False)}))


def scalars(b: Branch) -> list[str]:
    """The columns that have an order."""
    return [name for name, word in b.columns.items() if not is_list(word) and word != "null"]


def tagged(g: Graph, branches: list[Branch], names: list[str]) -> Branch:
    """union."""
    tag = g.one(None, "tag")
    nodes = [b.node for b in branches]
    node = {"op": "union", "from": nodes, "tag": tag, "names": names}
    columns: dict[str, str] = {}
    for b in branches:
        columns = b.columns | columns
    order = list(dict.fromkeys(name for b in branches for name in b.columns))
    words = {name: columns[name] for name in order} | ({"tag": "str"} if tag else {})
    return Branch(g.add(node), words, branches[0].time, any(b.revised for b in branches))


def verb(g: Graph, b: Branch, name: str, last: bool = True) -> Branch:
    """The verb of that name behind `b`."""
    if name in ("tumbling", "hopping", "cumulative"):
        return aligned(g, b, name, last)
    if name == "calendar":
        return calendar(g, b, last)
    return VERBS[name](g, b)


VERBS = {
    "filter": filtered,
    "with_columns": with_columns,
    "select": select,
    "session": session,
    "sliding": sliding,
    "history": history,
    "silent": silent,
    "previous": previous,
    "deduplicate": deduplicate,
    "top": top,
}
PER_ROW = ["filter", "with_columns", "select"]
WINDOWS = ["tumbling", "hopping", "cumulative", "session", "sliding", "silent"]
PER_KEY = ["previous", "deduplicate"]
CHAINS = {
    "sliding-tumbling": ["sliding", "tumbling"],
    "sliding-sliding": ["sliding", "sliding"],
    "tumbling-tumbling": ["tumbling", "tumbling"],
    "tumbling-hopping": ["tumbling", "hopping"],
    "tumbling-sliding": ["tumbling", "sliding"],
    "session-tumbling": ["session", "tumbling"],
    "cumulative-tumbling": ["cumulative", "tumbling"],
    "calendar-sliding": ["calendar", "sliding"],
    "tumbling-top": ["tumbling", "top"],
    "cumulative-top": ["cumulative", "top"],
    "calendar-top": ["calendar", "top"],
    "history-tumbling": ["history", "tumbling"],
    "tumbling-history": ["tumbling", "history"],
    "calendar-calendar": ["calendar", "calendar"],
    "hopping-session": ["hopping", "session"],
    "silent-tumbling": ["silent", "tumbling"],
    "previous-tumbling": ["previous", "tumbling"],
    "tumbling-previous": ["tumbling", "previous"],
    "deduplicate-sliding": ["deduplicate", "sliding"],
    "sliding-deduplicate": ["sliding", "deduplicate"],
}
SHAPES = [
    *PER_ROW,
    *WINDOWS,
    "calendar",
    "history",
    *PER_KEY,
    *CHAINS,
    "branches",
    "inputs",
    "prefix",
]


# ── plans ───────────────────────────────────────────────────────────────────────────────────────


def maybe_per_row(g: Graph, b: Branch) -> Branch:
    """`b`, or a verb that looks at one row behind it."""
    name = g.one(None, None, *PER_ROW)
    return b if name is None else verb(g, b, name)


def grown(g: Graph, heads: list[Branch], shape: str) -> list[Branch]:
    """The branches that end in outputs."""
    first = maybe_per_row(g, heads[0])
    if shape in CHAINS:
        one, two = CHAINS[shape]
        return [verb(g, maybe_per_row(g, verb(g, first, one, last=False)), two)]
    if shape == "prefix":
        stem = verb(g, first, g.one("filter", "sliding", *PER_KEY), last=False)
        return [verb(g, stem, g.one(*WINDOWS, *PER_KEY)) for _ in range(2)]
    if shape == "inputs":
        union = tagged(g, [first, heads[1]], ["left", "right"])
    elif shape == "branches":
        others = [verb(g, first, g.one(*PER_ROW, *WINDOWS, *PER_KEY), last=False) for _ in range(2)]
        union = tagged(g, others, ["one", "two"])
    else:
        return [maybe_per_row(g, verb(g, first, shape))]
    behind = g.one(None, *WINDOWS, *PER_KEY)
    return [union if behind is None else verb(g, union, behind)]


def rule(g: Graph, b: Branch, name: str) -> dict:
    """A rule with or without a cooldown, whose message shows integers and text alone."""
    by = g.one(*([], ["k"], ["k2"])) if {"k", "k2"} <= set(b.columns) else []
    shown = b.of("i64", "str")[:3]
    return {
        "name": name,
        "when": predicate(g, b),
        "by": by,
        "severity": g.one("warning", "critical"),
        "cooldown": g.one(None, g.span(1, 20)),
        "message": " ".join(f"{n}={{{n}}}" for n in shown) + " {{}}",
        "score": g.one(0, 10),
        "version": 1,
        "shadow": g.one(False, True),
    }


def words_of(g: Graph, zoned: bool, text_keys: bool, typed: bool) -> dict[str, str]:
    """The type of each column: the usual ones, or any that fit what the verbs do with them."""
    zone = ", UTC" if zoned else ""
    words = {"at": f"timestamp[us{zone}]", "k": "str" if text_keys else "i64", "k2": "str"}
    words |= {"v": "i64", "x": "f64", "s": "str", "d": "i64"}
    if typed:
        units = ["us", "ns"] + ["s", "ms"] * (g.unit % S == 0)
        zone = g.one(", UTC", ", Europe/Berlin", ", -03:30") if zoned else ""
        words |= {"at": f"timestamp[{g.one(*units)}{zone}]"}
        words |= {"k": words["k"] if text_keys else g.one(*KEYS), "v": g.one(*INTEGERS)}
        words |= {"x": g.one(*FLOATS), "d": g.one(*WORDS)}
    return words


@st.composite
def plans(
    draw: st.DrawFn,
    unit: int,
    zoned: bool,
    text_keys: bool,
    typed: bool = False,
    shapes: tuple[str, ...] = (),
) -> tuple[dict, list[dict[str, str]]]:
    """A plan of one of `shapes` (any, if none is named), on a grid of `unit` microseconds; and the
    types of the columns of each output."""
    g = Graph(draw, unit)
    shape = g.one(*(shapes or SHAPES))
    words = words_of(g, zoned, text_keys, typed)
    bounds_word = re.sub(r"\[\w+", "[us", words["at"])
    inputs, heads = [], []
    for i in range(2 if shape == "inputs" else 1):
        options = {"out_of_order": g.span(0, 10), "idle_after": None}
        options |= {
            "max_future_skew": g.one(None, None, 20 * unit),
            "schema": [*map(list, words.items())],
        }
        inputs.append({"name": f"input{i}", "time": {"col": "at"}} | options)
        heads.append(Branch(g.add({"op": "input", "input": i}), words, bounds_word))
    outputs, types = [], []
    for i, branch in enumerate(grown(g, heads, shape)):
        rules = [rule(g, branch, f"rule{j}") for j in range(g.one(0, 0, 1, 2))]
        outputs.append({"name": f"output{i}", "node": branch.node, "rules": rules})
        types.append(branch.columns)
    return {"version": 1, "inputs": inputs, "nodes": g.nodes, "outputs": outputs}, types
