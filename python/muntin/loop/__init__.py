"""The loop: reads sources, steps the engine, writes sinks."""
