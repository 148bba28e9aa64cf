"""Follows rotated logs: finds the file that was read before, and the one that comes next.

The forms are those of logrotate and of Python's handlers: `log.1`, `log.2.gz`, `log-20240501`,
`log.2024-05-01`, `log-20240501-1700000000.gz`, with the log's own ending before or after that.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import NamedTuple

from muntin.base.errors import SourceError, with_hint
from muntin.sources.files.formats import ending_of
from muntin.sources.files.marks import Mark
from muntin.sources.files.opened import Opened, unreadable

_NUMBER_DIGITS = 4
"""Numbers of rotations have few digits; dates and seconds have more."""


class _Entry(NamedTuple):
    path: str
    name: str
    inode: int


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotated file of a log.

    Attributes:
        path: the file.
        number: how many rotations ago, if they are counted.
        date: the text of the date, if they are dated.
    """

    path: str
    number: int | None
    date: str

    @property
    def age(self) -> tuple[int, str]:
        """The sort key for files of one kind, from the oldest to the newest."""
        return (-(self.number or 0), self.date)


def rotated(name: str) -> list[Rotated]:
    """The rotated files of a log, from the oldest to the newest of each kind."""
    folder, base = os.path.split(name)
    stem, ending = os.path.splitext(base)
    form = re.compile(
        rf"(?:{re.escape(base)}[._-](?P<a>\d[\d._T:-]*)"
        rf"|{re.escape(stem)}[._-](?P<b>\d[\d._T:-]*){re.escape(ending)})"
    )
    found: dict[tuple[int | None, str], Rotated] = {}
    for entry in _entries(folder):
        bare, compression = ending_of(entry.name)
        if (match := form.fullmatch(bare)) is None:
            continue
        key = match["a"] or match["b"]
        number = int(key) if key.isdigit() and len(key) <= _NUMBER_DIGITS else None
        date = "" if number is not None else key
        # while a file is being compressed, it exists twice
        if not compression or (number, date) not in found:
            found[number, date] = Rotated(entry.path, number, date)
    return sorted(found.values(), key=lambda each: each.age)


def find(mark: Mark) -> Opened | None:
    """The file of a mark, opened at its place, under any name in its folder.

    Candidates are the files with the inode of the mark, then the one with its name, then rotated
    files, also compressed ones; the file must contain what was read of it.
    """
    folder = os.path.dirname(mark.file)
    same = [each.path for each in _entries(folder) if each.inode == mark.inode]
    others = [each.path for each in reversed(rotated(mark.file))]
    for path in dict.fromkeys([*same, mark.file, *others]):
        if not mark.at and path not in same:
            # nothing was read of it, so its content does not identify it
            continue
        if (file := at_mark(path, mark)) is None:
            continue
        if path not in same or file.device == mark.device:
            return file
        file.close()
    return None


def at_mark(path: str, mark: Mark) -> Opened | None:
    """A file at the place of a mark; None if it is not the file of the mark."""
    file = None
    try:
        file = Opened(path)
        if file.go_to(mark):
            return file
    except SourceError:
        # an unreadable file may be another one
        pass
    if file is not None:
        file.close()
    return None


def behind(file: Opened, name: str, mark: Mark, *, lost_ok: bool) -> tuple[str | None, str]:
    """The file that follows after a file of a log; None if there is none yet.

    Args:
        file: the file that has been read to its end.
        name: the name of the log.
        mark: the end of the file, in case it has been compressed meanwhile.
        lost_ok: continue even if files in between are missing.

    Returns:
        The next file, and a warning about what cannot be detected, or an empty text.

    Raises:
        SourceError: files in between are missing.
    """
    try:
        named = os.stat(name)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        raise unreadable(name, error) from error
    # its writer still uses the old file as long as the new one is empty
    if file.is_same(named) or not named.st_size:
        return None, ""
    chain = rotated(name)
    mine = next((each for each in chain if _is(file, each.path)), None)
    mine = mine or _compressed(chain, mark)
    if mine is None:
        doubt = f'"{name}" is another file now, and the one before it was not found beside it '
        return name, doubt + "as a rotated log: if there were others in between, they are not read"
    same_kind = [each for each in chain if (each.number is None) == (mine.number is None)]
    later = [each for each in same_kind if each.age > mine.age]
    if mine.number is not None and not lost_ok:
        _check_gap(name, mine.number, [each.number or 0 for each in later])
    return (later[0].path if later else name), ""


def _check_gap(name: str, mine: int, later: list[int]) -> None:
    expected = list(range(mine - 1, 0, -1))
    missing = sorted(set(expected) - set(later))
    # copytruncate and a first rotation to .0 count from 0
    if missing:
        message = f'"{name}" was rotated to number {mine}, and number {missing[-1]} is not there'
        hint = 'put it back, or go on without its lines: lost="skip"'
        raise SourceError(with_hint(message, hint))


def _is(file: Opened, path: str) -> bool:
    try:
        return file.is_same(os.stat(path))
    except OSError:
        return False


def _compressed(chain: list[Rotated], mark: Mark) -> Rotated | None:
    """The newest compressed file that contains what was read up to the mark."""
    for each in reversed(chain):
        if ending_of(each.path)[1] and (file := at_mark(each.path, mark)) is not None:
            file.close()
            return each
    return None


def _entries(folder: str) -> list[_Entry]:
    """The files of a folder."""
    try:
        with os.scandir(folder or ".") as entries:
            return [
                _Entry(os.path.join(folder, each.name), each.name, each.inode())
                for each in entries
                if each.is_file()
            ]
    except OSError as error:
        raise unreadable(folder or ".", error) from error
