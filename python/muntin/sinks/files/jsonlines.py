"""Writes rows to a text file, one JSON object per line."""

from __future__ import annotations

from muntin.base import core
from muntin.sinks.files.appended import AppendedFile
from muntin.values.table import Table


class JsonLines(AppendedFile):
    """A sink that writes JSON lines; with checkpoints exactly once.

    Times and durations are ISO 8601 text, decimals text, binary base64, NaN and infinities the
    texts "NaN", "Infinity" and "-Infinity": `docs/values.md` has all forms. The source `JsonLines`
    reads them back. Rows of several outputs may share a file. With checkpoints, staged rows
    wait in a hidden file beside it.

    Args:
        path: the file.
        mode: what to do with a file that is not empty: "error" refuses it, "append" continues
            after it, "overwrite" replaces it. A run that resumes from a checkpoint always
            continues after its own rows.
        when: which alerts to take; only for sinks in `alerts=`.

    Raises:
        SinkError: the file cannot be written; it names the file.

    >>> sink = JsonLines("alerts.jsonl", when="severity = 'critical'")
    """

    def columns(self, output: str, rows: Table) -> None:
        """Check that rows with these columns can be written; a file without rows is empty."""
        self._encode(output, rows, first=True)

    def _encode(self, output: str, rows: Table, *, first: bool) -> bytes:
        return core.encode_lines("json", rows.to_arrow(), "{}")
