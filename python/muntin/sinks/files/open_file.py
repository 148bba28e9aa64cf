"""An open file that detects when its path was moved or others wrote to it."""

from __future__ import annotations

import logging
import os
import stat

from muntin.base.errors import with_hint
from muntin.sinks.files.disk import ANEW, failed

_log = logging.getLogger("muntin.sinks")


class OpenFile:
    """An open file that is appended to.

    Attributes:
        file: open for appending, unbuffered: a dropped sink must not write after its successor
            has started.
        regular: false for pipes, devices and terminals.
    """

    def __init__(self, path: str) -> None:
        """Open or create it."""
        self._path = path
        self.file = open(path, "ab", buffering=0)  # noqa: SIM115
        found = os.fstat(self.file.fileno())
        self.regular = stat.S_ISREG(found.st_mode)
        self._place = (found.st_dev, found.st_ino)
        self._changed = found.st_mtime_ns
        self.size_before = found.st_size

    def size(self) -> int:
        """Its length in bytes."""
        return os.fstat(self.file.fileno()).st_size

    def remember(self) -> None:
        """Note its current state, after a change by this run."""
        found = os.fstat(self.file.fileno())
        self._changed, self.size_before = found.st_mtime_ns, found.st_size

    def is_as_remembered(self) -> bool:
        """Whether nobody has changed it since."""
        return os.fstat(self.file.fileno()).st_mtime_ns == self._changed

    def check_place(self) -> None:
        """Check that its path still leads to it.

        Raises:
            SinkError: it was removed, or another file has its name.
        """
        if not self.regular:
            return
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            what = "it was removed while the run wrote it"
            raise failed(self._path, with_hint(what, ANEW)) from None
        if (found.st_dev, found.st_ino) != self._place:
            what = "it was replaced by another file while the run wrote it"
            raise failed(self._path, with_hint(what, ANEW))

    def warn_of_rest(self, end: int, kept: str) -> None:
        """Log that the file has bytes after those of the checkpoint."""
        message = '"%s": after byte %d it has %d bytes that are not in the checkpoint: kept as "%s"'
        _log.warning(message, self._path, end, self.size() - end, kept)

    def close(self) -> None:
        """Close it."""
        self.file.close()
