"""Builders of the live figures of the Advanced page."""

from dashboard import studies
from dashboard.charts.advanced_correlation import matrix_spec, surface_spec
from dashboard.charts.advanced_series import distribution_spec, memory_spec, quantiles_spec, season_spec
from dashboard.charts.advanced_trades import lead_lag_spec, widths_spec
from dashboard.charts.base import Spec
from dashboard.theme import Theme
from dashboard.view import View
from engine import Engine


def matrix(engine: Engine, view: View, theme: Theme) -> Spec:
    """Heat map of all symbols."""
    return matrix_spec(studies.matrix(engine, view), view.timeframe, theme)


def surface(engine: Engine, view: View, theme: Theme) -> Spec:
    """Correlation over bar widths and lags."""
    return surface_spec(studies.surface(engine, view), view.symbol_y, view.symbol_x, theme)


def lead_lag(engine: Engine, view: View, theme: Theme) -> Spec:
    """Which leg moves first."""
    return lead_lag_spec(engine.lead_lag(view.symbol_y, view.symbol_x), view.symbol_y, view.symbol_x, theme)


def widths(engine: Engine, view: View, theme: Theme) -> Spec:
    """Correlation against bar width."""
    rows = engine.correlation_by_width(view.symbol_y, view.symbol_x)
    return widths_spec(rows, view.symbol_y, view.symbol_x, theme)


def distribution(engine: Engine, view: View, theme: Theme) -> Spec:
    """Histogram with the fitted normal and Student t."""
    subject = studies.subject_of(engine, view)
    return distribution_spec(studies.distribution(subject), subject, theme)


def quantiles(engine: Engine, view: View, theme: Theme) -> Spec:
    """Q-Q plot against both fits."""
    subject = studies.subject_of(engine, view)
    return quantiles_spec(studies.distribution(subject), subject, theme)


def memory(engine: Engine, view: View, theme: Theme) -> Spec:
    """Autocorrelation of changes and of their sizes."""
    subject = studies.subject_of(engine, view)
    return memory_spec(studies.remembering(subject), subject, theme)


def season(engine: Engine, view: View, theme: Theme) -> Spec:
    """Trend, season and rest."""
    subject, chosen = studies.subject_of(engine, view), studies.season_of(view)
    found = studies.decomposition(subject, studies.season_period(view, chosen))
    return season_spec(found, subject, chosen, view.timeframe, theme)
