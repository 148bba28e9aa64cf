"""A process for each peer; clocks, memory, repeats; and what muntin is measured at alone."""
