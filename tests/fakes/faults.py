"""What can befall trades between the exchange and its clients, and frames that no client can read."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from data.trades import Trade

COPIES = 3  # of a trade that is repeated
WINDOW = 5  # a reordered trade comes after so many later ones at most

BAD_TEXTS = {
    "nothing": "",
    "cut short": '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTC',
    "no JSON": "<html>502 Bad Gateway</html>",
    "a number": "42",
    "a price that is none": '{"e":"aggTrade","E":1,"s":"BTCUSDT","a":1,"p":"NaN","q":"1","T":1791382992338,"m":true}',
    "an id that is a text": '{"e":"aggTrade","E":1,"s":"BTCUSDT","a":"1","p":"1","q":"1","T":1791382992338,"m":true}',
    "no fields": '{"e":"aggTrade","s":"BTCUSDT"}',
    "nested without end": "[" * 100_000,
    "oversized": '{"e":"aggTrade","s":"' + "X" * 5_000_000 + '"}',
}
BAD_FRAMES = {  # each of them ends the connection of who reads on
    "unknown opcode": b"\x83\x01x",
    "reserved bit": b"\xc1\x01x",
    "masked by the server": b"\x81\x81\x00\x00\x00\x00x",
    "continuation of nothing": b"\x80\x01x",
    "ping of 126 bytes": b"\x89\x7e\x00\x7e" + 126 * b"x",
    "length beyond all memory": b"\x81\x7f" + 8 * b"\x7f",
}


@dataclass
class Faults:
    """Fates of trades, drawn by the seed; shares from 0 to 1. Of several fates the first in this order holds."""

    seed: int = 7
    drop_at: frozenset[int] = frozenset()  # trades never sent, counted from 0 since these faults began
    drop: float = 0.0
    reorder: float = 0.0
    late: float = 0.0
    late_s: float = 3.0
    repeat: float = 0.0  # sent COPIES times
    dropped: list[Trade] = field(default_factory=list)
    reordered: int = 0
    delayed: int = 0
    repeated: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._number = 0
        self._held: list[tuple[int, Trade]] = []  # number of the trade after which each goes out

    def sent(self, trades: Iterable[Trade]) -> list[tuple[float, Trade]]:
        """What is sent when these trades happen: a delay in seconds and a trade, in order."""
        deliveries: list[tuple[float, Trade]] = []
        for trade in trades:
            deliveries += self._fate(trade)
            due = [held for at, held in self._held if at <= self._number]
            self._held = [(at, held) for at, held in self._held if at > self._number]
            deliveries += [(0.0, held) for held in due]
            self._number += 1
        return deliveries

    @property
    def waiting(self) -> int:
        """Trades that go out after later ones."""
        return len(self._held)

    def rest(self) -> list[tuple[float, Trade]]:
        """Trades that still wait for later ones."""
        held, self._held = self._held, []
        return [(0.0, trade) for _, trade in held]

    def _fate(self, trade: Trade) -> list[tuple[float, Trade]]:
        if self._number in self.drop_at or self._hits(self.drop):
            self.dropped.append(trade)
            return []
        if self._hits(self.reorder):
            self.reordered += 1
            self._held.append((self._number + self._rng.randint(1, WINDOW), trade))
            return []
        if self._hits(self.late):
            self.delayed += 1
            return [(self.late_s, trade)]
        if self._hits(self.repeat):
            self.repeated += 1
            return [(0.0, trade)] * COPIES
        return [(0.0, trade)]

    def _hits(self, share: float) -> bool:
        return share > 0 and self._rng.random() < share
