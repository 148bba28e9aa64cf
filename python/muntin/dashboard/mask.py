"""Hides values of masked columns wherever they could be read: in keys, alerts, samples, messages.

A value becomes a short hash under a key that is drawn for each run, so that equal values look
equal on the page, and none can be found by trying.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from muntin.dashboard.cells import Cell

HIDDEN = "•••"
_KNOWN_MAX = 20_000


class Mask:
    """The masked columns of a run.

    >>> mask = Mask(["card"], key=b"fixed")
    >>> shown = mask.text("card", "4111")
    >>> shown.startswith("•"), mask.text("store", "7"), mask.original("card", shown)
    (True, '7', '4111')
    """

    def __init__(self, columns: Iterable[str], key: bytes | None = None) -> None:
        """Mask these columns."""
        self._columns = frozenset(columns)
        self._key = key or secrets.token_bytes(16)
        self._known: dict[str, str] = {}

    def __bool__(self) -> bool:
        """True if there is anything to hide."""
        return bool(self._columns)

    def hides(self, column: str) -> bool:
        """True if the values of a column are not to be seen."""
        return column in self._columns

    def text(self, column: str, value: str | None) -> str | None:
        """What stands for a value of a column."""
        if value is None or column not in self._columns:
            return value
        digest = hmac.new(self._key, str(value).encode(), sha256).hexdigest()
        shown = f"•{digest[:8]}"
        if len(self._known) >= _KNOWN_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[shown] = value
        return shown

    def original(self, column: str, shown: str | None) -> str | None:
        """The value that a browser means; for a masked one only what was shown before.

        Raises:
            KeyError: it was not.
        """
        if shown is None or column not in self._columns:
            return shown
        return self._known[shown]

    def columns(self, table: Mapping[str, list[Cell]]) -> dict[str, list[Cell]]:
        """A table by columns, without what is masked."""
        return {
            name: [None if v is None else self.text(name, str(v)) for v in values]
            if name in self._columns
            else values
            for name, values in table.items()
        }

    def alerts(
        self, table: dict[str, list[Cell]], messages: Mapping[str, str]
    ) -> dict[str, list[Cell]]:
        """Alerts by columns: `key`, `values` and `message` without what is masked.

        A message whose rule names a masked column, and in which its value is not found as it
        stands in `values`, is hidden as a whole.
        """
        if not self._columns or "message" not in table:
            return table
        table = dict(table)
        naming = {rule for rule, said in messages.items() if self._is_named(said)}
        names = ("key", "values", "message", "rule")
        rows = zip(*(table[name] for name in names), strict=True)
        hidden = [
            self._alert(key, values, said, rule in naming) for key, values, said, rule in rows
        ]
        for i, name in enumerate(("key", "values", "message")):
            table[name] = [row[i] for row in hidden]
        return table

    def _is_named(self, message: str) -> bool:
        return any(re.search(rf"\{{\s*{re.escape(each)}\b", message) for each in self._columns)

    def _alert(
        self, key: Cell, values: Cell, message: Cell, naming: bool
    ) -> tuple[Cell, Cell, Cell]:
        texts: dict[str, str] = {}
        shown = [self._json(text, texts) for text in (key, values)]
        said = str(message or "")
        for value in sorted(texts, key=len, reverse=True):
            said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", texts[value], said)
        if naming and texts and said == message:
            said = HIDDEN
        return shown[0], shown[1], said

    def _json(self, text: Cell, texts: dict[str, str]) -> Cell:
        if not isinstance(text, str):
            return text
        try:
            fields: dict[str, Any] = json.loads(text)
        except ValueError:
            return HIDDEN
        for name, value in fields.items():
            if name in self._columns and value is not None:
                plain = value if isinstance(value, str) else json.dumps(value)
                shown = self.text(name, plain) or HIDDEN
                texts[plain] = fields[name] = shown
        return json.dumps(fields, ensure_ascii=False)
