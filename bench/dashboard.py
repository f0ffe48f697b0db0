"""The live Pair page in a real browser, against the same charts drawn with `st.plotly_chart` in a fragment.

Both sides in one server process on one market of 1,000 trades a second, one after the other. `live` is the time from
the start of building the data on the server to the first animation frame that shows it. Two peers: as well as it can
be done (`tuned`: a key, plain arrays, our template), and as it is usually written (`usual`: graph objects on a
DatetimeIndex). Server CPU is that of all threads but the engine's, less what they use without a tab; less than 1 ms
counts as 1. Bytes are counted before compression.
"""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.frame import Row, Skipped, at_least, at_most, count, grows_at_most, named
from bench.watched import Seen, tab
from dashboard.live.hub import LINGER_S
from tests.chromium import CHROMIUM, chromium
from tests.running import Running, running
from tests.waiting import until

RATE = 1_000  # trades a second
TRIAL_RATE = 50  # of a trial, whose market has no need to be busy
SIDES = {"ours": "/?side=ours", "tuned": "/?side=tuned", "usual": "/?side=usual", "page": "/pair"}
LEAST_CPU_MS = 1.0  # a second: what the clock of a busy process can tell apart


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long and how often."""

    rounds: int
    window_s: float
    idle_s: float  # without a tab, before or after each window
    rest_s: float  # before that: what tabs followed is built on for a while
    warm_up_s: float
    clicks: int
    tabs: int
    heap_s: float

    @classmethod
    def of(cls, scale: float) -> "Sizes":
        """Those of the targets at 1; for a trial as little as shows that all works."""
        if scale >= 1:
            return cls(
                rounds=5,
                window_s=10.0,
                idle_s=10.0,
                rest_s=LINGER_S + 1,
                warm_up_s=3.0,
                clicks=40,
                tabs=8,
                heap_s=600.0,
            )
        window_s, idle_s, heap_s = max(1.2, 10 * scale), max(0.2, 10 * scale), max(1.0, 600 * scale)
        return cls(
            rounds=1, window_s=window_s, idle_s=idle_s, rest_s=0.0, warm_up_s=0.2, clicks=2, tabs=1, heap_s=heap_s
        )


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One side once: what its tab showed, and what the server spent on it."""

    first_ms: float
    seen: Seen
    cpu_ms_a_second: float


Taken = Mapping[str, Sequence[Round]]


class Bench:
    """A running server and a browser."""

    def __init__(self, app: Running, browser: Any, sizes: Sizes) -> None:
        self.app, self.browser, self.sizes = app, browser, sizes

    def round(self, side: str, every_s: float = 1.0, tabs: int = 1) -> Round:
        """Open one side in so many tabs, watch the first one, and close them."""
        with ExitStack() as stack:
            address = self.app.url + SIDES[side]
            address += f"{'&' if '?' in address else '?'}refresh={every_s:g}"
            opened = [stack.enter_context(tab(self.browser, address)) for _ in range(tabs)]
            firsts_ms = [each.first_ms() for each in opened]
            opened[0].watch(self.sizes.warm_up_s)
            began_s, used_s = time.perf_counter(), self._cpu_s()
            seen = opened[0].watch(self.sizes.window_s)
            cpu = 1e3 * (self._cpu_s() - used_s) / (time.perf_counter() - began_s)
        return Round(firsts_ms[0], seen, max(LEAST_CPU_MS, cpu - self.cpu_without_tabs()))

    def rounds(self, side: str, **options: Any) -> list[Round]:
        """The same, as often as it is done."""
        return [self.round(side, **options) for _ in range(self.sizes.rounds)]

    def cpu_without_tabs(self) -> float:
        """Milliseconds of processor time a second without a tab."""
        time.sleep(self.sizes.rest_s)
        began_s, used_s = time.perf_counter(), self._cpu_s()
        time.sleep(self.sizes.idle_s)
        return 1e3 * (self._cpu_s() - used_s) / (time.perf_counter() - began_s)

    def _cpu_s(self) -> float:
        return float(self.app.get("/bench/cpu")["cpu_s"])


def run(scale: float = 1.0) -> Iterator[Row]:
    """All rows, as they come; at full size about 25 minutes, ten of them for the heap."""
    if CHROMIUM is None:
        raise Skipped("no Chromium on this machine")
    with (
        TemporaryDirectory() as folder,
        running(
            program=("-m", "bench.dashboard_server"),
            source="demo",
            demo_rate=RATE if scale >= 1 else TRIAL_RATE,
            database=Path(folder) / "bench.db",
            log_level="ERROR",
        ) as app,
        chromium() as browser,
    ):
        until(app.status, lambda status: all(row["stored"] for row in status["symbols"].values()), 120)
        bench = Bench(app, browser, Sizes.of(scale))
        if scale >= 1:
            with tab(browser, app.url + SIDES["page"]) as first:  # it pays for what all later ones share
                first.first_ms()
        taken = _in_turn(bench)
        yield from _charts(taken)
        yield _half_second(bench)
        yield _click(bench)
        yield from _tabs(bench, taken)
        yield _heap(bench)


