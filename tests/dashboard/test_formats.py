"""Numbers as people read them."""

import math
from dataclasses import replace

import pytest

from analytics.microstructure import LiveTape
from bench.frame import made_up_trades
from dashboard import formats
from dashboard.tape import reading_cards

NUMBERS = [
    (formats.number(61234.1, 1), "61,234.1"),
    (formats.number(-2.478, 2, sign=True), "−2.48"),
    (formats.number(-0.004, 2, sign=True), "0.00"),
    (formats.number(0.004, 2, sign=True), "0.00"),
    (formats.number(-0.0049), "0.00"),
    (formats.number(-0.005001, 2, sign=True), "−0.01"),
    (formats.number(math.nan), "–"),
    (formats.number(None), "–"),
    (formats.significant(0.00983), "0.009830"),
    (formats.significant(2111.07, 5), "2,111.07"),
    (formats.significant(0), "0"),
    (formats.significant(3e-15), "3.000e−15"),
    (formats.significant(-math.inf), "–"),
    (formats.pvalue(0.21), "0.210"),
    (formats.pvalue(1e-9), "< 0.001"),
    (formats.percent(-0.00042, 2, sign=True), "−0.04 %"),
    (formats.duration(0.4), "0.4 s"),
    (formats.duration(41), "41 s"),
    (formats.duration(math.inf), "∞"),
    (formats.duration(190), "3.2 min"),
    (formats.duration(5 * 3600), "5.0 h"),
    (formats.duration(None), "–"),
    (formats.base("ETHUSDT"), "ETH"),
    (formats.base("USDT"), "USDT"),
    (formats.quote("ETHUSDT"), "USDT"),
    (formats.timeframe("15s"), "15 s"),
    (formats.date(1_723_161_256_322_000, "UTC"), "2024-08-08 23:54:16 UTC"),
]


@pytest.mark.parametrize(("shown", "expected"), NUMBERS)
def test_numbers_are_shown_with_units_and_a_dash_for_nothing(shown, expected):
    assert shown == expected


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (100_000, "0.1 s"),
        (250_000, "0.25 s"),
        (30_000_000, "30 s"),
        (90_000_000, "90 s"),
        (300_000_000, "5 min"),
        (7_200_000_000, "2 h"),
        (86_400_000_000, "1 d"),
        (0, "0 s"),
    ],
)
def test_a_bar_width_has_its_largest_whole_unit(us, text):
    assert formats.width(us) == text


@pytest.mark.parametrize(
    "count, text", [(None, "–"), (0, "0 B"), (999, "999 B"), (4_096, "4.1 kB"), (12.4e6, "12.4 MB"), (5e11, "500 GB")]
)
def test_sizes_have_one_unit(count, text):
    assert formats.size(count) == text


@pytest.mark.parametrize(("imbalance", "shown"), [(0.31, "takers buy"), (-0.006, "takers sell"), (-0.004, ""), (0, "")])
def test_what_rounds_to_zero_points_nowhere(imbalance, shown):
    trades = made_up_trades(2_000)
    found = LiveTape(lambda: trades).reading(int(trades.ts_us[-1]))
    tilted = replace(found, flow=replace(found.flow, buy_qty=1 + imbalance, sell_qty=1 - imbalance))
    assert next(card.detail for card in reading_cards(tilted, "BTCUSDT") if card.metric == "ofi") == shown
