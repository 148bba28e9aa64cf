"""Shared basics: errors, checks of arguments, durations, limits, locks."""
