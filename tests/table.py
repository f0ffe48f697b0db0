"""What a proof run (chaos, calibrate) shows: one row for each thing that has to hold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

ALIGNED = "<<>><"  # side of each column of the table
WIDEST = 60  # characters of a cell
NEVER = 1e9  # times its limit: what did not come


@dataclass(frozen=True, slots=True)
class Row:
    """One promise under one condition."""

    scenario: str
    what: str
    expected: str
    found: str
    holds: bool
    late: float = 0.0  # of a time: how much of its limit it took


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is: short for every test run, full for a proof, longer by hand."""

    short: bool = False
    hours: float = 0.0  # of the sustained load, in place of its own lengths

    def pick(self, short: float, full: float) -> float:
        """The number for this size."""
        return short if self.short else full

    def count(self, short: int, full: int) -> int:
        """The count for this size."""
        return short if self.short else full


def equal(scenario: str, what: str, expected: object, found: object) -> Row:
    """A row that holds where both are the same."""
    return Row(scenario, what, _text(expected), _text(found), bool(expected == found))


def at_most(scenario: str, what: str, most: float, found: float, unit: str) -> Row:
    """A row that holds up to a limit; NaN does not."""
    return Row(scenario, what, f"<= {most:g} {unit}", f"{found:.3g} {unit}", bool(found <= most))


def soon(scenario: str, what: str, most: float, found: float, unit: str) -> Row:
    """A row about how long something takes, which a loaded machine stretches; NaN does not hold."""
    late = found / most if math.isfinite(found) else NEVER
    return replace(at_most(scenario, what, most, found, unit), late=late)


def at_least(scenario: str, what: str, least: float, found: float, unit: str = "") -> Row:
    """A row that holds from a limit on."""
    expected = f">= {_text(least)} {unit}".strip()
    return Row(scenario, what, expected, f"{_text(found)} {unit}".strip(), bool(found >= least))


def within(scenario: str, what: str, least: float, most: float, found: float, unit: str = "") -> Row:
    """A row that holds between two limits, both included; NaN does not."""
    expected = f"{least:g} to {most:g} {unit}".strip()
    return Row(scenario, what, expected, f"{found:.4g} {unit}".strip(), bool(least <= found <= most))


def shown(scenario: str, what: str, found: str) -> Row:
    """A row that only tells."""
    return Row(scenario, what, "shown", found, True)


def failed(scenario: str, exc: BaseException) -> Row:
    """The row of a scenario that did not come to its end."""
    return Row(scenario, "came to its end", "yes", " ".join(str(exc).split()) or type(exc).__name__, False)


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    lines = [("scenario", "what", "expected", "found", "holds"), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(_aligned, line, widths, ALIGNED)).rstrip() for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    return row.scenario, row.what, row.expected, row.found[:WIDEST], "yes" if row.holds else "NO"


def _aligned(text: str, width: int, side: str) -> str:
    return f"{text:{side}{width}}"


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
