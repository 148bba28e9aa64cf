"""Converts rows given as dicts to columns of declared types, and finds those that do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base.errors import DataError, SourceError, unknown
from muntin.sources.decode.decoded import Roles
from muntin.values.rows import fitting_rows, inferred_schema


def fitting(
    rows: Sequence[Mapping[str, Any]], schema: Any, roles: Roles
) -> tuple[Any, dict[int, str]]:
    """The rows that fit the schema as a batch, and the errors of the others, by index.

    Fields that the schema does not name are ignored. A row must have a partition and an arrival
    time, if these columns are named.
    """
    batch, misfits = fitting_rows(rows, schema)
    bad: dict[int, str] = {}
    for misfit in misfits:
        bad.setdefault(misfit.row, str(misfit))
    for name, what in roles.needed().items() if len(batch) else ():
        for row in pc.indices_nonzero(batch.column(name).is_null()).to_pylist():
            bad.setdefault(row, f'it has no {what} in "{name}"')
    if bad:
        batch = batch.filter(pa.array([row not in bad for row in range(len(rows))], pa.bool_()))
    return batch, bad


def schema_of(rows: Sequence[Mapping[str, Any]], roles: Roles, place: str) -> Any:
    """Infer the schema from rows.

    Raises:
        SourceError: there is none, or a column that the source itself uses is missing.
    """
    try:
        schema = inferred_schema(rows)
    except DataError as error:
        # a row with other types must not decide: the first row's types are used
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
