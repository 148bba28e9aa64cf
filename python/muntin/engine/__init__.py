"""The operator: a pipeline with its state that is fed step by step, and its results."""
