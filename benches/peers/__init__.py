"""What muntin is measured beside: one file for each, run in a process of its own."""

from benches.peers.known import KNOWN, Known, load
from benches.peers.peer import Clock, Emit, Peer

__all__ = ["KNOWN", "Clock", "Emit", "Known", "Peer", "load"]
