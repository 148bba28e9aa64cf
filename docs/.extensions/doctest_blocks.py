"""Fences the doctests of docstrings, so that the API pages show them as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

# an example, with what it prints, up to the next empty line
_EXAMPLE = re.compile(r"^>>> .*?(?=\n[ \t]*\n|\Z)", re.M | re.S)


class DoctestBlocks(griffe.Extension):
    """Adds the fences when a docstring is loaded."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence the examples of one object."""
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.value = _EXAMPLE.sub(lambda m: f"```pycon\n{m[0]}\n```", text)