def _in_turn(bench: Bench) -> dict[str, list[Round]]:
    """All sides at one refresh a second, in turn."""
    taken: dict[str, list[Round]] = {side: [] for side in SIDES}
    for _ in range(bench.sizes.rounds):
        for side, rounds in taken.items():
            rounds.append(bench.round(side))
    return taken


def _charts(taken: Taken) -> list[Row]:
    """Age, bytes, CPU, blank frames, and how long the first chart takes."""
    peer = f"{named('streamlit')} plotly_chart x4"
    rows = []
    for name, value, unit, least in (
        ("live", _age_ms, "ms", 15),
        ("live-bytes", _bytes, "B a refresh", 200),
        ("live-cpu", _cpu, "CPU ms/s", 5),
    ):
        for side in ("tuned", "usual"):
            ours, theirs = ("live chart", value(taken["ours"])), (f"{peer}, {side}", value(taken[side]))
            rows.append(at_least(name, ours, theirs, unit, "1 s refresh", least))
    rows.append(_whole_frames(taken))
    page, tuned = ("Pair page, first chart", _first_ms(taken["page"])), (f"{peer}, tuned", _first_ms(taken["tuned"]))
    return [*rows, at_most("live-first", page, tuned, "ms", "empty cache", 2_500)]


def _whole_frames(taken: Taken) -> Row:
    """Share of the animation frames that show all charts."""
    frames = {side: sum(each.seen.frames for each in rounds) for side, rounds in taken.items()}
    share = {side: 100 * (1 - sum(each.seen.blank for each in rounds) / frames[side]) for side, rounds in taken.items()}
    ours, peer = ("Pair page, whole frames", share["page"]), ("plotly_chart x4, tuned", share["tuned"])
    size = f"{count(frames['page'])} frames"
    return Row("live-frames", *ours, *peer, "%", size, ours[1] / peer[1], "100 %", share["page"] == 100)


def _half_second(bench: Bench) -> Row:
    """Two refreshes a second, of the whole page."""
    ours, peer = (_age_ms(bench.rounds(side, every_s=0.5)) for side in ("page", "tuned"))
    return at_most("live-half", ("Pair page", ours), ("plotly_chart x4, tuned", peer), "ms", "0.5 s refresh", 100)


def _click(bench: Bench) -> Row:
    """A choice in the sidebar while the page stands live, until its head shows it; beside it a refresh."""
    widths = [("5s", "5 s bars"), ("1s", "1 s bars")] * (bench.sizes.clicks // 2)
    with tab(bench.browser, f"{bench.app.url}/pair") as opened:
        opened.first_ms()
        taken_ms = [opened.click_ms(*width) for width in widths]
        age_ms = statistics.median(opened.watch(bench.sizes.window_s).ages_ms)
    size = f"{len(widths)} clicks"
    return at_most(
        "live-click", ("click to answer", statistics.median(taken_ms)), ("a refresh", age_ms), "ms", size, 300
    )


def _tabs(bench: Bench, taken: Taken) -> Iterator[Row]:
    """CPU of the server with many tabs over that with one: of the chart alone, and of the whole page."""
    many = bench.sizes.tabs
    for side, text in (("ours", "live chart"), ("page", "Pair page")):
        one, all_ = _cpu(taken[side]), _cpu(bench.rounds(side, tabs=many))
        large, small = (f"{text}, {many} tabs", all_), (f"{text}, 1 tab", one)
        yield grows_at_most("live-tabs", large, small, "CPU ms/s", "1 s refresh", 1.5)


def _heap(bench: Bench) -> Row:
    """What the page holds after a long while over what it held when it was warm."""
    with tab(bench.browser, f"{bench.app.url}/pair") as opened:
        opened.first_ms()
        opened.watch(min(60.0, bench.sizes.heap_s))
        before = opened.heap_bytes()
        opened.watch(bench.sizes.heap_s)
        after = opened.heap_bytes()
    seconds = f"{bench.sizes.heap_s:g} s"
    return grows_at_most("live-heap", ("heap at the end", after / 1e6), ("when warm", before / 1e6), "MB", seconds, 1.1)


def _age_ms(rounds: Sequence[Round]) -> float:
    return statistics.median(age for each in rounds for age in each.seen.ages_ms)


def _bytes(rounds: Sequence[Round]) -> float:
    return statistics.median(each.seen.received / max(1, each.seen.refreshes) for each in rounds)


def _cpu(rounds: Sequence[Round]) -> float:
    return statistics.median(each.cpu_ms_a_second for each in rounds)


def _first_ms(rounds: Sequence[Round]) -> float:
    return statistics.median(each.first_ms for each in rounds)
