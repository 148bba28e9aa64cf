"""Breaks the Python code in one place after another and says which break no test noticed.

    python tests/mutants.py --count 40 --seed 1 loop.py checkpoint sinks -- tests/test_run.py ...

Takes files and folders of `python/muntin`, then what pytest is to run; works on a copy. The seed
picks the places. A mutant is caught when a test fails or takes ten times as long as without it.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "muntin"

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult},
}


class Place(NamedTuple):
    """One break: the file, the line, what it does, and which node of a walk it changes."""

    path: Path
    line: int
    what: str
    node: int


def changes(node: ast.AST) -> dict[str, Callable[[ast.AST], ast.AST | None]]:
    """The ways to break a node: each gives another node in its place, or changes it."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPPED:
            return {f"{name(op)} is {name(SWAPPED[type(op)]())}": swap_compared}
        case ast.BoolOp(op=op) | ast.BinOp(op=op) if type(op) in SWAPPED:
            return {f"{name(op)} is {name(SWAPPED[type(op)]())}": swap}
        case ast.UnaryOp(op=ast.Not()):
            return {"not is left out": lambda n: n.operand}
        case ast.If() | ast.While() | ast.IfExp():
            return {"condition is reversed": reverse}
        case ast.Constant(value=bool(value)):
            return {f"{value} is {not value}": lambda n: ast.Constant(not n.value)}
        case ast.Constant(value=int(value)):
            return {f"{value} is {value + 1}": lambda n: ast.Constant(n.value + 1)}
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            return {"statement is left out": lambda n: ast.Pass()}
        case ast.Return(value=value) if value is not None:
            return {"None is returned": lambda n: ast.Return(ast.Constant(None))}
    return {}


def name(op: ast.AST) -> str:
    return type(op).__name__


def swap(node: ast.AST) -> None:
    node.op = SWAPPED[type(node.op)]()


def swap_compared(node: ast.AST) -> None:
    node.ops = [SWAPPED[type(node.ops[0])]()]


def reverse(node: ast.AST) -> None:
    node.test = ast.UnaryOp(ast.Not(), node.test)


def places(path: Path) -> Iterator[Place]:
    """Every way to break a file in one place."""
    for number, node in enumerate(ast.walk(ast.parse(path.read_text()))):
        for what in changes(node):
            yield Place(path, node.lineno, what, number)


class Break(ast.NodeTransformer):
    """Changes one node."""

    def __init__(self, target: ast.AST, what: str) -> None:
        self.target, self.what = target, what

    def visit(self, node: ast.AST) -> ast.AST:
        if node is not self.target:
            return self.generic_visit(node)
        return changes(node)[self.what](node) or node


def broken(place: Place) -> str:
    """The text of the file with that break."""
    tree = ast.parse(place.path.read_text())
    target = next(node for i, node in enumerate(ast.walk(tree)) if i == place.node)
    return ast.unparse(ast.fix_missing_locations(Break(target, place.what).visit(tree)))


def passes(package: Path, tests: list[str], limit: float | None) -> bool:
    """Whether the tests pass on a copy of the package."""
    environment = os.environ | {"PYTHONPATH": str(package)}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=limit, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1, 2):
        raise SystemExit(done.stdout.decode() + done.stderr.decode())
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("paths", nargs="+")
    split = sys.argv.index("--")
    options, tests = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    files = [f for p in options.paths for f in sorted((PACKAGE / p).rglob("*.py")) or [PACKAGE / p]]
    every = [place for file in files for place in places(file)]
    chosen = random.Random(options.seed).sample(every, min(options.count, len(every)))
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PACKAGE, Path(folder) / "muntin")
        start = time.monotonic()
        if not passes(Path(folder), tests, None):
            raise SystemExit("the tests fail without a break")
        limit = 10 * (time.monotonic() - start) + 10
        for number, place in enumerate(sorted(chosen), 1):
            target = Path(folder) / "muntin" / place.path.relative_to(PACKAGE)
            target.write_text(broken(place))
            survived = passes(Path(folder), tests, limit)
            target.write_text(place.path.read_text())
            where = f"{place.path.relative_to(ROOT)}:{place.line}"
            verdict = "SURVIVED" if survived else "caught"
            print(f"{number:3} {verdict:8} {where} {place.what}", flush=True)
            survivors += [place] * survived
    caught = len(chosen) - len(survivors)
    print(f"{caught} of {len(chosen)} caught (seed {options.seed}, {len(every)} places in all)")


if __name__ == "__main__":
    main()
