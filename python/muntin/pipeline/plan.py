"""Plans: a pipeline as a graph of nodes; equal nodes are shared.

Two nodes that compute the same from the same inputs have one key and become one node of the plan,
with one state. The plan crosses into the engine once, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol, TypeAlias

from muntin.base import arguments, core
from muntin.base.errors import ColumnError, PlanError, SchemaError, unknown, with_hint
from muntin.expr.texts import by_meaning
from muntin.pipeline.rules import Rule
from muntin.pipeline.scope import Scope
from muntin.values.literals import Json, quote, text
from muntin.values.protocols import ArrowSchemaExportable, type_word

VERSION = 1
Schema: TypeAlias = Mapping[str, str] | ArrowSchemaExportable
"""A dict from column to type word, or anything that exports an Arrow schema."""

ONLY_OUTPUT = "rows"
"""The name of the output of a pipeline that is handed over without one."""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Node:
    """One verb and the nodes before it; equal keys mean equal results.

    `fingerprint` is the same for an SQL text and the equal expression of Python, `key` is not.

    `body` is its JSON without the parents, `call` the verb as a user would type it, `columns` the
    names of the columns that come out (None if unknown), `typed` whether all inputs above declare
    a schema, and `revisions` whether a window may come out more than once.
    """

    op: str
    parents: tuple[Node, ...]
    body: str
    call: str
    columns: tuple[str, ...] | None
    typed: bool
    revisions: bool = False
    key: str = field(init=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        meaning = self.body
        if '{"text":[' in meaning:
            meaning = dumps(by_meaning(json.loads(meaning)))
        for name, body in (("key", self.body), ("fingerprint", meaning)):
            above = " ".join(getattr(parent, name) for parent in self.parents)
            digest = sha256(f"{self.op} {above} {body}".encode()).hexdigest()
            object.__setattr__(self, name, digest)

    def fields(self) -> dict[str, Any]:
        """Its JSON without the parents."""
        return dict(json.loads(self.body))

    def path(self) -> Iterator[Node]:
        """The nodes above and itself, each once, parents first."""
        seen: set[str] = set()
        stack = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                yield node
            elif node.key not in seen:
                seen.add(node.key)
                stack.append((node, True))
                stack.extend((parent, False) for parent in reversed(node.parents))

    def inputs(self) -> list[Node]:
        """The inputs above it, each once."""
        return [node for node in self.path() if node.op == "input"]


class Pipeline(Protocol):
    """What can be compiled: a value that knows its node."""

    @property
    def node(self) -> Node:
        """The last node of the pipeline."""


@dataclass(frozen=True, slots=True)
class Output:
    """A named pipeline with its rules and sinks; made by `output`.

    >>> import muntin as mt
    >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
    >>> mt.output("all", days, rules=[mt.rule("any", "day is not null")]).name
    'all'
    """

    name: str
    pipeline: Pipeline
    rules: tuple[Rule, ...] = ()
    sinks: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledPlan:
    """A plan as the engine takes it.

    `json` is the plan, `inputs` and `outputs` are names in its order, and `masks` the rules that
    are Python functions, by the numbers that the plan gives them. `facts` are what the engine
    reports of each node: its schema, its keys, whether it answers row by row. `scope` is whether
    each partition has its own state.
    """

    json: str
    inputs: tuple[str, ...]
    masks: tuple[Rule, ...]
    outputs: tuple[str, ...]
    facts: tuple[Mapping[str, Any], ...]
    scope: Scope

    @property
    def fingerprint(self) -> str:
        """A hash of the plan, as hex: equal for equal plans."""
        return sha256(self.json.encode()).hexdigest()


def output(
    name: str, pipeline: Pipeline, *, rules: Iterable[Rule] = (), sinks: Iterable[Any] = ()
) -> Output:
    """A pipeline under a name, with the rules on its rows and the sinks they go to.

    Raises `PlanError` for an empty name, or something that is not a rule.

    >>> import muntin as mt
    >>> sales = mt.stream(time="at", out_of_order="10s")
    >>> mt.output("big", sales.filter("amount > 500")).name
    'big'
    """
    if not isinstance(name, str) or not name:
        hint = 'write mt.output("name", pipeline)'
        raise PlanError(with_hint(f"an output needs a name, not {arguments.shown(name)}", hint))
    place = f'output "{text(name, "output()")}"'
    _node_of(pipeline, place)
    return Output(name, pipeline, rules_of(rules, place), arguments.sinks(sinks, f"{place}: sinks"))


def outputs_of(
    pipeline: Pipeline | Mapping[str, Pipeline] | Output | Sequence[Output],
    rules: Iterable[Rule] = (),
) -> list[tuple[str, Pipeline, tuple[Rule, ...]]]:
    """The outputs a caller means, as `compile` takes them; `rules` are for the only one.

    Raises `PlanError` if there is no output, or several and `rules` as well.
    """
    outputs = named_outputs(pipeline, rules_of(rules, "rules"))
    return [(item.name, item.pipeline, item.rules) for item in outputs]


def named_outputs(
    pipeline: Pipeline | Mapping[str, Pipeline] | Output | Sequence[Output],
    rules: tuple[Rule, ...] = (),
) -> list[Output]:
    """The outputs a caller means; `rules` are for the only one.

    Raises `PlanError` if something else was given, or there are several outputs and `rules`.
    """
    if isinstance(pipeline, Output):
        pipeline = [pipeline]
    if isinstance(pipeline, Mapping):
        pipeline = [output(name, stream) for name, stream in pipeline.items()]
    if not isinstance(pipeline, Sequence) or isinstance(pipeline, str | bytes):
        pipeline = [output(ONLY_OUTPUT, pipeline)]
    for item in pipeline:
        if not isinstance(item, Output):
            hint = 'write mt.output("name", pipeline), or a dict of pipelines by name'
            raise PlanError(with_hint(f"{arguments.shown(item)} is not an output", hint))
    if rules and len(pipeline) != 1:
        hint = 'say whose they are: mt.output("name", pipeline, rules=[...])'
        raise PlanError(with_hint(f"rules= is for one output, and there are {len(pipeline)}", hint))
    return [Output(item.name, item.pipeline, item.rules + rules, item.sinks) for item in pipeline]


def compile(
    outputs: Sequence[tuple[str, Pipeline, Sequence[Rule]]],
    partitioned_by: Sequence[str] | None = None,
) -> CompiledPlan:
    """The plan of named pipelines and their rules, equal nodes merged.

    `partitioned_by` are the columns that decide the partition of a row of its only input.

    Raises `PlanError`: no output, two of one name, two different inputs of one name, several
    inputs without `schema=`, or a rule that does not fit its output; and what the engine finds.

    >>> import muntin as mt
    >>> sales = mt.stream(time="at", out_of_order="10s")
    >>> compile([("a", sales.filter("x > 1"), ()), ("b", sales.filter("x > 1"), ())]).outputs
    ('a', 'b')
    """
    if not outputs:
        raise PlanError("a plan needs an output")
    masks: list[Rule] = []
    nodes = [_node_of(pipeline, f'output "{name}"') for name, pipeline, _ in outputs]
    names = [name for name, _, _ in outputs]
    _once(names, "output")
    written = [
        [_rule(rule, node, name, masks) for rule in rules]
        for (name, _, rules), node in zip(outputs, nodes, strict=True)
    ]
    for name, _, rules in outputs:
        _once([rule.name for rule in rules], f'output "{name}": rule')
    plan, inputs = _assemble(list(zip(names, nodes, written, strict=True)))
    known = _checked(plan, _tuple(partitioned_by))
    facts, scope = tuple(known["nodes"]), Scope(**known["scope"])
    return CompiledPlan(plan, tuple(inputs), tuple(masks), tuple(names), facts, scope)


def check(node: Node, partitioned_by: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """What the engine reports of the nodes of `node.path()`: schema, keys, and so on.

    Raises what is wrong with the plan.
    """
    plan = _assemble([(ONLY_OUTPUT, node, [])])[0]
    return list(_checked(plan, _tuple(partitioned_by))["nodes"])


def scope_of(node: Node, partitioned_by: Sequence[str] | None = None) -> Scope:
    """The scope of a pipeline without rules.

    Raises what is wrong with the plan.
    """
    plan = _assemble([(ONLY_OUTPUT, node, [])])[0]
    return Scope(**_checked(plan, _tuple(partitioned_by))["scope"])


def schema_words(schema: Schema, place: str) -> list[tuple[str, str]]:
    """A schema as pairs of column and type word.

    Raises `SchemaError` for an unknown type word or something that is not a schema, `ColumnError`
    for a column that comes twice.
    """
    if isinstance(schema, Mapping):
        pairs = [(text(c, place), type_word(w, f"{place}: {c}")) for c, w in schema.items()]
    elif isinstance(schema, ArrowSchemaExportable):
        pairs = list(core.schema_words(schema))
    else:
        hint = 'write a dict as {"amount": "f64"}, or give an Arrow schema'
        raise SchemaError(with_hint(f"{place}: {schema!r} is not a schema", hint))
    seen: set[str] = set()
    for column, _ in pairs:
        if column in seen:
            raise ColumnError(f'{place}: column "{column}" comes twice')
        seen.add(column)
    return pairs


def dumps(value: Json) -> str:
    """JSON in its one canonical form here: no spaces, keys in the order they were given."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _assemble(
    outputs: Sequence[tuple[str, Node, Sequence[dict[str, Json]]]],
) -> tuple[str, list[str]]:
    index: dict[str, int] = {}
    inputs: dict[str, Node] = {}
    nodes: list[Json] = []
    for _, last, _ in outputs:
        for node in last.path():
            if node.key in index:
                continue
            index[node.key] = len(nodes)
            above = [index[parent.key] for parent in node.parents]
            if node.op == "input":
                nodes.append({"op": "input", "input": _input(inputs, node)})
            else:
                source: Json = [*above] if node.op == "union" else above[0]
                nodes.append({"op": node.op, "from": source, **node.fields()})
    if len(inputs) > 1:
        _need_schemas(inputs)
    plan: Json = {
        "version": VERSION,
        "inputs": [node.fields() for node in inputs.values()],
        "nodes": nodes,
        "outputs": [
            {"name": name, "node": index[node.key], "rules": [*rules]}
            for name, node, rules in outputs
        ],
    }
    return dumps(plan), list(inputs)


