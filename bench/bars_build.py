"""Ten million trades to 1-minute bars: `bars` against a pandas resample, its frame built as it would be."""

from analytics.resampling import bars
from bench.frame import Row, at_least, count, made_up_trades, medians_s, named, scaled
from bench.peers import resampled, tick_frame


def run(scale: float = 1.0) -> list[Row]:
    """One row."""
    trades = made_up_trades(scaled(10_000_000, scale))
    ours_s, peer_s = medians_s(lambda: bars(trades, "1m"), lambda: resampled(tick_frame(trades), "1min"))
    ours, peer = ("bars()", ours_s * 1e3), (f"{named('pandas')} frame, resample", peer_s * 1e3)
    return [at_least("bars-build", ours, peer, "ms", count(len(trades)), 4)]
