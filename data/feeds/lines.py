"""What each line of recorded frames carries, told by a few of its bytes before anything is decoded.

Book events outnumber trades by far: what is passed by is not even cut out of its text.
"""

from enum import IntEnum

import numpy as np

from data.feeds.manifest import MANIFEST


class Carries(IntEnum):
    """What a line carries, as far as these bytes tell."""

    QUOTE = 0
    TIMELESS_QUOTE = 1  # of spot: its time is that of the trade before it
    AGG_TRADE = 2
    TRADE = 3
    OTHER = 4  # a whole object of something else
    UNKNOWN = 5  # broken, blank, or no object


def sort_lines(text: bytes, wants_quotes: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each line of a text lies, and what it carries.

    Where quotes are not wanted they are as other events.

    Returns
    -------
    starts, ends : int64 (lines,), first byte and end of each line; of a quote or trade from its first object on
    carried : uint8 (lines,), as in `Carries`
    """
    table = np.frombuffer(text, np.uint8)
    line_ends = np.flatnonzero(table == ord("\n"))
    starts, ends = np.concatenate(([0], line_ends + 1)), np.concatenate((line_ends, [table.size]))

    def holds(word: bytes, rare: int) -> np.ndarray:
        """Whether each line holds a word, whose byte `rare` is looked for first."""
        found = np.zeros(starts.size, bool)
        found[np.searchsorted(starts, _places(table, word, rare), side="right") - 1] = True
        return found

    whole = np.zeros(starts.size, bool)
    filled = ends > starts
    whole[filled] = table[ends[filled] - 1] == ord("}")
    carried = np.where(whole, Carries.OTHER, Carries.UNKNOWN).astype(np.uint8)
    traded = holds(b'rade"', rare=2)
    if MANIFEST in text:
        traded &= ~np.isin(starts, _places(table, MANIFEST, rare=2))
    carried[traded] = Carries.TRADE
    carried[traded & holds(b'aggTrade"', rare=1)] = Carries.AGG_TRADE
    if wants_quotes:
        quoted = whole & holds(b'bookTicker"', rare=3)
        carried[quoted] = Carries.TIMELESS_QUOTE
        if quoted.any():
            carried[quoted & holds(b'"T":', rare=1)] = Carries.QUOTE
    return np.where(carried < Carries.OTHER, _opened(table, starts, ends), starts), ends, carried


def _opened(table: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Where the first object of each line begins; its first byte where there is none."""
    braces = np.append(np.flatnonzero(table == ord("{")), table.size)
    first = braces[np.searchsorted(braces, starts)]
    return np.where(first < ends, first, starts)


def _places(table: np.ndarray, word: bytes, rare: int) -> np.ndarray:
    """Where a word begins: where its rare byte lies, then each of its other bytes beside it."""
    beginnings = max(table.size - len(word) + 1, 0)
    places = np.flatnonzero(table[rare:][:beginnings] == word[rare])
    for k, byte in enumerate(word):
        if k != rare:
            places = places[table[places + k] == byte]
    return places
