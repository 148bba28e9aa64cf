"""Rows to a text file, one JSON object a line."""

from __future__ import annotations

import msgspec

from muntin.errors import with_hint
from muntin.result import Table
from muntin.sinks.appended import AppendedFile
from muntin.sinks.disk import failed
from muntin.sinks.flat import pieces

_ENCODER = msgspec.json.Encoder()


class JsonLines(AppendedFile):
    """A sink that writes JSON lines; with checkpoints each row is there exactly once.

    Times are ISO 8601 text, durations ISO 8601 durations, decimals text, binary base64; NaN and
    infinities become null, since JSON has no word for them. Rows of several outputs may share a
    file. With checkpoints, what is staged waits in a hidden file beside it.

    Args:
        path: the file.
        append: go on after what is there; by default the file starts empty. A run that goes on
            from a checkpoint always goes on after its own rows.
        when: which alerts to take, if it stands in `alerts=`.

    Raises:
        SinkError: the file cannot be written; it names the file.

    >>> sink = JsonLines("alerts.jsonl", when="severity = 'critical'")
    """

    def _encode(self, output: str, rows: Table, *, first: bool) -> bytes:
        try:
            return b"".join(_ENCODER.encode_lines(piece.to_dicts()) for piece in pieces(rows))
        except (TypeError, ValueError) as error:
            hint = "cast the column, or leave it out by select"
            raise failed(self._path, with_hint(f"{output}: {error}", hint)) from error
