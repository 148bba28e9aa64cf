"""Runs the benchmarks of the source tree: they need other libraries, and are not in the package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from muntin.base.errors import MuntinError, with_hint


def run_benches(arguments: Sequence[str]) -> int:
    """Run `python -m benches` with these arguments; the result is its exit code.

    Raises:
        MuntinError: there is no source tree.
    """
    paths = [str(source()), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.run([sys.executable, "-m", "benches", *arguments], env=environment).returncode


def source() -> Path:
    """The source tree that the package is part of, else the current folder if it is one."""
    for folder in (Path(__file__).parents[3], Path.cwd()):
        if (folder / "benches" / "__main__.py").exists():
            return folder
    hint = "take the source of this version, and run muntin bench, or python -m benches, there"
    raise MuntinError(with_hint(f"no folder benches in {Path.cwd()}", hint))
