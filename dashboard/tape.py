"""The tape of one symbol as markup: its measures in cards and tables, and the newest trades."""

import math

import numpy as np

from analytics.microstructure import TapeReading, large_prints
from analytics.normal import Z_95
from analytics.resampling import Tape
from dashboard import formats
from dashboard.charts.overview import step_decimals
from dashboard.markup import Card, Row, muted, section, table
from utils.clock import US_PER_S, hhmmss, zone_name

MILLION = 1e6
REGIMES = {"low": "calm", "normal": "as usual", "high": "lively", "unknown": ""}


def reading_cards(found: TapeReading, symbol: str) -> list[Card]:
    """Twelve measures of the last window."""
    base = formats.base(symbol)
    flow, usual = found.flow, found.normal.trades_per_s
    pace = found.velocity.trades_per_s / usual if usual > 0 else math.nan
    return [
        Card("trades/s", formats.number(found.velocity.trades_per_s, 1), _pace(found, pace), "velocity"),
        Card(f"{formats.quote(symbol)}/s", compact(found.velocity.notional_per_s), "", "velocity"),
        Card("order flow imbalance", formats.number(flow.imbalance, 2, sign=True), _side(flow.imbalance), "ofi"),
        Card("cumulative delta", _signed(found.cumulative_delta), base, "delta"),
        Card("liquidity", formats.number(found.liquidity, 0), _of(found, "liquidity", "of 100"), "liquidity"),
        Card("volatility a year", formats.percent(found.volatility, 0), _regime(found), "volatility_regime"),
        Card("momentum quality", formats.number(abs(found.momentum), 2), _way(found.momentum), "momentum_quality"),
        Card("VPIN", formats.number(found.vpin.value, 2), _of(found, "vpin", ""), "vpin"),
        Card("Kyle's lambda", _kyle(found), _of(found, "kyle", _kyle_error(found)), "kyle"),
        Card("Amihud", _amihud(found), _of(found, "amihud", "bp a million"), "amihud"),
        Card("Roll's spread", _bp(found.roll_spread / found.price), _roll(found), "roll"),
        Card("tick rule right", formats.percent(found.tick_rule.by_count, 1), _judged(found), "tick_rule"),
    ]


def compact(value: float) -> str:
    """A large number in few digits: `1.24 M`."""
    if not formats.exists(value):
        return formats.NONE
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{formats.significant(value / limit, 3)} {unit}"
    return formats.significant(value, 3)


def _pace(found: TapeReading, pace: float) -> str:
    if formats.exists(pace):
        return f"{formats.number(pace, 1)} × usual"
    return f"usual after {3 - found.normal.days} more days" if found.normal.days < 3 else ""


def _side(imbalance: float) -> str:
    return _way(imbalance, "takers buy", "takers sell")


def _way(value: float, up: str = "rising", down: str = "falling") -> str:
    """Where a value points, as far as its two decimals tell."""
    if not formats.exists(value) or round(value, 2) == 0:
        return ""
    return up if value > 0 else down


def _signed(value: float) -> str:
    text = formats.significant(value, 4)
    return f"+{text}" if formats.exists(value) and value > 0 else text


def _of(found: TapeReading, name: str, unit: str) -> str:
    """The unit, or why there is no number."""
    return found.missing.get(name, unit)


def _roll(found: TapeReading) -> str:
    return _of(found, "roll_spread", "bp" if formats.exists(found.roll_spread) else "prices did not bounce")


def _regime(found: TapeReading) -> str:
    if "volatility" in found.missing or "regime" in found.missing:
        return found.missing.get("volatility", found.missing.get("regime", ""))
    return f"{formats.number(found.regime.ratio, 2)} × before, {REGIMES[found.regime.name]}"


def _kyle(found: TapeReading) -> str:
    """Basis points that a million of quote currency, bought net, goes with."""
    return formats.number(_bp_a_million(found, found.kyle.slope), 2, sign=True)


def _kyle_error(found: TapeReading) -> str:
    return f"± {formats.number(_bp_a_million(found, Z_95 * found.kyle.stderr), 2)} bp a million"


def _bp_a_million(found: TapeReading, slope: float) -> float:
    """A slope of price on quantity as basis points a million of quote currency."""
    return 1e4 * slope * MILLION / found.price**2


def _amihud(found: TapeReading) -> str:
    return formats.number(1e4 * found.amihud, 2)


def _bp(share: float) -> str:
    return formats.number(1e4 * share, 2)


def _judged(found: TapeReading) -> str:
    return f"of {found.tick_rule.n_obs:,} trades"


def flow_table(found: TapeReading, symbol: str) -> str:
    """Taker flow, VWAP, sizes and sides in numbers."""
    base, flow, sizes = formats.base(symbol), found.flow, found.sizes
    decimals = step_decimals(np.array([found.price]))
    rows = [
        _row("taker buys", f"{formats.significant(flow.buy_qty, 4)} {base}", compact(flow.buy_notional), "ofi"),
        _row("taker sells", f"{formats.significant(flow.sell_qty, 4)} {base}", compact(flow.sell_notional), "ofi"),
        _row("VWAP", formats.number(flow.vwap, decimals), _distance(found.vwap_distance_bp), "vwap_distance"),
        _row("median trade", f"{formats.significant(sizes.median, 3)} {base}", f"{sizes.n_obs:,} trades", "sizes"),
        _row("large prints", formats.number(sizes.large_prints, 0), _large(found, base), "sizes"),
        _row("their share", formats.percent(sizes.large_share, 1), "of the quantity", "sizes"),
        _row("tick rule, by volume", formats.percent(found.tick_rule.by_volume, 1), "", "tick_rule"),
        _row("tick rule, where price moved", formats.percent(found.tick_rule.where_moved, 1), "", "tick_rule"),
    ]
    span = formats.duration(found.velocity.window_s)
    return section(f"Last {span}", table(("", "", ""), rows))


def _row(label: str, value: str, detail: str, metric: str) -> Row:
    return Row((label, value, detail), metric=metric)


def _distance(bp: float) -> str:
    return f"price {formats.number(bp, 1, sign=True)} bp" if formats.exists(bp) else ""


def _large(found: TapeReading, base: str) -> str:
    if not formats.exists(found.sizes.large_from):
        return found.missing.get("sizes", "no fence: sizes too even")
    return f"above {formats.significant(found.sizes.large_from, 3)} {base}"


def ribbon(trades: Tape, large_from: float, symbol: str, zone: str) -> str:
    """The newest trades, newest first: time, price, quantity with the taker's sign; large prints marked."""
    if not trades.trade_id.size:
        return section("Tape", muted("No trade yet."))
    decimals = step_decimals(trades.price)
    large = large_prints(trades.qty, large_from)
    columns = (trades.ts_us, trades.price, trades.qty, trades.buyer_is_maker, large)
    rows = []
    for ts_us, price, qty, sold, is_large in zip(*(column[::-1].tolist() for column in columns), strict=True):
        sign, tone = (formats.MINUS, "down") if sold else ("+", "up")
        time = f"{hhmmss(ts_us, zone)}.{ts_us % US_PER_S // 1_000:03d}"
        size = f"{sign}{formats.significant(qty, 3)}"
        rows.append(Row((time, formats.number(price, decimals), size, "large" if is_large else ""), tone))
    head = (zone_name(int(trades.ts_us[-1]), zone), formats.quote(symbol), formats.base(symbol), "")
    note = muted("+ the taker bought, − the taker sold, as the exchange says.")
    return section("Tape", f'<div class="ps-tape">{table(head, rows)}</div>{note}')
