"""Reads text files as blocks of complete records, and can follow the last file as it grows.

A block never splits a record, so decoders need no state between blocks. Only the start is kept of a
record that is longer than the limit, so memory is bounded.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from threading import Event, Lock
from time import monotonic
from typing import NamedTuple

import msgspec

from muntin.base import limits
from muntin.base.errors import SourceError, with_hint
from muntin.sources.files.cuts import Cut, Pending
from muntin.sources.files.marks import Mark, Seen, digest
from muntin.sources.files.opened import STDIN, Opened, StandardInput, unreadable
from muntin.sources.files.rotation import at_mark, behind, find
from muntin.sources.files.turns import Turns

_log = logging.getLogger("muntin.sources")

LINE_BYTES_MAX = 16 << 20
"""A longer record is an invalid record: decoding needs several copies of it in memory."""

SHOWN_BYTES = 1024
"""How many bytes are kept of a record that is too long."""

WAIT_SECONDS = 0.05
"""How long a reader waits at the end of a file before it reads again."""

_BOM = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """Consecutive records of a file.

    Attributes:
        file: the file.
        line: the line its first byte is in, from 1.
        text: complete records.
        begins: whether it is the first of its file.
        fault: why its text, which is one record or the start of one, cannot be decoded.
    """

    file: str
    line: int
    text: bytes
    begins: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read.

    Attributes:
        follow: keep reading the last file as it grows.
        once: the last file is read like a followed one, unless it is compressed.
        line_bytes_max: a longer record is invalid.
        skip_lost: continue with a warning if lines are lost, since a file is missing.
    """

    follow: bool = False
    once: bool = False
    line_bytes_max: int = LINE_BYTES_MAX
    skip_lost: bool = False


class Waiting:
    """Waits for more, unless closed meanwhile; `close` may come from another thread."""

    def __init__(self) -> None:
        """Open."""
        self._closed = Event()
        self.seconds = 0.0
        """How long all waits took."""

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed.is_set()

    def wait(self) -> None:
        """Wait a moment."""
        start = monotonic()
        self._closed.wait(WAIT_SECONDS)
        self.seconds += monotonic() - start

    def close(self) -> None:
        """End the wait, and those to come."""
        self._closed.set()


