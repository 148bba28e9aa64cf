"""The page's server: who may see it, what it says, and what it leaves behind. Real sockets."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from decimal import Decimal

import httpx
import pyarrow as pa
import pytest

import muntin as mt
from muntin.engine.result import Result
from muntin.monitor.dashboard import Dashboard, serve
from muntin.monitor.dashboard.cells import columns
from muntin.monitor.dashboard.history import History
from muntin.monitor.dashboard.inbox import Inbox
from muntin.monitor.dashboard.view import View
from muntin.monitor.dashboard.visitor import Visitor
from muntin.sources import Undecodable
from muntin.values.table import PerInput, Table
from pages import FakeLoop, eventually, page, per_minute, sale, ticks

TOKEN = "0123456789abcdef-token"
TRAVERSALS = """
    ../pyproject.toml  ..%2f..%2fpyproject.toml  %2e%2e/%2e%2e/etc/passwd  ....//....//etc/passwd
    ..%5c..%5cwindows  /etc/passwd  //etc/passwd  .%00/page.py  uplot/../../page.py  static/app.js
    %252e%252e%252fetc%252fpasswd  app.js%00.html  ..;/page.py  __init__.py  uplot  uplot/
    file:///etc/passwd  ../__init__.py  C:/windows/win.ini  .git/config
