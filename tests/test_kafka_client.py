"""The way to Kafka: which settings pass, what an error says, and that secrets are shown nowhere."""

from __future__ import annotations

import copy
import logging
import pickle
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

import muntin as mt
from muntin.clients.kafka import CONSUMER, OF_ALL, PRODUCER, Client, Cluster
from muntin.clients.kafka.errors import hint_of, text_of
from muntin.clients.kafka.secrets import HIDDEN, Secrets, is_secret
from muntin.clients.kafka.settings import Settings

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

CANARY = "c4nary-in-a-c0al-mine"
NOBODY = "127.0.0.1:1"

SECRET_SETTINGS = [
    {"sasl.password": CANARY},
    {"ssl.key.password": CANARY},
    {"ssl.keystore.password": CANARY},
    {"ssl.key.pem": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"},
    {"sasl.oauthbearer.config": f"principal=me secret={CANARY}"},
    {"sasl.oauthbearer.client.secret": CANARY},
    {"sasl.jaas.config": f'required username="me" password="{CANARY}";'},
    {"my.secret.thing": CANARY},
    {"api_key": CANARY},
    {"access-token": CANARY},
    {"sasl.passwrod": CANARY, "password": CANARY},
]


def names(settings: dict[str, object]) -> str:
    return ",".join(settings)


@pytest.mark.parametrize("settings", SECRET_SETTINGS, ids=names)
@pytest.mark.parametrize("kind", ["consumer", "producer", "admin"])
def test_no_secret_is_in_a_repr_a_pickle_or_an_error(
    settings: dict[str, str], kind: str, caplog: pytest.LogCaptureFixture, capfd
) -> None:
    caplog.set_level(logging.DEBUG)
    client = Client(NOBODY, settings)
    shown = [repr(client), str(client), repr(client.settings), f"{client.settings}"]
    for pickled in (client, client.settings):
        with pytest.raises(mt.SourceError, match="cannot be pickled") as refused:
            pickle.dumps(pickled)
        shown += traceback.format_exception(refused.value)
    assert copy.deepcopy(client.settings) is copy.copy(client.settings) is client.settings
    more = [{"debug": "all"}] if kind == "admin" else [{"group.id": "g", "debug": "conf,security"}]
    try:
        made = getattr(client, kind)(*([] if kind == "admin" else more))
        made.poll(0)
    except mt.SourceError as error:
        shown += traceback.format_exception(error)
        shown += traceback.format_exception(error.__context__ or error)
    shown += [caplog.text, *capfd.readouterr()]
    assert CANARY not in "".join(shown)


def test_no_secret_is_in_the_error_of_a_login(caplog: pytest.LogCaptureFixture, capfd) -> None:
    """A broker that speaks back what it was sent."""
    caplog.set_level(logging.DEBUG)
    settings = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.config": f"principal=me wrong={CANARY}",
        "enable.sasl.oauthbearer.unsecure.jwt": True,
    }
    with pytest.raises(mt.SourceError) as failed:
        Cluster(Client(NOBODY, settings), 1.5)
    shown = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert CANARY not in shown + "".join(capfd.readouterr())
    assert 'at "127.0.0.1:1"' in shown


def test_an_oauth_callback_passes_and_is_not_pickled() -> None:
    client = Client(NOBODY, {"oauth_cb": lambda _: (CANARY, 0.0)})
    with pytest.raises(mt.SourceError, match="oauth_cb"):
        pickle.dumps(client.settings)


def test_settings_without_secrets_are_pickled() -> None:
    settings = Settings({"fetch.min.bytes": 5}, "Kafka")
    assert dict(pickle.loads(pickle.dumps(settings))) == {"fetch.min.bytes": 5}


