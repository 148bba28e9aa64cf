"""The loop: sources in, steps of the engine, sinks out."""
