"""Directory syncing, so that new file names survive a crash."""

from __future__ import annotations

import os


def sync_directory(path: str) -> None:
    """Make names in a directory outlive a crash; nothing to do where a system cannot."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
