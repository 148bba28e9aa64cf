"""Reads files with one JSON object per line; other lines become invalid records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from muntin.sources.decode.decoded import Bad, Decoded, Roles, kept_schema, known_schema
from muntin.sources.decode.fitting import fitting, schema_of
from muntin.sources.decode.objects import NotAnObject, object_of
from muntin.sources.deliveries.pace import Speed
from muntin.sources.deliveries.placed import OnBad
from muntin.sources.files.cuts import Cut, Lines
from muntin.sources.files.formats import check_json_lines
from muntin.sources.files.paths import Paths, key_value, keys_of
from muntin.sources.files.records import LINE_BYTES_MAX, Block
from muntin.sources.files.text import Decoder, Limits, Lost, TextSource, one_bad


class JsonLines(TextSource):
    """A source of JSON lines, read from the start to the end of its files.

    Fields that the schema does not name are left out. A line that is not a JSON object, or whose
    values do not fit the schema, becomes an invalid record with the reason `undecodable`, its
    file, line and text. The position of a row is the number of lines before it over all files,
    blank ones and undecodable ones included; with `partition=`, the number of its partition's
    rows before it, where what is undecodable counts to the first partition.

    With `follow=True` the last file has no end: what is appended to it is read as it comes, a
    line when its newline is there. A log may be rotated meanwhile, and while no run is going on:
    the file that was read is found again by its inode or its content, beside the log under another
    name (`log.1`, `log-20240501.gz`), and is read to its end; then those in between are, then the
    one that has the name. What cannot be found is an error, or a warning with `lost="skip"`. A log
    that is copied and cut (copytruncate) goes on in its copy; what was written between the copy and
    the cut is in neither, as the log says. A file that is cut otherwise is an error.

    With `watch=True` a folder or a pattern has no end: a file is read when its name appears. It
    must be complete then: write it under another name, such as `.a.tmp`, and rename it. Files that
    appear together are read in their natural order. A file that changes after it was read is an
    error; one that was read may be taken away.

    Files compressed with gzip or zstd are known by their first bytes. The keys of folders named as
    Hive does (`year=2024/month=05`) are fields, where a line has none of that name.

    Args:
        paths: a path, a folder, a pattern, a list of these, or "-" for standard input. Files of a
            folder or a pattern are in their natural order: `file2` before `file10`.
        schema: column to type word. Without it the stream's own schema holds, and without that
            the lines of the first 4 MiB decide: ISO 8601 text is taken as a timestamp.
        arrival: the field with the recorded time of arrival, timestamp or `int64` microseconds.
        partition: the integer field with each row's partition; a row must have it.
        partitions: the values it can have. Without them the files are read once more, before
            the run, to find them.
        follow: wait for more at the end of the last file.
        watch: wait for more files.
        lost: whether lines of a followed file that are lost are an "error", or "skip": a warning.
        line_bytes_max: a longer line is an invalid record, of which the start is kept. It bounds
            the memory that a line can take; 16 MiB is far above what events have.
        speed: hand rows over as time goes by, so many times faster; see `mt.sources.Pace`.
        batch_rows: rows in a step, at most.
        bad: what cannot be read is an invalid "record", or a "stop": the run ends with an error
            that names the file, the line and what is wrong.

    Raises:
        SourceError: a file is missing, cannot be read, or has become shorter.

    >>> JsonLines("events.jsonl", schema={"at": "timestamp[us, UTC]", "n": "i64"}).bounded
    True
    """

    def __init__(
        self,
        paths: Paths,
        *,
        schema: Mapping[str, str] | None = None,
        arrival: str | None = None,
        partition: str | None = None,
        partitions: Sequence[int] | None = None,
        follow: bool = False,
        watch: bool = False,
        lost: Lost = "error",
        line_bytes_max: int = LINE_BYTES_MAX,
        speed: Speed = None,
        batch_rows: int = 16_384,
        bad: OnBad = "record",
    ) -> None:
        """Remember where the lines are; nothing is read before it has to be."""
        roles = Roles(arrival, partition)
        limits = Limits(follow, watch, False, lost, line_bytes_max, batch_rows, bad)
        super().__init__(paths, schema, roles, partitions, limits, speed)

    def _format(self, schema: Any | None, roles: Roles) -> tuple[Cut, Decoder]:
        return Lines(), _Objects(schema, roles)


class _Objects:
    """Blocks of JSON lines to rows."""

    def __init__(self, schema: Any | None, roles: Roles) -> None:
        self._schema = None if schema is None else roles.added(schema)
        self._roles = roles
        self._keys = _Keys()

    def memory(self) -> dict[str, Any]:
        return kept_schema(self._schema)

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._schema = known_schema(memory, self._schema)

    def __call__(self, block: Block) -> Decoded:
        if block.fault:
            return one_bad(block, self._schema)
        if block.begins:
            check_json_lines(block.file, block.text)
        texts = block.text.removesuffix(b"\n").split(b"\n")
        lines = [Bad(i, block.line + i, text, "") for i, text in enumerate(texts)]
        rows, places, bad = _objects(lines)
        if keys := self._keys(block.file, self._schema):
            rows = [{**keys, **row} for row in rows]
        if self._schema is None and rows:
            self._schema = schema_of(rows, self._roles, "JsonLines")
        schema = self._schema if self._schema is not None else pa.schema([])
        batch, wrong = fitting(rows, schema, self._roles)
        bad += [places[i]._replace(detail=detail) for i, detail in wrong.items()]
        kept = [line.ordinal for i, line in enumerate(places) if i not in wrong]
        return Decoded(batch, pa.array(kept, pa.int64()), sorted(bad), len(lines))


class _Keys:
    """The keys of files' folders, in the types of the schema."""

    def __init__(self) -> None:
        self._known: tuple[str, Any, dict[str, Any]] = ("", None, {})

    def __call__(self, file: str, schema: Any | None) -> dict[str, Any]:
        if self._known[:2] != (file, schema):
            kinds = {} if schema is None else {field.name: field.type for field in schema}
            keys = {key: key_value(text, kinds.get(key)) for key, text in keys_of(file).items()}
            self._known = (file, schema, keys)
        return self._known[2]


def _objects(lines: list[Bad]) -> tuple[list[dict[str, Any]], list[Bad], list[Bad]]:
    rows: list[dict[str, Any]] = []
    places: list[Bad] = []
    bad: list[Bad] = []
    for line in lines:
        if not line.text.strip():
            continue
        try:
            rows.append(object_of(line.text))
            places.append(line)
        except NotAnObject as error:
            bad.append(line._replace(detail=str(error)))
    return rows, places, bad
