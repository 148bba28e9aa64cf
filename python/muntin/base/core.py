"""The compiled core. This is the one file that imports it."""

from muntin._core import (
    Batches,
    Engine,
    Step,
    assemble,
    check,
    contents,
    fit,
    limits,
    may_fit,
    schema_of_words,
    schema_words,
)

__all__ = [
    "Batches",
    "Engine",
    "Step",
    "assemble",
    "check",
    "contents",
    "fit",
    "limits",
    "may_fit",
    "schema_of_words",
    "schema_words",
]
