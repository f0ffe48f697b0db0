"""Correlation of two legs, with what each number is worth.

    pearson      returns and their correlation; cross-correlation over lags of bars
    exponential  correlation whose weights fade, and its next value at the cost of one bar
    distance     distance correlation and its test: dependence of any shape
    widths       one tape at many bar widths, beside Hayashi-Yoshida
    lead_lag     which leg moves first, from trades, with an interval
    matrix       many symbols, many timeframes, many windows
    surface      two legs over widths and lags of bars
    intervals    the interval that all of them share

Import from the module: `from analytics.correlation.pearson import pearson`.
"""
