"""The page in a real Chromium: what it shows is what was given, and it talks to nobody else."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from muntin.monitor.counters import Commit
from muntin.monitor.dashboard import Dashboard
from muntin.sources import Lag
from pages import FakeLoop, eventually, page, sale

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        # a sandbox of Chromium's own cannot be made in every container
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A tab that keeps what went wrong in it, and every address it asked for."""

    def __init__(self, chromium, **options) -> None:
        self.context = chromium.new_context(**{"viewport": WIDE, **options})
        self.tab = self.context.new_page()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("console", self.note)

    def note(self, line) -> None:
        if line.type in ("error", "warning"):
            self.faults.append(line.text)

    def text(self, selector: str) -> str:
        return self.tab.evaluate("s => document.querySelector(s)?.textContent ?? ''", selector)

    def wait(self, selector: str, wanted: str) -> str:
        # `wait_for_function` evaluates text, which the page's policy forbids
        return eventually(lambda: self.text(selector), lambda text: wanted in text)

    def count(self, selector: str) -> int:
        return self.tab.evaluate("s => document.querySelectorAll(s).length", selector)


@pytest.fixture
def open_tab(chromium):
    tabs: list[Tab] = []

    def open_tab(url: str, **options) -> Tab:
        tab = Tab(chromium, **options)
        tabs.append(tab)
        tab.tab.goto(url)
        return tab

    yield open_tab
    for tab in tabs:
        tab.context.close()
        assert tab.faults == []
        assert [url for url in tab.asked if not url.startswith("http://127.0.0.1:")] == []


def fed(served) -> FakeLoop:
    loop = FakeLoop(served)
    loop.push([sale(m, s) for m in range(6) for s in ("Ghent", "Oslo") for _ in range(3)])
    return loop


def test_the_numbers_are_those_of_the_rows(open_tab) -> None:
    with page() as served:
        loop = fed(served)
        tab = open_tab(served.url)
        tab.wait("#state", "Live")
        tab.wait("#name", "test run")
        tab.wait("#tiles", "36")
        tab.wait("#top-keys tbody", "Ghent3")
        tab.wait("#rows", "7.5")
        tab.wait("#legend", "Oslo3")
        tab.wait("#alerts", "Ghent: 3 orders")
        assert tab.count("#alerts > li") == 10
        assert tab.count("#chart canvas") == 1
        assert tab.count("#graph .box") == 10
        loop.push([sale(6, "Ghent", card=7, amount=99.0)] * 4 + [sale(7, "Oslo")])
        tab.wait("#tiles", "41")
        tab.wait("#legend", "Ghent4")
        tab.wait("#alerts", "card 7 spent 396")
        loop.push([sale(0, "Ghent")])
        tab.wait("#samples", "2024-05-01T10:00:30Z")


def test_a_reload_keeps_history_and_choice(open_tab) -> None:
    with page() as served:
        fed(served)
        tab = open_tab(f"{served.url}?output=per_minute&measure=revenue")
        tab.wait("#legend", "Oslo7.5")
        tab.tab.click("#legend li:first-child button")
        eventually(lambda: tab.count("#legend li"), lambda n: n == 1)
        kept = tab.text("#legend .name")
        tab.tab.reload()
        tab.wait("#legend", f"{kept}7.5")
        assert tab.count("#legend li") == 1
        assert tab.tab.input_value("#measure") == "revenue"
        eventually(lambda: tab.count("#alerts > li"), lambda n: n == 10)


def test_keys_are_found_and_drawn_by_keyboard(open_tab) -> None:
    with page() as served:
        FakeLoop(served).push([sale(m, f"store {n}") for m in range(3) for n in range(60)])
        tab = open_tab(served.url)
        tab.wait("#legend", "store")
        tab.tab.keyboard.press("Tab")
        assert tab.tab.evaluate("document.activeElement.className") == "skip"
        tab.tab.focus("#choose")
        tab.tab.keyboard.press("Enter")
        tab.tab.keyboard.type("store 57")
        tab.wait("#matching", "1 keys")
        tab.tab.focus("#found input")
        tab.tab.keyboard.press("Space")
        tab.wait("#legend", "store 57")
        tab.tab.keyboard.press("Escape")
        assert tab.tab.evaluate("document.activeElement.id") == "choose"


