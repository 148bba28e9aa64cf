"""Which settings are secret, and how their values are kept out of texts."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "[hidden]"

_SECRET = re.compile(
    r"pass(word|wd|phrase)?\b|secret|token|credential|jaas|private|api.?key|assertion"
    r"|oauthbearer|\.pem\b|\bpem\b|\.key\b|\bkeytab\b",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"(location|url|method|mechanisms?|protocol|policy|format|algorithm)$", re.I)
_PARTS = re.compile(r"[\s=,;:&\"'{}\[\]\\]+")
_PART_MIN = 4


def is_secret(name: str) -> bool:
    """Whether the value of a setting must not be shown: known secrets, and what looks like one.

    >>> [is_secret(name) for name in ("sasl.password", "ssl.key.location", "linger.ms")]
    [True, False, False]
    """
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


class Secrets:
    """The secret values of a client; takes them out of texts that librdkafka made.

    A text may quote only a part of a value, so the words of a value are taken out as well.
    """

    __slots__ = ("_words",)

    def __init__(self, values: Iterable[str]) -> None:
        """Keep the values, the longest first."""
        words = set()
        for value in values:
            parts = [part for part in _PARTS.split(value) if len(part) >= _PART_MIN]
            words |= {value, value.strip(), *parts} - {""}
        self._words = sorted(words, key=len, reverse=True)

    def __repr__(self) -> str:
        """Without the values."""
        return f"Secrets({len(self._words)})"

    def hidden(self, text: str) -> str:
        """The text without secret values.

        >>> Secrets(["principal=me password=s3cret"]).hidden('wrong: "password=s3cret"')
        'wrong: "[hidden]=[hidden]"'
        """
        for word in self._words:
            text = text.replace(word, HIDDEN)
        return text
