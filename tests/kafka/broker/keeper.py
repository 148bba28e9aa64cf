"""Starts a broker and ends it with its last user: `python keeper.py DIRECTORY COMMAND...`.

Users hold a shared lock on the file `users`. The kernel drops the lock of a process that dies,
however that happens: a test run that is killed leaves no broker. On Linux the broker dies with
this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

PR_SET_PDEATHSIG = 1


LIBC = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Have the kernel end this process with the thread that started it, where it can."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(place: Path, command: list[str]) -> None:
    with (place / "log").open("ab") as log:
        broker = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=place, preexec_fn=die_with_parent
        )
    (place / "pid.new").write_text(str(broker.pid))
    (place / "pid.new").rename(place / "pid")

    def end_with_broker() -> None:
        broker.wait()
        if not unused.is_set():  # killed by a test, which may start it again
            os._exit(0)

    unused = threading.Event()
    threading.Thread(target=end_with_broker, daemon=True).start()
    with (place / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        unused.set()
        (place / "servers").unlink(missing_ok=True)
        broker.send_signal(signal.SIGCONT)
        broker.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            broker.wait(3)
        broker.kill()
        broker.wait()
        gone = place.with_name(f"{place.name}.{os.getpid()}")
        place.rename(gone)  # at once: the next broker may take the place
        shutil.rmtree(gone, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
