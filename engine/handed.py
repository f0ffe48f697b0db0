"""What the engine hands out and rooms above it may name."""

from data.feeds.replay import ReplayPosition
from data.health import Disk
from data.ingestion import Gap
from data.inventory import Coverage, Holdings
from data.recordings import Recorded

__all__ = ["Coverage", "Disk", "Gap", "Holdings", "Recorded", "ReplayPosition"]
