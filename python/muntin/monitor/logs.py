"""Configures the loggers `muntin.*`: lines of text or of JSON."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import Any, TextIO

import msgspec

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLog(logging.Formatter):
    """One JSON object a line: `at` (UTC, ISO 8601), `level`, `logger`, `message`, `error`, extras.

    >>> record = logging.makeLogRecord(
    ...     {"name": "muntin.run", "levelname": "INFO", "msg": "asked", "created": 0.0})
    >>> JsonLog().format(record)
    '{"at":"1970-01-01T00:00:00.000Z","level":"info","logger":"muntin.run","message":"asked"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, Any] = {
            "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        line |= {word: value for word, value in vars(record).items() if word not in _PLAIN}
        try:
            return msgspec.json.encode(line, enc_hook=str).decode()
        except (UnicodeError, OverflowError, TypeError):
            # invalid Unicode, numbers beyond 64 bits, keys that are not text
            return json.dumps({word: _plain(value) for word, value in line.items()})


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | None) else str(value)


def log_to(stream: TextIO | None = None, *, as_json: bool = False, level: str = "INFO") -> None:
    """Write what `muntin.*` logs to a stream, standard error by default.

    Args:
        stream: where to.
        as_json: one JSON object a line, for machines.
        level: the lowest level to write, as in `logging`.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(
        JsonLog() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    logger = logging.getLogger("muntin")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
