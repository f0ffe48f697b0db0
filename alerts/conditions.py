"""Conditions on metrics, and their combination by AND and OR: a small language, read without `eval`.

    expression := all { OR all }
    all        := one { AND one }
    one        := ( expression ) | value comparison
    value      := metric | abs(value) | change(metric, duration) | change_pct(metric, duration)
    comparison := > number | >= number | < number | <= number
                | crosses above number | crosses below number
                | outside band | inside band
    band       := number | number .. number          one number stands for -number .. number
    duration   := number [s | m | h]

`zscore outside 2 AND (pvalue < 0.05 OR correlation > 0.8)`; `change_pct(price, 5m) < -1`.

A metric that does not exist, or is NaN, makes its condition unknown, which is neither true nor false; what is known
decides: unknown OR true is true, unknown AND false is false, and all else with an unknown part is unknown.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from utils.clock import US_PER_S
from utils.errors import InputError

MAX_LENGTH = 500  # characters
MAX_CONDITIONS = 20
MAX_DEPTH = 8  # brackets in brackets
MAX_WINDOW_S = 86_400.0  # of a change
SLOTS = 60  # samples kept over the window of a change: its far end is known to a sixtieth
OLDEST = 2  # windows; a value from before a longer hole is none to compare with

Truth = bool | None  # None: unknown
ALIASES = {
    "z_score": "zscore",
    "z": "zscore",
    "half_life_bars": "half_life",
    "beta": "hedge_ratio",
    "p_value": "pvalue",
    "rsi14": "rsi",
}

# A comparison with NaN is False, so what does not exist never holds; it is taken out before, as unknown.
HOLDS: dict[str, Callable[[float, float, float], bool]] = {
    ">": lambda value, low, high: value > high,
    ">=": lambda value, low, high: value >= high,
    "<": lambda value, low, high: value < high,
    "<=": lambda value, low, high: value <= high,
    "crosses_above": lambda value, low, high: value > high,
    "crosses_below": lambda value, low, high: value < high,
    "outside": lambda value, low, high: value < low or value > high,
    "inside": lambda value, low, high: low < value < high,
}
BANDS = ("outside", "inside")
CROSSINGS = ("crosses_above", "crosses_below")


@dataclass(frozen=True, slots=True)
class Value:
    """What is compared: a metric, its absolute value, or its change over a window."""

    metric: str
    of: str = ""  # "", "abs", "change", "change_pct" or "abs change", "abs change_pct"
    window_s: float = 0.0

    def __str__(self) -> str:
        kind = self.of.removeprefix("abs").strip()
        text = f"{kind}({self.metric}, {self.window_s:g}s)" if kind else self.metric
        return f"abs({text})" if self.of.startswith("abs") else text


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `high` is the level, or the upper end of a band."""

    value: Value
    compare: str
    high: float
    low: float = math.nan

    def __str__(self) -> str:
        word = self.compare.replace("_", " ")
        band = f"{self.low:.12g} .. {self.high:.12g}" if self.compare in BANDS else f"{self.high:.12g}"
        return f"{self.value} {word} {band}"


@dataclass(frozen=True, slots=True)
class Several:
    """Conditions joined by AND, all of which have to hold, or by OR, one of which has to."""

    word: str  # "AND" or "OR"
    parts: tuple["Node", ...]

    def __str__(self) -> str:
        return f" {self.word} ".join(f"({part})" if isinstance(part, Several) else str(part) for part in self.parts)


Node = Condition | Several
Samples = tuple[tuple[int, float], ...]  # (time, value), oldest first
Memory = Mapping[str, Samples]  # of values whose past counts
EMPTY: Memory = {}


@dataclass(frozen=True, slots=True)
class Seen:
    """The values of an expression now, and those before them where a crossing is looked for; NaN where unknown."""

    now: Mapping[Value, float]
    before: Mapping[Value, float]


def conditions(node: Node) -> Iterator[Condition]:
    """Every comparison, from left to right."""
    if isinstance(node, Condition):
        yield node
    else:
        for part in node.parts:
            yield from conditions(part)


def holds(node: Node, seen: Seen) -> Truth:
    """Whether an expression is true of these values; a crossing is where the level is passed."""
    return _judged(node, lambda one: _holds(one, seen.now[one.value]))


