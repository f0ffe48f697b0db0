"""A browser tab under watch: when charts appear, how old the data is that they show, blank frames, bytes received."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFRESH_WITHIN_S = 60.0  # beyond the time it is watched
PATIENCE_MS = 180_000  # for a page that opens beside many others
LAPTOP = {"width": 1440, "height": 900}
PROBE = (Path(__file__).parent / "probe.js").read_text(encoding="utf-8")

CLICK = """([button, answer]) => new Promise((resolve) => {
  const began = performance.now();
  const look = () => {
    if (document.querySelector(".ps-head").textContent.includes(answer)) resolve(performance.now() - began);
    else requestAnimationFrame(look);
  };
  [...document.querySelectorAll("[role=radio]")].find((choice) => choice.textContent === button).click();
  requestAnimationFrame(look);
})"""

STANDS = """() => document.querySelector(".stApp[data-test-script-state=notRunning]")
  && !document.querySelector(".ps-live.ps-old")"""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a tab showed in a while."""

    ages_ms: list[float]  # of each refresh, from the start of building its data to the first frame that shows it
    frames: int
    blank: int
    received: int  # bytes that pages and streams sent, before compression

    @property
    def refreshes(self) -> int:
        return len(self.ages_ms)


class Tab:
    """An open tab."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self._received = 0
        self._session = page.context.new_cdp_session(page)
        self._session.send("Network.enable")
        self._session.on("Network.webSocketFrameReceived", self._frame)
        self._session.on("Network.eventSourceMessageReceived", self._event)

    def _frame(self, event: dict[str, Any]) -> None:
        size = len(event["response"]["payloadData"])
        self._received += size * 3 // 4 if event["response"]["opcode"] == 2 else size  # binary comes as base64

    def _event(self, event: dict[str, Any]) -> None:
        self._received += len(event["data"])

    def first_ms(self) -> float:
        """Milliseconds from the start of the navigation to the first frame with all charts; waits for their page."""
        self.page.wait_for_function("() => window.__probe?.first !== null")
        self.page.wait_for_function("() => !document.querySelector('.ps-first')")
        return float(self.page.evaluate("() => window.__probe.first"))

    def watch(self, seconds: float) -> Seen:
        """What it shows and receives from now on for so long, and until at least one refresh came and was seen.

        A refresh that is on its way at the beginning may be seen without its bytes, which are counted before.
        """
        self.page.evaluate("() => Object.assign(window.__probe, { frames: 0, blank: 0, ages: [] })")
        before, until_s = self._received, time.monotonic() + seconds + REFRESH_WITHIN_S
        self.page.wait_for_timeout(1e3 * seconds)
        while not (probe := self.page.evaluate("() => window.__probe"))["ages"] or self._received == before:
            if time.monotonic() > until_s:
                raise TimeoutError(f"no refresh within {REFRESH_WITHIN_S:g} s")
            self.page.wait_for_timeout(20)
        return Seen(probe["ages"], probe["frames"], probe["blank"], self._received - before)

    def click_ms(self, button: str, answer: str) -> float:
        """Milliseconds from a click on a button (its text) to the first frame that has a text in the page's head.

        It is clicked once the page stands, with the chart of the choice before.
        """
        self.page.get_by_role("radio", name=button, exact=True).first.wait_for()
        self.page.wait_for_function(STANDS)
        return float(self.page.evaluate(CLICK, [button, answer]))

    def heap_bytes(self) -> int:
        """Bytes that JavaScript holds after a collection of what it does not need."""
        self._session.send("HeapProfiler.collectGarbage")
        return int(self._session.send("Runtime.getHeapUsage")["usedSize"])


@contextmanager
def tab(browser: Any, url: str) -> Iterator[Tab]:
    """A tab with an empty cache and the probe in it, closed at the end."""
    context = browser.new_context(viewport=LAPTOP, color_scheme="dark")
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(PROBE)
    try:
        opened = Tab(context.new_page())
        opened.page.goto(url)
        yield opened
    finally:
        context.close()
