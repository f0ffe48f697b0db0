"""The first chart in a real browser: there before the page, in it afterwards, and gone where the page has none."""

import pytest

from dashboard.live.figures import followed
from dashboard.live.files import LIVE_URL
from dashboard.live.first import FIRST
from dashboard.view import View
from tests.browsing import needs_browser
from tests.dashboard.conftest import DRAWN, PHONE, open_page

pytestmark = needs_browser
# Notes the chart of the shell as it is when it is drawn: whether the page is there, where it stands, and on what.
NOTE = """new MutationObserver((changes, observer) => {
    const root = document.querySelector(".ps-first[data-seq]");
    if (!root) return;
    observer.disconnect();
    const { left, top, width } = root.getBoundingClientRect(), plot = root.querySelector(".js-plotly-plot");
    const ground = getComputedStyle(document.body).backgroundColor;
    window.noted = { early: !document.querySelector(".stApp"), plot, place: [left, top, width], ground };
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-seq"] })"""
STANDS = """() => {
    const root = document.querySelector("[data-live=chart]"), { left, top, width } = root.getBoundingClientRect();
    const scrolled = document.querySelector("[data-testid=stMain]").scrollTop;
    return [left, top + scrolled, width].every((value, i) => Math.abs(value - window.noted.place[i]) < 1);
}"""


def opened(context, url: str, figure: str, viewport=None):
    """A tab that notes the first chart, drawn in its page, and what was asked of its figure."""
    page, asked = context.new_page(), []
    if viewport:
        page.set_viewport_size(viewport)
    page.on("request", lambda request: asked.append(request.url) if f"/figure/{figure}?" in request.url else None)
    page.add_init_script(NOTE)
    page.goto(url)
    page.wait_for_function(DRAWN)
    return page, asked


@pytest.mark.parametrize("path", FIRST)
def test_it_is_drawn_before_the_page_and_goes_on_in_it(path, server, context):
    page, asked = opened(context, f"{server.url}{path}?refresh=1.0", FIRST[path][0])
    root = page.locator("[data-live=chart]").first
    assert page.evaluate("() => window.noted.early") is True
    assert root.evaluate("(root) => root.contains(window.noted.plot)") is True
    seq = "() => Number(document.querySelector('[data-live=chart]').dataset.seq)"
    page.wait_for_function(f"(seq) => ({seq})() > seq", arg=page.evaluate(seq))
    assert len(set(asked)) == 1
    assert page.evaluate("() => [document.querySelector('.ps-first'), document.documentElement.className]") == [
        None,
        "",
    ]
    page.wait_for_function("""() => {
        const { plot } = window.noted;
        return Math.abs(plot._fullLayout.width - plot.parentElement.clientWidth) <= 1;
    }""")
    page.close()


@pytest.mark.parametrize("viewport", [None, PHONE])
def test_it_stands_where_it_stood(viewport, server, context):
    for _ in range(2):
        page, _ = opened(context, f"{server.url}/pair", "pair", viewport)
        page.wait_for_function("() => document.querySelectorAll('.ps-panel .ps-card').length === 6")
        page.wait_for_selector(".st-key-rule-add button", state="attached")
        page.wait_for_load_state("networkidle")
        places = page.evaluate("() => window.noted.place"), page.evaluate(STANDS)
        page.goto("about:blank")
        page.close()
    assert places[1] is True, places


def test_it_has_the_theme_that_the_reader_chose(server, context):
    page = open_page(context, f"{server.url}/pair")
    page.locator("[data-do=theme]").click()
    page.wait_for_function("() => document.querySelector('[data-live=chart]').live.query.endsWith('theme=light')")
    page.close()
    page, asked = opened(context, f"{server.url}/pair", "pair")
    assert page.evaluate("() => window.noted.ground") == "rgb(255, 255, 255)"
    assert {url.split("theme=")[1] for url in asked} == {"light"}
    page.close()


def test_it_leaves_a_page_that_comes_without_it(server, context):
    page = open_page(context, f"{server.url}/pair")
    shell = """async ([url, data]) => {
        const { begin } = await import(url);
        await begin(data);
        return document.querySelectorAll(".ps-first .js-plotly-plot").length;
    }"""
    data = followed("tape", View.default(["BTCUSDT", "ETHUSDT"]), 300)
    assert page.evaluate(shell, [LIVE_URL, data]) == 1
    page.wait_for_function("() => !document.querySelector('.ps-first') && !document.documentElement.className")
    assert page.locator(".js-plotly-plot").count() == 1
    page.close()


def test_it_leaves_when_its_reader_goes_on_to_another_page(server, context):
    page = context.new_page()
    page.goto(f"{server.url}/alerts")
    page.wait_for_function("() => document.querySelector('.ps-frame')?.ready")
    data = followed("pair", View.default(["BTCUSDT", "ETHUSDT"]), 300)
    page.evaluate("async ([url, data]) => { await (await import(url)).begin(data); }", [LIVE_URL, data])
    assert page.locator(".ps-first").count() == 1
    page.get_by_role("link", name="Data").click()
    page.wait_for_function("() => !document.querySelector('.ps-first')")
    page.close()


@pytest.mark.parametrize("kept", ["{", "null", "[]", '{"/pair": 7}'])
def test_a_page_comes_where_the_place_that_is_kept_cannot_be_read(kept, server, context):
    context.add_init_script(f"if (location.host) localStorage.setItem('pairscope-places', '{kept}')")
    page, _ = opened(context, f"{server.url}/pair", "pair")
    assert page.locator(".js-plotly-plot").count() == 1
    assert page.evaluate("() => Boolean(window.noted?.early)") is (kept != '{"/pair": 7}')
    page.close()


@pytest.mark.parametrize("failing", ["**/live/live.js?*", "**/live/figure/pair?*", "**/live/plotly.js?*"])
def test_a_page_comes_where_it_fails(failing, server, context):
    page, failed = context.new_page(), []

    def fail_once(route):
        failed.append(route.request.url)
        if len(failed) == 1:
            route.abort()
        else:
            route.continue_()

    page.route(failing, fail_once)
    page.goto(f"{server.url}/pair")
    page.wait_for_function(DRAWN)
    assert len(failed) >= 2 and page.locator(".js-plotly-plot").count() == 1
    page.close()
