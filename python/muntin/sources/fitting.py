"""Rows as dicts to columns of declared types, and which rows do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from muntin.errors import DataError, SourceError, unknown
from muntin.ingest import batch_of_rows, column_of, inferred_schema
from muntin.sources.text import Roles


def fitting(
    rows: Sequence[Mapping[str, Any]], schema: Any, roles: Roles
) -> tuple[Any, dict[int, str]]:
    """The rows that fit the schema as a batch, and what is wrong with the others, by index.

    Fields that the schema does not name are left out. A row must have a partition and a time of
    arrival, if rows do.
    """
    named = [{name: row.get(name) for name in schema.names} for row in rows]
    needed = roles.needed()
    try:
        if all(row[name] is not None for name in needed for row in named):
            return batch_of_rows(named, schema), {}
    except DataError:
        pass
    good: list[dict[str, Any]] = []
    bad: dict[int, str] = {}
    for i, row in enumerate(named):
        try:
            for field in schema:
                column_of([row[field.name]], field.name, field.type)
            for name, what in needed.items():
                if row[name] is None:
                    raise DataError(f'it has no {what} in "{name}"')
        except DataError as error:
            bad[i] = str(error)
        else:
            good.append(row)
    return batch_of_rows(good, schema), bad


def schema_of(rows: Sequence[Mapping[str, Any]], roles: Roles, place: str) -> Any:
    """The schema that rows show.

    Raises:
        SourceError: they show none, or lack a column that the source reads for itself.
    """
    try:
        schema = inferred_schema(rows)
    except DataError as error:
        # one row of another shape must not decide; the first one's types hold
        schema = _schema_of_first(rows[0])
        if not schema.names:
            raise SourceError(f"{place}: the rows have no common schema: {error}") from error
    for name in (roles.arrival, roles.partition):
        if name is not None and name not in schema.names:
            raise SourceError(unknown("field", name, schema.names, place))
    return schema


def _schema_of_first(row: Mapping[str, Any]) -> Any:
    try:
        return inferred_schema([row])
    except DataError:
        return pa.schema([])
