"""Two million trades: Hayashi-Yoshida with its interval against one read of the same data."""

from analytics.microstructure import hayashi_yoshida
from bench.frame import Row, count, made_up_trades, medians_s, scaled

MOST_READS = 15


def run(scale: float = 1.0) -> list[Row]:
    """One row; its ratio is reads an estimate costs."""
    x, y = (made_up_trades(scaled(1_000_000, scale), symbol, seed) for symbol, seed in (("BTCUSDT", 1), ("ETHUSDT", 2)))
    columns = (x.ts_us, x.price, y.ts_us, y.price)
    ours_s, read_s = medians_s(lambda: hayashi_yoshida(*columns), lambda: [column.sum() for column in columns])
    ratio, size = ours_s / read_s, count(len(x) + len(y))
    ours, read = ("hayashi_yoshida()", ours_s * 1e3), ("one read: sum of each column", read_s * 1e3)
    target = f"<= {MOST_READS}x"
    return [Row("hayashi-yoshida", *ours, *read, "ms", size, ratio, target, ratio <= MOST_READS)]