def _input(inputs: dict[str, Node], node: Node) -> int:
    name = str(node.fields()["name"])
    if inputs.setdefault(name, node).key != node.key:
        hint = 'give each its name: mt.stream("payments", ...)'
        raise PlanError(with_hint(f'two different inputs are called "{name}"', hint))
    return list(inputs).index(name)


def _need_schemas(inputs: Mapping[str, Node]) -> None:
    for name, node in inputs.items():
        if not node.typed:
            raise PlanError(
                with_hint(
                    f'input "{name}" has no schema; several inputs each need one',
                    'mt.stream(..., schema={"at": "timestamp[us, UTC]", "amount": "f64"})',
                )
            )


def _node_of(pipeline: Pipeline, place: str) -> Node:
    node = getattr(pipeline, "node", None)
    if isinstance(node, Node):
        return node
    hint = 'a pipeline begins with mt.stream(time="at", out_of_order="0s")'
    if hasattr(pipeline, "agg"):
        hint = "a window becomes a pipeline by .agg(...)"
    elif hasattr(pipeline, "partitions") and hasattr(pipeline, "open"):
        hint = "the source comes first: mt.run(source, pipeline)"
    raise PlanError(with_hint(f"{place}: {arguments.shown(pipeline)} is not a pipeline", hint))


