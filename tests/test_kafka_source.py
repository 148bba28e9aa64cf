"""The Kafka source without a broker: its arguments, and that it shows no secret."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from typing import Any

import pytest

import muntin as mt
from muntin.sources.brokers.offsets import Start, check_offset, start_of

CANARY = "c4nary-in-a-c0al-mine"
SECRET = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "me",
    "sasl.password": CANARY,
}


def source(topics: Any = "payments", **given: Any) -> mt.sources.Kafka:
    return mt.sources.Kafka(topics, **{"servers": "127.0.0.1:1", "group": "fraud", **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"topics": ""}, 'topics: "" is not the name of a topic'),
        ({"topics": []}, "topics: no topic"),
        ({"topics": ["a", "a"]}, "topics: a topic comes twice"),
        ({"topics": ["a", "^b"]}, 'the regular expression "^b" beside others'),
        ({"topics": "^("}, '"^(" is not a regular expression'),
        ({"topics": "pay ments"}, '"pay ments" is not the name of a topic'),
        ({"topics": 5}, "Kafka: topics=5 is not a list"),
        ({"group": ""}, 'group="" is not the name of a group'),
        ({"group": None}, "group=None is not the name of a group"),
        ({"schema": 5}, "Kafka: schema=5 is not a dict"),
        ({"schema": "infer", "format": "raw"}, 'schema="infer" is for JSON, not for "raw"'),
        ({"format": None}, 'unknown format "None"'),
        ({"format": "jsno"}, 'did you mean "json"?'),
        (
            {"options": {"epohc": "ms"}},
            'unknown option of json "epohc"\nhint: did you mean',
        ),
        ({"options": 5}, "options=5 is not a dict"),
        ({"options": {"tombstones": True}}, "write tombstones=True"),
        ({"time_of": 5}, "time_of=5 is not the name of a column"),
        ({"partitioned_by": []}, "partitioned_by=[] is not a list of columns"),
        ({"partitioned_by": [5]}, "is not a list of columns"),
        ({"partitioner": "murmur3"}, 'partitioner: "murmur3" is not one of murmur2, crc32'),
        ({"start": "soon"}, 'start="soon" is not a place to start'),
        ({"start": {}}, "is not a place to start"),
        ({"start": {0: -1}}, "start={0: -1} is not a place to start"),
        ({"start": {("a", "b"): 1}}, "is not a place to start"),
        ({"bad": "skip"}, 'bad: "skip" is not one of stop, record'),
        ({"bad": 5}, "bad=5 is not a sink"),
        ({"tombstones": "no"}, 'tombstones="no"'),
        ({"settings": {"group.id": "x"}}, '"group.id" cannot be set'),
        ({"settings": {"isolation.level": "x"}}, '"isolation.level" cannot be set'),
        ({"servers": ""}, "servers"),
    ],
)
def test_wrong_arguments_are_refused_at_once(given: dict[str, Any], said: str) -> None:
    with pytest.raises(mt.SourceError) as refused:
        source(**given)
    assert said in str(refused.value) and str(refused.value).startswith("Kafka: ")


def test_a_source_shows_its_topics_and_no_setting() -> None:
    shown = repr(source(settings=SECRET))
    assert shown == "Kafka('payments', servers='127.0.0.1:1', group='fraud')"
    assert CANARY not in f"{source(settings=SECRET)!s}"


def test_a_source_with_secrets_is_copied_but_not_pickled() -> None:
    secret = source(settings=SECRET)
    with pytest.raises(mt.SourceError, match=r"secrets .sasl.password. cannot be pickled"):
        pickle.dumps(secret)
    assert repr(copy.deepcopy(secret)) == repr(copy.copy(secret)) == repr(secret)
    plain = source(settings={"fetch.min.bytes": 5})
    assert repr(pickle.loads(pickle.dumps(plain))) == repr(plain)


def test_what_others_read_of_a_source() -> None:
    found = source(partitioned_by="card", partitioner="murmur2")
    assert (found.bad, found.partitioned_by, found.partitioner) == ("stop", ("card",), "murmur2")
    sink = mt.sinks.Callback(print)
    assert source(bad=sink).bad is sink
    assert (found.bounded, found.total) == (False, None)


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ("latest", Start("latest")),
        ("1970-01-01T00:00:01Z", Start(time=1000)),
        (dt.datetime(1970, 1, 1, 0, 0, 2), Start(time=2000)),
        (dt.datetime(1970, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))), Start(time=0)),
        ({0: 5, 1: 0}, Start(offsets={0: 5, 1: 0})),
        ({("a", 0): 5}, Start(offsets={("a", 0): 5})),
    ],
)
def test_places_to_start(given: Any, start: Start) -> None:
    assert start_of(given) == start


@pytest.mark.parametrize(
    ("offset", "said"), [(4, "offset 4 is gone"), (10, "the partition ends at 9")]
)
def test_an_offset_that_is_not_there_is_told_with_its_place(offset: int, said: str) -> None:
    for there in (5, 7, 9):
        check_offset(("a", 3), there, 5, 9)
    with pytest.raises(mt.SourceError, match='topic "a", partition 3: ') as refused:
        check_offset(("a", 3), offset, 5, 9)
    assert said in str(refused.value) and "hint: " in str(refused.value)


def test_no_secret_is_in_the_error_of_a_run_its_log_or_its_files(
    tmp_path: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")
    caplog.set_level("DEBUG")
    monkeypatch.setattr("muntin.sources.brokers.kafka.CONNECT_S", 0.5)
    stream = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]"})
    with pytest.raises(mt.SourceError, match="the cluster cannot be reached") as failed:
        mt.run(source(settings=SECRET), stream, checkpoint=tmp_path / "state")
    assert CANARY not in f"{failed.value!r}{failed.value.__context__!r}{caplog.text}"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CANARY.encode() not in kept
