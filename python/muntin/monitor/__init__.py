"""What a run tells about itself: status, logs, progress, metrics, the live page."""
