"""The inputs of an operator: their names, partitions and columns, and rows in the engine's form."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from muntin.base import arguments
from muntin.base.errors import DataError, PlanError, unknown, with_hint
from muntin.engine.feeds import Feed, Rows, microseconds
from muntin.values.rows import arrow_schema, batch_of_rows, exported, what_to_give
from muntin.values.table import is_arrow

Ready: TypeAlias = tuple[int, Any, Any, Any, Any]
"""Input, rows, partition, position and arrival, as the engine takes them."""


class Inputs:
    """The inputs of a plan, and what is known of their columns.

    Attributes:
        names: their names, in the order of the plan.
        partitions: the declared partitions of each.
        learnt: gives an input's columns as its first accepted rows had them, or None.
    """

    def __init__(
        self, specs: Sequence[Mapping[str, Any]], partitions: Mapping[str, Sequence[int]]
    ) -> None:
        """Read the inputs of a plan; check the partitions."""
        self.names = [str(spec["name"]) for spec in specs]
        self.partitions = {name: arguments.partitions(partitions[name]) for name in self.names}
        self.learnt: Callable[[int], Any | None] = lambda _: None
        self._schemas: list[Any | None] = [
            None if spec["schema"] is None else arrow_schema(spec["schema"]) for spec in specs
        ]

    def index(self, name: str | None) -> int:
        """The number of an input; its name may be left out if there is only one."""
        if name is None:
            if len(self.names) == 1:
                return 0
            known = ", ".join(self.names)
            raise PlanError(with_hint(f"there are several inputs: {known}", "name one: input="))
        if name not in self.names:
            raise PlanError(unknown("input", str(name), self.names))
        return self.names.index(name)

    def opened(self, index: int, partition: int) -> None:
        """Note a partition that was declared after the start."""
        name = self.names[index]
        if partition not in self.partitions[name]:
            self.partitions[name] += (partition,)

    def which(self, name: str | None, partition: int | None) -> tuple[int, int | None]:
        """The number of an input, and a partition of it; None for all of them."""
        number = None if partition is None else arguments.partition(partition)
        return self.index(name), number

    def ready(self, feed: Feed) -> Ready:
        """A feed as the engine takes it."""
        index, arrival = self.index(feed.input), feed.arrival
        if isinstance(arrival, dt.datetime):
            arrival = microseconds(arrival)
        return index, self.batch(index, feed.batch), feed.partition, feed.position, arrival

    def question(
        self, index: int, row: Mapping[str, Any], arrival: int | None
    ) -> tuple[int, Any, int, None, int | None]:
        """One row of the input's first partition, as the engine takes it."""
        partition = next(iter(self.partitions[self.names[index]]), 0)
        return index, self.batch(index, [row]), partition, None, arrival

    def batch(self, index: int, rows: Rows) -> Any:
        """Rows as something with an Arrow interface; dicts become columns of the input's schema."""
        if is_arrow(rows):
            return exported(rows, f'input "{self.names[index]}"')
        if not isinstance(rows, Sequence) or isinstance(rows, (str, bytes)):
            message = f"a {type(rows).__name__} is not a batch of rows"
            raise DataError(with_hint(message, what_to_give(rows)))
        return batch_of_rows(rows, self._schema(index))

    def _schema(self, index: int) -> Any | None:
        """An input's columns, as declared or as in the first accepted rows."""
        if self._schemas[index] is None and (known := self.learnt(index)) is not None:
            self._schemas[index] = pa.schema(known)
        return self._schemas[index]


def partitions_of(
    partitions: Sequence[int] | Mapping[str, Sequence[int]], inputs: Sequence[str]
) -> dict[str, Sequence[int]]:
    """The partitions of each input; those that are given without a name are of all inputs."""
    if not isinstance(partitions, Mapping):
        return dict.fromkeys(inputs, partitions)
    for name in partitions:
        if name not in inputs:
            raise PlanError(unknown("input", str(name), inputs, "partitions"))
    return {name: partitions.get(name, (0,)) for name in inputs}
