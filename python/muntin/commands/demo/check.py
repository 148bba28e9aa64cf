"""Compares each output with a DuckDB query over the same events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from muntin.base.errors import MissingExtra, with_hint
from muntin.commands.demo.late import find_late
from muntin.commands.demo.queries import QUERIES

MEMORY = "300MB"
"""How much memory DuckDB may use; the rest is on disk."""

_TIMES = {"purchases": "sold", "simulated_views": "viewed", "simulated_devices": "sent"}
_OUT_OF_ORDER = "INTERVAL 8 seconds"


@dataclass(frozen=True, slots=True)
class Check:
    """An output compared with its query: rows on each side, and rows without a twin."""

    windows: int
    batch: int
    differences: int


def duckdb_or_error() -> Any:
    """The module.

    Raises:
        MissingExtra: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        hint = 'pip install "muntin[demo]"'
        raise MissingExtra(with_hint("duckdb is not installed", hint)) from error
    return duckdb


class Batch:
    """The events in DuckDB, ready for queries; a context manager that removes them at its end."""

    def __init__(self, events: Mapping[str, Any], folder: Path) -> None:
        """Load the events.

        Args:
            events: for each stream a `pyarrow.Table` in the order of arrival.
            folder: where DuckDB keeps what does not fit into its memory.

        Raises:
            MissingExtra: DuckDB is not installed.
        """
        self._db: Any = duckdb_or_error().connect(str(folder / "batch.duckdb"))
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.execute("SET enable_progress_bar = false")
        self._db.execute(f"SET memory_limit = '{MEMORY}'")
        for name, table in events.items():
            self._load(name, table)
        find_late(self._db, "purchases", "household, basket", "sold", "INTERVAL 1 minute")
        find_late(self._db, "simulated_views", "household", "viewed", "INTERVAL 30 minutes")

    def _load(self, name: str, table: Any) -> None:
        self._db.register("incoming", table)
        self._db.execute(
            f"""
            CREATE TABLE {name} AS
            WITH placed AS (SELECT *, row_number() OVER () AS seq FROM incoming),
            judged AS (
                SELECT *, max({_TIMES[name]}) OVER (ORDER BY seq) - {_OUT_OF_ORDER} AS judge
                FROM placed
            )
            SELECT *, lag(judge) OVER (ORDER BY seq) AS clock FROM judged
            """
        )
        self._db.unregister("incoming")

    def compare(self, name: str, file: Path) -> Check:
        """Count the rows that an output, kept as Parquet, and its query do not have in common."""
        streamed = f"read_parquet('{_quoted(file)}')"
        names = self._db.execute(f"DESCRIBE SELECT * FROM {streamed}").fetchall()
        columns = ", ".join(f'"{row[0]}"' for row in names)
        self._db.execute(f"CREATE OR REPLACE TABLE batch AS {QUERIES[name]}")
        # each row counts +1 in batch and -1 in what was streamed; twins cancel out
        counted = self._db.execute(
            f"""
            WITH sides AS (
                SELECT {columns}, 1 AS side FROM batch
                UNION ALL SELECT {columns}, -1 FROM {streamed}
            ),
            twins AS (
                SELECT {columns}, sum(side) AS over FROM sides GROUP BY ALL HAVING over <> 0
            )
            SELECT (SELECT count(*) FROM {streamed}), (SELECT count(*) FROM batch),
                   coalesce(sum(over) FILTER (WHERE over > 0), 0)::BIGINT,
                   coalesce(-sum(over) FILTER (WHERE over < 0), 0)::BIGINT
            FROM twins
            """
        ).fetchone()
        windows, batch, only_batch, only_streamed = counted
        return Check(windows, batch, max(only_batch, only_streamed))

    def __enter__(self) -> Self:
        """The events are there."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the file."""
        self._db.close()


def _quoted(file: Path) -> str:
    return str(file).replace("'", "''")
