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
        "z = (spread − its mean) / its width, of closed bars at the newest hedge ratio, by the method and scale chosen "
        "on the left; with the Kalman filter the surprise of the bar in its own deviations.",
        "the mean and width of the last window still hold for the next bars.",
        "when the pair has drifted apart for good: z comes back because the mean follows, not because prices do.",
    ),
    "spread": Explanation(
        "spread = y − hedge ratio · x, in units of the y price, or of logarithms where these are chosen.",
        "the two legs are priced at the same moment: the close of the same bar.",
        "its level moves with the hedge ratio, so compare it with its own mean, not with its level an hour ago.",
    ),
    "hedge_ratio": Explanation(
        "Units of x to hold against one of y, by the method chosen over its window; beside it its standard error (se).",
        "one straight relation inside the window; all noise is in y.",
        "on few or flat bars the slope is noise; the error of the rolling one is for independent bars, and too small.",
    ),
    "ols": Explanation(
        "Least squares over the tested bars. Its 95 % interval counts how long the errors remember.",
        "one constant relation; all noise is in y.",
        "when the legs are not cointegrated: the slope is then an accident, whatever its interval.",
    ),
    "huber": Explanation(
        "Squares near the line, distances beyond 1.345 robust standard deviations.",
        "one constant relation; errors of one scale with a few that are far off.",
        "when many bars are off to one side: no weight can tell which part is the relation.",
    ),
    "theil_sen": Explanation(
        "The median of the slopes between all pairs of bars.",
        "one constant relation; errors that are as often above as below.",
        "when a leg moves in few ticks: equal prices say nothing about the slope.",
    ),
    "ewm": Explanation(
        "Least squares with weights that fade by 1 − 2 / (window + 1) a bar.",
        "what was last counts most.",
        "when the window is short: the ratio then follows noise.",
    ),
    "tls": Explanation(
        "The line nearest to the points at right angles: the same whichever leg is explained.",
        "noise of one size in both legs.",
        "with legs of very different price levels: then take logarithms.",
    ),
    "dols": Explanation(
        "Least squares with past and coming changes of x beside it (Stock and Watson).",
        "cointegration; it answers for shocks that move both legs at once.",
        "when there is no cointegration; and it uses changes to come, so it describes the sample, not the newest bar.",
    ),
    "fmols": Explanation(
        "Least squares corrected for what the errors and the changes of x share (Phillips and Hansen).",
        "cointegration.",
        "on short samples with slow reversion: its interval is then too narrow.",
    ),
    "kalman": Explanation(
        "The ratio as a random walk; its noise found by likelihood, for the moving ratio anew before each session.",
        "steps and noise of one size, without memory.",
        "when it is not consistent: innovations that are larger or more alike than it says.",
    ),
    "half_life": Explanation(
        "−ln 2 / ln φ, φ the share of the gap that is left after a bar: median-unbiased, with its 95 % interval.",
        "the residual reverts at one constant rate.",
        "when the interval reaches ∞: then the data cannot tell reversion from wandering.",
    ),
    "cointegration": Explanation(
        "Engle-Granger: how often two unrelated walks would give a residual at least as stationary as this one.",
        "one constant relation over all tested bars; p from the tables made for fitted residuals, both directions "
        "tried, the smaller p doubled.",
        "on short samples it rarely rejects, and testing many pairs makes some p small by chance.",
    ),
    "session_pvalue": Explanation(
        "Engle-Granger at every bar of the session; p of the lowest statistic so far, for all looks together.",
        "unrelated walks as the alternative; the session has no more looks than said.",
        "in a pair that has just come together: the window still holds the time before.",
    ),
    "monitor": Explanation(
        "Evidence that the relation calibrated before the session is broken, as a share of its boundary: 100 % is an "
        "alarm. A steady pair reaches it in at most 5 % of sessions.",
        "the calibration bars were one relation; what is shown is the most that this session has come to.",
        "right after a break: it needs some bars to see one, more for a small one.",
    ),
    "phillips_ouliaris": Explanation(
        "Cointegration of the residual, with memory taken out of the statistic instead of by lags.",
        "one constant relation over all tested bars.",
        "when errors turn round from bar to bar: it then rejects too often.",
    ),
    "johansen": Explanation(
        "Whether any combination of the two comes back, by likelihood; neither leg has to be named y.",
        "errors without memory beyond the lags.",
        "on short samples and with volatility in bursts.",
    ),
    "kpss": Explanation(
        "The other way round: a small p speaks against coming back.",
        "memory of the spread shorter than its window of lags.",
        "when the spread comes back slowly: it then says that it does not.",
    ),
    "phillips_perron": Explanation(
        "Dickey-Fuller with memory taken out of the statistic instead of by lags.",
        "a series that was given, not estimated.",
        "here, as the ratio was fitted; and when errors turn round from bar to bar.",
    ),
    "zivot_andrews": Explanation(
        "Dickey-Fuller that allows one break of the level at the bar that speaks most for coming back.",
        "at most one break; a series that was given.",
        "here, as the ratio was fitted: that makes any break look good.",
    ),
    "variance_ratio": Explanation(
        "Variance of 8-bar changes over 8 times that of 1-bar changes: 1 for a walk, less where it comes back.",
        "changes without memory under the null, of any volatility.",
        "when the bounce between bid and ask makes every series look as if it came back.",
    ),
    "hurst": Explanation(
        "How the range grows with time: 0.5 for a walk, less where it comes back.",
        "one law at all the slow frequencies used.",
        "on few bars: its interval is wide, and shown for that.",
    ),
    "legs": Explanation(
        "ADF (null: wanders) and KPSS (null: comes back) of the price of each leg.",
        "cointegration is about legs that wander; one that comes back needs no partner.",
        "when they disagree: the sample does not tell.",
    ),
    "ou": Explanation(
        "Ornstein-Uhlenbeck: s changes by −θ (s − mean) a bar plus noise σ; deviation = σ / √(2θ).",
        "one speed and one noise.",
        "when the half-life's interval reaches ∞: mean and deviation are then hardly known.",
    ),
    "exit_time": Explanation(
        "Expected time until the residual is first back at the exit, from where it is now, seen at bar closes.",
        "the fitted process goes on.",
        "as a promise: it is an average over very unequal trips.",
    ),
    "entry": Explanation(
        "Cost: four fills at the fee. |z| that pays: where the way to the exit equals it; that earns most: the best "
        "profit per bar, waiting included (Bertram).",
        "the fitted process goes on; fills at the close; no slippage.",
        "with a half-life that is not known: the best entry moves with it.",
    ),
    "correlation": Explanation(
        "Correlation of the log returns of both legs over the window.",
        "both legs trade in every bar.",
        "at short bars: trades that are not simultaneous push it towards 0. And correlation is not cointegration.",
    ),
    "fading": Explanation(
        "Correlation of returns whose weight halves every third of the window.",
        "what was last counts most.",
        "after one large move of both legs, which carries it for some bars.",
    ),
    "distance": Explanation(
        "Distance correlation: 0 only where the returns are independent, whatever the shape of what they share.",
        "returns without memory.",
        "when both legs remember: its p is then too small; and its value is never 0 in a sample.",
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
    "health": Explanation(
        "ok while every thread lives and the newest write to the database worked: what /healthz answers.",
        "nothing.",
        "a silent market is healthy: see the age of each symbol.",
    ),
    "connection": Explanation(
        "LIVE once a trade has come on the connection that is open; reconnects: connections after the first.",
        "an acknowledged subscription is no data.",
        "one connection carries all symbols: a single one may be silent while it is LIVE.",
    ),
    "delay_readable": Explanation(
        "From the moment the feed hands a trade over until pages, rules and API read it, the wait for those before it "
        "included; 99 of 100 trades took less.",
        "nothing; decoding, which comes before, takes some microseconds a trade.",
        "with few trades: a percentile of 50 trades is one of them. The way from the exchange is the lag, not this.",
    ),
    "delay_stored": Explanation(
        "From the queue of the writer until the end of the commit that holds the trade. Batches are written every "
        "quarter of a second, so half of that is usual.",
        "a commit survives the death of this process.",
        "as a limit of the disk: it is mostly waiting for the batch.",
    ),
    "commit": Explanation(
        "How long the newest 1,000 transactions took, without waiting for their turn.",
        "nothing.",
        "on a disk that others use too: then it tells of them.",
    ),
    "lag": Explanation(
        "Clock of this machine when the newest trade arrived − the time that the exchange gave it; of the symbol that "
        "is furthest behind.",
        "both clocks agree.",
        "when this clock is off: a lag below zero is shown as zero.",
    ),
    "gaps": Explanation(
        "Runs of trade ids that did not arrive. They are asked for again, newest first.",
        "ids without holes, as aggregate trades have.",
        "one gap may be one trade or thousands: the Data page lists the ids.",
    ),
    "waiting": Explanation(
        "Trades in the queue of the writer, and how many it may hold: more are dropped from the file, and counted.",
        "nothing.",
        "for a moment after a burst it is large without harm: what counts is whether it falls.",
    ),
    "database": Explanation(
        "Size of the SQLite file and of its write-ahead log, in 10^6 or 10^9 bytes.",
        "nothing.",
        "after trades were deleted the file keeps its size: free pages are used again.",
    ),
    "disk_free": Explanation(
        "Bytes left on the disk that holds the database; amber below 1 GB.",
        "nothing.",
        "a quota may end sooner.",
    ),
    "memory": Explanation(
        "Memory of this process (resident set), and of the trades held in it.",
        "nothing.",
        "shared libraries count too; compiled kernels take some 100 MB once.",
    ),
    "held": Explanation(
        "Trades in memory, of all symbols: the newest PAIRSCOPE_BUFFER of each.",
        "nothing.",
        "older ones are in the database.",
    ),
    "retention": Explanation(
        "Trades older than this, or beyond this size of the file, are deleted, a few at a time; bars and alerts stay.",
        "the time that a trade itself says.",
        "recordings are as old as they say: they may go at once.",
    ),
    "stored": Explanation(
        "Rows in the file, counted for at most a second: beyond that the number of ids from first to last is a bound.",
        "nothing.",
        "some seconds old, so that looking costs little.",
    ),
    "gap_missed": Explanation(
        "Ids that were left out on an open connection.",
        "ids without holes.",
        "a repair may find that the exchange itself has no such trade.",
    ),
    "gap_reconnect": Explanation(
        "Ids between the last trade of one connection and the first of the next.",
        "ids without holes.",
        "its times are those of the trades around it.",
    ),
    "gap_offline": Explanation(
        "Ids between two runs of Pairscope.",
        "ids without holes.",
        "what is older than the exchange serves stays open.",
    ),
    "velocity": Explanation(
        "Trades (and quote currency) in the last minute / seconds of it that the tape covers; usual: the mean of days "
        "before at this half-hour.",
        "nothing; days weigh half after five days.",
        "one aggregate trade may hold many fills; usual is not known before three days.",
    ),
    "ofi": Explanation(
        "(taker buys − taker sells) / all, by quantity, of the last minute; the sides are the exchange's own flag.",
        "nothing.",
        "it says who crossed the spread, not who will be right; one large print can be all of it.",
    ),
    "delta": Explanation(
        "Taker buys − taker sells since the tape held here began, base currency.",
        "no trade is missing (see coverage).",
        "its level depends on when the capture began: look at its changes.",
    ),
    "liquidity": Explanation(
        "100 · min(1, volume ratio / (1 + ratio of times between trades)), last minute against up to an hour before: "
        "50 is as usual.",
        "what is usual is what was there before.",
        "it compares a symbol with itself and says nothing about the book; after a quiet hour a normal minute is rich.",
    ),
    "volatility_regime": Explanation(
        "Realised volatility of one-second returns, a year; × before: over that of up to an hour before. Calm below "
        "0.7, lively above 1.3.",
        "returns are independent from second to second.",
        "the bounce between bid and ask counts as volatility; with 60 returns the ratio wanders by 9 % by itself.",
    ),
    "momentum_quality": Explanation(
        "Kaufman's efficiency: |net change| / sum of |changes| of the seconds: 1 is a straight line, 0 much ado.",
        "nothing.",
        "a walk of 60 steps has 0.13 by chance.",
    ),
    "vpin": Explanation(
        "Mean of |buys − sells| / volume over 50 buckets of equal volume, 0 to 1.",
        "sides are the exchange's, not guessed.",
        "of buckets with few trades it is high by chance: 0.8 / √trades of one bucket without any imbalance.",
    ),
    "kyle": Explanation(
        "Slope of the price change of a second on its taker buys − sells, as basis points a million of quote currency.",
        "the answer is linear and within the second.",
        "as the cost of an order: it describes what went with flow, both ways round.",
    ),
    "amihud": Explanation(
        "Mean of |return| / quote currency traded, of seconds with trades, as basis points a million.",
        "moves are due to trading.",
        "on quiet seconds with one small trade, which weigh as much as busy ones.",
    ),
    "roll": Explanation(
        "2 √(−covariance of successive price changes): the spread that would make this bounce.",
        "trades fall on bid and ask at random, and value does not trend.",
        "where price trends or many prints sweep one side: the covariance is then positive and there is no number.",
    ),
    "tick_rule": Explanation(
        "Share of trades of the last minute whose side the tick rule (sign of the last price change) guesses right, "
        "against the exchange's flag.",
        "trades stand in the order of their ids.",
        "it is what files without sides are read with: 94 to 97 % on recordings of futures.",
    ),
    "vwap_distance": Explanation(
        "Quantity-weighted mean price of the last minute, and how far the last price lies from it.",
        "nothing.",
        "it is not a price at which anybody could trade now.",
    ),
    "sizes": Explanation(
        "A print is large above q95 · (q95 / q75): as far above the 95 % quantile, on a logarithmic scale, as that is "
        "above the 75 % quantile.",
        "the last minute is a fair sample of sizes.",
        "an order cut into small prints is not seen.",
    ),
    "quote": Explanation(
        "The best prices at which somebody waits to sell and to buy, with their sizes, as the exchange last sent them.",
        "a quote holds until the next one, at most 30 s.",
        "what lies behind the best price is not seen.",
    ),
    "quoted_spread": Explanation(
        "(ask − bid) / middle, now, and weighted by time over the last minute.",
        "a quote holds until the next one.",
        "for sizes beyond the best ones: they pay more.",
    ),
    "effective_spread": Explanation(
        "2 · side · (price − middle before) / middle, by quantity, of the last minute's trades.",
        "the quote before a trade is the one it met.",
        "one sweep through many levels can be most of the quantity: the mean then lies far above the median trade.",
    ),
    "microprice": Explanation(
        "(bid · ask size + ask · bid size) / both sizes: the middle, drawn towards the thinner side.",
        "the thinner side gives way first.",
        "when sizes at the best price are shown and withdrawn.",
    ),
    "quote_imbalance": Explanation(
        "(bid size − ask size) / both.", "sizes are meant.", "when they are shown and withdrawn."
    ),
    "quote_ofi": Explanation(
        "Sum over the last minute of what was added to the bid or taken from the ask, minus the reverse (Cont), over "
        "the mean size of the best level.",
        "each change of the best quotes was received.",
        "it follows price within the same minute; that it leads is not shown.",
    ),
    "round_trip": Explanation(
        "Four fills by crossing at the quotes of now: fees, two half spreads a leg, and what the size exceeds the best "
        "level by.",
        "further levels are as large as the best one and one spread apart; no funding, no own impact.",
        "for large sizes: the book behind the best price is assumed, not seen.",
    ),
    "opportunity": Explanation(
        "Weighted sum of four scores of 0 to 100 (|z|, volatility of the spread, momentum towards the mean, liquidity "
        "of the thinner leg), at most the lowest cap of the reasons not to trade.",
        "the weights, which are convention and can be changed.",
        "as a chance or an expected profit: it ranks moments of one pair.",
    ),
    "signal": Explanation(
        "Sell the spread above the entry, buy it below minus the entry; legs by hedge ratio for one unit of y.",
        "the mean and the ratio stay until the exit; fills at the next bar.",
        "legs by hedge ratio balance the spread, not the money: the notionals differ.",
    ),
    "breakeven": Explanation(
        "|z| from which the way back to the exit pays four fills: exit + cost / width of the spread.",
        "the mean stays where it is, and fills cost what the settings say.",
        "where the mean moves towards the spread: part of the way is then never earned.",
    ),
    "position": Explanation(
        "What the rule on z holds since its last entry, decided at closes; reasons against are not counted.",
        "every entry was taken.",
        "after a gap in the data: positions over it are those of what is known.",
    ),
    "momentum": Explanation(
        "2 (EMA fast − EMA slow) of z over what a steady trend of the usual change would show: ±1 is a straight line.",
        "nothing; it describes the past.",
        "after one jump: it is strong although nothing trends.",
    ),
    "reasons": Explanation(
        "What makes the trade impossible, blind or sure to lose voids the score; what is only not shown caps it.",
        "what is not known counts as not shown.",
        "as complete: news, funding and borrow are not looked at.",
    ),
    "matrix": Explanation(
        "Pearson correlation of log returns of each pair over the bars that both have, at most the newest 600; its "
        "interval by leaving out blocks of bars in turn. Symbols that move alike stand beside each other.",
        "one correlation over these bars; both legs trade in every bar.",
        "at short bars it is too small; and some order is always found, also in noise: only the numbers count.",
    ),
    "surface": Explanation(
        "Correlation of y now with x so many bars before, for bars of 1 to 60 times the width chosen; ± is what "
        "unrelated returns exceed one time in twenty.",
        "returns that do not predict themselves.",
        "a leg that trades less often seems to follow; and of twenty lags one leaves its ± by chance.",
    ),
    "lead_lag": Explanation(
        "The lag at which the Hayashi-Yoshida covariance of trades, one leg moved in time, is largest; 95 % by random "
        "weights on 40 stretches of time. Trades of at most 30 minutes, thinned to 20 ms.",
        "one lag over these minutes.",
        "where the delay varies the top is broad, and the largest value one point of it. A lead of milliseconds is no "
        "profit.",
    ),
    "lead_lag_ratio": Explanation(
        "Sum of squared correlations at lags where x is first, over that where y is first: above 1 x leads.",
        "nothing.",
        "noise on both sides draws it to 1; it has no interval, so trust the lag.",
    ),
    "widths": Explanation(
        "Correlation of returns of bars made of the same trades, by their width, with 95 % intervals.",
        "one correlation over these minutes.",
        "short bars understate: a leg that has not traded yet has not moved (Epps). The level where the rows stop "
        "rising is the correlation; at wide bars few returns are left.",
    ),
    "hayashi_yoshida": Explanation(
        "Sum of r_x r_y over pairs of returns between trades that overlap in time, over the root of both variances: no "
        "bars at all.",
        "both legs react at once; no bounce.",
        "on every trade of this exchange, where one leg follows by tens of milliseconds: it is far too small; thinned "
        "to 250 or 500 ms it agrees with wide bars.",
    ),
    "density": Explanation(
        "Histogram of the middle 99 %, with the normal of the same mean and deviation and the likeliest Student t.",
        "independent draws from one distribution.",
        "calm and hectic hours mixed look like heavy tails, although each hour may have none.",
    ),
    "quantiles": Explanation(
        "Ordered values against the quantiles of each fit; the shade holds the whole line of honest data in 95 %.",
        "independent draws.",
        "volatility in bursts makes the line wander more than the shade allows.",
    ),
    "autocorrelation": Explanation(
        "r_k = Σ e_t e_(t−k) / Σ e_t²; the shade is what chance reaches at one lag in 95 %, whatever volatility does.",
        "nothing about its variance.",
        "of thirty lags one or two leave the shade by chance. At short bars the bounce between bid and ask makes the "
        "first one negative; sizes that remember are volatility in bursts.",
    ),
    "moments": Explanation(
        "Mean and standard deviation, each with its standard error (se) for independent draws.",
        "one distribution over these bars.",
        "a mean of short bars is almost never known: compare it with its se.",
    ),
    "shape": Explanation(
        "Skewness G1 and excess kurtosis G2, both 0 for a normal; se is what chance makes of a true 0.",
        "the fourth moment exists.",
        "in heavy tails it does not: the kurtosis then grows with the sample and is that of its largest move.",
    ),
    "jarque_bera": Explanation(
        "n/6 (S² + K²/4) from skewness and kurtosis; p from simulated quantiles for this number of observations.",
        "independent draws.",
        "one spike rejects; and at short bars the answer is always no.",
    ),
    "student": Explanation(
        "Degrees of freedom of the likeliest Student t, with 95 %: 3 is very heavy tails, above 30 nearly normal.",
        "independent draws.",
        "volatility in bursts looks like heavy tails.",
    ),
    "ljung_box": Explanation(
        "One test of ten autocorrelations together, in a form that changing volatility does not break.",
        "changes without memory under the null.",
        "the bounce between bid and ask is memory too, and earns nothing.",
    ),
    "clustering": Explanation(
        "The same test of the ranks of |change − median|: whether large moves follow large moves.",
        "nothing about tails, as ranks have none.",
        "also a slow change over the day makes it small.",
    ),
    "bt_net": Explanation(
        "What the legs earned − fees − slippage − funding, over all trades; beside it the 95 % band of a bootstrap.",
        "fills at the close after the decision, in any size; the band, that returns to come are like those that were.",
        "a band is of this rule on this past, not of how the rule was chosen: for that see the honesty panel.",
    ),
    "bt_sharpe": Explanation(
        "Mean / standard deviation of the returns of all bars, flat ones too, times the root of the bars in a year.",
        "365 days of 24 hours, and returns that are alike all along.",
        "a year told from hours: the band says how little is known. Bars without a position count as certain.",
    ),
    "bt_drawdown": Explanation(
        "Deepest fall of equity from its highest value so far, at closes.",
        "nothing.",
        "the next one may be deeper: the band says how deep by chance. Within a bar it may have been deeper too.",
    ),
    "bt_trades": Explanation(
        "Closed trades, and t: their mean net over its standard error.",
        "t takes trades as independent.",
        "few trades, or many at the same time of one event.",
    ),
    "bt_win": Explanation(
        "Share of closed trades with a net above 0; profit factor = won / lost.",
        "nothing.",
        "reversion wins often and little, and loses seldom and much: read it beside the worst trade.",
    ),
    "bt_exposure": Explanation(
        "Share of bars with a position; leverage = notional of both legs over equity, at their closes.",
        "nothing.",
        "capital that waits is counted, in the Sharpe ratio too.",
    ),
    "bt_turnover": Explanation(
        "Notional traded in both legs over the capital.",
        "nothing.",
        "at high turnover the result is what costs were assumed.",
    ),
    "bt_costs": Explanation(
        "Fees, slippage and funding of all fills, in the quote currency.",
        "basis points of each fill as given in the form; funding only where its rates are.",
        "a maker is always filled here, which no maker is; slippage does not grow with size.",
    ),
    "bt_held": Explanation(
        "Mean bars from the first fill to the last, and the same in half-lives as known at each entry.",
        "half-lives of the residual over the bars before the entry.",
        "trades whose half-life was infinite are left out of the second.",
    ),
    "bt_guard": Explanation(
        "The run again on fewer bars, cut right after decisions: every value of every bar has to be the same.",
        "nothing.",
        "it finds what looks ahead, not what was chosen with knowledge of all bars.",
    ),
    "bt_deflated": Explanation(
        "Probability that the Sharpe ratio is above what the best of as many worthless tries would show.",
        "tries made with other programs, or by eye, are not counted: only those made here.",
        "tries that resemble each other count in full, so it is strict.",
    ),
    "bt_overfitting": Explanation(
        "Of all ways to choose on half of the blocks of bars: how often the best is below the median of the rest.",
        "one half of the past says something about the other.",
        "near 50 % among tries that are all equally good, where nothing is lost by choosing.",
    ),
    "bt_shuffled": Explanation(
        "The same rule on pairs whose returns come in another order, by blocks of 10 bars: p = share earning as much.",
        "steps are alike from block to block.",
        "reversion within ten bars survives the shuffling; bursts of volatility do not.",
    ),
    "bt_plateau": Explanation(
        "Median Sharpe ratio, a bar, of a trial and its neighbours one step aside in window, entry and exit.",
        "what truly pays does not end one step aside.",
        "on a fine grid neighbours are one and the same trial.",
    ),
    "bt_walk": Explanation(
        "The best of the grid on some parts of the bars is traded on the next part, again and again.",
        "what paid lately pays next.",
        "looked at until it pleases, it is in-sample itself. Efficiency = Sharpe outside over inside.",
    ),
    "bt_bars": Explanation(
        "Closed bars that both legs have. Incomplete: a trade is missing in them, or bars before them are.",
        "nothing.",
        "a z-score across a hole is that of two markets: exclude such bars, or look at the trades that touch them.",
    ),
    "zeros": Explanation(
        "Share of bars whose close is exactly the one before.",
        "nothing.",
        "many zeros mean bars shorter than the market trades: then every other number here is about silence.",
    ),
    "season": Explanation(
        "STL: levels = trend + season + rest, by local regressions, robust to outliers; the season may change slowly.",
        "a season of the length chosen, seen twice at least.",
        "a season is always found, also in noise. Every value rests on bars after it too.",
    ),
    "strength": Explanation(
        "1 − var(rest) / var(part + rest), 0 to 1.",
        "nothing.",
        "independent noise has a seasonal strength of 0.2 to 0.35, a random walk over two periods 0.7.",
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
    "scan_universe": Explanation(
        "Symbols of the price table, and its rows: one closed bar each.",
        "closes of one row are of the same moment.",
        "a pair rests on the rows that both have: see coverage.",
    ),
    "scan_tests": Explanation(
        "Engle-Granger of y on x and of x on y; the smaller p-value counts, doubled, then raised to how often it comes "
        "up by chance in so many bars.",
        "each price is a walk; what may return is their difference.",
        "bars with a crash: a few of them can decide every test.",
    ),
    "scan_found": Explanation(
        "Pairs with q below the accepted share of false finds.",
        "false finds are as rare as the correction for many tests promises.",
        "in families of symbols that share one market: 10 to 25 % of the finds were false there.",
    ),
    "scan_naive": Explanation(
        "Pairs whose doubled p-value is below the same number, without correction for how many were tested.",
        "one pair had been chosen beforehand.",
        "always, here: with thousands of pairs hundreds come up by chance. Shown for that reason alone.",
    ),
    "scan_false": Explanation(
        "Accepted share · pairs found: so many of them are expected to be false.",
        "the q-values keep their promise.",
        "false finds share symbols and come in clusters: of one scan it may be none or many.",
    ),
    "scan_took": Explanation(
        "Time of the computation; prices had been there.",
        "nothing.",
        "other work on this machine counts.",
    ),
    "watchlist": Explanation(
        "z, edge after costs and what the rule on z holds, of each watched pair at its newest close, by the configured "
        "window and thresholds.",
        "symbols of the list are followed.",
        "a pair that a scan has found is chosen for its past: what it does from now on is the test.",
    ),
    "scan_heat": Explanation(
        "q-value of each pair of the symbols of the best pairs, like ones beside each other; lighter or stronger is "
        "smaller.",
        "see q-values.",
        "a row that is strong throughout says something of that symbol, not of many pairs.",
    ),
    "scan_tree": Explanation(
        "The edges of least total distance √(2 (1 − correlation)) of log returns that leave no symbol out (Mantegna).",
        "correlations of the bars scanned.",
        "correlated is not cointegrated; with few bars weak branches are chance.",
    ),
    "scan_dendrogram": Explanation(
        "Symbols joined step by step, the most alike first, by mean distance √(2 (1 − correlation)). The dashed line "
        "is 0.7, a correlation of 0.755: what is joined to its left is one cluster.",
        "correlations of the bars scanned.",
        "correlated is not cointegrated: it says what moves together, not what comes back.",
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
