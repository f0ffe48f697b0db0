"""What happens between two bars, from the tape: one symbol's trades, or two legs at their own times.

    overlaps    Hayashi-Yoshida covariance of two legs
    sides       who was the taker, inferred, and how often that is right
    flow        taker buys and sells, their imbalance, VWAP
    velocity    how fast the tape runs, and what is usual at this time of day
    sizes       how large trades are, and which are large
    toxicity    VPIN, on a clock of volume
    impact      what trading moves: Kyle, Amihud, Roll
    signature   realised volatility against the width of sampling
    conditions  liquidity score, volatility regime, momentum quality
    cells       the tape summed second by second
    reading     all of it at one moment
    meter       the same, kept up to date at the cost of the new trades
    live        a meter between threads
    quotes      what best bid and ask tell: spreads, microprice, order flow of the quotes
    pair_costs  what a round trip in a pair costs at the best quotes
    quote_meter the reading of quotes at one moment, kept up to date
    columns     what all ask of their input

Times are microseconds, prices in quote currency, quantities in base currency. The exchange prints who the maker was;
a buyer who is the maker means that the taker sold. Nothing here looks past `now_us`.
"""

from analytics.microstructure.cells import Cells, tape_cells
from analytics.microstructure.conditions import VolatilityRegime, liquidity_score, momentum_quality, volatility_regime
from analytics.microstructure.flow import (
    TakerFlow,
    cumulative_delta,
    order_flow_imbalance,
    taker_flow,
    vwap_distance_bp,
)
from analytics.microstructure.impact import KyleLambda, amihud, kyle_lambda, roll_spread
from analytics.microstructure.live import LiveQuotes, LiveTape
from analytics.microstructure.meter import TapeMeter, tape_reading
from analytics.microstructure.overlaps import HayashiYoshida, hayashi_yoshida, thinned, tick_returns
from analytics.microstructure.pair_costs import BestQuote, LegCost, PairCost, pair_cost
from analytics.microstructure.quote_meter import QuoteMeter, QuoteParams, QuoteReading, quote_reading
from analytics.microstructure.quotes import (
    EffectiveSpread,
    QuotedSpread,
    QuoteOfi,
    effective_spread,
    microprice,
    quote_imbalance,
    quote_ofi,
    quoted_spread,
    usable_quotes,
)
from analytics.microstructure.reading import TapeParams, TapeReading
from analytics.microstructure.sides import SideAccuracy, lee_ready, quotes_before, side_accuracy, tick_rule
from analytics.microstructure.signature import Signature, realised_volatility, signature_plot
from analytics.microstructure.sizes import TradeSizes, large_prints, trade_sizes
from analytics.microstructure.toxicity import Vpin, vpin
from analytics.microstructure.velocity import LevelLearner, NormalLevel, TickVelocity, normal_level, tick_velocity

__all__ = [
    "BestQuote",
    "Cells",
    "EffectiveSpread",
    "HayashiYoshida",
    "KyleLambda",
    "LegCost",
    "LevelLearner",
    "LiveQuotes",
    "LiveTape",
    "NormalLevel",
    "PairCost",
    "QuoteMeter",
    "QuoteOfi",
    "QuoteParams",
    "QuoteReading",
    "QuotedSpread",
    "SideAccuracy",
    "Signature",
    "TakerFlow",
    "TapeMeter",
    "TapeParams",
    "TapeReading",
    "TickVelocity",
    "TradeSizes",
    "VolatilityRegime",
    "Vpin",
    "amihud",
    "cumulative_delta",
    "effective_spread",
    "hayashi_yoshida",
    "kyle_lambda",
    "large_prints",
    "lee_ready",
    "liquidity_score",
    "microprice",
    "momentum_quality",
    "normal_level",
    "order_flow_imbalance",
    "pair_cost",
    "quote_imbalance",
    "quote_ofi",
    "quote_reading",
    "quoted_spread",
    "quotes_before",
    "realised_volatility",
    "roll_spread",
    "side_accuracy",
    "signature_plot",
    "taker_flow",
    "tape_cells",
    "tape_reading",
    "thinned",
    "tick_returns",
    "tick_rule",
    "tick_velocity",
    "trade_sizes",
    "usable_quotes",
    "volatility_regime",
    "vpin",
    "vwap_distance_bp",
]
