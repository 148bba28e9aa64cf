"""The settings of librdkafka that a user may pass, and those that muntin sets itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from muntin.base.arguments import kind
from muntin.base.errors import MuntinError, SourceError, did_you_mean, with_hint
from muntin.clients.kafka.secrets import Secrets, is_secret

_FUNCTIONS = frozenset({"oauth_cb"})
"""Settings whose value is a function, which a user may pass."""

_WATCHED = "muntin reads it itself, for its log, its metrics and the state of the connection"

OF_ALL: Mapping[str, str] = {
    "bootstrap.servers": "write servers=",
    "metadata.broker.list": "write servers=",
    "error_cb": _WATCHED,
    "stats_cb": _WATCHED,
    "throttle_cb": _WATCHED,
    "logger": _WATCHED,
    "statistics.interval.ms": _WATCHED,
    "log_level": 'set the level of the logger "muntin.kafka"',
    "log.queue": 'librdkafka logs to "muntin.kafka.librdkafka"',
    "allow.auto.create.topics": "muntin creates no topics: a misspelt one would be empty",
    "enable.sparse.connections": "leave it out",
    "test.mock.num.brokers": "give the addresses of the brokers as servers=",
}
"""What no client takes from a user, and what to do instead."""

_ASSIGNED = "muntin reads all partitions itself and keeps the positions in its checkpoint"
_EXACT = "reading would not be exact; muntin sets it"

_IN_A_GROUP = "the group assigns partitions only to runs that share them: see partitioned_by="

OF_MEMBERS: Mapping[str, str] = {
    "group.instance.id": _IN_A_GROUP,
    "group.protocol": _IN_A_GROUP,
    "group.remote.assignor": _IN_A_GROUP,
    "partition.assignment.strategy": _IN_A_GROUP,
}
"""What only a source with `partitioned_by=` takes from a user."""

CONSUMER: Mapping[str, str] = {
    **OF_ALL,
    "group.id": "write group=",
    "enable.auto.commit": _ASSIGNED,
    "auto.commit.enable": _ASSIGNED,
    "auto.commit.interval.ms": _ASSIGNED,
    "enable.auto.offset.store": _ASSIGNED,
    "offset.store.method": _ASSIGNED,
    "on_commit": _ASSIGNED,
    "auto.offset.reset": 'write start="earliest" or start="latest"',
    "isolation.level": f"{_EXACT} to read_committed",
    "enable.partition.eof": f"{_EXACT} to true",
    "consume.callback.max.messages": "leave it out",
    "transactional.id": "it is a setting of sinks",
    "enable.idempotence": "it is a setting of sinks",
}
"""What a source does not take from a user, and what to do instead."""

PRODUCER: Mapping[str, str] = {
    **OF_ALL,
    "group.id": "it belongs to the source",
    "transactional.id": "muntin names the transactions after the run",
    "transaction.timeout.ms": "it follows from every= of the checkpoint",
    "enable.idempotence": "muntin sets it to true, so that no row is written twice",
    "acks": "muntin sets it to all, so that no row is lost",
    "request.required.acks": "muntin sets it to all, so that no row is lost",
    "max.in.flight.requests.per.connection": "muntin sets it, so that rows stay in order",
    "max.in.flight": "muntin sets it, so that rows stay in order",
    "enable.gapless.guarantee": "muntin sets it",
    "on_delivery": _WATCHED,
    "delivery.report.only.error": _WATCHED,
    "dr_cb": _WATCHED,
    "dr_msg_cb": _WATCHED,
    "isolation.level": f"{_EXACT} to read_committed",
}
"""What a sink does not take from a user, and what to do instead."""

_FREQUENT = """
    security.protocol sasl.mechanism sasl.username sasl.password sasl.oauthbearer.method
    sasl.oauthbearer.client.id sasl.oauthbearer.client.secret sasl.oauthbearer.token.endpoint.url
    ssl.ca.location ssl.ca.pem ssl.certificate.location ssl.certificate.pem ssl.key.location
    ssl.key.pem ssl.key.password ssl.endpoint.identification.algorithm client.id client.rack
    fetch.wait.max.ms fetch.min.bytes fetch.max.bytes fetch.message.max.bytes
    max.partition.fetch.bytes queued.max.messages.kbytes queued.min.messages
    receive.message.max.bytes message.max.bytes linger.ms batch.size batch.num.messages
    compression.type compression.codec queue.buffering.max.messages queue.buffering.max.kbytes
    request.timeout.ms delivery.timeout.ms message.timeout.ms transaction.timeout.ms
    socket.timeout.ms socket.keepalive.enable metadata.max.age.ms topic.metadata.refresh.interval.ms
    broker.address.family reconnect.backoff.ms reconnect.backoff.max.ms session.timeout.ms
    max.poll.interval.ms check.crcs debug
