"""Writes outputs to Parquet files as they come: a year of them would fill the memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import muntin as mt
from muntin.base.errors import with_hint
from muntin.commands.demo.pipeline import OUTPUTS
from muntin.sinks.base import Mode, When

ALERTS = "alerts.jsonl"


class Kept:
    """A sink that writes each output to a Parquet file of its name.

    Args:
        folder: where the files go.

    Raises:
        SinkError: a file cannot be written.
    """

    when: When = None

    def __init__(self, folder: Path) -> None:
        """Remember the folder; files are made when their first rows come."""
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def file(self, output: str) -> Path:
        """The file of an output."""
        return self._folder / f"{output}.parquet"

    def open(self, output: str, key: Sequence[str]) -> None:
        """Nothing to prepare."""

    def stage(self, output: str, rows: mt.Table) -> None:
        """Write the rows; the file can be read when it is closed."""
        table = rows.to_arrow()
        try:
            if output not in self._writers:
                self._writers[output] = pq.ParquetWriter(self.file(output), table.schema)
            self._writers[output].write_table(table)
        except (OSError, pa.ArrowException) as error:
            raise mt.SinkError(f'"{self.file(output)}" cannot be written: {error}') from error

    def publish(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Finish the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def alerts_in(folder: Path, mode: Mode) -> mt.Sink:
    """A sink for the demo's alerts, in a file that nobody else has alerts in.

    Raises:
        SinkError: the file exists and contains something other than alerts of the demo.
    """
    path = folder / ALERTS
    if not _is_ours(path):
        hint = "name a folder for what the demo writes: muntin demo --out DIR"
        said = f'"{path}" already exists, and was not written by the demo'
        raise mt.SinkError(with_hint(said, hint))
    return mt.sinks.JsonLines(path, mode=mode)


def _is_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline()
        return not first or json.loads(first)["output"] in OUTPUTS
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def folders(out: Path | None) -> Iterator[tuple[Path, Path]]:
    """A folder for outputs, `out` or a temporary one, and a temporary one for DuckDB.

    Raises:
        SinkError: `out` cannot be made.
    """
    with TemporaryDirectory(prefix="muntin-demo-") as scratch:
        try:
            (out or Path(scratch)).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise mt.SinkError(f'"{out}" cannot be made: {error}') from error
        yield out or Path(scratch), Path(scratch)