def begins(node: Node, seen: Seen) -> Truth:
    """The same, but a crossing is true only where the value before was on the other side, or on the level."""
    return _judged(node, lambda one: _begins(one, seen))


def _holds(one: Condition, value: float) -> Truth:
    return None if math.isnan(value) else HOLDS[one.compare](value, one.low, one.high)


def _begins(one: Condition, seen: Seen) -> Truth:
    now = _holds(one, seen.now[one.value])
    if not now or one.compare not in CROSSINGS:
        return now
    before = _holds(one, seen.before.get(one.value, math.nan))
    return before is False


def _judged(node: Node, judge: Callable[[Condition], Truth]) -> Truth:
    if isinstance(node, Condition):
        return judge(node)
    decides = node.word == "OR"
    found = [_judged(part, judge) for part in node.parts]
    if decides in found:
        return decides
    return None if None in found else not decides


# --- what has to be remembered ----------------------------------------------------------------------


def look(
    values: Iterable[Value], crossed: Collection[Value], reading: Mapping[str, float], memory: Memory, at_us: int
) -> tuple[Seen, Memory]:
    """The values at a time from a reading and from what was remembered, and what is to be remembered from now on.

    Of the values `crossed` the last one that existed is remembered; of a change the samples of its window.
    """
    now: dict[Value, float] = {}
    before: dict[Value, float] = {}
    kept: dict[str, Samples] = {}
    for value in values:
        found = float(reading.get(value.metric, math.nan))
        if value.window_s:
            name = str(value)
            kept[name] = samples = _sampled(memory.get(name, ()), found, at_us, value.window_s)
            window_us = round(value.window_s * US_PER_S)
            found = _changed(value.of, found, samples, at_us - window_us, at_us - OLDEST * window_us)
        now[value] = abs(found) if value.of.startswith("abs") else found
        if value in crossed:
            name = f"last {value}"
            last = memory.get(name, ())
            if last:
                before[value] = last[-1][1]
            kept[name] = last if math.isnan(now[value]) else ((at_us, now[value]),)
    return Seen(now, before), kept or EMPTY


def without_last(memory: Memory) -> Memory:
    """What is remembered without the values that a crossing would be told by."""
    return {name: samples for name, samples in memory.items() if not name.startswith("last ")}


def _sampled(samples: Samples, value: float, at_us: int, window_s: float) -> Samples:
    """The samples of a window and the one before it: of each slot of time the first value that exists."""
    slot_us = max(round(window_s * US_PER_S / SLOTS), 1)
    if not math.isnan(value) and (not samples or samples[-1][0] // slot_us < at_us // slot_us):
        samples = (*samples, (at_us, value))
    begin_us = at_us - round(window_s * US_PER_S)
    old = sum(1 for sample in samples if sample[0] <= begin_us)
    return samples[max(old - 1, 0) :]


def _changed(of: str, value: float, samples: Samples, begin_us: int, oldest_us: int) -> float:
    """Change since the newest sample at or before a time; NaN where there is none, or none that is young enough."""
    if not samples or samples[0][0] > begin_us or math.isnan(value):
        return math.nan
    old_us, old = next(sample for sample in reversed(samples) if sample[0] <= begin_us)
    if old_us < oldest_us:
        return math.nan
    if of.endswith("change"):
        return value - old
    return 100 * (value / old - 1) if old else math.nan


# --- reading ----------------------------------------------------------------------------------------

TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\.\.|>=|<=|[><(),]))"
)
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3_600.0}


