"""What the Scanner page shows, as one frozen value and as one short text of the address."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self
from urllib.parse import quote, unquote

from analytics.scanner.ranking import DEFAULT, RISING
from engine import ScanRequest
from utils.errors import InputError

FIGURES = {
    "heat": "q-values",
    "tree": "spanning tree",
    "dendrogram": "dendrogram",
    "changes": "what changed",
}
RANKED = {  # columns that may weigh in the order, with their screen text
    "qvalue": "q-value",
    "edge_bps": "edge after costs",
    "half_life": "half-life, short",
    "stable_share": "stability",
    "zscore": "|z| now",
    "correlation": "correlation",
    "coverage": "coverage",
}
MOST_WEIGHT = 10
DEFAULT_SCAN = ScanRequest()
BY_QVALUE = (1, *[0] * (len(RANKED) - 1))
PARTS, HAS, LIST = "~", ".", ","  # `source.stored~bars.1000`
assert set(RANKED) <= set(RISING) and next(iter(RANKED)) == DEFAULT


@dataclass(frozen=True, slots=True)
class ScanView:
    """A scan as it would be started, the order of what it finds, and the figure beside the table."""

    request: ScanRequest = DEFAULT_SCAN
    weights: tuple[int, ...] = BY_QVALUE  # of RANKED
    figure: str = "heat"
    only_found: bool = False

    @property
    def order(self) -> str | dict[str, float]:
        """What `rank` takes: q alone, or weights of several columns."""
        weights = {name: float(weight) for name, weight in zip(RANKED, self.weights, strict=True) if weight}
        return weights if set(weights) - {DEFAULT} else DEFAULT

    @classmethod
    def of(cls, text: str) -> Self:
        """The view of a text; an empty one is the default.

        Raises
        ------
        InputError
        """
        parts = dict(part.partition(HAS)[::2] for part in text.split(PARTS) if part)
        values = {name: unquote(value) for name, value in parts.items()}
        own = {name: values.pop(name) for name in ("weights", "figure", "found") if name in values}
        view = cls(request=ScanRequest.of({name: _read(name, value) for name, value in values.items()}))
        if "weights" in own:
            view = replace(view, weights=_weights(own["weights"]))
        if "figure" in own:
            if own["figure"] not in FIGURES:
                raise InputError(f"figure must be one of {', '.join(FIGURES)}", "figure")
            view = replace(view, figure=own["figure"])
        return replace(view, only_found=own.get("found") == "1")

    def text(self) -> str:
        """The view as a text of what differs from the default; `of` reads it back."""
        before, now = asdict(DEFAULT_SCAN), asdict(self.request)
        differs = {name: now[name] for name in now if now[name] != before[name]}
        if self.weights != BY_QVALUE:
            differs["weights"] = self.weights
        if self.figure != "heat":
            differs["figure"] = self.figure
        if self.only_found:
            differs["found"] = True
        return PARTS.join(f"{name}{HAS}{_write(value)}" for name, value in differs.items())


def _write(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    text = LIST.join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return quote(text, safe=LIST).replace(PARTS, "%7E")


def _read(name: str, text: str) -> Any:
    """A field of the request from its text, of the kind that the field has.

    Raises
    ------
    InputError
    """
    default = {field.name: field.default for field in fields(ScanRequest)}.get(name)
    try:
        match default:
            case bool():
                return text == "1"
            case int():
                return int(text)
            case float():
                return float(text)
            case tuple():
                return [part for part in text.split(LIST) if part]
    except ValueError:
        raise InputError(f"{name} must be a number, was {text[:20]!r}", name) from None
    return int(text) if name == "lags" and text.isdecimal() else text


def _weights(text: str) -> tuple[int, ...]:
    parts = text.split(LIST)
    if len(parts) != len(RANKED) or not all(part.isdecimal() and int(part) <= MOST_WEIGHT for part in parts):
        raise InputError(f"weights must be {len(RANKED)} numbers of 0 to {MOST_WEIGHT}", "weights")
    weights = tuple(map(int, parts))
    if not any(weights):
        raise InputError("at least one weight must be above 0", "weights")
    return weights
