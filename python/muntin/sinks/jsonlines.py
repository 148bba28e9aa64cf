"""Rows to a text file, one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO

import msgspec

from muntin.errors import SinkError
from muntin.result import Table
from muntin.sinks.base import When


class JsonLines:
    """A sink that writes JSON lines.

    Times are ISO 8601 text, durations ISO 8601 durations, decimals text, binary base64; NaN and
    infinities become null, since JSON has no word for them. Rows of several outputs may share a
    file.

    Args:
        path: the file.
        append: go on after what is there; by default the file starts empty.
        when: which alerts to take, if it stands in `alerts=`.

    Raises:
        SinkError: the file cannot be written; it names the file.

    >>> sink = JsonLines("alerts.jsonl", when="severity = 'critical'")
    """

    def __init__(
        self, path: str | os.PathLike[str], *, append: bool = False, when: When = None
    ) -> None:
        """Remember the file; it is opened when the run starts."""
        self._path = os.fspath(path)
        self._mode = "ab" if append else "wb"
        self._file: IO[bytes] | None = None
        self._staged = bytearray()
        self._encoder = msgspec.json.Encoder()
        self.when = when

    def open(self, output: str, key: Sequence[str]) -> None:
        """Open the file, unless another output has done so."""
        if self._file is None:
            try:
                self._file = open(self._path, self._mode)  # noqa: SIM115
            except OSError as error:
                raise self._failed(error) from error

    def stage(self, output: str, rows: Table) -> None:
        """Encode the rows."""
        self._staged += self._encoder.encode_lines(rows.to_dicts())

    def publish(self) -> None:
        """Write and flush the staged lines."""
        if self._file is None or not self._staged:
            return
        try:
            self._file.write(self._staged)
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error
        self._staged = bytearray()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _failed(self, error: OSError) -> SinkError:
        return SinkError(f'"{self._path}" cannot be written: {error}')