def test_alerts_are_filtered_and_opened(open_tab) -> None:
    with page() as served:
        loop = fed(served)
        loop.push([sale(6, "Ghent", card=7, amount=200.0), sale(9, "Ghent")])
        tab = open_tab(served.url)
        tab.wait("#alerts", "card 7 spent 200")
        tab.tab.select_option("#severity", "critical")
        eventually(lambda: tab.count("#alerts > li"), lambda n: n == 1)
        tab.tab.click("#alerts > li:first-child .alert")
        assert "amount" in tab.text("#alerts dl")
        loop.push([sale(10, "Oslo", card=8, amount=300.0)])
        tab.wait("#alerts-note", "13 in all")
        assert "card 8" not in tab.text("#alerts")
        tab.tab.click("#alerts [aria-expanded=true]")
        tab.wait("#alerts", "card 8 spent 300")


def test_a_theme_is_switched_and_kept(open_tab) -> None:
    with page() as served:
        fed(served)
        tab = open_tab(served.url, color_scheme="dark")
        tab.wait("#legend", "Ghent")
        ground = "getComputedStyle(document.body).backgroundColor"
        pixels = "document.querySelector('#chart canvas')?.toDataURL() ?? ''"
        dark = tab.tab.evaluate(ground)
        drawn = eventually(lambda: tab.tab.evaluate(pixels), bool)
        tab.tab.click("#theme")
        assert tab.tab.evaluate(ground) != dark
        eventually(lambda: tab.tab.evaluate(pixels), lambda now: now not in ("", drawn))
        light = tab.tab.evaluate(ground)
        tab.tab.reload()
        assert tab.tab.evaluate(ground) == light


def test_empty_ended_and_failed_are_said(open_tab) -> None:
    with page() as served:
        tab = open_tab(served.url)
        tab.wait("#state", "Waiting")
        assert "No rows yet" in tab.text("#chart")
        loop = fed(served)
        tab.wait("#legend", "Ghent")
        loop.end()
        tab.wait("#state", "Ended")
        tab.wait("#tiles", "average of the run")
    tab.tab.wait_for_timeout(100)
    assert "Ended" in tab.text("#state")
    with page() as served:
        tab = open_tab(served.url)
        loop = fed(served)
        loop.end(ValueError("<img src=x onerror=alert(1)>"))
        tab.wait("#state", "Failed")
        tab.wait("#banner", "<img src=x onerror=alert(1)>")
        assert tab.count("#banner img") == 0


def test_a_lost_server_is_said(open_tab) -> None:
    with page() as served:
        fed(served)
        tab = open_tab(served.url)
        tab.wait("#legend", "Ghent")
    tab.wait("#state", "Not connected")
    assert "tries again" in tab.text("#banner")
    # the browser itself reports each attempt
    tab.faults.clear()
    tab.tab.goto("about:blank")
    tab.faults.clear()
    tab.asked.clear()


def test_names_and_values_are_text(open_tab) -> None:
    wicked = "<script>alert(1)</script>"
    with page() as served:
        FakeLoop(served).push([sale(m, wicked) for m in range(3) for _ in range(3)])
        tab = open_tab(served.url)
        tab.wait("#top-keys", wicked)
        tab.wait("#alerts", wicked)
        assert tab.count("main script") == 0


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_is_wider_than_the_screen(open_tab, viewport) -> None:
    with page() as served:
        fed(served)
        tab = open_tab(served.url, viewport=viewport)
        tab.wait("#top-keys", "Ghent")
        assert tab.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shift = """() => new Promise(done => new PerformanceObserver(list => done(
            list.getEntries().reduce((sum, each) => sum + each.value, 0)
        )).observe({type: "layout-shift", buffered: true}) ?? setTimeout(() => done(0), 500))"""
        assert tab.tab.evaluate(shift) < 0.1


def test_a_token_opens_the_page_once_and_for_all(open_tab) -> None:
    token = "0123456789abcdef"
    with page(Dashboard(":0", token=token)) as served:
        fed(served)
        tab = open_tab(f"{served.url}?token={token}")
        tab.wait("#legend", "Ghent")
        assert token not in tab.tab.url
        tab.tab.reload()
        tab.wait("#legend", "Ghent")


def test_a_busy_page_draws_on_and_a_frozen_one_queues_nothing(open_tab) -> None:
    with page() as served:
        loop = FakeLoop(served)
        names = [f"store {n}" for n in range(1000)]
        loop.push([sale(m, s) for m in range(3) for s in names])
        query = "&".join(f'key=["store {n}"]' for n in range(24))
        tab = open_tab(f"{served.url}?output=per_minute&{query}")
        tab.wait("#legend", "store 23")
        frozen = "() => { const end = Date.now() + 1500; while (Date.now() < end); }"
        for minute in range(3, 40):
            loop.push([sale(minute, s) for s in names])
            if minute == 10:
                tab.tab.evaluate(frozen)
        tab.wait("#tiles", "40\u202f000")
        tab.wait("#rows-note", "39\u202f000 so far")
        eventually(lambda: tab.tab.get_attribute("#chart", "aria-label"), lambda s: "10:39:00" in s)


