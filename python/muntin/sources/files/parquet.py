"""Reads Parquet files in the order given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from muntin.base.arguments import flag
from muntin.base.arguments import partitions as numbers
from muntin.base.errors import SourceError, unknown, with_hint
from muntin.sources.base import Delivery, Quiet, Reader, Words
from muntin.sources.checks import check_paths, check_roles, check_rows, check_schema, texts
from muntin.sources.decode.decoded import Roles, kept_schema, known_schema
from muntin.sources.deliveries.columns import distinct_partitions, partition_array
from muntin.sources.deliveries.pace import Speed, pace_of
from muntin.sources.deliveries.placed import OnBad, Placed, check_bad
from muntin.sources.deliveries.places import Places, counts_of
from muntin.sources.files.marks import Mark, mark_of
from muntin.sources.files.parquet_files import Columns, Group, Open, opened_file
from muntin.sources.files.paths import Paths, call_of, files_of, names_of
from muntin.sources.files.records import Waiting
from muntin.sources.files.turns import Listed, Turns, Watched
from muntin.values.rows import arrow_schema


class Parquet:
    """A source of Parquet files, read one after another; one partition without `partition=`.

    The schema of the source, else of the stream, decides the columns and types. Each file's columns
    are converted to these types; a row with a value that does not fit (a fraction for an integer, a
    time with more digits than the unit) becomes an invalid record with the reason `undecodable`,
    its file and its row as the line. Columns that the schema does not name are not read.

    Without a schema the source has the columns of all files, each in a common type: any type for
    null, text in any layout including dictionaries, the widest integer, the finest unit of time,
    the widest decimal. If there is no common type, as for `int64` and `double`, an error names the
    file, the column and both types.

    A column that a file lacks is null there; one that no file has is an error. Keys in Hive-style
    folder names (`year=2024/month=05`) are columns, unless a file has a column of that name.

    With `watch=True` a folder or a pattern is watched: a file is read when its name appears. It
    must be complete then: write it under another name, such as `.a.tmp`, and rename it. Files that
    appear together are read in natural order. A file that changes after it was read is an error; it
    may be removed. The files present at the start decide the columns.

    The position of a row is the number of rows before it over all files; with `partition=`, the
    number of its partition's rows before it. A run that resumes skips row groups that were
    read completely.

    Args:
        paths: a path, a folder, a pattern, or a list of these. Files of a folder or a pattern are
            in their natural order: `file2` before `file10`.
        schema: column to type.
        columns: the columns to read; all by default, or those of the schema.
        arrival: a column with the recorded arrival time, timestamp or `int64` microseconds.
            With it and `partition` a run repeats the order and the watermarks of the live day.
        partition: an integer column with each row's partition; a row must have it.
        partitions: the values it can have. Without them the column is read once more, before the
            run, to find them.
        watch: wait for more files.
        speed: replay rows at their recorded pace, this many times faster; see `mt.sources.Pace`.
        batch_rows: the maximum number of rows in a step.
        bad: "record" makes a row that does not fit an invalid record; "stop" ends the run with an
            error that names the file, the row and what is wrong.

    Raises:
        SourceError: a file is missing, damaged, or has no such column; it names the file.

    >>> Parquet("history/2024-*.parquet", arrival="received_at").bounded
    True
    """

    def __init__(
        self,
        paths: Paths,
        *,
        schema: Mapping[str, str] | None = None,
        columns: Sequence[str] | None = None,
        arrival: str | None = None,
        partition: str | None = None,
        partitions: Sequence[int] | None = None,
        watch: bool = False,
        speed: Speed = None,
        batch_rows: int = 65_536,
        bad: OnBad = "record",
    ) -> None:
        """Keep the arguments; files are read only when needed."""
        check_paths(paths, "Parquet")
        check_schema(schema, "Parquet")
        check_roles("Parquet", arrival=arrival, partition=partition)
        check_rows(batch_rows, "Parquet")
        check_bad(bad, "Parquet")
        flag(watch, "Parquet: watch", error=SourceError)
        if partitions is not None:
            partitions = numbers(partitions, "Parquet: partitions", error=SourceError)
        if watch and partition is not None and partitions is None:
            hint = "they must be known before the first row: partitions=[0, 1]"
            raise SourceError(with_hint("Parquet: watch= and partition= need partitions=", hint))
        self._paths = paths
        self._schema = None if schema is None else arrow_schema(schema.items())
        self._columns = None if columns is None else texts(columns, "Parquet: columns", "columns")
        self._roles = Roles(arrival, partition)
        self._partitions = None if partitions is None else tuple(partitions)
        self._found: tuple[list[str], Sequence[int]] | None = None
        self._watch = watch
        self._pace = pace_of(speed, arrival, "Parquet")
        self._batch_rows = batch_rows
        self._bad: OnBad = bad

    def __repr__(self) -> str:
        """Its paths, and whether it waits for more."""
        return call_of("Parquet", self._paths, watch=self._watch)

    @property
    def bounded(self) -> bool:
        """False if a folder is watched."""
        return not self._watch

    @property
    def total(self) -> int | None:
        """The number of rows, from the files' footers; None of a folder that is watched."""
        if self._watch:
            return None
        return sum(_rows_in(file) for file in files_of(self._paths))

    def partitions(self) -> Sequence[int]:
        """The partitions in `partitions=`, else the values of the partition column, or 0."""
        if self._roles.partition is None:
            return (0,)
        if self._partitions is not None:
            return list(self._partitions)
        files = files_of(self._paths)
        if self._found is None or self._found[0] != files:
            alone = Parquet(
                self._paths,
                columns=[self._roles.partition],
                batch_rows=self._batch_rows,
                partition=self._roles.partition,
                partitions=(0,),
            )
            reader = alone.open(None, {})
            found = [d for d in iter(reader.poll, None) if isinstance(d, Delivery)]
            columns = (pa.array(delivery.partition) for delivery in found)
            self._found = (files, distinct_partitions(columns))
        return self._found[1]

    def reads(self) -> Sequence[str]:
        """The paths, folders and patterns it reads, now and in later runs."""
        return names_of(self._paths)

    def identity(self) -> Sequence[str]:
        """The files, in order; of a watched folder, its name."""
        return names_of(self._paths) if self._watch else files_of(self._paths)

    def open(
        self,
        schema: Words | None,
        positions: Mapping[int, int],
        mark: Mapping[str, Any] | None = None,
    ) -> Reader:
        """Start reading after the rows that an earlier run has had."""
        declared = self._schema
        if declared is None and schema is not None:
            declared = arrow_schema(schema)
        start = None if mark is None else mark_of(mark)
        wanted = self._columns
        if declared is not None:
            if wanted is None:
                wanted = list(declared.names)
            declared = pa.schema([field for field in declared if field.name in wanted])
        hidden: set[str] = set()
        if wanted is not None:
            extra = [n for n in (self._roles.arrival, self._roles.partition) if n is not None]
            if self._columns is None:
                hidden = {name for name in extra if name not in wanted}
            wanted = list(dict.fromkeys([*wanted, *extra]))
        known = files_of(self._paths, empty=self._watch)
        turns: Turns = Watched(self._paths) if self._watch else Listed(known)
        memory = None if start is None else known_schema(start.memory, None)
        columns = Columns(known, wanted, declared, memory)
        placed = Placed(
            Places(positions, {} if start is None else start.next),
            self._roles,
            self.partitions(),
            hidden,
            self._bad,
        )
        reader = ParquetReader(turns, columns, placed, self._roles, self._batch_rows, start)
        return reader if self._pace is None else self._pace.paced(reader)


