"""Live panels in a real browser: they follow without asking, change what changed alone, and show no foreign markup."""

from tests.browsing import needs_browser
from tests.dashboard.conftest import open_page

pytestmark = needs_browser
VALUE = "document.querySelector('.ps-card .ps-value')"
FOLLOWING = "(count) => [...document.querySelectorAll('.ps-panel')].filter((root) => root.panel).length === count"
# What no panel of ours holds, around what one may hold.
FOREIGN = """<div class="ps-box" data-help="why" style="width:40%" onclick="window.hurt = 1">kept
<script>window.hurt = 1</script><img src="x" onerror="window.hurt = 1">
<svg onload="window.hurt = 1"><text>x</text></svg>
<iframe srcdoc="<script>parent.hurt = 1</script>"></iframe><a href="javascript:window.hurt = 1">x</a>
<math><mi>x</mi></math>
<form action="http://elsewhere.example"><button>x</button></form><style>* { color: red }</style>
<p style="background:url(http://elsewhere.example/a)">one</p><p style="background:\\75rl(http://elsewhere.example/b)">two</p>
<i style="mask-image:url(&quot;data:image/svg+xml,%3Csvg/%3E&quot;)"></i></div>"""
KEPT = (
    '<div class="ps-box" data-help="why" style="width:40%">kept <p>one</p><p>two</p> '
    '<i style="mask-image:url(&quot;data:image/svg+xml,%3Csvg/%3E&quot;)"></i></div>'
)


def test_an_open_page_follows_on_one_stream_and_asks_nothing(server, context):
    page = context.new_page()
    sockets, sent = [], []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.goto(f"{server.url}/pair?refresh=1.0")
    page.wait_for_function("() => document.querySelectorAll('.ps-panel .ps-card').length === 6")
    page.wait_for_function(FOLLOWING, arg=6)
    page.evaluate(f"""() => {{
        {VALUE}.mine = true;
        getSelection().selectAllChildren(document.querySelector(".ps-card .ps-label"));
        const seen = new Set(), look = () => seen.add({VALUE}.textContent);
        new MutationObserver(look).observe({VALUE}, {{ subtree: true, characterData: true, childList: true }});
        window.seen = seen;
    }}""")
    page.wait_for_function("() => window.seen.size >= 1")
    page.wait_for_load_state("load")
    sent.clear()
    page.wait_for_function("(size) => window.seen.size >= size", arg=page.evaluate("() => window.seen.size") + 4)
    assert sent == []
    assert page.evaluate(f"() => [{VALUE}.mine, String(getSelection())]") == [True, "z-score"]
    (stream,) = (each.url for each in sockets if "/live/stream/panels" in each.url and not each.is_closed())
    assert stream.split("names=")[1].split("&")[0] == "pair-events.pair-readings.pair-reversion.pair-tests.rules.strip"
    page.close()


def test_a_panel_shows_no_numbers_of_the_choice_before(server, context):
    server.bars(50)
    page = open_page(context, f"{server.url}/pair?y=ETHUSDT&x=BTCUSDT")
    page.wait_for_function("() => document.querySelectorAll('.ps-panel .ps-card').length === 6")
    asked = page.evaluate("""async () => {
        const root = document.querySelector(".st-key-panel-pair-readings .ps-panel"), { panel } = root;
        const change = () => new Promise((resolve) => (
            new MutationObserver(resolve).observe(root, { childList: true, subtree: true, characterData: true })
        ));
        await change();  // its stream speaks
        const asked = [], { fetch } = window;
        window.fetch = (url) => { asked.push(String(url)); return fetch(url); };
        const { base, name, every, known, tell } = panel, query = { ...panel.query, y: "BTCUSDT", x: "ETHUSDT" };
        panel.update({ base, name, every, query, paused: false, news: known, html: "<b>of now</b>" }, tell);
        await change();
        return asked.filter((url) => url.includes("figure/panels") && url.includes("y=BTCUSDT"));
    }""")
    assert asked  # what came first after the page's own word is of the new choice
    page.close()


def test_what_our_markup_never_holds_is_left_out(page, context):
    shown = page.evaluate(
        """(html) => {
            const root = document.querySelector(".st-key-panel-pair-events .ps-panel");
            root.panel.show(html);
            return root.innerHTML;
        }""",
        FOREIGN,
    )
    assert " ".join(shown.split()).replace("> <p>", "><p>") == KEPT
    assert page.evaluate("() => window.hurt") is None
    assert context.outside == []
    page.close()


def test_a_rule_that_is_made_in_one_tab_stands_in_the_others_and_all_are_told_when_it_fires(server, context):
    tabs = first, second = [open_page(context, f"{server.url}/pair") for _ in range(2)]
    first.get_by_role("button", name="Add rule: |z| > 2").click()
    second.wait_for_selector(".ps-rule:has-text('|z| > 2')")
    server.judge(2.5)
    for tab in tabs:
        tab.wait_for_selector("[data-testid=stToast]:has-text('|z| > 2 fired at +2.50')")
        tab.wait_for_selector(".ps-rule .ps-on")
        assert tab.locator("[data-testid=stToast]").count() == 1
    second.locator("[class*=st-key-rule-del] button").click()
    first.wait_for_selector(".ps-rule", state="detached")
    for tab in tabs:
        tab.close()
