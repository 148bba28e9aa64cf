"""Where rows and alerts go."""

from muntin.sinks.base import Durable, Sink
from muntin.sinks.callback import Callback
from muntin.sinks.console import Console
from muntin.sinks.jsonlines import JsonLines

__all__ = ["Callback", "Console", "Durable", "JsonLines", "Sink"]
