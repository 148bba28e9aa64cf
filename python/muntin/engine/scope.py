"""Which operator runs a pipeline: one state for all partitions, or one for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from muntin.engine.feeds import OnChange, Pipelines
from muntin.engine.inputs import partitions_of
from muntin.engine.operator import Operator
from muntin.engine.partitioned import PartitionedOperator, Partitioning
from muntin.pipeline.plan import compile, outputs_of
from muntin.pipeline.rules import Rule
from muntin.pipeline.scope import Scope, columns_of

__all__ = ["PartitionedOperator", "Partitioning", "Scope", "columns_of", "operator_for"]


def operator_for(
    pipeline: Pipelines,
    *,
    rules: Sequence[Rule] = (),
    partitions: Sequence[int] | Mapping[str, Sequence[int]] = (0,),
    partitioning: Partitioning | None = None,
    threads: int = 1,
    snapshot: bytes | None = None,
    on_change: OnChange = "refuse",
) -> Operator:
    """The operator of a pipeline whose source declares how its rows are partitioned.

    A `PartitionedOperator` if the scope is "partition", else one with a state for all partitions;
    `Operator.scope` says which, and why.

    Args:
        pipeline: as in `mt.operator`; so are the arguments that are not listed here.
        partitioning: what the source of the only input declares; None if it declares nothing.

    Raises:
        PlanError: the pipeline cannot run as it is.
        SnapshotError: the snapshot is damaged, of another pipeline, or of another scope.
        PartitionError: the source had another number of partitions when the snapshot was taken.

    >>> import muntin as mt
    >>> sales = mt.stream(time="at", out_of_order="0s",
    ...                   schema={"at": "timestamp[us, UTC]", "store": "str"})
    >>> by_store = Partitioning(("store",))
    >>> print(operator_for(sales.tumbling("1m").agg(n=mt.count()), partitioning=by_store).scope)
    global: tumbling#1 has no key
    """
    columns = None if partitioning is None else partitioning.columns
    plan = compile(outputs_of(pipeline, rules), columns)
    declared = partitions_of(partitions, plan.inputs)
    if partitioning is not None and plan.scope.is_partition:
        return PartitionedOperator(plan, declared, threads, snapshot, on_change, partitioning)
    return Operator(plan, declared, threads, snapshot, on_change)
