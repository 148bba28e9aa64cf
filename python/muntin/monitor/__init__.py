"""What a run reports about itself: status, logs, progress, metrics, the live page."""
