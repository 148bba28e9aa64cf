"""Memory of this process, where the system says it (Linux)."""

from __future__ import annotations

import gc
import resource
from pathlib import Path

STATUS = Path("/proc/self/status")


def now() -> int:
    """Bytes in memory."""
    return _read("VmRSS:")


def peak() -> int:
    """The most bytes in memory since `reset`; where that is not known, since the start."""
    return _read("VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset() -> None:
    """Begin a new peak here."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def children() -> int:
    """The largest ended child."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _read(word: str) -> int:
    if not STATUS.exists():
        return 0
    for line in STATUS.read_text().splitlines():
        if line.startswith(word):
            return int(line.split()[1]) * 1024
    return 0
