"""`python -m tests.fakes --rate 1000 --seconds 60`: the fake exchange by hand; prints its addresses as a JSON line."""

import argparse
import contextlib
import json
import sys
import threading

from tests.fakes.exchange import SYMBOLS, FakeExchange


def main() -> None:
    """Serve until the time is up or the process is interrupted; addresses first, the ledger's sizes last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=50.0, help="trades a second over all symbols")
    parser.add_argument("--symbols", default=",".join(SYMBOLS))
    parser.add_argument("--seconds", type=float, default=0.0, help="0: until interrupted")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    symbols = args.symbols.upper().split(",")
    with FakeExchange(symbols=symbols, rate=args.rate, seed=args.seed, port=args.port) as exchange:
        _say({"ws_url": exchange.ws_url, "rest_url": exchange.rest_url})
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait(args.seconds or None)
        exchange.rate = 0.0
        _say({"trades": {symbol: len(made) for symbol, made in exchange.tape.trades.items()}})


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
