"""A transactional producer of Kafka: rows, offsets and a pointer that become visible together.

The order of calls and the answer to each failure are those of the exactly-once protocol of Kafka
(KIP-98, KIP-447), with what clients must add as long as the broker may delay a request past its
transaction (KIP-890): after any failure that is not repeated with success the producer is given up,
and a new one fences the old.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from muntin.base.errors import CommitLost, SinkError
from muntin.clients.kafka.client import Client
from muntin.clients.kafka.errors import cause_of, remedy_of
from muntin.clients.kafka.library import library
from muntin.clients.kafka.repeats import INTERVAL_MS, Repeats

_log = logging.getLogger("muntin.kafka")

_ABORT_S = 5.0
_CALL_S = 5.0
_LATE_S = 5.0  # how much longer than its timeout a call may take
_FULL_S = 0.05
_POLL_EVERY = 4_096

T = TypeVar("T")


class TransactionLost(CommitLost):
    """A transaction did not commit, or nobody knows whether it did; its producer is given up."""


@dataclass(frozen=True, slots=True)
class Offset:
    """An offset of a group to commit.

    Attributes:
        topic: the topic.
        partition: the partition.
        offset: the offset of the next record to read.
        metadata: text kept with it; at most 4,095 ASCII characters.
    """

    topic: str
    partition: int
    offset: int
    metadata: str = ""


class Transaction:
    """Sends records in transactions. One at a time may use a transactional id."""

    def __init__(
        self,
        client: Client,
        transactional_id: str,
        timeout: float,
    ) -> None:
        """Keep the arguments; `start` connects.

        Args:
            client: the way to the cluster.
            transactional_id: the same for each run of a pipeline; a newer run fences the older.
            timeout: seconds after which the broker aborts a transaction that does not end.
        """
        self._client = client
        self._library = library(client.place)
        self._id = transactional_id
        self._timeout = timeout
        self._producer: Any = None
        self._groups: dict[tuple[str, bool], tuple[Any, Any]] = {}
        self._open = False
        self._sent = 0
        self._topics: list[str] = []
        self._mark: tuple[str, Offset] | None = None
        self._repeated = False
        self._repeats: Repeats | None = None

    @property
    def id(self) -> str:
        """The transactional id."""
        return self._id

    def start(self, topics: Iterable[str], mark: tuple[str, Offset]) -> None:
        """Fence every earlier producer of the same id, and end what it left open.

        A broker that comes back after an outage longer than the timeout may forget to mark the end
        of a transaction that timed out; records of the next one would then publish those of the
        lost one. So a first transaction touches every partition that is written, and is aborted.

        Args:
            topics: the topics that are written.
            mark: a group and an offset of it that transactions commit.

        Raises:
            TransactionLost: the brokers do not answer in time.
        """
        self.give_up()
        self._topics, self._mark = list(topics), mark
        # no callback for records: what fails is the answer of a later call, and one in `flush`
        # together with a fatal error breaks the client
        own: dict[str, Any] = {"transactional.id": self._id}
        own["transaction.timeout.ms"] = int(self._timeout * 1e3)
        own |= {"enable.idempotence": True, "statistics.interval.ms": INTERVAL_MS}
        events = self._client.events()
        self._producer = self._client.producer(own, events)
        self._repeats = Repeats(events, self._producer.poll, self._client.settings)
        self._call("init_transactions", self._producer.init_transactions, self._timeout)
        self._begin()
        for topic in self._topics:
            for partition in range(self.partitions(topic)):
                self.send(topic, b"", None, partition=partition)
        self._flush()
        self._offsets(mark[0], [mark[1]])
        self._call("abort_transaction", self._producer.abort_transaction, self._timeout)
        self._open = False
        self._repeats.begin()
        self._repeated = False

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; the broker may create it when it is asked.

        Raises:
            SinkError: there is no such topic.
            TransactionLost: the brokers do not answer in time.
        """

        def ask(timeout: float) -> Any:
            return self._producer.list_topics(topic, timeout=timeout)

        until = time.monotonic() + _CALL_S
        while True:
            listed = self._call("list_topics", ask, _CALL_S)
            found = listed.topics.get(topic)
            if found is not None and found.error is None and found.partitions:
                return len(found.partitions)
            if time.monotonic() > until:
                why = "there is none" if found is None or found.error is None else found.error.str()
                raise SinkError(f'topic "{topic}" cannot be written: {why}')
            time.sleep(_FULL_S)

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        headers: Sequence[tuple[str, bytes]] | None = None,
        partition: int = -1,
    ) -> None:
        """Send a record in the open transaction, or in a new one; wait if the client is full."""
        if not self._open:
            self._next()
        more: dict[str, Any] = {"headers": list(headers)} if headers else {}
        until = time.monotonic() + self._timeout
        while True:
            try:
                self._producer.produce(topic, value, key, partition=partition, **more)
                break
            except BufferError:
                if time.monotonic() > until:
                    message = f'topic "{topic}": the brokers take no records'
                    raise TransactionLost(message, "timeout") from None
                self._producer.poll(_FULL_S)
            except (self._library.KafkaException, SystemError) as error:
                raise self._lost("produce", error) from error
        self._sent += 1
        if self._sent % _POLL_EVERY == 0:
            self._producer.poll(0)

    @property
    def is_open(self) -> bool:
        """Whether something was sent since the last commit."""
        return self._open

    def commit(
        self,
        offsets: Mapping[str, Sequence[Offset]],
        member: Callable[[], bytes] | None = None,
    ) -> None:
        """Make all that was sent visible, together with the offsets of groups.

        Args:
            offsets: for each group, the offsets.
            member: what names this process as a member of the groups, called as late as possible:
                the brokers then refuse a process that no longer is one. None: as no member, which
                they accept from everyone.

        Raises:
            TransactionLost: it did not commit, or nobody knows.
        """
        if not self._open:
            self._next()
        self._flush()
        for group, each in offsets.items():
            if each:
                self._offsets(group, each, member)
        self._call("commit_transaction", self._producer.commit_transaction, _CALL_S)
        self._open = False

    def committed(
        self, group: str, topic: str, partition: int, *, stable: bool = True
    ) -> Offset | None:
        """The offset of a group with its metadata; None if there is none.

        While a transaction of another producer is pending the brokers do not answer; unless
        `stable` is false, then they say what was committed before.

        Raises:
            TransactionLost: they do not answer for three times the timeout of a transaction.
        """
        where = self._library.TopicPartition(topic, partition)
        consumer, _ = self._group(group, stable)
        until = time.monotonic() + 3 * self._timeout
        while True:
            try:
                found = consumer.committed([where], timeout=_CALL_S)[0]
                if found.error is None:
                    if found.offset < 0:
                        return None
                    return Offset(topic, partition, found.offset, found.metadata or "")
                error: Any = found.error
            except self._library.KafkaException as raised:
                error = raised
            if time.monotonic() > until:
                message = f'group "{group}" has no answer about its offset of "{topic}"'
                raise TransactionLost(f"{message}: {self._client.text(error)}", "timeout")

    def give_up(self) -> None:
        """Abort what is open, as far as the brokers answer, and drop the producer."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if self._open:
            self._open = False
            try:
                producer.abort_transaction(_ABORT_S)
            except (self._library.KafkaException, SystemError) as error:
                text = self._client.text(error)
                _log.debug("the transaction of %s was not aborted: %s", self._id, text)
        producer.purge()

    def close(self) -> None:
        """Abort what is open, and disconnect."""
        self.give_up()
        for consumer, _ in self._groups.values():
            consumer.close()
        self._groups.clear()

    def _next(self) -> None:
        """Begin a transaction, with another producer if a request of the last one was repeated.

        The first request may still be on its way, and would commit half of this transaction.
        """
        repeated = self._repeated or (self._repeats is not None and self._repeats.seen())
        if repeated and self._mark is not None:
            _log.debug("%s gets another producer: a request was repeated", self._id)
            self.start(self._topics, self._mark)
        self._begin()

    def _begin(self) -> None:
        self._call("begin_transaction", lambda _: self._producer.begin_transaction(), 0.0)
        self._open = True

    def _flush(self) -> None:
        """Wait until the brokers have all records; which failed shows when the rest is called."""
        try:
            left = self._producer.flush(self._timeout)
        except (self._library.KafkaException, SystemError) as error:
            raise self._lost("flush", error) from error
        if left:
            self.give_up()
            message = f"{left:,} records were not sent within {self._timeout:g} s"
            raise TransactionLost(message, "timeout")

    def _offsets(
        self,
        group: str,
        offsets: Sequence[Offset],
        member: Callable[[], bytes] | None = None,
    ) -> None:
        named = self._group(group)[1] if member is None else member()
        wanted = [
            self._library.TopicPartition(each.topic, each.partition, each.offset, each.metadata)
            for each in offsets
        ]
        self._call(
            "send_offsets_to_transaction",
            lambda timeout: self._producer.send_offsets_to_transaction(wanted, named, timeout),
            _CALL_S,
        )

    def _group(self, group: str, stable: bool = True) -> tuple[Any, Any]:
        """A consumer that never joins its group, and what names it in a transaction."""
        if (group, stable) not in self._groups:
            level = "read_committed" if stable else "read_uncommitted"
            own: dict[str, Any] = {"group.id": group, "isolation.level": level}
            own |= {"enable.auto.commit": False, "enable.auto.offset.store": False}
            consumer = self._client.consumer(own)
            self._groups[group, stable] = (consumer, consumer.consumer_group_metadata())
        return self._groups[group, stable]

    def _call(self, name: str, function: Callable[[float], T], seconds: float) -> T:
        """Call the producer; the same call again while it says that this may help."""
        began = time.monotonic()
        until = began + self._timeout
        while True:
            try:
                answer = self._in_time(name, function, seconds)
                if self._repeats is not None:
                    self._repeats.took(time.monotonic() - began)
                return answer
            except (self._library.KafkaException, SystemError) as error:
                if not self._may_repeat(error) or time.monotonic() > until:
                    raise self._lost(name, error) from error
                self._repeated = True
                _log.debug("%s of %s is repeated: %s", name, self._id, self._client.text(error))

    def _in_time(self, name: str, function: Callable[[float], T], seconds: float) -> T:
        """Call on a thread, which is left behind if it does not return.

        After a lost connection `send_offsets_to_transaction` may wait for ever, whatever its
        timeout (librdkafka 2.16). The producer that it waits in is given up then.
        """
        answer: list[T] = []
        raised: list[BaseException] = []

        def call() -> None:
            try:
                answer.append(function(seconds))
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=call, name=f"muntin {name}", daemon=True)
        thread.start()
        thread.join(seconds + _LATE_S)
        if raised:
            raise raised[0]
        if not answer:
            self._open = False  # there is no abort while another call waits
            self.give_up()
            text = f"{name} of transactional id {self._id!r} did not return within its timeout"
            raise TransactionLost(text, "timeout")
        return answer[0]

    def _may_repeat(self, error: BaseException) -> bool:
        said = error.args[0] if error.args else None
        if not isinstance(said, self._library.KafkaError):
            return False  # a SystemError: the client is broken
        # after fencing, `abort` says _CONFLICT for ever, and calls it retriable
        dead = (self._library.KafkaError._CONFLICT, self._library.KafkaError._FENCED)
        return bool(said.retriable() and not said.fatal() and said.code() not in dead)

    def _lost(self, name: str, error: BaseException) -> TransactionLost:
        self.give_up()
        text = self._client.text(error)
        message = f"{name} of transactional id {self._id!r} failed: {text}"
        return TransactionLost(message, cause_of(error), remedy_of(error))
