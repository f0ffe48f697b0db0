"""What each number on the screen means: formula, what it assumes, and when it misleads. Shown on hover."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """Three short texts about one metric."""

    formula: str
    assumes: str
    misleads: str

    @property
    def text(self) -> str:
        """The three as one text, one line each."""
        return f"{self.formula}\nAssumes: {self.assumes}\nMisleads: {self.misleads}"


EXPLAIN: dict[str, Explanation] = {
    "zscore": Explanation(
        "z = (spread − its mean) / its standard deviation, over the window of closed bars at its newest hedge ratio.",
        "the mean and width of the last window still hold for the next bars.",
        "when the pair has drifted apart for good: z comes back because the mean follows, not because prices do.",
    ),
    "spread": Explanation(
        "spread = y − hedge ratio · x, in units of the y price.",
        "the two legs are priced at the same moment: the close of the same bar.",
        "its level moves with the hedge ratio, so compare it with its own mean, not with its level an hour ago.",
    ),
    "hedge_ratio": Explanation(
        "Slope of y on x with a constant (least squares) over the window: units of x to hold against one of y.",
        "one straight relation inside the window; all noise is in y.",
        "on few or flat bars the slope is noise; its standard error is too small, as bars are not independent.",
    ),
    "half_life": Explanation(
        "−ln 2 / ln(1 + λ), λ from regressing the change on the level; corrected for bias, 95 % interval.",
        "the residual reverts at one constant rate.",
        "when the interval reaches ∞: then the data cannot tell reversion from wandering.",
    ),
    "cointegration": Explanation(
        "Engle-Granger: how often two unrelated walks would give a residual at least as stationary as this one.",
        "one constant relation over all tested bars; p from the tables made for fitted residuals, both directions "
        "tried, the smaller p doubled.",
        "on short samples it rarely rejects, and testing many pairs makes some p small by chance.",
    ),
    "correlation": Explanation(
        "Correlation of the log returns of both legs over the window.",
        "both legs trade in every bar.",
        "at short bars: trades that are not simultaneous push it towards 0. And correlation is not cointegration.",
    ),
    "adf": Explanation(
        "The Dickey-Fuller test read as if the residual had not been fitted.",
        "a series that was given, not estimated.",
        "here: the fit has already made the residual look stationary, so this p is too small. For comparison only.",
    ),
    "coverage": Explanation(
        "Trades received / (received + missing), from gaps in the exchange's trade ids.",
        "ids without holes, as aggregate trades have.",
        "it says nothing about the time while the connection was away and no id had been seen yet.",
    ),
    "age": Explanation(
        "Seconds since the last trade arrived, on a clock that never steps.",
        "an active market.",
        "quiet symbols trade rarely: an age of a minute may be normal there.",
    ),
    "trades_per_s": Explanation(
        "Trades received in the last seconds, per second.",
        "nothing.",
        "one aggregate trade may hold many fills.",
    ),
    "volatility": Explanation(
        "Standard deviation of log returns per bar, times the square root of the bars in a year.",
        "returns are independent from bar to bar.",
        "at short bars: the bounce between bid and ask counts as volatility.",
    ),
    "vwap": Explanation(
        "Sum of price · quantity / sum of quantity over the bars shown.",
        "nothing.",
        "it is not a price at which anybody could trade now.",
    ),
    "return": Explanation(
        "Last price / first open shown − 1.",
        "nothing.",
        "it depends on where the range shown begins.",
    ),
    "volume": Explanation(
        "Sum of the quantity traded over the bars shown, in units of the base asset.",
        "nothing.",
        "units differ from symbol to symbol: do not compare without the price.",
    ),
}


def help_text(metric: str) -> str:
    """Hover text of a metric; empty for an unknown one."""
    found = EXPLAIN.get(metric)
    return "" if found is None else found.text
