"""The live chart in a real browser: it follows, keeps what its reader did, and comes back after the server."""

import signal
import time

import numpy as np
import pytest

from tests.browsing import needs_browser
from tests.dashboard.conftest import LAPTOP, PHONE, open_page, served

pytestmark = needs_browser
PLOT = "document.querySelector('.js-plotly-plot')"
RANGE = f"() => {PLOT}.layout.xaxis.range.map(String)"
SHOWN = f"() => {PLOT}._fullData.map((trace) => trace.visible)"
NEWEST = f"() => {PLOT}.data[0].x.at(-1)"
LIVE = "document.querySelector('.ps-live')"


# What the chart shows, in data: points of each path as (ms, y), and tags as (text, y); with the size of a pixel.
DRAWN = f"""() => {{
    const plot = {PLOT}, full = plot._fullLayout, paths = {{}};
    const axis = (letter) => full[`${{letter[0]}}axis${{letter.slice(1)}}`];
    plot._fullData.forEach((trace, i) => {{
        const across = axis(trace.xaxis || "x"), up = axis(trace.yaxis || "y");
        plot.querySelectorAll(`.trace${{trace.uid}} path`).forEach((path, k) => {{
            const numbers = (path.getAttribute("d") || "").match(/-?[\\d.]+/g)?.map(Number);
            if (!numbers || trace.mode !== "lines" || (path.matches(".js-line") && !trace.line.width)) return;
            const points = numbers.flatMap((x, j) => (j % 2 ? [] : [[across.p2l(x), up.p2l(numbers[j + 1])]]));
            paths[`${{trace.name}} ${{k}}`] = {{ points, pixel: Math.abs(up.p2l(1) - up.p2l(0)) }};
        }});
    }});
    const tags = full.annotations.flatMap((note, i) => {{
        const group = plot.querySelector(`.annotation[data-index="${{i}}"]`);
        if (!group || note.xanchor !== "left" || note.x < 1) return [];
        const box = group.getBoundingClientRect(), up = axis(note.yref), top = plot.getBoundingClientRect().top;
        return [[group.textContent, up.p2l(box.top + box.height / 2 - top - up._offset)]];
    }});
    return {{ paths, tags, pixel_ms: full.xaxis.p2l(1) - full.xaxis.p2l(0) }};
}}"""


def refresh(server, page, count: int) -> None:
    """Let the chart be drawn anew so many times, each time with another newest bar."""
    page.evaluate(f"""() => {{
        const chart = {LIVE}.live, seen = new Set();
        for (const name of ["draw", "shown"]) {{
            const before = chart[name].bind(chart);
            chart[name] = async () => {{
                await before();
                seen.add(chart.payload.figure.data[0].x.at(-1));
                window.drawn = seen.size;
            }};
        }}
    }}""")
    server.bars(50)
    page.wait_for_function(f"() => window.drawn > {count}")
    server.bars(0)


