"""The other process: `muntin run app.py`, started again if somebody kills it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from muntin.base.errors import MuntinError, with_hint
from muntin.commands.demo.kafka import app
from muntin.commands.demo.kafka.names import Names

_END_S = 30.0
_LINES = 15


class Child:
    """A run in a process of its own, which logs to a file."""

    def __init__(self, names: Names, log: Path, page: str | None) -> None:
        """Start it; `page` is the address of its page."""
        self._names = names
        self._log = log
        self._page = page
        self.starts = 0
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        command = [sys.executable, "-m", "muntin", "run", str(app.__file__)]
        command += [] if self._page is None else ["--dashboard", self._page]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._names.environment(), start_new_session=True,
            )  # fmt: skip

    def look(self) -> bool:
        """Whether it was killed and has been started again.

        Raises:
            MuntinError: it has failed.
        """
        code = self._process.poll()
        if code is None:
            return False
        if code >= 0:
            lines = self._log.read_text(errors="replace").splitlines()[-_LINES:]
            message = f"the run has ended with code {code}:\n" + "\n".join(lines)
            raise MuntinError(with_hint(message, f"its log is {self._log}"))
        self._process = self._start()
        return True

    def end(self) -> None:
        """Let it take its last checkpoint, and end."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
