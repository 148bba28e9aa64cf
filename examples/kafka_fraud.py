"""Scores card payments from a topic of Kafka into another one, exactly once; alerts go to a third.

With a broker at localhost:9092 (docs/kafka.md says how to start one):

    muntin check --main examples/kafka_fraud.py              # what it guarantees
    python examples/kafka_fraud.py produce                   # make the topics, send some payments
    muntin run examples/kafka_fraud.py --dashboard :8080     # score them; Ctrl-C ends it

Kill it as often as you like, and start it again: each payment is in `scored` once. What cannot be
decoded is in `payments-bad`, with the reason and its place.
"""

from __future__ import annotations

import json
import os
import sys

import fraud
import shop

import muntin as mt

SERVERS = os.environ.get("KAFKA", "localhost:9092")
TOPICS = {"payments": 4, "scored": 4, "alerts": 1, "payments-bad": 1}


def main(servers: str = SERVERS, state: str = "state/kafka-fraud", **more: bool) -> mt.Report:
    """Read payments, add features, test the rules, write both."""
    # messages that cannot be decoded, in the same transaction as the rows
    bad = mt.sinks.Kafka("payments-bad", servers=servers)
    return mt.run(
        mt.sources.Kafka("payments", servers=servers, group="fraud", bad=bad),
        fraud.scored,
        rules=fraud.rules,
        sinks=[mt.sinks.Kafka("scored", servers=servers, key="card")],
        alerts=[mt.sinks.Kafka("alerts", servers=servers, key="key")],
        invalid=[mt.sinks.JsonLines("invalid.jsonl", mode="append")],
        checkpoint=mt.Checkpoint(state, every="500ms"),
        **more,
    )


def produce(servers: str = SERVERS) -> int:
    """Make the topics, and send the payments of some days; the card decides the partition."""
    from confluent_kafka import KafkaException, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": servers})
    for topic in admin.create_topics([NewTopic(*each) for each in TOPICS.items()]).items():
        try:
            topic[1].result()
        except KafkaException as error:
            print(f"{topic[0]}: {error.args[0].str()}")
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
    payments = shop.payments()
    for payment in payments:
        del payment["stolen"]
        value = {**payment, "paid_at": payment["paid_at"].isoformat()}
        producer.produce("payments", json.dumps(value), payment["card"])
    producer.flush()
    print(f"{len(payments)} payments sent")
    return len(payments)


if __name__ == "__main__":
    produce() if sys.argv[1:] == ["produce"] else main()
