"""Is a stretched spread an opportunity, and what would be done about it?

    params       thresholds, weights and caps, checked once
    reversion    the rule on a path of z: enter, leave, stop
    momentum     two exponential averages and which is ahead, with hysteresis
    opportunity  a score of 0 to 100 that can be taken apart
    facts        what is known of a pair beside its z
    volatility   whether the spread is livelier than it was
    reasons      what speaks against a trade, and how far it lowers the score
    decision     all of it as one value: side, legs, sizes, what z pays the costs

Everything is decided at the close of a bar from bars up to it, and is in force from the next bar on. Give closed bars
only: a bar in progress would decide and take back.
"""

from analytics.signals.decision import Leg, Signal, signal
from analytics.signals.facts import Facts, facts_of
from analytics.signals.momentum import Crossover, Momentum, momentum_signal
from analytics.signals.opportunity import Opportunity, Term, opportunity_score
from analytics.signals.params import Caps, SignalParams, Weights
from analytics.signals.reasons import Reason, reasons_against
from analytics.signals.reversion import Event, MeanReversion, mean_reversion_signal
from analytics.signals.volatility import spread_volatility

__all__ = [
    "Caps",
    "Crossover",
    "Event",
    "Facts",
    "Leg",
    "MeanReversion",
    "Momentum",
    "Opportunity",
    "Reason",
    "Signal",
    "SignalParams",
    "Term",
    "Weights",
    "facts_of",
    "mean_reversion_signal",
    "momentum_signal",
    "opportunity_score",
    "reasons_against",
    "signal",
    "spread_volatility",
]
