"""Writes the calls of verbs as a user would type them."""

from __future__ import annotations

from collections.abc import Sequence

from muntin.values.literals import quote


def call_text(verb: str, arguments: Sequence[object], /, **named: object) -> str:
    """A call as a user would type it; named arguments that are None are left out."""
    parts = [_shown(a) for a in arguments]
    parts += (f"{name}={_shown(value)}" for name, value in named.items() if value is not None)
    return f".{verb}({', '.join(parts)})"


def by_text(keys: Sequence[str]) -> object:
    """A key as a user would type it; None for no key."""
    return None if not keys else keys[0] if len(keys) == 1 else list(keys)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return repr(value)
