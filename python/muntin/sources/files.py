"""Names of files: one path, several, or a pattern, in sorted order; which of them was read."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import TypeAlias

from muntin.errors import SourceError, with_hint
from muntin.sources.marks import SAMPLE, Mark, digest

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A path, a pattern such as `"2024/*.parquet"`, or a list of paths, which keeps its order."""


def files_of(paths: Paths) -> list[str]:
    """The files that are meant; those of a pattern are sorted by name.

    Raises:
        SourceError: a file does not exist, or a pattern matches none.
    """
    if not isinstance(paths, (str, os.PathLike)):
        return [name for path in paths for name in files_of(path)]
    path = os.fspath(paths)
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        raise SourceError(with_hint(f'"{path}" is a directory', f'name its files: "{path}/*"'))
    found = sorted(name for name in glob.glob(path, recursive=True) if os.path.isfile(name))
    if not found:
        raise SourceError(f'no file "{path}"')
    return found


class Listed:
    """Files that are known from the start, read one after another.

    Attributes:
        read: those that have been read, in order, each with a digest of it.
        ended: true, since there will be no more.
    """

    ended = True

    def __init__(self, names: Sequence[str]) -> None:
        """Nothing has been read."""
        self._names = list(names)
        self._at = -1
        self.read: tuple[tuple[str, str], ...] = ()

    def next(self) -> str | None:
        """The next file, or None behind the last."""
        self._at = min(self._at + 1, len(self._names))
        return self._names[self._at] if self._at < len(self._names) else None

    @property
    def last(self) -> bool:
        """Whether the present file is the last."""
        return self._at + 1 >= len(self._names)

    def was_read(self, name: str) -> None:
        """The present file has been read to its end."""
        self.read = (*self.read, (name, print_of(name)))

    def go_to(self, mark: Mark) -> None:
        """Go on in the file of a mark.

        Raises:
            SourceError: it is not there, or one of those before it is not the file that was read.
        """
        self._at = len(mark.read)
        if mark.file not in self._names[self._at : self._at + 1]:
            hint = "files may be added behind those that were read, not before them"
            raise SourceError(with_hint(f'"{mark.file}" is not where it was read', hint))
        for name, before in mark.read:
            if print_of(name) != before:
                hint = "files that were read are not to be changed; put it back, or start with an "
                said = f'"{name}" is not the file that was read: its length or start differs'
                raise SourceError(with_hint(said, f"{hint}empty checkpoint and empty outputs"))
        self.read = tuple(mark.read)


def print_of(name: str) -> str:
    """The length of a file and a digest of its first bytes."""
    try:
        with open(name, "rb") as file:
            return f"{os.fstat(file.fileno()).st_size}:{digest(file.read(SAMPLE))}"
    except OSError as error:
        raise SourceError(f'"{name}" cannot be read: {error.strerror}') from error
