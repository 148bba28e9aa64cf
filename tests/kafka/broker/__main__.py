"""`python -m tests.kafka.broker`: a broker on loopback until Ctrl-C. It needs Java and Maven."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from pathlib import Path

from . import Broker


def main() -> None:
    """Start it, say where it is, and remove all of it at the end."""
    with tempfile.TemporaryDirectory() as place:
        broker = Broker(Path(place))
        try:
            print(f"a broker is at {broker.servers}; Ctrl-C ends it")
            print(f"export KAFKA={broker.servers}", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
        finally:
            broker.close()


if __name__ == "__main__":
    main()
