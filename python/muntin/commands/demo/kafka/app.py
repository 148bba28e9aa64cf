"""The demo's pipelines, from topics to topics: `muntin demo --kafka` starts `muntin run app.py`."""

from __future__ import annotations

import muntin as mt
from muntin.commands.demo.kafka.names import KEYS, Names
from muntin.commands.demo.pipeline import inputs, outputs

EVERY = "250ms"


def main(names: Names) -> mt.Report:
    """Read the events, and write each output and the alerts, exactly once."""

    def sink(what: str) -> mt.Sink:
        return mt.sinks.Kafka(names.topic(what), servers=names.servers)

    sources: dict[str, mt.Source] = {
        name: mt.sources.Kafka(names.topic(name), servers=names.servers, group=names.prefix)
        for name in KEYS
    }
    made = outputs(inputs(idle_after="2s"))
    return mt.run(
        sources,
        [
            mt.output(name, stream, rules=rules, sinks=[sink(name)])
            for name, (stream, rules) in made.items()
        ],
        name=names.prefix,
        alerts=[sink("alerts")],
        checkpoint=mt.Checkpoint(names.state, every=EVERY),
    )


if __name__ == "__main__":
    main(Names.of_process())
