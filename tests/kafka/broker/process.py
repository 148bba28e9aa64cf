"""A broker as a process: one node of Apache Kafka without ZooKeeper, on free ports of loopback."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import keeper
from .client import EndedEarly, Kafka
from .jars import class_path
from .proxy import Proxy

JAVA = ["java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
QUIET = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "log.retention.ms": -1,  # tests have times of years ago
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 2,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 2,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "group.consumer.min.session.timeout.ms": 1000,
    "group.consumer.min.heartbeat.interval.ms": 200,
    "broker.session.timeout.ms": 2000,  # killed and started again: back after 4 s instead of 13
    "broker.heartbeat.interval.ms": 500,
}


class Broker(Kafka):
    """A broker of its own, which may be killed, paused and started again.

    `settings` are those of server.properties, with underscores for dots or as a dict. Behind a
    `proxy` the broker has one more address: clients that start at the proxy stay behind it.
    """

    def __init__(self, place: Path, proxy: Proxy | None = None, **settings: Any) -> None:
        self.place, self.proxy = place, proxy
        self.settings = {key.replace("_", "."): value for key, value in settings.items()}
        self._users: Any = None
        place.mkdir(parents=True, exist_ok=True)
        for attempt in range(3):
            ports = _free_ports(3)
            super().__init__(f"127.0.0.1:{ports[0]}")
            try:
                self._format(*ports)
                self.start()
                break
            except EndedEarly:  # somebody else took a port in between
                self.close()
                if attempt == 2:
                    raise

    @property
    def pid(self) -> int:
        """The process id of Java."""
        return int((self.place / "pid").read_text())

    def start(self) -> None:
        """Start, or start again with the same data; return when it answers."""
        (self.place / "pid").unlink(missing_ok=True)
        if self._users is None:
            self._users = (self.place / "users").open("a")
            fcntl.flock(self._users, fcntl.LOCK_SH)
        command = [*JAVA, *QUIET, "-cp", class_path(), "kafka.Kafka", "server.properties"]
        self._keeper = subprocess.Popen(
            [sys.executable, keeper.__file__, str(self.place), *command],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        _wait((self.place / "pid").exists, 20)
        self.wait(60, alive=self._is_alive)

    def kill(self) -> None:
        """SIGKILL, as a power cut would; return when it is gone."""
        self._signal(signal.SIGKILL)
        self._keeper.wait(20)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def leave(self) -> None:
        """Go without waiting; the broker ends when nobody else uses it."""
        super().close()
        if self._users is not None:
            self._users.close()
            self._users = None

    def close(self) -> None:
        """End the broker, and remove its data."""
        self.leave()
        self._keeper.wait(20)
        shutil.rmtree(self.place, ignore_errors=True)  # there still, if it was down already

    def _signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def _is_alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return True

    def _format(self, port: int, controller: int, behind: int) -> None:
        listeners = advertised = f"PLAINTEXT://127.0.0.1:{port}"
        if self.proxy is not None:
            self.proxy.target = behind
            listeners += f",PROXIED://127.0.0.1:{behind}"
            advertised += f",PROXIED://127.0.0.1:{self.proxy.port}"
        settings = {
            **SETTINGS,
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": advertised,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "log.dirs": str(self.place / "data"),
            **self.settings,
        }
        shutil.rmtree(self.place / "data", ignore_errors=True)
        lines = (f"{key}={value}\n" for key, value in settings.items())
        (self.place / "server.properties").write_text("".join(lines))
        tool = [*JAVA, *QUIET, "-cp", class_path(), "kafka.tools.StorageTool", "format"]
        cluster = _cluster_id()
        subprocess.run(
            [*tool, "-t", cluster, "-c", "server.properties", "--standalone"],
            cwd=self.place,
            check=True,
            capture_output=True,
            timeout=120,
        )


def _cluster_id() -> str:
    """16 random bytes as Kafka writes them; not the two that it keeps for itself."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.02)


@contextlib.contextmanager
def shared(place: Path) -> Iterator[Kafka]:
    """The broker of all processes that name the same place; the first one starts it.

    It ends when the last of them has left or died.
    """
    with contextlib.ExitStack() as stack:
        with (place.parent / f"{place.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kafka = _joined(place, stack)
            if kafka is None:
                kafka = Broker(place)
                (place / "servers").write_text(kafka.servers)
                stack.callback(kafka.leave)
        yield kafka


def _joined(place: Path, stack: contextlib.ExitStack) -> Kafka | None:
    with contextlib.suppress(FileNotFoundError):
        users = stack.enter_context((place / "users").open())
        fcntl.flock(users, fcntl.LOCK_SH)  # waits for a keeper that ends the broker just now
        kafka = Kafka((place / "servers").read_text())
        stack.callback(kafka.close)
        return kafka
    return None
