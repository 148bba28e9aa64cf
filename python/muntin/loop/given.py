"""Checks what was given to `run`: pipelines, sources, a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from muntin.base import arguments
from muntin.base.errors import PlanError, SourceError, unknown, with_hint
from muntin.checkpoint import Checkpoint
from muntin.engine.operator import Pipelines
from muntin.engine.partitioned import Partitioning
from muntin.pipeline.plan import Output, named_outputs, output
from muntin.pipeline.rules import Rule
from muntin.sinks import Sink
from muntin.sources import Given, Source, source_of
from muntin.sources.deliveries.once import Once, replayable


def checkpoint_given(value: Checkpoint | str | os.PathLike[str]) -> Checkpoint:
    """A checkpoint, or the directory of one."""
    if isinstance(value, Checkpoint):
        return value
    if isinstance(value, (str, os.PathLike)):
        return Checkpoint(value)
    hint = 'checkpoint=mt.Checkpoint("state", every="10s")'
    raise PlanError(with_hint(f"checkpoint={arguments.shown(value)} is not a checkpoint", hint))


def outputs_given(
    pipeline: Pipelines, rules: tuple[Rule, ...], sinks: tuple[Sink, ...]
) -> list[Output]:
    """The outputs, with the rules and sinks that were given for all of them."""
    return [
        output(each.name, each.pipeline, rules=each.rules, sinks=(*each.sinks, *sinks))
        for each in named_outputs(pipeline, rules)
    ]


def sources_given(
    source: Given | Mapping[str, Given], inputs: Sequence[str], *, once: bool
) -> dict[str, Source]:
    """A source for each input.

    Raises:
        PlanError: an input has none, or there is no such input.
        SourceError: something is not a source.
    """
    if not isinstance(source, Mapping):
        if len(inputs) > 1:
            hint = "give a dict: the input's name to its source"
            raise PlanError(with_hint(f"a source is needed for each of {list(inputs)}", hint))
        source = {inputs[0]: source}
    for name in source:
        if name not in inputs:
            if isinstance(source[name], (list, tuple)) and not any(i in source for i in inputs):
                hint = "a row is a dict, rows are a list of them; columns: pyarrow.table({...})"
                raise SourceError(with_hint(f"run: a dict of columns {list(source)}", hint))
            raise PlanError(unknown("input", name, inputs, "run"))
    missing = [name for name in inputs if name not in source]
    if missing:
        raise PlanError(f"run: no source for the inputs {missing}")
    found = {name: source_of(source[name]) for name in inputs}
    return {name: Once(each) for name, each in found.items()} if once else found


def bad_sinks(sources: Mapping[str, Source]) -> dict[str, Sink]:
    """The sinks that sources have for messages that cannot be decoded, by input."""
    named = {name: getattr(each, "bad", None) for name, each in sources.items()}
    return {name: sink for name, sink in named.items() if isinstance(sink, Sink)}


def group_of(sources: Mapping[str, Source]) -> str | None:
    """The group of the Kafka source, if all have the same."""
    groups = {getattr(each, "group", None) for each in sources.values()} - {None}
    return str(groups.pop()) if len(groups) == 1 else None


def partitioning_of(sources: Mapping[str, Source]) -> Partitioning | None:
    """What the source declares of its partitions; None if it declares nothing.

    Raises:
        PlanError: it names a partitioner, but its topics differ in their number of partitions.
    """
    for name, source in sources.items():
        columns = getattr(source, "partitioned_by", None)
        if columns is None:
            continue
        partitioner = getattr(source, "partitioner", None)
        count = getattr(source, "partition_count", lambda: None)()
        if partitioner is not None and count is None:
            hint = "leave partitioner= out, or read topics with the same number of partitions"
            message = f'input "{name}": partitioner="{partitioner}", but the topics have different '
            raise PlanError(with_hint(f"{message}numbers of partitions", hint))
        return Partitioning(tuple(columns), partitioner, count)
    return None


def check_replayable(sources: Mapping[str, Source]) -> None:
    """A checkpoint needs sources that can be read again."""
    for name, source in sources.items():
        if not replayable(source):
            shown = arguments.label(source)
            message = f'input "{name}": {shown} can be read only once, so no later run could '
            hint = "leave checkpoint= out, or give what can be read again: a list, a file, or a "
            hint += "function that makes the generator, mt.sources.Rows(make)"
            raise SourceError(with_hint(f"{message}resume from the checkpoint", hint))
