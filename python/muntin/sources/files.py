"""Names of files: one path, several, or a pattern, in sorted order."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import TypeAlias

from muntin.errors import SourceError, with_hint

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
