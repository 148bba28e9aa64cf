"""Explains a run that is not started: what it reads and guarantees, who commits, and its scope."""

from __future__ import annotations

from muntin.base import arguments
from muntin.loop.authority import check_transaction
from muntin.loop.guarantees import authority, guarantee
from muntin.loop.setting import Setting
from muntin.pipeline.plan import compile, outputs_of
from muntin.pipeline.scope import columns_of
from muntin.pipeline.stream import Stream


def explained(setting: Setting) -> str:
    """A few lines about a run; nothing is opened or connected.

    Raises:
        PlanError: the run could not start.
    """
    check_transaction(setting.destinations, setting.checkpoint, setting.name)
    reads = "; ".join(f"{name}: {arguments.label(it)}" for name, it in setting.sources.items())
    lines = [
        ("reads", reads),
        ("writes", guarantee(setting.destinations, checkpoints=setting.checkpoint is not None)),
        ("authority", authority(setting.destinations, setting.checkpoint, setting.name)),
        ("scope", scope_of_run(setting)),
    ]
    texts = [f"{word:<15}{text}" for word, text in lines]
    return "\n".join([f'run "{setting.name}"', *texts])


def with_plans(setting: Setting) -> str:
    """The same, and then the plan of each output."""
    columns = _declared(setting)
    parts = [explained(setting)]
    for each in setting.outputs:
        if isinstance(each.pipeline, Stream):
            parts.append(f"output {each.name}\n{each.pipeline.explain(partitioned_by=columns)}")
    return "\n\n".join(parts)


def scope_of_run(setting: Setting) -> str:
    """Whether each partition has a state of its own, and why."""
    return str(compile(outputs_of(setting.outputs), _declared(setting)).scope)


def _declared(setting: Setting) -> tuple[str, ...] | None:
    """The columns by which the source is partitioned, as it declares them."""
    declared = (getattr(each, "partitioned_by", None) for each in setting.sources.values())
    return columns_of(next((each for each in declared if each is not None), None))
