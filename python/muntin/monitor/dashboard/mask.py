"""Hides values of masked columns: the page receives data that never contained them.

A value becomes a short hash with a random key for each run, so that equal values look equal on the
page, and none can be guessed by hashing candidates.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from muntin.monitor.dashboard.cells import Cell, cell
from muntin.monitor.dashboard.derived import derived
from muntin.pipeline.messages import columns_of, filled
from muntin.values.show import plain_text, to_json

HIDDEN = "•••"
_KNOWN_MAX = 20_000

Rule = tuple[str, str]
"""The name of an output, and of a rule on it."""


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
        """True if any column is masked."""
        return bool(self._columns)

    def see(self, plan: Mapping[str, Any]) -> None:
        """Mask the columns that the plan computes from masked ones, too."""
        if self._columns:
            self._columns = derived(plan, self._columns)

    def hides(self, column: str) -> bool:
        """True if a column is masked."""
        return column in self._columns

    def text(self, column: str, value: str | None) -> str | None:
        """The text to show for a value of a column."""
        if value is None or column not in self._columns:
            return value
        shown = self._hash(value)
        if len(self._known) >= _KNOWN_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[shown] = value
        return shown

    def original(self, column: str, shown: str | None) -> str | None:
        """The original of a text from a browser; a masked value only if it was shown before.

        Raises:
            KeyError: it was not shown.
        """
        if shown is None or column not in self._columns:
            return shown
        return self._known[shown]

    def columns(self, table: Any) -> dict[str, list[Cell]]:
        """A small `pyarrow.Table` by columns, with masked values replaced."""
        return {
            name: [cell(self._without(name, value)) for value in to_json(column)]
            for name, column in zip(table.column_names, table.columns, strict=True)
        }

    def path(self, text: str) -> str:
        """A path with the values of masked columns replaced in folders such as `card=4111`."""
        if not self._columns:
            return text
        return re.sub(r"([^/\\=]+)=([^/\\]*)", self._folder, text)

    def alerts(
        self,
        table: dict[str, list[Cell]],
        messages: Mapping[Rule, str],
        kinds: Mapping[str, Mapping[str, Any]],
    ) -> dict[str, list[Cell]]:
        """Alerts by columns, masked in `id`, `key`, `values` and `message`.

        Args:
            table: the alerts by columns.
            messages: each rule's message as it was written.
            kinds: for each output, the `pyarrow.DataType`s of its columns.
        """
        if not self._columns or "message" not in table:
            return table
        rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        for row in rows:
            output = str(row["output"])
            template = messages.get((output, str(row["rule"])))
            values = self._object(row["values"])
            row["message"] = self._message(row["message"], template, values, kinds.get(output, {}))
            row["values"] = _encoded(values)
            row["key"] = _encoded(self._object(row["key"]))
            # the id is a hash of the key, against which candidates could be tested
            row["id"] = self._hash(str(row["id"]))
        return {name: [row[name] for row in rows] for name in table}

    def _message(
        self,
        message: Cell,
        template: str | None,
        values: dict[str, Any] | None,
        kinds: Mapping[str, Any],
    ) -> Cell:
        if template is not None and not self._columns.intersection(columns_of(template)):
            return message
        if template is None or values is None:
            return HIDDEN
        # a hash is not a number, even for a number: no format applies to it
        plain = {name: kind for name, kind in kinds.items() if name not in self._columns}
        return filled(template, values, plain)

    def _object(self, text: Cell) -> dict[str, Any] | None:
        """JSON text of columns with masked values replaced; None if it cannot be parsed."""
        try:
            found = json.loads(str(text))
        except ValueError:
            return None
        if not isinstance(found, dict):
            return None
        return {name: self._without(name, value) for name, value in found.items()}

    def _without(self, name: str, value: Any) -> Any:
        """A column's value, with masked fields replaced at any depth."""
        if value is not None and name in self._columns:
            return self.text(name, plain_text(value))
        if isinstance(value, dict):
            return {field: self._without(field, inner) for field, inner in value.items()}
        if isinstance(value, list):
            return [self._without(name, each) for each in value]
        return value

    def _folder(self, found: re.Match[str]) -> str:
        name, value = found.groups()
        return f"{name}={self.text(name, value)}" if name in self._columns else found[0]

    def _hash(self, value: str) -> str:
        return f"•{hmac.new(self._key, value.encode(), sha256).hexdigest()[:8]}"


def _encoded(value: dict[str, Any] | None) -> str:
    return HIDDEN if value is None else json.dumps(value, ensure_ascii=False)
