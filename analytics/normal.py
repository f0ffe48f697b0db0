"""Numbers of the standard normal distribution that intervals and robust scales are made of."""

Z_95 = 1.959963984540054  # quantile of a two-sided 95 % interval
MAD_NORMAL = 0.6744897501960817  # median absolute deviation
