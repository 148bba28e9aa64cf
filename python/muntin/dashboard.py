"""The live page under its public name: `from muntin.dashboard import serve`."""

from muntin.monitor.dashboard import Dashboard, serve

__all__ = ["Dashboard", "serve"]