""".split()
ROUTES = "/ /index.html /app.js /page.css /events /keys /metrics /none /uplot/LICENSE".split()


def raw(url: str, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> bytes:
    """The answer to a request whose path no client has tidied up."""
    parts = httpx.URL(url)
    lines = [f"{method} {path} HTTP/1.1", "Connection: close"]
    lines += [
        f"{name}: {value}"
        for name, value in ({"Host": parts.netloc.decode()} | (headers or {})).items()
    ]
    with socket.create_connection((parts.host, parts.port)) as wire:
        wire.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while part := wire.recv(65536):
            answer += part
    return answer


def status(*arguments, **more) -> int:
    return int(raw(*arguments, **more).split()[1])


def alive() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("muntin-dashboard")]


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "example.org:80"])
def test_an_open_address_needs_a_token(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUNTIN_DASHBOARD_TOKEN", raising=False)
    with pytest.raises(mt.PlanError, match="without a token"):
        Dashboard(address)
    assert TOKEN not in repr(Dashboard(address, token=TOKEN))
    monkeypatch.setenv("MUNTIN_DASHBOARD_TOKEN", TOKEN)
    assert Dashboard(address).token == TOKEN


@pytest.mark.parametrize("where", ["nowhere", ":99999", "host:", ":-1", None, 1.5, False])
def test_what_is_no_address_is_refused(where: object) -> None:
    with pytest.raises(mt.PlanError, match="address"):
        serve(where)


def test_a_port_means_this_machine_alone() -> None:
    assert {Dashboard(a).host for a in (":80", "80", "127.0.0.1:80")} == {"127.0.0.1"}
    with page(":0") as served:
        assert served.url.startswith("http://127.0.0.1:")


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with page() as served:
        port = httpx.URL(served.url).port
        with pytest.raises(mt.SinkError, match=f":{port}.*in use"):
            serve(port)


def test_close_leaves_no_thread_and_no_socket() -> None:
    served = serve(0)
    port = httpx.URL(served.url).port
    with httpx.stream("GET", f"{served.url}events") as answer:
        next(answer.iter_lines())
        assert alive()
        served.close()
    assert not alive()
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


def test_without_the_token_all_but_health_is_shut() -> None:
    with page(Dashboard(":0", token=TOKEN)) as served:
        url = served.url
        for path in [*ROUTES, *(f"/{each}" for each in TRAVERSALS)]:
            assert status(url, path) == 401, path
            assert status(url, f"{path}?token=wrong") == 401, path
            assert status(url, path, {"Cookie": f"muntin={TOKEN}"}) == 401, path
            assert status(url, path, method="POST") == 401, path
        assert status(url, "/healthz") == 200
        assert status(url, "/metrics", {"Authorization": f"Bearer {TOKEN}"}) == 200
        with httpx.Client() as client:
            answer = client.get(url, params={"token": TOKEN})
            cookie = answer.headers["set-cookie"]
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
            assert TOKEN not in cookie
            assert client.get(url).status_code == 200


def test_no_path_leads_out_of_the_page() -> None:
    with page() as served:
        for path in TRAVERSALS:
            for start in ("", "/"):
                assert status(served.url, start + path) in (400, 404), path
        assert [status(served.url, f"/{path}") for path in TRAVERSALS].count(404) > 15


def test_only_get_and_only_our_names() -> None:
    with page(Dashboard(":0", hosts=("page.example",))) as served:
        url, port = served.url, httpx.URL(served.url).port
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            assert status(url, "/", method=method) == 405
        for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "", "[x"):
            assert status(url, "/", {"Host": host}) in (400, 421), host
        for host in (f"localhost:{port}", "127.0.0.1", "page.example", f"[::1]:{port}"):
            assert status(url, "/", {"Host": host}) == 200, host
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}"):
            assert status(url, "/", {"Origin": origin}) == 403
        assert status(url, "/", {"Origin": f"http://127.0.0.1:{port}"}) == 200


def test_every_answer_has_the_strict_headers() -> None:
    with page() as served:
        for path in ["/", "/app.js", "/metrics", "/healthz", "/none", "/keys"]:
            headers = httpx.get(served.url.rstrip("/") + path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy and "http" not in policy
            assert headers["x-content-type-options"] == "nosniff"


def test_the_library_comes_with_its_licence() -> None:
    with page() as served:
        assert "MIT" in httpx.get(f"{served.url}uplot/LICENSE").text


def test_metrics_are_what_the_moment_says() -> None:
    with page() as served:
        loop = FakeLoop(served)
        loop.push([sale(0, "a"), sale(2, "a"), sale(0, "b")])
        text = eventually(
            lambda: httpx.get(f"{served.url}metrics").text, lambda t: "source_rows" in t
        )
        for line in (
            'muntin_source_rows_total{input="tills"} 3.0',
            'muntin_output_rows_total{output="per_minute"} 1.0',
            "muntin_late_records_total 2.0",
            'muntin_watermark_delay_seconds{input="tills"} 30.0',
            'muntin_outbox_depth{sink="Console()"} 2.0',
            "muntin_checkpoint_bytes 2e+06",
            "muntin_up 1.0",
        ):
            assert line in text
        assert 'fate="late"' in text
        loop.end()
        eventually(lambda: httpx.get(f"{served.url}metrics").text, lambda t: "muntin_up 0.0" in t)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")
def test_promtool_finds_no_fault_in_the_metrics() -> None:
    with page() as served:
        FakeLoop(served).push([sale(0, "a"), sale(2, "a")])
        text = eventually(
            lambda: httpx.get(f"{served.url}metrics").text, lambda t: "source_rows" in t
        )
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_health_says_how_the_run_stands() -> None:
    with page() as served:
        health = lambda: httpx.get(f"{served.url}healthz")  # noqa: E731
        assert health().json() == {"state": "waiting"}
        loop = FakeLoop(served)
        assert health().json() == {"state": "running"}
        loop.end(ValueError("broken"))
        failed = eventually(health, lambda answer: answer.status_code == 503)
        assert failed.json() == {"state": "failed"}


def test_a_stream_tells_the_past_and_then_what_is_new() -> None:
    with page() as served:
        loop = FakeLoop(served)
        loop.push([sale(m, s) for m in range(5) for s in "ab" for _ in range(3)])
        said = ticks(served.url, lambda s: {"series", "top", "moment"} <= s.keys(), '?key=["b"]')
        assert said["selection"] == {"output": "per_minute", "measure": "orders", "keys": [["b"]]}
        start = 1_714_557_660
        assert said["series"] == {
            "reset": True, "k": [0] * 4, "x": [start + 60 * i for i in range(4)], "y": [3.0] * 4,
        }  # fmt: skip
        assert said["top"]["of"] == 2 and said["moment"]["rows"] == 30
        assert said["alerts"]["columns"]["message"].count("a: 3 orders") == 4


def test_the_search_of_keys_is_the_servers() -> None:
    with page() as served:
        FakeLoop(served).push([sale(m, f"store {n}") for m in range(2) for n in range(200)])
        ticks(served.url, lambda s: "top" in s)
        found = httpx.get(f"{served.url}keys?output=per_minute&search=STORE 19").json()
        assert (found["matching"], len(found["keys"])) == (11, 11)
        assert httpx.get(f"{served.url}keys?output=none").json()["matching"] == 0


def test_masked_values_appear_nowhere() -> None:
    with page(Dashboard(":0", mask=("card",))) as served:
        loop = FakeLoop(served)
        rows = [sale(m, "a", 4_111_777, 60.0) for m in range(5)] + [sale(0, "a", 4_111_777)]
        loop.push(rows)
        torn = Undecodable(0, 9, "f", 9, '{"card": 4111777', "at 4111777")
        served.gave(loop.op.finish(), [("tills", torn)])
        want = {"series", "top", "alerts", "samples"}
        said = ticks(served.url, lambda s: want <= s.keys(), "?output=cards")
        text = json.dumps(said)
        assert "4111777" not in text
        assert said["alerts"]["columns"]["message"][0].startswith("card •")
        (key,) = said["selection"]["keys"]
        search = httpx.get(f"{served.url}keys?output=cards&search=4111777").json()
        assert search["matching"] == 0
        again = httpx.URL(f"{served.url}events", params={"output": "cards", "key": json.dumps(key)})
        query = f"?{again.query.decode()}"
        assert ticks(served.url, lambda s: "series" in s, query)["series"]["k"]
        guess = ticks(served.url, lambda s: "selection" in s, '?output=cards&key=["4111777"]')
        assert guess["selection"]["keys"] == [key]


def test_a_failed_run_says_why() -> None:
    with page() as served:
        loop = FakeLoop(served)
        loop.end(ValueError("<b>broken</b>"))
        said = ticks(served.url, lambda s: s.get("state", [""])[0] == "failed")
        assert said["state"] == ["failed", "ValueError: <b>broken</b>"]


def test_values_that_json_has_not_are_safe() -> None:
    table = pa.table(
        {
            "f": [float("nan"), float("inf"), None],
            "i": [2**60, 1, None],
            "d": pa.array([Decimal("1.10"), None, None], pa.decimal128(9, 2)),
            "t": pa.array([0, None, 1], pa.timestamp("ns", "Europe/Berlin")),
        }
    )
    assert columns(table) == {
        "f": ["NaN", "Infinity", None],
        "i": ["1152921504606846976", 1, None],
        "d": ["1.10", None, None],
        "t": ["1970-01-01T00:00:00Z", None, "1970-01-01T00:00:00.000000001Z"],
    }


def result_of(rows: int) -> Result:
    table = Table([pa.table({"n": list(range(rows))})])
    return Result({"rows": table}, Table([]), PerInput({}), PerInput({}), dict)


def test_a_full_inbox_keeps_the_newest_and_counts_the_rest() -> None:
    inbox = Inbox(rows_max=10, steps_max=100)
    for _ in range(5):
        inbox.put(result_of(4), ())
    assert (len(inbox.take()), inbox.unseen) == (2, 12)
    inbox.put(result_of(100), ())
    assert (len(inbox.take()), inbox.unseen) == (1, 12)


def test_history_is_bounded_and_keeps_its_numbers() -> None:
    history = History(limit=1000)
    for start in range(0, 5000, 5):
        history.add(Table([pa.table({"n": list(range(start, start + 5))})]))
    assert history.since(0)["n"].to_pylist() == list(range(4000, 5000))
    assert history.since(4997)["n"].to_pylist() == [4997, 4998, 4999]
    assert history.since(5000).num_rows == 0
    assert len(history._blocks) < 300


@pytest.mark.parametrize(
    ("part", "lost"),
    [("_alerts", "alerts"), ("_series", "series"), ("_top", "top"), ("_rows", "series")],
)
def test_what_cannot_be_shown_ends_no_stream_and_is_said(
    part: str, lost: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_arguments: object, **_more: object) -> None:
        raise OverflowError("year 10000 is out of range")

    monkeypatch.setattr(Visitor, part, broken)
    with page() as served:
        loop = FakeLoop(served)
        loop.push([sale(m, s) for m in range(3) for s in "ab" for _ in range(3)])
        said = ticks(served.url, lambda s: "notices" in s and "moment" in s and "samples" in s)
        assert "cannot be shown: OverflowError: year 10000" in said["notices"][0]
        assert not isinstance(said.get(lost), dict)
        loop.push([sale(9, "a")])
        again = ticks(served.url, lambda s: s.get("moment", {}).get("rows") == 19)
        assert again["notices"] == said["notices"]
    assert len([r for r in caplog.records if "cannot be shown" in r.getMessage()]) == 1


def test_a_value_that_json_has_not_costs_its_part_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Visitor, "_alerts", lambda self: {"columns": {"x": [object()]}})
    with page() as served:
        FakeLoop(served).push([sale(m, "a") for m in range(3) for _ in range(3)])
        said = ticks(served.url, lambda s: {"notices", "moment", "series"} <= s.keys())
        assert said["notices"][0].startswith("alerts cannot be shown")


def test_a_step_that_cannot_be_kept_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = View._keep
    broken = iter([True, False, False])

    def kept(self: View, *step: object) -> None:
        if next(broken):
            raise ValueError("broken")
        keep(self, *step)

    monkeypatch.setattr(View, "_keep", kept)
    with page() as served:
        loop = FakeLoop(served)
        loop.push([sale(0, "a")])
        loop.push([sale(2, "a")])
        said = ticks(served.url, lambda s: {"notices", "top"} <= s.keys())
        assert said["top"]["came"] == 1 and "broken" in said["notices"][0]


@pytest.mark.parametrize(
    "key", ["[" * 5000, '[{"a": 1}]', "[[1]]", "[1]", "{}", "1", "[null]", '["a", "b"]', "\udcff"]
)
def test_any_key_that_is_asked_for_is_answered(key: str) -> None:
    with page() as served:
        FakeLoop(served).push([sale(m, "a") for m in range(3)])
        address = httpx.URL(f"{served.url}events", params={"key": key.encode("utf-8", "replace")})
        said = ticks(served.url, lambda s: "selection" in s, f"?{address.query.decode()}")
        assert "notices" not in said


def test_a_page_with_one_output_without_rules() -> None:
    with page() as served:
        loop = FakeLoop(served, [mt.output("only", per_minute())])
        loop.push([sale(0, "a")])
        loop.end()
        said = ticks(served.url, lambda s: "top" in s)
        assert said["top"]["keys"] == [["a"]]
