"""Which authority a run has: the transaction of its Kafka sinks, else the checkpoint's store."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from muntin.base.errors import PlanError, with_hint
from muntin.checkpoint import Checkpoint
from muntin.checkpoint.kafka import KafkaAuthority
from muntin.clients.kafka.ownership import Ownable, Ownership
from muntin.loop.routes import Destinations
from muntin.sinks.base import Transactional
from muntin.sources import Source

_log = logging.getLogger("muntin.run")

_TIMEOUT_MIN_S = 60.0
_TIMEOUT_MAX_S = 900.0  # the most that brokers allow by default
_INTERVALS = 4


def sharing(to: Destinations) -> list[Transactional]:
    """The sinks whose rows go into one transaction of Kafka: those of the first one's cluster."""
    sinks = _transactional(to)
    return [each for each in sinks if each.cluster == sinks[0].cluster]


def _transactional(to: Destinations) -> list[Transactional]:
    found = (each for _, each in to.places() if isinstance(each, Transactional))
    return list({id(each): each for each in found}.values())


def check_transaction(to: Destinations, checkpoint: Checkpoint | None, name: str) -> float:
    """The timeout of the run's transactions, in seconds.

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
    timeout = max(_TIMEOUT_MIN_S, _INTERVALS * checkpoint.seconds)
    if timeout > _TIMEOUT_MAX_S:
        most = f"{_TIMEOUT_MAX_S / _INTERVALS:g}s"
        message = (
            f"checkpoints every {checkpoint.every} are too far apart for transactions of Kafka"
        )
        raise PlanError(with_hint(message, f'at most every="{most}"'))
    return timeout


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