def drag(page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw the mouse from one place of the chart to another."""
    box = page.locator(".js-plotly-plot").bounding_box()
    page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0], box["y"] + end[1], steps=8)
    page.mouse.up()
    page.wait_for_function(f"() => {PLOT}.layout.xaxis.autorange === false")


def hide(page, trace: int) -> None:
    """Hide a trace by the legend, which our figures leave out, as their panes have names."""
    page.evaluate(f"() => {{ {LIVE}.live.payload.figure.layout.showlegend = true; {LIVE}.live.schedule(); }}")
    page.locator(".legendtoggle").nth(trace).dispatch_event("mousedown")
    page.locator(".legendtoggle").nth(trace).dispatch_event("mouseup")
    page.wait_for_function(f"() => ({SHOWN})().includes('legendonly')")


def test_zoom_pan_and_hidden_traces_survive_fifty_refreshes_of_one_and_the_same_chart(server, page):
    server.bars(0)
    page.evaluate(f"() => {{ {PLOT}.mine = true; }}")
    drag(page, (200, 60), (400, 160))
    zoomed = page.evaluate(RANGE)
    page.locator(".modebar-btn[data-val=pan]").first.dispatch_event("click")
    page.wait_for_function(f"() => {PLOT}.layout.dragmode === 'pan'")
    drag(page, (400, 60), (300, 60))
    panned, newest = page.evaluate(RANGE), page.evaluate(NEWEST)
    assert panned != zoomed
    hide(page, 1)
    shown = page.evaluate(SHOWN)
    refresh(server, page, 50)
    assert page.evaluate(RANGE) == panned
    assert page.evaluate(SHOWN) == shown
    assert page.evaluate(f"() => {PLOT}.layout.dragmode") == "pan"
    assert page.evaluate(f"() => {PLOT}.mine")
    assert page.evaluate(NEWEST) >= newest + 49_000


def test_new_points_stand_where_plotly_would_draw_them(server, page):
    page.mouse.move(5, 5)
    server.bars(20)
    page.wait_for_function(f"() => {LIVE}.live.behind && !{LIVE}.live.frame && ({LIVE}.live.hangUp(), true)")
    server.bars(0)
    quick = page.evaluate(DRAWN)
    page.evaluate(f"() => {LIVE}.live.draw()")
    whole = page.evaluate(DRAWN)
    assert set(quick["paths"]) == set(whole["paths"]) and len(whole["paths"]) == 8
    for name, path in whole["paths"].items():  # Plotly leaves out points that lie on a line
        known = np.array(quick["paths"][name]["points"])
        for x, y in path["points"]:
            near = np.abs(known[:, 0] - x) < quick["pixel_ms"]
            assert np.min(np.abs(known[near, 1] - y), initial=np.inf) < 1.5 * path["pixel"], (name, x, y)
    assert [text for text, _ in quick["tags"]] == [text for text, _ in whole["tags"]]
    pixels = [
        whole["paths"][f"{name} 0"]["pixel"] for name in ("spread − mean", "z-score", "hedge ratio", "correlation")
    ]
    for (_, before), (_, after), pixel in zip(quick["tags"], whole["tags"], pixels, strict=True):
        assert abs(before - after) < 1.5 * pixel


def test_a_tag_takes_another_colour_without_a_whole_drawing(server, page):
    page.mouse.move(5, 5)
    server.bars(0)
    page.wait_for_function(f"() => !{LIVE}.live.frame && {LIVE}.live.plot.psTags && ({LIVE}.live.hangUp(), true)")
    fill = page.evaluate(f"""() => {{
        const chart = {LIVE}.live, i = chart.payload.figure.layout.annotations.findIndex((note) => note.yref === "y3");
        chart.receive({{
            epoch: chart.epoch, seq: chart.seq + 1, t0: 0,
            operations: [["set", ["figure", "layout", "annotations", i, "font", "color"], "rgb(1, 2, 3)"]],
        }});
        const tag = {PLOT}.querySelector(`.annotation[data-index="${{i}}"] text`);
        return [chart.frame, getComputedStyle(tag).fill];
    }}""")
    assert fill == [None, "rgb(1, 2, 3)"]


def test_the_pointer_finds_the_newest_points(server, page):
    page.mouse.move(5, 5)
    server.bars(20)
    page.wait_for_function(f"() => {LIVE}.live.behind")
    page.locator(".js-plotly-plot").hover()
    page.wait_for_function(f"() => !{LIVE}.live.behind && ({NEWEST})() === {LIVE}.live.payload.figure.data[0].x.at(-1)")
    server.bars(0)


def test_a_chart_library_that_did_not_come_is_asked_for_again(server, context):
    asked = []

    def answer(route):
        asked.append(route.request.url)
        route.abort() if len(asked) == 1 else route.continue_()

    context.route("**/live/plotly.js*", answer)
    page = open_page(context, f"{server.url}/pair")
    assert len(asked) == 2
    assert page.evaluate(f"() => {LIVE}.dataset.state") == "live"


def test_a_figure_has_the_library_prepare_what_it_did_not_begin_with(server, context):
    page = open_page(context, f"{server.url}/pair")
    assert "scatter" in page.evaluate("() => Plotly.atOnce")
    page.goto(f"{server.url}/advanced?topic=correlation")
    kinds = """() => [...document.querySelectorAll(".js-plotly-plot")]
        .flatMap((plot) => plot._fullData.map(({ type }) => type))"""
    page.wait_for_function(f"() => ({kinds})().includes('surface')")
    assert set(page.evaluate(kinds)) == {"heatmap", "surface"}
    page.wait_for_selector(".js-plotly-plot .gl-container canvas", state="attached")
    assert page.evaluate("() => Plotly.atOnce") is None


def test_the_chart_follows_a_switch_of_the_theme(page):
    ground = f"() => {PLOT}.layout.plot_bgcolor"
    assert page.evaluate(ground) == "#0c0f16"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"() => ({ground})() === '#ffffff'")


@pytest.mark.parametrize("paused", [0, 1])
def test_no_figure_of_the_last_choice_stays_where_the_next_one_cannot_be_had(server, context, paused):
    page = open_page(context, f"{server.url}/pair?y=ETHUSDT&x=BTCUSDT&paused={paused}")
    held, words = [], "at most 64 different live figures at a time"
    page.route("**/live/figure/pair?*y=BTCUSDT*", lambda route: held.append(route))
    page.locator(".st-key-swap button").first.click()
    page.wait_for_selector(".ps-live.ps-old[data-state=loading]")
    assert page.evaluate(f"() => {PLOT}.style.visibility") == "visible"
    page.wait_for_selector(".ps-live .ps-note:text-is('Loading')")
    page.route(
        "**/live/figure/pair?*y=BTCUSDT*", lambda route: route.fulfill(status=503, json={"error": {"message": words}})
    )
    for route in held:
        route.fulfill(status=503, json={"error": {"message": words}})
    page.wait_for_selector(f".ps-live:not(.ps-old) .ps-note:text-is('No data: {words}')")
    assert page.evaluate(f"() => {PLOT}.style.visibility") == "hidden"
    page.unroute("**/live/figure/pair?*y=BTCUSDT*")
    page.wait_for_selector(".ps-live:not(.ps-old)[data-state=live]")
    assert page.evaluate(f"() => {PLOT}.style.visibility") == "visible"
    assert page.evaluate(f"() => {PLOT}.data.find((trace) => trace.name === 'hedge ratio').y.at(-1)") > 1


def test_another_page_and_back_leaves_one_chart(page):
    page.get_by_role("link", name="Overview").click()
    page.wait_for_selector("text=Statistics, newest")
    page.get_by_role("link", name="Pair").click()
    page.wait_for_selector("text=What this says")
    page.wait_for_function(f"() => {LIVE}?.dataset.seq > 0")
    assert page.locator(".js-plotly-plot").count() == 1


def test_the_address_reproduces_the_screen_and_nothing_comes_from_outside(page, context):
    page.locator(".st-key-swap button").first.click()
    page.wait_for_selector("text=BTCUSDT / ETHUSDT")
    page.get_by_role("radio", name="5s", exact=True).click()
    page.wait_for_selector("text=5 s bars · rolling OLS")
    page.wait_for_url("**y=BTCUSDT*tf=5s*")
    copy = open_page(context, page.url)
    copy.wait_for_selector("text=BTCUSDT / ETHUSDT")
    copy.wait_for_selector("text=5 s bars · rolling OLS")
    assert copy.url == page.url
    assert "tf=5s" in copy.evaluate(f"() => {LIVE}.live.query")
    assert context.outside == []


def test_two_tabs_show_two_pairs(server, context):
    address = f"{server.url}/pair?y={{}}&x={{}}"
    one = open_page(context, address.format("ETHUSDT", "BTCUSDT"))
    two = open_page(context, address.format("BTCUSDT", "ETHUSDT"))
    title = "() => document.querySelector('.ps-head h2').textContent"
    last = f"() => {PLOT}.data.find((trace) => trace.name === 'hedge ratio').y.at(-1)"
    ratios = [page.evaluate(last) for page in (one, two)]
    assert [page.evaluate(title) for page in (one, two)] == ["ETHUSDT / BTCUSDT", "BTCUSDT / ETHUSDT"]
    assert ratios[0] < 1 < ratios[1]
    refresh(server, one, 3)
    refresh(server, two, 3)
    assert [page.evaluate(title) for page in (one, two)] == ["ETHUSDT / BTCUSDT", "BTCUSDT / ETHUSDT"]


def test_more_tabs_than_a_browser_keeps_connections_to_a_host(server, context):
    for _ in range(7):
        page = context.new_page()
        page.goto(f"{server.url}/live/figure/pair")  # a page of this server without all of Streamlit
        page.evaluate("""() => new Promise((resolve, reject) => {
            window.stream = new WebSocket(`ws://${location.host}/live/stream/pair`);
            window.stream.onmessage = resolve;
            window.stream.onclose = reject;
        })""")
    open_page(context, f"{server.url}/pair")


def test_a_phone_shows_the_page_without_a_horizontal_scroll(page):
    page.set_viewport_size(PHONE)
    page.wait_for_function("() => document.documentElement.scrollWidth <= 390")
    page.wait_for_function(f"() => {PLOT}.offsetWidth < 380")
    page.set_viewport_size(LAPTOP)
    page.wait_for_function(f"() => {PLOT}.offsetWidth > 600")


def test_the_server_stops_at_once_while_a_tab_is_open_and_the_tab_goes_on_with_the_next(context, unused_port):
    epoch = f"() => {LIVE}.dataset.epoch"
    with served(unused_port) as server:
        page = open_page(context, f"{server.url}/pair")
        before = page.evaluate(epoch)
        page.evaluate(f"() => {{ {PLOT}.mine = true; }}")
        began_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(5)
        assert time.monotonic() - began_s < 3
        page.wait_for_selector(".ps-live.ps-lost")
    with served(unused_port) as server:
        page.wait_for_function(f"(before) => ({epoch})() !== before", arg=before)
        page.wait_for_selector(".ps-live:not(.ps-lost)")
        refresh(server, page, 3)
        assert page.evaluate(f"() => {PLOT}.mine")


def test_the_first_click_in_a_fresh_process_changes_what_was_clicked_and_nothing_else(context):
    with served() as server:
        page = open_page(context, f"{server.url}/pair?window=90&entry=2.5&y=ETHUSDT&x=BTCUSDT")
        page.get_by_role("radio", name="15s", exact=True).click()
        page.wait_for_url("**tf=15s**")
        query = dict(part.split("=") for part in page.url.split("?")[1].split("&"))
        chosen = {name: query[name] for name in ("window", "entry", "y", "x", "refresh")}
        assert chosen == {"window": "90", "entry": "2.5", "y": "ETHUSDT", "x": "BTCUSDT", "refresh": "1.0"}
        page.close()


def test_keys_press_what_is_on_the_screen(page):
    page.keyboard.press("s")
    page.wait_for_url("**y=BTCUSDT**")
    page.keyboard.press("]")
    page.wait_for_url("**tf=5s**")
    page.keyboard.press("p")
    page.wait_for_url("**paused=1**")
    page.keyboard.press("p")
    page.wait_for_url("**paused=0**")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open] >> text=Keyboard shortcuts")
    page.keyboard.press("?")
    page.keyboard.press("3")
    page.wait_for_selector("h2:has-text('Microstructure')")
    page.locator("[aria-label='Window, bars'] input, input[aria-label='Window, bars']").first.focus()
    page.keyboard.press("1")
    assert page.url.split("?")[0].endswith("/microstructure")  # a number typed into a field is no page


def test_the_theme_switch_holds_on_every_page_and_over_a_reload(page):
    ground = f"() => {PLOT}?.layout.plot_bgcolor"
    page.keyboard.press("t")
    page.wait_for_function(f"() => ({ground})() === '#ffffff'")
    page.keyboard.press("4")
    page.wait_for_selector("h2:has-text('Signals')")
    page.reload()
    page.wait_for_function(f"() => ({ground})() === '#ffffff'")
    page.wait_for_function("() => document.querySelector('.ps-frame')?.ready")  # before that no key is heard
    page.keyboard.press("t")
    page.wait_for_function(f"() => ({ground})() === '#0c0f16'")


def test_sound_and_notice_of_alerts_are_a_choice_of_the_browser(page):
    button = page.get_by_role("button", name="Sound and notice of alerts")
    assert button.get_attribute("aria-pressed") == "false"
    page.keyboard.press("n")
    page.wait_for_function("() => localStorage.getItem('pairscope-sound') === 'on'")
    assert button.get_attribute("aria-pressed") == "true"
    page.evaluate("""() => {
        const toast = document.createElement("div");
        toast.dataset.testid = "stToast";
        toast.append("ETHUSDT/BTCUSDT |z| > 2 fired");
        document.body.append(toast);
    }""")
    page.wait_for_function("() => window.__pairscopeTold === 'ETHUSDT/BTCUSDT |z| > 2 fired'")
    page.keyboard.press("n")
    page.wait_for_function("() => localStorage.getItem('pairscope-sound') === 'off'")
