"""The texts and hints of librdkafka's errors."""

from __future__ import annotations

import re
from typing import Any

from muntin.base.errors import CommitCause

_REACH = "is a broker running there? check servers= and security.protocol in settings="
_LOGIN = "check sasl.mechanism, sasl.username and sasl.password in settings="
_TOPIC = "create the topic first, or check its name: muntin creates no topics"
_SMALL = (
    'for messages that large raise "receive.message.max.bytes" in settings=; if there are none, '
    "check security.protocol"
)
_LARGE = "raise message.max.bytes in settings= and max.message.bytes of the topic"

_HINTS = {
    "_TRANSPORT": _REACH,
    "_ALL_BROKERS_DOWN": _REACH,
    "_RESOLVE": _REACH,
    "_TIMED_OUT": _REACH,
    "_AUTHENTICATION": _LOGIN,
    "SASL_AUTHENTICATION_FAILED": _LOGIN,
    "_SSL": "check security.protocol, ssl.ca.location and the name of the host",
    "UNKNOWN_TOPIC_OR_PART": _TOPIC,
    "_UNKNOWN_TOPIC": _TOPIC,
    "_UNKNOWN_PARTITION": _TOPIC,
    "TOPIC_EXCEPTION": _TOPIC,
    "MSG_SIZE_TOO_LARGE": _LARGE,
    "RECORD_LIST_TOO_LARGE": _LARGE,
    "_BAD_MSG": _SMALL,
    "_FENCED": "another process runs with the same name; let only one run at a time",
    "INVALID_PRODUCER_EPOCH": "another process runs with the same name; let only one run at a time",
}


_TOO_LARGE = frozenset({"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"})
_FENCED = frozenset({"_FENCED", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"})
_LATE = frozenset(
    {"_TIMED_OUT", "_MSG_TIMED_OUT", "_TIMED_OUT_QUEUE", "REQUEST_TIMED_OUT", "_TRANSPORT"}
    | {"_ALL_BROKERS_DOWN", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS"}
)


def text_of(error: Any) -> str:
    """An error of librdkafka as plain text, with its name.

    >>> from confluent_kafka import KafkaError
    >>> text_of(KafkaError(3))
    'unknown topic or partition (UNKNOWN_TOPIC_OR_PART)'
    """
    error = inner(error)
    if not hasattr(error, "name"):
        return f"{type(error).__name__}: {error}"
    text = re.sub(r"^(Broker|Local): ", "", error.str() or "").strip()
    text = re.sub(r"\s+", " ", text)
    first = text.split(" ")[0]
    if first[1:].islower():  # not SASL, SSL
        text = text[:1].lower() + text[1:]
    name = error.name()
    return f"{text} ({name})" if text else str(name)


def cause_of(error: Any) -> CommitCause:
    """The kind of an error that lost a commit.

    >>> from confluent_kafka import KafkaError
    >>> cause_of(KafkaError(KafkaError._FENCED)), cause_of(SystemError())
    ('fenced', 'client')
    """
    name = name_of(error)
    if name in _FENCED:
        return "fenced"
    if name in _LATE:
        return "timeout"
    return "refused" if name else "client"


def remedy_of(error: Any) -> str | None:
    """What must be changed before a call can succeed; None if another try may.

    >>> from confluent_kafka import KafkaError
    >>> remedy_of(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)) is None, remedy_of(SystemError())
    (False, None)
    """
    return hint_of(error) if name_of(error) in _TOO_LARGE else None


def hint_of(error: Any) -> str | None:
    """What to do about an error of librdkafka, if that is known.

    >>> from confluent_kafka import KafkaError
    >>> hint_of(KafkaError(3))
    'create the topic first, or check its name: muntin creates no topics'
    """
    name = name_of(error)
    if name.endswith("AUTHORIZATION_FAILED"):
        what = name.removesuffix("_AUTHORIZATION_FAILED").lower().replace("_", " ")
        return f"the user has no access to the {what}: it needs an ACL"
    return _HINTS.get(name)


def name_of(error: Any) -> str:
    """The name of an error of librdkafka; an empty text for other errors."""
    error = inner(error)
    return str(error.name()) if hasattr(error, "name") else ""


def inner(error: Any) -> Any:
    """The error that an exception of confluent-kafka carries."""
    args = getattr(error, "args", ())
    return args[0] if args and hasattr(args[0], "name") else error
