"""The live chart in a real browser: it follows, keeps the reader's zoom, takes the theme, and lets the server stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config import ROOT
from tests.browsing import chromium, needs_browser

pytestmark = needs_browser
RANGE = "() => document.querySelector('.js-plotly-plot').layout.xaxis.range.map(String)"
SEQ = "() => Number(document.querySelector('.ps-live').dataset.seq)"


@pytest.fixture(scope="module")
def server():
    script = Path(__file__).parent / "served.py"
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        yield process, address
    finally:
        process.kill()
        process.wait(5)
        process.stdout.close()


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(server, browser):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page = context.new_page()
    page.faults = []
    page.outside = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("request", lambda request: page.outside.append(request.url) if is_outside(request.url) else None)
    page.goto(f"{server[1]}/pair")
    page.wait_for_function("() => document.querySelector('.ps-live')?.dataset.seq > 0", timeout=30_000)
    yield page
    context.close()


def is_outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "blob:", "data:"))


def wait_for_refreshes(page, count: int) -> None:
    page.wait_for_function(f"(until) => ({SEQ})() >= until", arg=page.evaluate(SEQ) + count, timeout=30_000)


def test_zoom_survives_refreshes_of_one_and_the_same_chart(page):
    page.evaluate("() => { document.querySelector('.js-plotly-plot').mine = true; }")
    box = page.locator(".js-plotly-plot").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 120)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 120, steps=5)
    page.mouse.move(box["x"] + 400, box["y"] + 120, steps=5)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.xaxis.autorange === false")
    zoomed = page.evaluate(RANGE)
    wait_for_refreshes(page, 4)
    assert page.evaluate(RANGE) == zoomed
    assert page.evaluate("() => document.querySelector('.js-plotly-plot').mine")
    assert page.faults == []


def test_the_chart_follows_a_switch_of_the_theme(page):
    ground = "() => document.querySelector('.js-plotly-plot').layout.plot_bgcolor"
    assert page.evaluate(ground) == "#0c0f16"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"() => ({ground})() === '#ffffff'", timeout=15_000)


def test_another_page_and_back_leaves_one_chart(page):
    page.get_by_role("link", name="Overview").click()
    page.wait_for_selector("text=Statistics, newest")
    page.get_by_role("link", name="Pair").click()
    page.wait_for_selector("text=What this says")
    page.wait_for_function("() => document.querySelector('.ps-live')?.dataset.seq > 0")
    assert page.locator(".js-plotly-plot").count() == 1
    assert page.faults == []


def test_the_address_reproduces_the_screen_and_nothing_comes_from_outside(page):
    page.locator(".st-key-swap button").first.click()
    page.wait_for_selector("text=BTCUSDT / ETHUSDT")
    page.wait_for_url("**y=BTCUSDT*")
    page.reload()
    page.wait_for_selector("text=BTCUSDT / ETHUSDT")
    assert page.outside == []


def test_a_phone_shows_the_page_without_a_horizontal_scroll(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("() => document.documentElement.scrollWidth <= 390")
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').offsetWidth < 380")


def test_the_server_stops_at_once_while_a_tab_is_open(server, page):
    process, _ = server
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(5)
    assert time.monotonic() - started < 3
