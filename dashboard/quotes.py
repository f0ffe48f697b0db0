"""Best quotes of one symbol, and what a round trip in the pair costs at them, as markup."""

from analytics.microstructure import LegCost, PairCost, QuoteReading
from analytics.microstructure.pair_costs import ASSUMES
from dashboard import formats
from dashboard.markup import Row, muted, section, table
from dashboard.view import View

OFF = "No best quotes. PAIRSCOPE_QUOTES=true asks the exchange for them, over a second connection."


def quotes_table(found: QuoteReading, symbol: str, decimals: int) -> str:
    """Spreads, microprice and the flow of the quotes in numbers."""
    base, flow = formats.base(symbol), found.ofi.normalised
    ask_size, bid_size = (f"{formats.significant(size, 3)} {base}" for size in (found.ask_qty, found.bid_qty))
    rows = [
        _row("best ask", formats.number(found.ask, decimals), ask_size, "quote"),
        _row("best bid", formats.number(found.bid, decimals), bid_size, "quote"),
        _row("quoted spread", _bp(found.quoted.newest_bp), f"mean {_bp(found.quoted.bp)}", "quoted_spread"),
        _row("effective spread", _bp(found.effective.bp), f"of {found.effective.n_obs:,} trades", "effective_spread"),
        _row("microprice", formats.number(found.microprice, decimals + 1), _distance(found), "microprice"),
        _row("size imbalance", formats.number(found.imbalance, 2, sign=True), "bid − ask", "quote_imbalance"),
        _row("quote order flow", formats.number(flow, 1, sign=True), "× best size", "quote_ofi"),
        _row("quotes/s", formats.number(found.quotes_per_s, 1), f"{formats.age(found.age_s)} ago", "quote"),
    ]
    reasons = "".join(muted(text) for text in dict.fromkeys(found.missing.values()))
    return section("Best quotes", table(("", "", ""), rows) + reasons)


def _row(label: str, value: str, detail: str, metric: str) -> Row:
    return Row((label, value, detail), metric=metric)


def _bp(value: float) -> str:
    text = formats.significant(value, 3)
    return f"{text} bp" if formats.exists(value) else text


def _distance(found: QuoteReading) -> str:
    return f"{formats.number(found.microprice_distance_bp, 3, sign=True)} bp off the middle"


def cost_table(found: PairCost, view: View) -> str:
    """A round trip in both legs, taken apart."""
    legs = ((view.symbol_y, found.y), (view.symbol_x, found.x))
    rows = [_leg(symbol, leg) for symbol, leg in legs]
    unit = formats.quote(view.symbol_y)
    total = ("together", "", "", "", f"{formats.number(found.bp, 1)} bp")
    rows.append(Row(total, metric="round_trip"))
    head = ("basis points of the leg", "fees", "spread", "depth", "in all")
    text = f"{formats.number(found.total, 2)} {unit} for {formats.number(view.notional, 0)} {unit} of y. {ASSUMES}"
    return section("Cost of a round trip in the pair", table(head, rows) + muted(text))


def _leg(symbol: str, leg: LegCost) -> Row:
    parts = (leg.fee_bp, leg.spread_bp, leg.depth_bp, leg.total_bp)
    return Row((formats.base(symbol), *(formats.number(part, 2) for part in parts)), metric="round_trip")


def no_quotes() -> str:
    """What stands where no quote has come."""
    return section("Best quotes", muted(OFF))
