"""The topics of one demo, all with the same prefix, and how its two processes tell each other."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from muntin.commands.demo.pipeline import OUTPUTS

KEYS = {"purchases": "household", "simulated_views": "household", "simulated_devices": "store"}
"""The streams of events, and the column that decides an event's partition."""

PARTITIONS = 4
"""Partitions of a topic of events; topics of results have one."""

_SERVERS = "MUNTIN_DEMO_SERVERS"
_PREFIX = "MUNTIN_DEMO_PREFIX"
_STATE = "MUNTIN_DEMO_STATE"


@dataclass(frozen=True, slots=True)
class Names:
    """Where the processes of one demo meet.

    Attributes:
        servers: the brokers.
        prefix: what the names of its topics and its transactional id begin with.
        state: the directory of the checkpoint.
    """

    servers: str
    prefix: str
    state: str

    @classmethod
    def new(cls, servers: str, state: str) -> Names:
        """Names that no other demo has."""
        return cls(servers, f"muntin-demo-{secrets.token_hex(3)}", state)

    @classmethod
    def of_process(cls) -> Names:
        """Those that the other process has put into the environment."""
        return cls(os.environ[_SERVERS], os.environ[_PREFIX], os.environ[_STATE])

    def environment(self) -> dict[str, str]:
        """The environment of the other process."""
        named = {_SERVERS: self.servers, _PREFIX: self.prefix, _STATE: self.state}
        return {**os.environ, **named}

    def topic(self, what: str) -> str:
        """The topic of a stream of events, of an output, or of alerts."""
        return f"{self.prefix}.{what}"

    def topics(self) -> dict[str, int]:
        """All topics, with the number of their partitions."""
        events = {self.topic(name): PARTITIONS for name in KEYS}
        return events | {self.topic(name): 1 for name in (*OUTPUTS, "alerts")}
