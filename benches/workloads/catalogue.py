"""The workloads."""

from __future__ import annotations

from dataclasses import replace

from benches.workloads.workload import Data, Workload

_KEYS = {"100": 100, "100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}
_HOUR = 3_600


def _tumbling() -> list[Workload]:
    found = []
    for spread in ("uniform", "zipf"):
        for word, keys in _KEYS.items():
            found.append(
                Workload(
                    f"tumbling-{spread[0]}{word}",
                    f"tumbling 1 min, {keys:,} keys, {spread}",
                    f"tumbling, {spread} keys",
                    "tumbling",
                    Data(keys=keys, spread=spread),
                    ("n", "s", "lo", "hi"),
                    axis=("keys", keys),
                    engines=(spread, keys) == ("zipf", 100_000),
                    small=(spread, keys) == ("zipf", 100_000),
                    large=keys > 1_000_000,
                )
            )
    base = next(each for each in found if each.name == "tumbling-z100k")
    for key, words in (("text", "texts as keys"), ("two", "keys of two columns")):
        name, title = f"tumbling-{key}", f"tumbling 1 min, 100,000 keys, zipf, {words}"
        data = Data(keys=100_000, key=key)
        kinds = replace(base, name=name, title=title, data=data, group="tumbling, kinds of keys")
        found.append(replace(kinds, axis=None, engines=False, small=False))
    return found


def _hopping() -> list[Workload]:
    def of(every: int, changed: bool = False) -> Workload:
        return Workload(
            f"hopping-{every}" + ("-changed" if changed else ""),
            f"hopping 60 s by {every} s" + (", only changed windows" if changed else ""),
            "hopping",
            "hopping",
            Data(keys=100_000),
            size=60,
            every=every,
            only_changed=changed,
            axis=("windows over each event", 60 // every),
            engines=every == 10 and not changed,
            small=every == 10 and not changed,
        )

    return [of(60), of(10), of(5), of(1), of(10, True), of(1, True)]


def _sessions() -> list[Workload]:
    def of(name: str, title: str, data: Data, **more: bool) -> Workload:
        title = f"sessions, gap 30 s, {title}"
        return Workload(f"session-{name}", title, "sessions", "session", data, size=30, **more)

    return [
        of("z100k", "100,000 keys, zipf", Data(), engines=True, small=True),
        of("u100k", "100,000 keys, uniform", Data(spread="uniform")),
        of("u1m", "1,000,000 keys, uniform", Data(keys=1_000_000, spread="uniform")),
        of("late", "100,000 keys, zipf, 10 % up to 5 s late", Data(late=0.1, late_seconds=5)),
    ]


def _sliding() -> list[Workload]:
    def of(name: str, title: str, group: str, data: Data, **more: object) -> Workload:
        more = {"sizes": (_HOUR,), **more}
        data = replace(data, seconds=7_200)
        title = f"per event, {title}"
        return Workload(f"sliding-{name}", title, group, "sliding", data, **more)

    plain, million = "per-event windows", Data(keys=1_000_000)
    three, disorder = (60, 600, _HOUR), "per-event windows, disorder"
    late = replace(million, late=0.1, late_seconds=60)
    return [
        of("z100k", "1 h, 100,000 keys", plain, Data(), engines=True, small=True),
        of("z1m", "1 h, 1,000,000 keys", plain, million),
        of("three", "1 min, 10 min and 1 h", plain, million, sizes=three),
        of("max", "greatest of 1 h", plain, million, aggregates=("n", "hi")),
        of("distinct", "different items of 1 h", plain, million, aggregates=("n", "d")),
        of("order", "1 h, in order", disorder, million, axis=("share late, %", 0)),
        of("late", "1 h, 10 % up to 60 s late", disorder, late, axis=("share late, %", 10)),
        of(
            "late50",
            "1 h, 50 % up to 60 s late",
            disorder,
            replace(late, late=0.5),
            axis=("share late, %", 50),
        ),
        of("partitions", "1 h, four partitions", disorder, replace(million, partitions=4)),
    ]


def _known() -> list[Workload]:
    ads = Data("ads", keys=100, spread="uniform")
    group = "known benchmarks"
    return [
        Workload(
            "ysb",
            "Yahoo's: views by campaign, 10 s",
            group,
            "tumbling",
            ads,
            ("n",),
            size=10,
            engines=True,
        ),
        Workload(
            "nexmark-q5",
            "NEXMark q5: bids by auction, 10 s by 2 s",
            group,
            "hopping",
            Data("auctions"),
            ("n",),
            size=10,
            every=2,
        ),
        Workload(
            "nexmark-q11",
            "NEXMark q11: bids by bidder, sessions of 10 s",
            group,
            "session",
            Data("bidders"),
            ("n",),
            size=10,
        ),
        Workload(
            "nexmark-q17",
            "NEXMark q17: prices by auction and day",
            group,
            "tumbling",
            Data("auctions"),
            ("n", "s", "lo", "hi"),
            size=86_400,
        ),
    ]


def _threads() -> list[Workload]:
    def of(threads: int) -> Workload:
        return Workload(
            f"threads-{threads}",
            f"tumbling 1 min, 1,000,000 keys, zipf, {threads} thread" + "s" * (threads > 1),
            "threads",
            "tumbling",
            Data(keys=1_000_000),
            threads=threads,
            axis=("threads", threads),
        )

    return [of(1), of(2)]


CATALOGUE = [*_tumbling(), *_hopping(), *_sessions(), *_sliding(), *_known(), *_threads()]


def chosen(size: str, words: list[str]) -> list[Workload]:
    """The workloads of a size; with words only those whose name begins with one of them.

    Raises:
        ValueError: no workload's name begins with a word.
    """
    for word in words:
        if not any(each.name.startswith(word) for each in CATALOGUE):
            names = ", ".join(each.name for each in CATALOGUE)
            raise ValueError(f"no workload begins with {word!r}\nhint: there are {names}")
    if words:
        return [each for each in CATALOGUE if each.name.startswith(tuple(words))]
    if size == "small":
        return [each for each in CATALOGUE if each.small]
    return [each for each in CATALOGUE if size == "large" or not each.large]
