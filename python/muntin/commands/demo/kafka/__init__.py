"""The demo with a broker between its events and its pipelines."""