def parse(text: str, field: str = "expression") -> Node:
    """The expression that a text says.

    Raises
    ------
    InputError
        The text is too long, too deep, or does not follow the grammar; the message names the place.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"{field} must have at most {MAX_LENGTH} characters, had {len(text)}", field)
    return _Parser(text, field).whole()


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, field: str) -> None:
        self._field = field
        self._tokens = list(self._cut(text))
        self._at = 0
        self._conditions = 0

    def whole(self) -> Node:
        node = self._any(0)
        if self._token[0]:
            raise self._wrong("the end")
        return node

    def _cut(self, text: str) -> Iterator[tuple[str, str, int]]:
        """(kind, text, position) of every token, and an empty one at the end."""
        position, text = 0, text.rstrip()
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                start = position + len(text[position:]) - len(text[position:].lstrip())
                raise InputError(f"{self._field}: cannot read {text[start : start + 10]!r} at {start + 1}", self._field)
            kind = str(match.lastgroup)
            yield kind, match[kind], match.start(kind)
            position = match.end()
        yield "", "", len(text)

    @property
    def _token(self) -> tuple[str, str, int]:
        return self._tokens[self._at]

    def _wrong(self, wanted: str) -> InputError:
        _, text, position = self._token
        return InputError(f"{self._field}: needs {wanted} at {position + 1}, found {text or 'the end'!r}", self._field)

    def _take(self, kind: str, wanted: str) -> str:
        found, text, _ = self._token
        if found != kind:
            raise self._wrong(wanted)
        self._at += 1
        return text

    def _is(self, *texts: str) -> bool:
        """Whether the next token is one of these; it is passed if so. Words count in any case."""
        if self._token[1].lower() not in texts:
            return False
        self._at += 1
        return True

    def _sign(self, text: str) -> None:
        if not self._is(text):
            raise self._wrong(repr(text))

    def _any(self, depth: int) -> Node:
        return self._joined("OR", lambda: self._all(depth))

    def _all(self, depth: int) -> Node:
        return self._joined("AND", lambda: self._one(depth))

    def _joined(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._is(word.lower()):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Several(word, tuple(parts))

    def _one(self, depth: int) -> Node:
        if not self._is("("):
            return self._condition()
        if depth == MAX_DEPTH:
            raise InputError(f"{self._field}: brackets may be at most {MAX_DEPTH} deep", self._field)
        node = self._any(depth + 1)
        self._sign(")")
        return node

    def _condition(self) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise InputError(f"{self._field}: there may be at most {MAX_CONDITIONS} conditions", self._field)
        value, compare = self._value(), self._compare()
        first = self._number()
        if compare not in BANDS:
            return Condition(value, compare, first)
        second = self._number() if self._is("..") else None
        return band(value, compare, first, second, self._field)

    def _value(self) -> Value:
        name = self._take("name", "a metric")
        if not self._is("("):
            return Value(ALIASES.get(name.lower(), name.lower()))
        if name == "abs":
            inner = self._value()
            self._sign(")")
            of = inner.of if inner.of.startswith("abs") else f"abs {inner.of}".strip()
            return Value(inner.metric, of, inner.window_s)
        if name not in ("change", "change_pct"):
            self._at -= 2
            raise self._wrong("abs, change or change_pct before a bracket")
        metric = self._take("name", "a metric").lower()
        self._sign(",")
        window_s = self._duration()
        self._sign(")")
        return Value(ALIASES.get(metric, metric), name, window_s)

    def _compare(self) -> str:
        for text in (">=", "<=", ">", "<", *BANDS, *CROSSINGS):
            if self._is(text):
                return text
        if self._is("crosses"):
            for side in ("above", "below"):
                if self._is(side):
                    return f"crosses_{side}"
            raise self._wrong("above or below")
        raise self._wrong("a comparison such as >, outside or crosses above")

    def _number(self) -> float:
        number = float(self._take("number", "a number"))
        if not math.isfinite(number):
            self._at -= 1
            raise self._wrong("a finite number")
        return number

    def _duration(self) -> float:
        number, unit = self._number(), "s"
        if self._token[0] == "name":
            unit = self._token[1]
            if unit not in UNITS_S:
                raise self._wrong("s, m or h")
            self._at += 1
        return check_window(number * UNITS_S[unit], self._field)


def band(value: Value, compare: str, first: float, second: float | None, field: str) -> Condition:
    """A condition on a band: from first to second, or as far as first on both sides of 0.

    Raises
    ------
    InputError
        The band ends before it begins.
    """
    low, high = (-first, first) if second is None else (first, second)
    if not low < high:
        raise InputError(f"{field}: a band must end above its beginning, was {low:g} .. {high:g}", field)
    return Condition(value, compare, high, low)


def check_window(window_s: float, field: str) -> float:
    """The window of a change, if it can be.

    Raises
    ------
    InputError
    """
    if not 1 <= window_s <= MAX_WINDOW_S:
        raise InputError(f"{field}: a change needs a window of 1 to {MAX_WINDOW_S:g} s, was {window_s:g}", field)
    return window_s
