"""What is measured."""

from benches.workloads.catalogue import CATALOGUE, chosen
from benches.workloads.workload import AGGREGATES, Data, Point, Workload

__all__ = ["AGGREGATES", "CATALOGUE", "Data", "Point", "Workload", "chosen"]
