"""What everything else stands on: errors, checks of arguments, durations, limits, locks."""
