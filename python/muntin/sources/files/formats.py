"""Detects from a file's first bytes that it is not the expected text, and says what it is."""

from __future__ import annotations

from muntin.base.errors import SourceError, with_hint

SAMPLE_BYTES = 512
"""How many of the first bytes are examined."""

_COMPRESSED = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_ENDINGS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}

_DELIMITERS = (b",", b";", b"\t", b"|")
_PARQUET = "read it with mt.sources.Parquet"
_ARROW = "read it with mt.sources.Arrow(pyarrow.ipc.open_file(...).read_all())"
_UNPACK = "unpack it first, or compress it with gzip or zstd"
_UTF8 = "convert it: iconv -f {} -t UTF-8"
_OTHERS = {
    b"PAR1": ("a Parquet file", _PARQUET),
    b"ARROW1\x00\x00": ("an Arrow file", _ARROW),
    b"Obj\x01": ("an Avro file", "convert it to Parquet or JSON lines"),
    b"SQLite format 3\x00": ("an SQLite database", "select its rows into an Arrow table"),
    b"BZh91AY&SY": ("compressed with bzip2", _UNPACK),
    b"\xfd7zXZ\x00": ("compressed with xz", _UNPACK),
    b"\x04\x22\x4d\x18": ("compressed with lz4", _UNPACK),
    b"PK\x03\x04": ("a zip archive", _UNPACK),
    b"\xff\xfe\x00\x00": ("UTF-32 text", _UTF8.format("UTF-32")),
    b"\x00\x00\xfe\xff": ("UTF-32 text", _UTF8.format("UTF-32")),
    b"\xff\xfe": ("UTF-16 text", _UTF8.format("UTF-16")),
    b"\xfe\xff": ("UTF-16 text", _UTF8.format("UTF-16")),
}


def compression_of(start: bytes) -> str | None:
    """The compression of a file that starts with these bytes: "gzip", "zstd" or None.

    >>> compression_of(b"\\x1f\\x8b\\x08\\x00")
    'gzip'
    """
    return next((kind for magic, kind in _COMPRESSED.items() if start.startswith(magic)), None)


def ending_of(name: str) -> tuple[str, str]:
    """A file's name without the ending of a compression, and that compression or an empty text.

    >>> ending_of("log.jsonl.gz")
    ('log.jsonl', 'gzip')
    """
    for ending, kind in _ENDINGS.items():
        if name.lower().endswith(ending):
            return name[: -len(ending)], kind
    return name, ""


def check_text(name: str, start: bytes) -> None:
    """Check that a file does not start like one of another format.

    Raises:
        SourceError: it is Parquet, UTF-16, an archive and so on; the message says which.

    >>> check_text("a.csv", b"PAR1")
    Traceback (most recent call last):
    muntin.SourceError: "a.csv" is not text: it is a Parquet file
    hint: read it with mt.sources.Parquet
    """
    for magic, (what, hint) in _OTHERS.items():
        if start.startswith(magic):
            raise SourceError(with_hint(f'"{name}" is not text: it is {what}', hint))
    # a log that was cut while its writer kept its offset begins with NUL bytes
    text = start.lstrip(b"\x00")
    nuls = text.count(b"\x00")
    if nuls * 4 > len(text) >= 8:
        hint = 'if it is UTF-16: "iconv -f UTF-16LE -t UTF-8"'
        message = f'"{name}" is not UTF-8 text: {nuls} of its first {len(start)} bytes are NUL'
        raise SourceError(with_hint(message, hint))


def check_json_lines(name: str, text: bytes) -> None:
    """Check that a file does not start with a JSON array or CSV.

    Raises:
        SourceError: they are.

    >>> check_json_lines("a.json", b'[{"n": 1}, {"n": 2}]')
    Traceback (most recent call last):
    muntin.SourceError: "a.json" is not JSON lines: it is a JSON array
    hint: read its rows with mt.sources.Rows(json.load(open("a.json")))
    """
    start = text.lstrip()
    if start.startswith(b"[") and start[1:].lstrip()[:1] in (b"{", b""):
        hint = f'read its rows with mt.sources.Rows(json.load(open("{name}")))'
        raise SourceError(with_hint(f'"{name}" is not JSON lines: it is a JSON array', hint))
    lines = text.split(b"\n", 3)[:3]
    if len(lines) > 2 and b"{" not in text:
        for mark in _DELIMITERS:
            if lines[0].count(mark) == lines[1].count(mark) > 0:
                hint = f'read it with mt.sources.Csv("{name}")'
                raise SourceError(with_hint(f'"{name}" is not JSON lines: it looks like CSV', hint))


def check_csv(name: str, text: bytes) -> None:
    """Check that a file's first line is not a JSON object.

    Raises:
        SourceError: it is.
    """
    line = text.lstrip().partition(b"\n")[0].strip()
    if line.startswith(b'{"') and line.endswith(b"}"):
        hint = f'read it with mt.sources.JsonLines("{name}")'
        raise SourceError(with_hint(f'"{name}" is not CSV: its first line is a JSON object', hint))
