"""The engine: starts and stops every thread, and hands out copies and status. The only room that knows everybody.

One market is open at a time, a `Session`: feed, sequencer, memory, mirror and bars of one venue. The evaluator
thread moves it on: it gives up held trades, writes closed bars, judges the alert rules once a second, and, when
the source is `auto`, decides between the exchange and the demo market. In a replay all this happens at the full seconds
of market time, and the replay waits for it: what comes of a recording depends on the recording alone.
"""

from engine.engine import Engine
from engine.handed import Coverage, Disk, Gap, Holdings, Recorded, ReplayPosition
from engine.process import current, install
from engine.scan_request import ScanRequest, ScanResult
from engine.status import QuoteStatus, Status, SymbolStatus, System

__all__ = [
    "Coverage",
    "Disk",
    "Engine",
    "Gap",
    "Holdings",
    "QuoteStatus",
    "Recorded",
    "ReplayPosition",
    "ScanRequest",
    "ScanResult",
    "Status",
    "SymbolStatus",
    "System",
    "current",
    "install",
]
