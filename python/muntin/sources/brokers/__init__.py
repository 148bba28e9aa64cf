"""Sources that read message brokers."""
