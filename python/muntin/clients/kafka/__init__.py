"""Kafka by way of confluent-kafka: settings, secrets, errors, and what a cluster has."""

from muntin.clients.kafka.client import Client
from muntin.clients.kafka.cluster import Cluster, Topic
from muntin.clients.kafka.events import Events
from muntin.clients.kafka.settings import CONSUMER, OF_ALL, OF_MEMBERS, PRODUCER

__all__ = ["CONSUMER", "OF_ALL", "OF_MEMBERS", "PRODUCER", "Client", "Cluster", "Events", "Topic"]
