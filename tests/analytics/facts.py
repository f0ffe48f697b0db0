"""Facts of a pair that nothing speaks against."""

from analytics.signals import Facts

GOOD = Facts(
    price_y=100.0,
    price_x=40.0,
    hedge_ratio=1.5,
    n_obs=500,
    volatility=1.0,
    liquidity=80.0,
    breakeven_z=1.2,
    pvalue=0.01,
    half_life_bars=10.0,
    coverage=1.0,
)
