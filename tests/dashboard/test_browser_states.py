"""Every page in every state of the market, dark and light, on a laptop and a phone; pictures go to var/screenshots.

One tab a page stays open through all states: what it shows has to follow the market without being asked for again.
"""

import pytest

from config import ROOT
from dashboard.main import PAGES
from tests.browsing import needs_browser
from tests.dashboard.conftest import LAPTOP, PHONE
from tests.dashboard.states import STATES

pytestmark = needs_browser
SHOTS = ROOT / "var" / "screenshots"
WORDS = {  # what every page says in a state, beside its badge
    "live": "trades/s",
    "collecting": "coverage",
    "stale": "no trade for a while: ETHUSDT",
    "blocked": "the exchange refuses this place (451)",
    "demo": "Simulated trades, not prices. No live market: name not resolved.",
    "replay": "50 % of the files read",
    "memory-only": "The database cannot be written: database or disk is full",
    "error": "coverage",
}
EXCUSES = {"collecting": ("Collecting", "Waiting for the first trade"), "error": ("failed", "could not be drawn")}
LIVE_CHARTS = {"overview.py", "pair.py", "microstructure.py", "signals.py", "advanced.py"}
LOOKS = {  # of the live state; each of the others is seen in one of the four, which differs from page to page
    "dark-1440": ("dark", LAPTOP),
    "light-1440": ("light", LAPTOP),
    "light-390": ("light", PHONE),
    "dark-390": ("dark", PHONE),
}
BADGES = {"collecting": "LIVE", "error": "LIVE"}


@pytest.mark.parametrize("name", PAGES)
def test_an_open_page_follows_the_market_through_every_state(server, context, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    server.bars(0)
    address = "" if name == "Overview" else PAGES[name].removesuffix(".py")
    page = context.new_page()
    page.goto(f"{server.url}/{address}")
    for turn, state in enumerate(STATES, list(PAGES).index(name)):
        server.state(state)
        badge = BADGES.get(state, state.upper())
        page.wait_for_selector(f".ps-strip .ps-badge:text-is('{badge}')")
        page.get_by_text(WORDS[state]).locator("visible=true").first.wait_for()
        if PAGES[name] in LIVE_CHARTS:
            _settled(page, state)
        _look(page, f"{name.lower()}-{state}", LOOKS if state == "live" else [list(LOOKS)[turn % len(LOOKS)]])
        assert page.locator("[data-testid=stException]").all_inner_texts() == []


def _settled(page, state: str) -> None:
    """Wait until no panel shows another state."""
    page.wait_for_function(
        """([state, excuses]) => {
            const text = document.querySelector(".stMain").innerText;
            const charts = [...document.querySelectorAll(".ps-live")];
            const drawn = charts.every((chart) => chart.querySelector(".trace path, .hm image, canvas"));
            const numbers = document.querySelectorAll(".stMain .ps-card .ps-value").length;
            const excused = excuses.some((excuse) => text.includes(excuse));
            if (excuses.length) return excused && (state === "error" || !numbers);
            return drawn && charts.length > 0 && !text.includes("failed") && !text.includes("could not be drawn");
        }""",
        arg=[state, EXCUSES.get(state, ())],
    )


def _look(page, name: str, looks) -> None:
    for look in looks:
        scheme, size = LOOKS[look]
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        ground = {"dark": "rgb(12, 15, 22)", "light": "rgb(255, 255, 255)"}[scheme]
        page.wait_for_function(
            "([ground, width]) => getComputedStyle(document.querySelector('.stApp')).backgroundColor === ground"
            " && document.documentElement.scrollWidth <= width",
            arg=[ground, size["width"]],
        )
        page.screenshot(path=SHOTS / f"{name}-{look}.png")