class ParquetReader:
    """Parquet files being read."""

    def __init__(
        self,
        turns: Turns,
        columns: Columns,
        placed: Placed,
        roles: Roles,
        batch_rows: int,
        mark: Mark | None,
    ) -> None:
        """Read the files of `turns`, resuming at `mark`."""
        self._turns = turns
        self._columns = columns
        self._placed = placed
        self._roles = roles
        self._batch_rows = batch_rows
        self._mark = mark
        self._waiting = Waiting()
        self._groups: Iterator[Group] = iter(())
        self._file: Open | None = None
        self._passed = 0

    def poll(self) -> Delivery | Quiet | None:
        """The next rows, `Quiet` if there is no further file now, or None at the end."""
        waited = False
        while not self._waiting.closed:
            if self._file is None and not self._enter():
                if self._turns.ended:
                    self._placed.places.end("Parquet")
                    return None
                if waited:
                    return Quiet(self._placed.partitions)
                self._waiting.wait()
                waited = True
                continue
            if self._file is not None and (delivery := self._next(self._file)) is not None:
                return delivery
        return None

    @property
    def waited(self) -> float:
        """Seconds that were spent waiting for another file."""
        return self._waiting.seconds

    def close(self) -> None:
        """Stop reading; ends a wait in another thread."""
        self._waiting.close()
        self._leave()

    def _enter(self) -> bool:
        if self._mark is not None:
            mark, self._mark = self._mark, None
            self._turns.go_to(mark)
            if mark.whole and self._turns.vanished(mark.file):
                return self._enter()
            file = opened_file(mark.file)
            if file.seal != mark.head:
                file.close()
                hint = "files that were read must not change; restore it, or start with an "
                message = (
                    f'"{mark.file}" is another file now: it had been read up to row {mark.line}'
                )
                raise SourceError(with_hint(message, f"{hint}empty checkpoint and empty outputs"))
            self._begin(file, mark.line - 1)
            return True
        name = self._turns.next()
        if name is None:
            return False
        try:
            file = opened_file(name)
        except SourceError:
            if self._turns.vanished(name):
                return self._enter()
            raise
        self._begin(file, self._had(file))
        return True

    def _begin(self, file: Open, passed: int) -> None:
        self._file, self._passed = file, passed
        self._groups = file.groups(self._columns, passed, self._batch_rows)

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _had(self, file: Open) -> int:
        """How many rows are in row groups that an earlier run without a mark has read."""
        places, partition = self._placed.places, self._roles.partition
        passed = 0
        for group, rows in enumerate(file.group_rows()):
            if not places.behind():
                break
            counts = {0: rows}
            if partition is not None:
                values = file.column(self._columns, group, partition)
                whole = partition_array(values, partition, file.name)
                counts = {entry["values"]: entry["counts"] for entry in counts_of(whole)}
            if not places.skip(counts):
                break
            passed += rows
        return passed

    def _next(self, file: Open) -> Delivery | None:
        group = next(self._groups, None)
        if group is None:
            self._turns.was_read(file.name)
            self._leave()
            return None
        for name in (self._roles.arrival, self._roles.partition):
            if name is not None and name not in group.batch.schema.names:
                raise SourceError(unknown("column", name, group.batch.schema.names, file.name))
        start = self._here(file)
        decoded = group.decoded(self._passed, self._roles, file.name)
        self._passed += decoded.records
        delivery = self._placed(file.name, decoded)
        if delivery is None:
            return None
        return replace(delivery, mark=self._here(file), start=start)

    def _here(self, file: Open) -> Mark:
        return Mark(
            file.name,
            self._placed.places.next_of_all(),
            head=file.seal,
            line=self._passed + 1,
            whole=self._passed >= file.rows,
            read=self._turns.read,
            memory=kept_schema(self._columns.schema),
        )


def _rows_in(name: str) -> int:
    with opened_file(name) as file:
        return file.rows
