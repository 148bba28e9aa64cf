"""Windows: each file makes the node of one, and writes that of a saved plan as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from muntin.pipeline.windows.aligned import aligned_text
from muntin.pipeline.windows.session import session_text
from muntin.pipeline.windows.silent import silent_text
from muntin.pipeline.windows.sliding import history_text, sliding_text

TEXTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "tumbling": aligned_text,
    "hopping": aligned_text,
    "cumulative": aligned_text,
    "session": session_text,
    "sliding": sliding_text,
    "history": history_text,
    "silent": silent_text,
}
"""What writes a verb of a saved plan as a user would type it."""
