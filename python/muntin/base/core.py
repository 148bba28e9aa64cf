"""The compiled core. This is the one file that imports it."""

from muntin._core import (
    VERSION,
    Batches,
    Engine,
    Step,
    assemble,
    check,
    contents,
    encode,
    encode_lines,
    fit,
    json_lines,
    limits,
    may_fit,
    schema_of_words,
    schema_words,
)

__all__ = [
    "VERSION",
    "Batches",
    "Engine",
    "Step",
    "assemble",
    "check",
    "contents",
    "encode",
    "encode_lines",
    "fit",
    "json_lines",
    "limits",
    "may_fit",
    "schema_of_words",
    "schema_words",
]