class Blocks:
    """The blocks of files, one after another, in bounded memory.

    With `follow` the last file is read as it grows. When another file takes its name, the rest of
    the old one is read, including an incomplete last line, then rotated files in between, then the
    new one from its start.
    """

    def __init__(self, files: Turns, cut: Cut, reading: Reading, mark: Mark | None = None) -> None:
        """Read `files`, cut into records by `cut`, resuming at `mark`."""
        self._files = files
        self._cut = cut
        self._how = reading
        self._file: Opened | StandardInput | None = None
        self._name = ""
        self._pending = Pending()
        self._tried = 0
        self._mark = self.before = mark
        self._line = 1
        self._passed = Seen()
        self._begins = True
        self._long: _Long | None = None
        self._unended = False
        self._replaced = False
        # `close` may come from another thread, in the middle of a read or of a wait
        self._lock = Lock()
        self._waiting = Waiting()
        self.ended = False

    def next(self) -> Block | None:
        """The next block; None at the end (`ended` is true), or if there is none yet.

        Raises:
            SourceError: a file cannot be read, or has become shorter than what was read of it.
        """
        with self._lock:
            try:
                return self._next()
            except SourceError:
                raise
            except OSError as error:
                raise unreadable(self._name, error, self._passed.at) from error

    def wait(self) -> None:
        """Give a followed file a moment to grow; `close` ends the wait."""
        self._waiting.wait()

    @property
    def waited(self) -> float:
        """Seconds that were spent waiting for more."""
        piped = self._file.waited if isinstance(self._file, StandardInput) else 0.0
        return self._waiting.seconds + piped

    def mark(self) -> Mark:
        """The place after the last block, without its positions."""
        assert self._file is not None
        here = mark_at(self._name, self._file, self._passed)
        more = {
            "line": self._line,
            "unended": self._unended,
            "whole": self._is_whole(),
            "read": self._files.read,
        }
        return msgspec.structs.replace(here, **more)

    def beginning(self) -> Mark:
        """The place before the first block of the current file, without its positions."""
        assert self._file is not None
        here = mark_at(self._name, self._file, Seen())
        return msgspec.structs.replace(here, read=self._files.read)

    def _is_whole(self) -> bool:
        """Whether all of a file that does not grow has been passed."""
        file = self._file
        if self._followed or not isinstance(file, Opened) or len(self._pending) or self._long:
            return False
        if not file.compression:
            return file.seen.at >= file.size()
        # only reading on shows how much there is
        try:
            data = file.read(limits.BLOCK_BYTES)
        except SourceError:
            return False
        self._pending.add(data or b"")
        return not data

    @property
    def at(self) -> str:
        """The file being read."""
        return self._name

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._waiting.closed

    def close(self) -> None:
        """Let go of the file."""
        self._waiting.close()
        with self._lock:
            self.ended = True
            self._leave()

    def _next(self) -> Block | None:
        while not self.ended:
            if self._file is None:
                if not self._enter():
                    self.ended = self._files.ended
                    return None
            elif (block := self._pending_block(caught_up=False)) is not None:
                return block
            elif (data := self._read()) is None:
                return self._pending_block(caught_up=True)
            elif (block := self._block(data)) is not None:
                return block
        return None

    # ── from one file to the next ───────────────────────────────────────────────────────────────

    def _enter(self) -> bool:
        if self._mark is not None:
            mark, self._mark = self._mark, None
            self._go_on(mark)
            return True
        name = self._files.next()
        if name is None:
            return False
        self._name = name
        try:
            file = StandardInput(WAIT_SECONDS) if name == STDIN else Opened(name)
        except SourceError:
            if self._files.vanished(name):
                return self._enter()
            raise
        if file.compression and self._how.follow and self._files.last and not self._how.once:
            file.close()
            hint = "read it without follow=, or follow the file before it is compressed"
            message = f'"{file.name}" is compressed with {file.compression} and cannot be followed'
            raise SourceError(with_hint(message, hint))
        self._begin(file)
        return True

    def _begin(self, file: Opened | StandardInput) -> None:
        self._file = file
        self._pending, self._tried = Pending(), 0
        self._passed, self._line, self._begins = Seen(), 1, True
        self._long, self._unended, self._replaced = None, False, False

    @property
    def _followed(self) -> bool:
        if not (self._how.follow and self._files.last):
            return False
        # a compressed file does not grow, so do not wait for more
        return not (self._how.once and self._file is not None and self._file.compression)

    def _go_on(self, mark: Mark) -> None:
        """Resume at the mark of an earlier run."""
        self._files.go_to(mark)
        self._name = mark.file
        file = find(mark) if self._followed else at_mark(mark.file, mark)
        if file is None and mark.whole and self._files.vanished(mark.file):
            return
        if file is None:
            self._lost(mark)
            return
        self._file = file
        self._passed, self._line, self._begins = file.seen.copy(), mark.line, not mark.at
        if mark.unended and not self._followed:
            self._check_unended(file)

    def _check_unended(self, file: Opened) -> None:
        """Check that a last line that was read without its line end has not grown."""
        more = file.read(1)
        if more and more != b"\n" and not self._passed.tail.endswith(b"\r"):
            hint = "write whole lines; once=True leaves a line without a line end for later"
            message = f'"{file.name}": its last line, which had no line end, has grown since it was'
            raise SourceError(with_hint(f"{message} read, at byte {self._passed.at:,}", hint))
        if more == b"\n":
            self._passed.take(more)
        elif more:
            self._pending.add(more)

    def _lost(self, mark: Mark) -> None:
        """Handle that the file of a mark is missing."""
        what = "no longer exists" if not os.path.exists(mark.file) else "is another file now"
        message = (
            f'"{mark.file}" {what}: it had been read up to byte {mark.at:,}, line {mark.line:,}'
        )
        if not self._followed:
            hint = "files that were read must not change; restore it, or start with an empty "
            raise SourceError(with_hint(message, f"{hint}checkpoint and empty outputs"))
        message += ", and no file beside it has what was read"
        if not self._how.skip_lost:
            hint = 'put the rotated file back, or go on without its last lines: lost="skip"'
            raise SourceError(with_hint(message, hint))
        _log.warning("%s; the rest of it is not read", message)
        self._begin(Opened(mark.file))

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end_of_file(self) -> None:
        file = self._file
        assert file is not None
        if self._replaced and isinstance(file, Opened):
            path, doubt = self._behind(file)
            if path is None:
                self._replaced = False
                return
            if doubt:
                _log.warning("%s", doubt)
            self._leave()
            self._begin(Opened(path))
            return
        if (before := file.shorter_than()) is not None:
            hint = "a file must not be cut while it is read"
            message = (
                f'"{file.name}" was cut while it was read: it had {before:,} bytes, and has less'
            )
            raise SourceError(with_hint(message, hint))
        if isinstance(file, Opened):
            self._files.was_read(self._name)
        self._leave()

    # ── from bytes to records ───────────────────────────────────────────────────────────────────

    def _read(self) -> bytes | None:
        """More bytes; no bytes at the end of the file, None if more may come."""
        file = self._file
        assert file is not None
        if not self._followed or not isinstance(file, Opened):
            return file.read(limits.BLOCK_BYTES)
        if not file.compression and file.was_rewritten():
            self._file = file = self._copied(file)
        data = file.read(limits.BLOCK_BYTES)
        if data or self._replaced:
            return data
        if self._behind(file)[0] is None:
            return None
        # its writer may have appended to it until now
        self._replaced = True
        return file.read(limits.BLOCK_BYTES)

    def _behind(self, file: Opened) -> tuple[str | None, str]:
        return behind(file, self._name, self._mark_read(file), lost_ok=self._how.skip_lost)

    def _mark_read(self, file: Opened) -> Mark:
        """The place after all that was read of the file."""
        return mark_at(self._name, file, file.seen)

    def _copied(self, file: Opened) -> Opened:
        """The copy that was made of a file before it was cut."""
        mark = self._mark_read(file)
        copy = find(mark)
        if copy is None:
            size = file.size()
            hint = "what was cut off cannot be told from what came after: start a new run"
            message = f'"{file.name}" was cut to {size} bytes after {mark.at} had been read'
            if size >= mark.at:
                message = f'"{file.name}" was rewritten after {mark.at} bytes had been read'
            raise SourceError(with_hint(message, hint))
        message = "was copied and cut: lines written between the copy and the cut are in neither"
        _log.warning('"%s" %s', file.name, message)
        file.close()
        return copy

    def _block(self, data: bytes) -> Block | None:
        if self._long is not None:
            return self._past(data)
        self._pending.add(data)
        if (block := self._pending_block(caught_up=len(data) < limits.BLOCK_BYTES)) is not None:
            return block
        if not data and self._long is None:
            return self._last_block()
        return None

    def _pending_block(self, *, caught_up: bool) -> Block | None:
        """Complete records from the bytes read, or the start of one that is too long."""
        pending, enough = self._pending, self._how.line_bytes_max + 2
        full = len(pending) >= enough
        # bytes without a complete record are scanned again at twice the size, or at the end
        if not len(pending) or not (full or caught_up or len(pending) >= 2 * self._tried):
            return None
        text = pending.first(enough)
        if end := self._cut.whole(text):
            self._tried = 0
            return self._taken(pending.take(end))
        self._tried = len(pending)
        if not full:
            return None
        self._tried = 0
        if (line := self._cut.line_end(text)) is not None:
            return self._taken(pending.take(line[1] or 1), fault=_OPEN_QUOTE)
        self._long = _Long(text[:SHOWN_BYTES])
        return self._past(pending.take(len(pending)))

    def _past(self, data: bytes) -> Block | None:
        """Skip a line that is too long."""
        long = self._long
        assert long is not None and self._file is not None
        line = self._cut.line_end(data)
        if line is None and data:
            long.size += len(data)
            self._passed.take(data)
            return None
        end, after = line or (0, 0)
        limit = self._how.line_bytes_max
        message = f"it has {long.size + end:,} bytes, more than line_bytes_max={limit:,}"
        block = Block(self._file.name, self._line, long.shown, self._begins, message)
        self._passed.take(data[:after])
        self._line += self._cut.line_ends(data[:after])
        self._begins, self._unended, self._long = False, line is None, None
        self._pending.add(data[after:])
        return block

    def _last_block(self) -> Block | None:
        """The rest at the end of a file, including an incomplete last line."""
        text = self._pending.first(len(self._pending))
        if not text:
            self._end_of_file()
            return None
        added = b"" if text.endswith(b"\n") else b"\n"
        end = self._cut.whole(text + added)
        if end > len(text):
            return self._taken(self._pending.take(len(text)), added=added)
        if end:
            return self._taken(self._pending.take(end))
        line = self._cut.line_end(text)
        end = len(text) if line is None else line[1] or 1
        return self._taken(self._pending.take(end), fault=_OPEN_QUOTE)

    def _taken(self, text: bytes, *, fault: str = "", added: bytes = b"") -> Block:
        assert self._file is not None
        self._passed.take(text)
        self._unended = bool(added)
        if self._begins:
            text = text.removeprefix(_BOM)
        block = Block(self._file.name, self._line, text + added, self._begins, fault)
        self._begins = False
        self._line += self._cut.line_ends(block.text)
        return block


_OPEN_QUOTE = "a quote is opened and never closed"


@dataclass(slots=True)
class _Long:
    """A line that is too long: its start, and how many bytes of it were skipped."""

    shown: bytes
    size: int = 0


def mark_at(name: str, file: Opened | StandardInput, seen: Seen) -> Mark:
    """The place in a file after the samples `seen`."""
    head, tail = digest(seen.head), digest(seen.tail)
    return Mark(name, {}, file.device, file.inode, seen.at, head=head, tail=tail)