def test_the_picture_in_the_docs_is_light() -> None:
    picture = Path(__file__).parent.parent / "docs" / "page.png"
    assert 10_000 < picture.stat().st_size < 300_000


def lag(partition: int, rows: int | None, state: str, topic: str = "payments") -> Lag:
    return Lag(topic, partition, rows, int((time.time() - 10 * 86_400) * 1e6), state)


def committed(outcome: str = "committed", cause: str = "", age: float = 1.0) -> dict:
    lost = {cause: 3} if outcome == "aborted" else {}
    return {"commit": Commit(time.time() - age, 0.023, outcome, cause), "aborts": lost}


def test_each_partition_has_a_bar_and_says_what_it_does(open_tab) -> None:
    lags = [lag(0, 4000, "reading"), lag(1, 1000, "paused"), lag(2, 0, "waiting"),
            lag(3, 0, "idle"), lag(4, None, "lost")]  # fmt: skip
    with page() as served:
        loop = FakeLoop(served, lags={"tills": lags}, **committed())
        loop.push([sale(0, "Ghent")])
        tab = open_tab(served.url)
        tab.wait("#sources", "5\u202fk rows behind by up to 10\u202fd")
        bars = "[...document.querySelectorAll('#sources .track')]"
        widths = f"{bars}.map(bar => bar.firstChild.offsetWidth / bar.offsetWidth)"
        eventually(lambda: tab.tab.evaluate(widths)[0], lambda part: part > 0.99)
        assert tab.tab.evaluate(widths)[1:] == pytest.approx([0.25, 0, 0, 0], abs=0.02)
        rows = tab.tab.evaluate(
            "[...document.querySelectorAll('#sources .partitions li')].map(row => row.innerText)"
        )
        for text, words in zip(rows, ("4\u202fk rows", "paused", "waiting", "idle", "out of reach"),
                               strict=True):  # fmt: skip
            assert words in text
        assert tab.text("#sources .states").startswith("1 reading1 waiting for rows1 idle1 paused1")
        tab.wait("#tiles", "Rows behind5\u202fk")
        loop.more["lags"] = {"tills": [lag(0, 0, "waiting")]}
        loop.tell()
        tab.wait("#sources", "caught up")
        assert tab.count("#sources .partitions li") == 1


def test_hundreds_of_partitions_fit_and_are_read_by_keyboard(open_tab) -> None:
    lags = [lag(n, 7 * n, "reading" if n else "waiting") for n in range(300)]
    with page() as served:
        FakeLoop(served, lags={"tills": lags}, **committed()).push([sale(0, "Ghent")])
        for viewport in (WIDE, NARROW):
            tab = open_tab(served.url, viewport=viewport)
            eventually(lambda tab=tab: tab.count("#sources .column"), lambda n: n == 300)
            assert tab.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
            height = "document.querySelector('#sources-panel').offsetHeight"
            assert tab.tab.evaluate(height) < 850
        assert tab.count("#sources .partitions li") == 8
        assert tab.text("#sources .partitions li").startswith("partition 2992.09\u202fk rows")
        tab.tab.focus("#sources .strip")
        tab.tab.keyboard.press("ArrowRight")
        tab.wait("#sources .readout", "partition 1: 7 rows behind")
        tab.tab.keyboard.press("End")
        tab.wait("#sources .readout", "partition 299: 2\u202f093 rows behind, 10\u202fd, reading")
        value = tab.tab.get_attribute("#sources .strip", "aria-valuetext")
        assert value == tab.text("#sources .readout")


def test_nothing_is_shown_of_lag_and_commits_where_there_is_none(open_tab) -> None:
    with page() as served:
        fed(served)
        tab = open_tab(served.url)
        tab.wait("#top-keys", "Ghent")
        assert not tab.tab.is_visible("#sources-panel")
        assert tab.tab.locator("#tiles .tile:visible").count() == 6


def test_the_commit_says_its_age_and_how_it_ended(open_tab) -> None:
    warns = "#tiles .tile.warn"
    with page() as served:
        loop = FakeLoop(served, **committed())
        loop.push([sale(0, "Ghent")])
        tab = open_tab(served.url)
        tab.wait("#tiles", "no. 3 took 23\u202fms, state 2\u202fMB")
        assert tab.count(warns) == 0
        for more, words in (
            (committed(age=90), "90\u202fs"),
            (committed("aborted", "fenced"), "aborted: another run has the name; 3 so far"),
            (committed("failed", "no space left on device"), "cannot be written: no space left"),
        ):
            loop.more |= more
            loop.tell()
            tab.wait(warns, words)
