"""Deliveries: batches with positions, split, paced, and ended."""
