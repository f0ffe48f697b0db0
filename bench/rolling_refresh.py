"""The newest bar's hedge ratio, z-score and correlation: ours over one window, pandas over all that it holds."""

import pandas as pd

from analytics.statistics import last_fit
from bench.frame import Row, at_least, count, grows_at_most, medians_s, named, scaled
from bench.rolling_history import WINDOW, legs, with_pandas

ROUNDS = 300  # refreshes timed together: one is too short for the clock


def run(scale: float = 1.0) -> list[Row]:
    """Against pandas at 100,000 bars, and our own cost there over a hundredth of them; microseconds."""
    y, x = legs(scaled(100_000, scale))
    y_series, x_series = pd.Series(y), pd.Series(x)
    few = max(y.size // 100, 2 * WINDOW)

    def ours(bars: int) -> None:
        for _ in range(ROUNDS):
            last_fit(y[-bars:], x[-bars:], WINDOW)

    def peer() -> None:
        for values in with_pandas(y_series, x_series, WINDOW):
            values.iloc[-1]

    many_s, few_s, pandas_s = medians_s(lambda: ours(y.size), lambda: ours(few), peer)
    many_us, few_us = many_s / ROUNDS * 1e6, few_s / ROUNDS * 1e6
    size, refresh = count(y.size), "last_fit"
    pandas = (f"{named('pandas')} rolling over all", pandas_s * 1e6)
    return [
        at_least("rolling-refresh", (refresh, many_us), pandas, "us", size, 500),
        grows_at_most(
            "rolling-refresh", (f"the same at {size}", many_us), (f"the same at {count(few)}", few_us), "us", size, 1.5
        ),
    ]
