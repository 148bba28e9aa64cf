"""The operator: a pipeline with its state, fed step by step, and what it gives."""
