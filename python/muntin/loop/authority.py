"""Which authority a run has: the transaction of its Kafka sinks, else the checkpoint's store.

If copies of the run share the partitions of its source, it is the source's group.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping

from muntin.base.errors import PlanError, with_hint
from muntin.checkpoint import Checkpoint
from muntin.checkpoint.directory import Shareable
from muntin.checkpoint.group import GroupAuthority
from muntin.checkpoint.kafka import KafkaAuthority
from muntin.clients.kafka.ownership import Ownable, Ownership
from muntin.clients.kafka.transaction import Transaction
from muntin.loop.routes import Destinations
from muntin.pipeline.scope import Scope
from muntin.sinks.base import Transactional
from muntin.sources import Source
from muntin.sources.base import SharedSource

_log = logging.getLogger("muntin.run")

_TIMEOUT_MIN_S = 60.0
_SHARED_MIN_S = 20.0  # others wait that long for the offsets of a process that died
_TIMEOUT_MAX_S = 900.0  # the most that brokers allow by default
_INTERVALS = 4


def sharing(to: Destinations) -> list[Transactional]:
    """The sinks whose rows go into one transaction of Kafka: those of the first one's cluster."""
    sinks = _transactional(to)
    return [each for each in sinks if each.cluster == sinks[0].cluster]


def _transactional(to: Destinations) -> list[Transactional]:
    found = (each for _, each in to.places() if isinstance(each, Transactional))
    return list({id(each): each for each in found}.values())


def check_transaction(
    to: Destinations, checkpoint: Checkpoint | None, name: str, least: float | None = None
) -> float:
    """The timeout of the run's transactions, in seconds; at least `least`.

    Raises:
        PlanError: the run has no name, or checkpoints are further apart than a transaction lasts.
    """
    if checkpoint is None or not _transactional(to):
        return _TIMEOUT_MIN_S
    if name == "run":
        hint = (
            'run(..., name="scored"): another run with the same name would take this one\'s place'
        )
        message = "a run that writes to Kafka with checkpoints needs a name of its own"
        raise PlanError(with_hint(message, hint))
    least = _TIMEOUT_MIN_S if least is None else least
    timeout = max(least, _INTERVALS * checkpoint.seconds)
    if timeout > _TIMEOUT_MAX_S:
        most = f"{_TIMEOUT_MAX_S / _INTERVALS:g}s"
        message = (
            f"checkpoints every {checkpoint.every} are too far apart for transactions of Kafka"
        )
        raise PlanError(with_hint(message, f'at most every="{most}"'))
    return timeout


def why_alone(
    scope: Scope,
    sources: Mapping[str, Source],
    to: Destinations,
    checkpoint: Checkpoint | None,
) -> str | None:
    """Why copies of a run cannot share the partitions of its source; None if they do."""
    if not scope.is_partition:
        return f"one state covers all partitions ({scope.reason})"
    (source,) = sources.values()
    if checkpoint is None:
        return "there is no checkpoint="
    if not isinstance(source, SharedSource):
        return f"a {type(source).__name__} has no group that assigns partitions"
    if (reason := source.why_alone()) is not None:
        return reason
    if not isinstance(checkpoint.store, Shareable):
        return f"a {type(checkpoint.store).__name__} has no parts for partitions"
    for place, sink in to.places():
        if not isinstance(sink, Transactional) or sink.cluster != source.cluster:
            return f"{place} does not write to the cluster of the source, in its transactions"
    return None if any(True for _ in to.places()) else "nothing is written to Kafka"


def shared(
    to: Destinations, source: SharedSource, checkpoint: Checkpoint, name: str
) -> GroupAuthority:
    """Let the sinks share a transaction of this process, with offsets of the source's group.

    Raises:
        PlanError: as `joined`.
    """
    sinks = _transactional(to)
    timeout = check_transaction(to, checkpoint, name, _SHARED_MIN_S)
    # a name that lasts lets the process fence itself when it starts again
    own = source.instance() or secrets.token_hex(4)
    transaction = sinks[0].transaction(f"{name}.{own}", timeout)
    for each in sinks:
        each.join(transaction)
    topics = list(dict.fromkeys(each.topic for each in sinks))

    def another(transactional_id: str) -> Transaction:
        return sinks[0].transaction(transactional_id, timeout)

    return GroupAuthority(transaction, another, source.group, topics, checkpoint.on_missing)


def joined(to: Destinations, checkpoint: Checkpoint | None, name: str) -> KafkaAuthority | None:
    """Let the sinks of one Kafka cluster share a transaction, which is the authority then.

    Raises:
        PlanError: the run has no name, or checkpoints are further apart than a transaction lasts.
    """
    sinks, ours = _transactional(to), sharing(to)
    timeout = check_transaction(to, checkpoint, name)
    if checkpoint is None or not sinks:
        for each in sinks:
            each.join(None)
        return None
    transaction = ours[0].transaction(name, timeout)
    for each in sinks:
        each.join(transaction if each in ours else None)
        if each not in ours:
            _log.info("%r delivers at least once: its cluster is not that of %r", each, ours[0])
    topics = list(dict.fromkeys(each.topic for each in ours))
    return KafkaAuthority(transaction, checkpoint.store, topics)


def ownership_of(to: Destinations, sources: Mapping[str, Source], name: str) -> Ownership:
    """What makes one of several copies of a run the owner: a group of the run's Kafka cluster.

    Raises:
        PlanError: the run neither reads nor writes a topic, or has no name.
    """
    if name == "run":
        hint = 'run(..., name="scored"): copies of a run find one another by its name'
        raise PlanError(with_hint("run: standby=True needs a name", hint))
    for each in (*(sink for _, sink in to.places()), *sources.values()):
        if isinstance(each, Ownable):
            return each.ownership(name)
    hint = "another scheduler may start it again instead: leave standby= out"
    raise PlanError(with_hint("run: standby=True needs a source or a sink of Kafka", hint))
