"""Benchmarks: muntin beside what one would use instead, on the same data in the same run.

The folders are the way of a run:

    workloads   what is measured: names, windows, aggregates, the shape of the data
    data        the events of a workload, from a seed, as Arrow
    peers       one file for each library or engine: the workload as its own documentation does it
    measure     a process for each peer; clocks, memory, repeats; what muntin does alone
    compare     are the outputs equal? without that there is no ratio
    report      a table, JSON, and a page with plots

`python -m benches` runs them, `python -m benches install NAME` installs an engine.
`boundary.py` has pytest-benchmark's entries for the border to Python, `stages.rs` cargo's for the
stages of the core.
"""
