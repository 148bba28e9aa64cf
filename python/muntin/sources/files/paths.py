"""Expands paths, folders and patterns to file names in natural order."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias
from urllib.parse import unquote

import pyarrow as pa

from muntin.base.errors import SourceError, with_hint
from muntin.sources.decode.texts import converted
from muntin.sources.files.opened import STDIN, unreadable

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A path, a folder, a pattern such as `"2024/*.parquet"`, or a list of these, in its order.

The files of a folder are those in it and in its folders whose names do not begin with `.` or `_`
and do not end as unfinished ones do (`.tmp`, `.part`, `~` and so on). Those of a folder or a
pattern are sorted by name, numbers in names by their value: `file2` comes before `file10`.
"""

_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".inprogress", ".swp", "~")
_NO_KEY = "__HIVE_DEFAULT_PARTITION__"
_INTEGER = re.compile(r"-?\d{1,18}")


def files_of(paths: Paths, *, empty: bool = False) -> list[str]:
    """Expand paths to files.

    Args:
        paths: the paths, folders and patterns.
        empty: a folder or a pattern may match no file yet.

    Raises:
        SourceError: a file or a folder is not there, cannot be read, or has no files.
    """
    if not isinstance(paths, (str, os.PathLike)):
        return [name for path in paths for name in files_of(path, empty=empty)]
    path = os.fspath(paths)
    if path == STDIN:
        return [path]
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return _matching(path, empty=empty)
    except OSError as error:
        raise unreadable(path, error) from error
    if stat.S_ISREG(mode):
        return [path]
    if not stat.S_ISDIR(mode):
        hint = 'a pipe is read as standard input: "-", and ... < PIPE'
        raise SourceError(with_hint(f'"{path}" is not a file', hint))
    found = sorted(_inside(path), key=natural)
    if not found and not empty:
        hint = (
            "names that begin with . or _ or end in .tmp are left out; watch=True waits for files"
        )
        raise SourceError(with_hint(f'the folder "{path}" has no files', hint))
    return found


def names_of(paths: Paths) -> list[str]:
    """The paths, folders and patterns as they were given."""
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    return [os.fspath(path) for path in given]


def call_of(source: str, paths: Paths, **flags: bool) -> str:
    """A source of files as a user would type it, with the flags that are set.

    >>> call_of("Csv", "a.csv", follow=True), call_of("Csv", ["a.csv", "b.csv"])
    ("Csv('a.csv', follow=True)", "Csv(['a.csv', 'b.csv'])")
    """
    names = names_of(paths)
    given = repr(names[0] if isinstance(paths, str | os.PathLike) else names)
    return f"{source}({', '.join([given, *(f'{name}=True' for name in flags if flags[name])])})"


def _matching(path: str, *, empty: bool) -> list[str]:
    found = [name for name in glob.glob(path, recursive=True) if os.path.isfile(name)]
    if found:
        return sorted(found, key=natural)
    if not glob.has_magic(path):
        raise SourceError(f'no file "{path}"')
    if not empty:
        raise SourceError(with_hint(f'no file matches "{path}"', "watch=True waits for files"))
    return []


def _inside(folder: str) -> Iterator[str]:
    def refused(error: OSError) -> None:
        raise unreadable(str(error.filename or folder), error) from error

    for place, folders, names in os.walk(folder, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        yield from (os.path.join(place, name) for name in names if is_finished(name))


def is_finished(name: str) -> bool:
    """Whether a file's name marks it neither as hidden nor as still being written.

    >>> is_finished("a.csv"), is_finished(".a.csv"), is_finished("a.csv.tmp")
    (True, False, False)
    """
    base = os.path.basename(name)
    return not base.startswith((".", "_")) and not base.lower().endswith(_UNFINISHED)


def natural(name: str) -> tuple[Any, ...]:
    """A sort key in natural order: by the value of the numbers in a name.

    >>> sorted(["f10", "f9", "f"], key=natural)
    ['f', 'f9', 'f10']
    """
    parts = re.split(r"(\d+)", name.replace(os.sep, "/"))
    return (*((int(p), "") if i % 2 else (-1, p) for i, p in enumerate(parts)), (-2, name))


def keys_of(name: str) -> dict[str, str | None]:
    """The keys that a file's folders name, as Hive writes them: `year=2024/month=05/a.csv`.

    >>> keys_of("sales/year=2024/city=S%C3%A3o/a.csv")
    {'year': '2024', 'city': 'São'}
    """
    folders = os.path.dirname(name).replace(os.sep, "/").split("/")
    pairs = [folder.partition("=") for folder in folders if "=" in folder.lstrip("=")]
    return {unquote(key): None if text == _NO_KEY else unquote(text) for key, _, text in pairs}


def key_value(text: str | None, kind: Any | None) -> Any:
    """The value of a key: of type `kind`, or an integer if it looks like one; else the text.

    >>> key_value("05", None), key_value("05", pa.string()), key_value("x", pa.int64())
    (5, '05', 'x')
    """
    if text is None:
        return None
    if kind is None:
        return int(text) if _INTEGER.fullmatch(text) else text
    values, bad = converted(pa.array([text]), "key", kind)
    return text if bad else values[0].as_py()
