"""The events of a workload, from a seed, as Arrow."""
