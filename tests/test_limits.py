"""Limits change nothing that can be seen; the tiny build is what it says."""

from __future__ import annotations

import ast
import inspect

import pyarrow as pa
import pytest

import muntin as mt
from muntin import _core
from muntin.base import limits

NAMES = [name for name in vars(limits) if name.isupper() and name != "SMALL"]


def test_both_languages_say_which_build_this_is() -> None:
    core = _core.limits()
    assert core.pop("SMALL") == limits.SMALL
    assert all(0 < value <= 4 for value in core.values()) == limits.SMALL
    assert len(core) > 10


def test_every_limit_has_a_tiny_value_and_a_reason() -> None:
    tree = ast.parse(inspect.getsource(limits))
    told = set()
    for node, behind in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            assert isinstance(behind, ast.Expr), ast.unparse(node)
            told.add(node.targets[0].id)
    assert told == set(NAMES)


def test_finished_tables_are_cut_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a slice, the result is the same: unsorted rows, ties, several inputs."""
    at = pa.array([5, 1, 1, None, 3, 9, 9, 2, 1], pa.timestamp("us"))
    table = pa.table({"at": at, "v": range(9)})
    words = {"at": "timestamp[us]", "v": "i64"}
    a = mt.stream("a", time="at", out_of_order="0s", schema=words)
    b = mt.stream("b", time="at", out_of_order="0s", schema=words)
    both = mt.union(a, b).tumbling("2us").agg(n=mt.count(), first=mt.first("v"), last=mt.last("v"))
    results = []
    for rows in (1, 2, 4, 100):
        monkeypatch.setattr(limits, "SLICE_ROWS", rows)
        results.append(mt.collect(both, {"a": table, "b": table.slice(2)}).rows.to_dicts())
    assert all(result == results[0] for result in results)
