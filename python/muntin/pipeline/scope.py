"""The scope of a pipeline: whether each partition of its source has a state of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from muntin.base import arguments
from muntin.base.errors import PlanError, with_hint

_HINT = 'say partitioned_by=["card"]'


@dataclass(frozen=True, slots=True)
class Scope:
    """Whether a pipeline's state is global or per partition, and why.

    Attributes:
        word: "partition" if each partition of the source has its own state, watermark and
            snapshot; "global" if one state covers all partitions.
        reason: why, as a clause.
        groups_null: whether some verb or rule treats null as a key.

    >>> print(Scope("global", "tumbling#1 has no key", True))
    global: tumbling#1 has no key
    """

    word: Literal["partition", "global"]
    reason: str
    groups_null: bool

    @property
    def is_partition(self) -> bool:
        """Whether each partition has its own state."""
        return self.word == "partition"

    def __str__(self) -> str:
        """The scope and its reason."""
        return f"{self.word}: {self.reason}"


def columns_of(partitioned_by: Any, place: str = "partitioned_by") -> tuple[str, ...] | None:
    """The columns that a source declares with `partitioned_by=`; None if it declares nothing.

    Raises:
        PlanError: it is not one column or several, or a column comes twice.

    >>> columns_of("card"), columns_of(["shop", "till"]), columns_of(None)
    (('card',), ('shop', 'till'), None)
    """
    if partitioned_by is None:
        return None
    if isinstance(partitioned_by, str):
        partitioned_by = (partitioned_by,)
    columns = arguments.several(partitioned_by, place, "columns")
    for i, column in enumerate(columns):
        if not isinstance(column, str) or not column:
            raise PlanError(with_hint(f"{place}: {arguments.shown(column)} is not a column", _HINT))
        if column in columns[:i]:
            raise PlanError(f'{place}: column "{column}" comes twice')
    if not columns:
        raise PlanError(with_hint(f"{place}: no column", _HINT))
    return columns
