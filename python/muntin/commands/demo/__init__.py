"""The demo: a year of real purchases, windowed, watched by rules, and compared with batch."""