""".split()


class Settings(Mapping[str, Any]):
    """Settings that a user passes to librdkafka; their values are never shown.

    >>> given = Settings({"security.protocol": "SASL_SSL", "sasl.password": "s3cret"}, "Kafka")
    >>> given
    Settings(security.protocol, sasl.password)
    >>> import pickle
    >>> pickle.dumps(given)
    Traceback (most recent call last):
        ...
    muntin.SourceError: Kafka: settings with secrets (sasl.password) cannot be pickled
    hint: make the source or sink in the process that runs it
    """

    __slots__ = ("_error", "_place", "_values", "secrets")

    def __init__(
        self,
        given: object,
        place: str,
        *,
        error: type[MuntinError] = SourceError,
        owned: Mapping[str, str] = OF_ALL,
    ) -> None:
        """Check names and values.

        Args:
            given: a mapping of names to values, or None.
            place: the source or sink, for messages.
            error: the class of errors.
            owned: settings that may not be passed, and what to do instead.

        Raises:
            MuntinError: as `error`: it is not a mapping, or one of the settings is not allowed.
        """
        if given is None:
            given = {}
        if not isinstance(given, Mapping):
            hint = 'write a dict: settings={"security.protocol": "SASL_SSL"}'
            raise error(with_hint(f"{place}: settings= is {kind(given)}, not a dict", hint))
        for name, value in given.items():
            _check(name, value, place, error, owned)
        self._values = dict(given)
        self._place = place
        self._error = error
        self.secrets = Secrets(str(self._values[name]) for name in self._secret())

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        """The names alone."""
        return f"Settings({', '.join(self._values)})"

    def __deepcopy__(self, memo: object = None) -> Settings:
        """Itself, since it does not change."""
        return self

    __copy__ = __deepcopy__

    def __reduce_ex__(self, protocol: object) -> Any:
        """Refused where there are secrets: a pickle would carry them to a disk or a network."""
        if secret := [*self._secret(), *(name for name in self if name in _FUNCTIONS)]:
            message = (
                f"{self._place}: settings with secrets ({', '.join(secret)}) cannot be pickled"
            )
            raise self._error(
                with_hint(message, "make the source or sink in the process that runs it")
            )
        return _again, (self._values, self._place, self._error)

    def explained(self, text: str) -> str:
        """The message for settings that librdkafka refuses, without secret values."""
        hint = None
        text = self.secrets.hidden(text.strip())
        if "o such configuration property" in text:
            name = text.partition('"')[2].rpartition('"')[0]
            hint = did_you_mean(name, _FREQUENT)
            text = f'unknown setting "{name}"'
        hint = hint or "the names and values are those of librdkafka's CONFIGURATION.md"
        return with_hint(f"{self._place}: settings: {text[:1].lower()}{text[1:]}", hint)

    def _secret(self) -> list[str]:
        return [
            name
            for name, value in self._values.items()
            if is_secret(name) and not isinstance(value, bool) and not callable(value)
        ]


def _again(values: dict[str, Any], place: str, error: type[MuntinError]) -> Settings:
    return Settings(values, place, error=error, owned={})


def _check(
    name: object, value: object, place: str, error: type[MuntinError], owned: Mapping[str, str]
) -> None:
    if not isinstance(name, str) or not name:
        hint = 'write settings={"security.protocol": "SASL_SSL"}'
        raise error(with_hint(f"{place}: a name in settings= is {kind(name)}, not a text", hint))
    if name in owned:
        raise error(with_hint(f'{place}: settings: "{name}" cannot be set', owned[name]))
    if name in _FUNCTIONS:
        if not callable(value):
            hint = "give a function that returns (token, the time when it expires)"
            raise error(with_hint(f'{place}: settings: "{name}" is {kind(value)}', hint))
    elif not isinstance(value, str | int | float):  # a bool is an int
        message = f'{place}: settings: the value of "{name}" is {kind(value)}'
        raise error(with_hint(message, "give a text, a number, True or False"))
    elif isinstance(value, str) and "\0" in value:
        raise error(f'{place}: settings: the value of "{name}" has a zero byte')