@given(st.text(min_size=1), st.text(), st.text())
def test_a_value_is_taken_out_wherever_it_is(secret: str, before: str, after: str) -> None:
    found = Secrets([secret]).hidden(before + secret + after)
    for part in found.split(HIDDEN):
        assert secret not in part


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("sasl.password", True),
        ("ssl.key.pem", True),
        ("ssl.ca.pem", True),
        ("ssl.key.location", False),
        ("sasl.oauthbearer.token.endpoint.url", False),
        ("sasl.oauthbearer.method", False),
        ("sasl.oauthbearer.config", True),
        ("sasl.oauthbearer.assertion.private.key.pem", True),
        ("client.id", False),
        ("X-Api-Key", True),
        ("linger.ms", False),
    ],
)
def test_what_counts_as_secret(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


@pytest.mark.parametrize("owned", [OF_ALL, CONSUMER, PRODUCER], ids=["all", "source", "sink"])
def test_what_muntin_sets_is_refused_with_what_to_do(owned: dict[str, str]) -> None:
    for name, instead in owned.items():
        with pytest.raises(mt.SinkError) as refused:
            Client(NOBODY, {name: "x"}, "Here", error=mt.SinkError, owned=owned)
        assert str(refused.value) == f'Here: settings: "{name}" cannot be set\nhint: {instead}'


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("x", "settings= is a str, not a dict"),
        ({1: 2}, "a name in settings= is an int"),
        ({"fetch.min.bytes": None}, 'the value of "fetch.min.bytes" is None'),
        ({"sasl.password": b"x"}, 'the value of "sasl.password" is a bytes'),
        ({"client.id": "a\0b"}, "zero byte"),
        ({"oauth_cb": 5}, '"oauth_cb" is an int'),
    ],
)
def test_wrong_settings_are_refused_at_once(settings: object, said: str) -> None:
    with pytest.raises(mt.SourceError, match="Kafka: ") as refused:
        Client(NOBODY, settings)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sasl.passwrd": "x"}, 'unknown setting "sasl.passwrd"\nhint: did you mean "sasl.passwo'),
        ({"fetch.wait.max.ms": "abc"}, 'invalid value for configuration property "fetch.wait.ma'),
        ({"fetch.wait.max.ms": 10**8}, "value 100000000 is outside allowed range"),
        ({"security.protocol": "bla"}, 'invalid value "bla" for configuration property'),
        ({"sasl.jaas.config": "x"}, "java JAAS configuration is not supported"),
    ],
)
def test_librdkafka_s_refusal_is_told(settings: dict[str, object], said: str) -> None:
    with pytest.raises(mt.SourceError) as refused:
        Client(NOBODY, settings).admin()
    assert str(refused.value).startswith("Kafka: settings: ") and said in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ("", "has no address"),
        ("a:1,,b:2", "has no address"),
        ("a b:1", "has no address"),
        ([], "has no address"),
        ([5], "5 is not a text"),
        (7, "7 is not a list"),
        (f"me:{CANARY}@host:9092", "a user in an address"),
    ],
)
def test_wrong_servers_are_refused(servers: object, said: str) -> None:
    with pytest.raises(mt.SourceError, match="servers") as refused:
        Client(servers)
    assert said in str(refused.value) and CANARY not in str(refused.value)


def test_servers_are_a_text_or_a_list() -> None:
    assert Client(["a:1", "b:2"]).servers == Client(" a:1, b:2").servers == "a:1,b:2"


@contextmanager
def deaf() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def rude() -> Iterator[str]:
    """A server that answers with what is not Kafka."""

    def serve() -> None:
        while True:
            try:
                one, _ = server.accept()
            except OSError:
                return
            with one:
                one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_nobody_there_is_told_within_the_deadline() -> None:
    with pytest.raises(mt.SourceError, match="Connection refused") as failed:
        Cluster(Client(NOBODY), 0.5)
    assert 'the cluster cannot be reached at "127.0.0.1:1"' in str(failed.value)
    assert "hint: is a broker running there?" in str(failed.value)


@pytest.mark.parametrize("server", [deaf, rude])
def test_a_server_that_is_not_kafka_is_told_within_the_deadline(server) -> None:
    with server() as address, pytest.raises(mt.SinkError, match="cannot be reached"):
        Cluster(Client(address, error=mt.SinkError), 0.5)


@pytest.mark.parametrize("number", sorted({e for e in range(-200, 120) if e}))
def test_every_error_has_a_text_with_its_name(number: int) -> None:
    error = ck.KafkaError(number)
    text = text_of(ck.KafkaException(error))
    assert error.name() in text and not text.startswith(("Broker:", "Local:"))
    assert "\n" not in text and (hint_of(error) or "x")


def test_the_extra_is_named_where_the_library_is_missing() -> None:
    code = """
import sys
sys.modules["confluent_kafka"] = None
import muntin as mt
from muntin.clients.kafka import Client
try:
    Client("localhost:9092").admin()
except mt.MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == 'Kafka needs confluent-kafka\nhint: pip install "muntin[kafka]"\n'


def test_muntin_imports_the_library_on_use_alone() -> None:
    code = "import sys, muntin, muntin.clients.kafka; print('confluent_kafka' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n"