def rules_of(rules: Iterable[Rule], place: str) -> tuple[Rule, ...]:
    """One rule or several, as a tuple.

    Raises `PlanError` for what is not a rule.
    """
    hint = 'make it with mt.rule("name", condition)'
    if isinstance(rules, str) or callable(rules):
        raise PlanError(with_hint(f"{place}: {arguments.shown(rules)} is not a rule", hint))
    found = (rules,) if isinstance(rules, Rule) else arguments.several(rules, place, "rules")
    for item in found:
        if not isinstance(item, Rule):
            raise PlanError(with_hint(f"{place}: {arguments.shown(item)} is not a rule", hint))
    return found


def _once(names: Sequence[str], kind: str) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise PlanError(f'{kind} "{name}" comes twice')


def _rule(rule: Rule, node: Node, name: str, masks: list[Rule]) -> dict[str, Json]:
    by = _rule_key(rule, node, name)
    if isinstance(rule.when, Callable):  # type: ignore[arg-type]
        masks.append(rule)
        return rule.to_json(node.columns, by, len(masks) - 1)
    return rule.to_json(node.columns, by, None)


def _rule_key(rule: Rule, node: Node, name: str) -> tuple[str, ...]:
    if rule.by is not None:
        return rule.by
    keys = {frozenset(by): tuple(by) for by in check(node)[-1]["keys"] if by}
    place = f'output "{name}": rule "{rule.name}"'
    if len(keys) > 1:
        message = " and ".join(str(list(by)) for by in keys.values())
        hint = "say whose cooldown it is, as in by=" + quote(next(iter(keys.values()))[0])
        raise PlanError(with_hint(f"{place} needs by=: the pipeline has the keys {message}", hint))
    by = next(iter(keys.values()), ())
    for column in by:
        if node.columns is not None and column not in node.columns:
            raise ColumnError(unknown("column", column, node.columns, f"{place}: its key"))
    return by


@lru_cache(maxsize=256)
def _checked(plan: str, partitioned_by: tuple[str, ...] | None) -> dict[str, Any]:
    return dict(json.loads(core.check(plan, partitioned_by)))


def _tuple(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if columns is None else tuple(columns)
