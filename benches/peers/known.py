"""The peers by name, and what each needs; nothing of theirs is imported here."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benches.peers.peer import Peer


@dataclass(frozen=True)
class Known:
    """A peer.

    Attributes:
        packages: what pip installs for it.
        module: what is imported to see whether it is there.
        own: does it have a virtual environment of its own? Engines pin versions that would meet.
    """

    name: str
    title: str
    packages: tuple[str, ...] = ()
    module: str | None = None
    own: bool = False

    @property
    def home(self) -> Path:
        """Its own virtual environment."""
        return homes() / self.name

    @property
    def python(self) -> Path:
        """The interpreter that runs it."""
        return self.home / "bin" / "python" if self.own else Path(sys.executable)

    @property
    def install(self) -> str:
        """The command that installs it."""
        if self.own:
            return f"python -m benches install {self.name}"
        return f"pip install {' '.join(self.packages)}"

    def is_there(self) -> bool:
        if self.own:
            return (self.home / "ready").exists()
        return self.module is None or importlib.util.find_spec(self.module) is not None


def homes() -> Path:
    """Where the engines are installed: `MUNTIN_BENCH_HOME`, else the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MUNTIN_BENCH_HOME") or Path(cache) / "muntin-bench")


KNOWN = {
    each.name: each
    for each in (
        Known("muntin", "muntin"),
        Known("dict", "Python dict loop"),
        Known("pandas", "pandas", ("pandas",), "pandas"),
        Known("polars", "Polars", ("polars",), "polars"),
        Known("duckdb", "DuckDB", ("duckdb",), "duckdb"),
        Known("datafusion", "DataFusion", ("datafusion",), "datafusion"),
        Known("bytewax", "Bytewax", ("bytewax==0.21.1", "pyarrow"), own=True),
        Known("pathway", "Pathway", ("pathway==0.33.0", "pyarrow"), own=True),
        Known("flink", "Flink SQL", ("pyarrow",), own=True),
    )
}


def load(name: str) -> Peer:
    """The peer of a name; its library must be there."""
    return import_module(f"benches.peers.{name}").PEER
