"""Clients of other systems, shared by sources, sinks and checkpoints."""
