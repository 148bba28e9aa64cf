"""Makes consumers, producers and administrators of one cluster, all with the same settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muntin.base.arguments import several, shown
from muntin.base.errors import MuntinError, SourceError, with_hint
from muntin.clients.kafka.errors import hint_of, name_of, text_of
from muntin.clients.kafka.events import Events, Lines
from muntin.clients.kafka.library import library
from muntin.clients.kafka.settings import OF_ALL, Settings

_UNREACHED = frozenset({"_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN"})


class Client:
    """The way to a cluster: its servers, and a user's settings.

    >>> client = Client("localhost:9092", {"sasl.password": "s3cret"}, "Kafka")
    >>> client
    Client('localhost:9092')
    """

    def __init__(
        self,
        servers: Any,
        settings: Any = None,
        place: str = "Kafka",
        *,
        error: type[MuntinError] = SourceError,
        owned: Mapping[str, str] = OF_ALL,
    ) -> None:
        """Check the arguments; confluent-kafka is imported when the first client is made.

        Args:
            servers: `"host:port"`, several with commas between, or a list of them.
            settings: what to pass to librdkafka, by the names of its documentation.
            place: the source or sink, for messages.
            error: the class of errors.
            owned: settings that may not be passed, and what to do instead.

        Raises:
            MuntinError: as `error`: an argument is wrong.
        """
        self.place = place
        self.error = error
        self.servers = _servers(servers, place, error)
        self.settings = Settings(settings, place, error=error, owned=owned)

    def __repr__(self) -> str:
        """Its servers."""
        return f"Client({self.servers!r})"

    def consumer(self, own: Mapping[str, Any], events: Events | None = None) -> Any:
        """A `confluent_kafka.Consumer` with muntin's `own` settings besides the user's.

        Raises:
            MissingExtra: confluent-kafka is not installed.
            MuntinError: as `error`: librdkafka refuses the settings.
        """
        return self._made(library(self.place).Consumer, own, events)

    def producer(self, own: Mapping[str, Any], events: Events | None = None) -> Any:
        """A `confluent_kafka.Producer` with muntin's `own` settings besides the user's.

        Raises:
            As `consumer`.
        """
        return self._made(library(self.place).Producer, own, events)

    def admin(self, events: Events | None = None) -> Any:
        """A `confluent_kafka.admin.AdminClient`.

        Raises:
            As `consumer`.
        """
        return self._made(library(self.place).admin.AdminClient, {}, events)

    def events(self, *, warns: bool = False) -> Events:
        """For the callbacks of one client; `warns` logs when the brokers are gone, and back."""
        return Events(self.place, self.text, warns=warns)

    def text(self, error: Any) -> str:
        """An error of librdkafka as plain text without secrets."""
        return self.settings.secrets.hidden(text_of(error))

    def failed(self, what: str, error: Any, events: Events | None = None) -> MuntinError:
        """The error to raise for one of librdkafka: `what` could not be done.

        Args:
            what: what failed, as in `"the topics cannot be read"`.
            error: the exception or `KafkaError`.
            events: those of the client, for the reason of a failed connection.
        """
        reason, hint = self.text(error), hint_of(error)
        if events is not None and events.trouble and name_of(error) in _UNREACHED:
            reason, hint = events.trouble, events.hint or hint
        message = f'{self.place}: {what} at "{self.servers}": {reason}'
        return self.error(with_hint(message, hint))

    def _made(self, kind: Any, own: Mapping[str, Any], events: Events | None) -> Any:
        values = {"client.id": "muntin", **self.settings, **own, "bootstrap.servers": self.servers}
        values["logger"] = Lines(self.settings.secrets.hidden)
        if events is not None:
            values["error_cb"] = events.error
            if values.get("statistics.interval.ms"):
                values["stats_cb"] = events.statistics
        try:
            return kind(values)
        except Exception as error:
            found = self.settings.explained(self.text(error).removesuffix(" (_INVALID_ARG)"))
        # outside of the block: the traceback of librdkafka's error could show values
        raise self.error(found)


def _servers(given: Any, place: str, error: type[MuntinError]) -> str:
    hint = 'write servers="localhost:9092"'
    if isinstance(given, str):
        parts = given.split(",")
    else:
        parts = list(several(given, f"{place}: servers", "texts", error=error))
    found = []
    for part in parts:
        if not isinstance(part, str):
            raise error(with_hint(f"{place}: servers={shown(part)} is not a text", hint))
        if "@" in part:  # never shown: it may hold a password
            hint = 'write settings={"sasl.username": ..., "sasl.password": ...}'
            raise error(with_hint(f"{place}: servers= with a user in an address", hint))
        if not part.strip() or any(each.isspace() or each == "\0" for each in part.strip()):
            raise error(with_hint(f"{place}: servers={shown(given)} has no address", hint))
        found.append(part.strip())
    if not found:
        raise error(with_hint(f"{place}: servers= has no address", hint))
    return ",".join(found)
