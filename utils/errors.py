"""Every error that Pairscope raises on purpose.

    PairscopeError
    ├── SettingsError              a setting is missing, unreadable or out of its limits
    ├── InputError                 a value given by a user, a query or a file is not acceptable
    │   ├── TimeframeError         a bar width that cannot be read
    │   ├── StaleEdit              somebody else has changed it meanwhile
    │   └── NotFound               what is asked for does not exist; `field` says what kind it is
    ├── FrameError                 a frame of the exchange that cannot be read
    ├── FeedError                  a feed cannot deliver
    │   ├── FeedBlocked            the exchange refuses this place (451) or this client (403)
    │   ├── FeedPaused             the exchange asks for a pause (429) or has banned this address for a while (418)
    │   ├── HistoryTooOld          trades older than the exchange serves
    │   └── RecordingError         a recording cannot be replayed
    ├── StorageError               the database cannot be used as it is
    │   ├── DatabaseBusy           another process captures into the file
    │   ├── DatabaseDamaged        the file is ours and broken
    │   ├── SchemaTooNew           the file was written by a newer version
    │   └── BackupError            a backup cannot be made or put back
    ├── AnalysisError              a number that the data does not support
    │   ├── TooFewObservations     fewer observations than the method needs
    │   └── DegenerateSeries       a series without variation, or legs that are the same
    └── Cancelled                  long work that was told to stop

Each carries what its handler needs; the message names the value and the limit.
"""


class PairscopeError(Exception):
    """Base of all errors raised on purpose."""


class SettingsError(PairscopeError):
    """A setting is missing, unreadable or out of its limits."""


class InputError(PairscopeError):
    """A value given by a user, a query or a file is not acceptable."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class TimeframeError(InputError):
    """A bar width that cannot be read."""


class StaleEdit(InputError):
    """Somebody else has changed it meanwhile; `differs` has what differs by field: (there now, wanted here)."""

    def __init__(self, message: str, differs: dict[str, tuple[object, object]]) -> None:
        super().__init__(message, "version")
        self.differs = differs


class NotFound(InputError):
    """What is asked for does not exist; `field` says what kind it is: "symbol", "rule"."""


class FrameError(PairscopeError):
    """A frame of the exchange that cannot be read; `reason` is its counter, `symbol` its owner where known."""

    def __init__(self, message: str, reason: str = "frame", symbol: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.symbol = symbol


class FeedError(PairscopeError):
    """A feed cannot deliver."""


class FeedBlocked(FeedError):
    """The exchange refuses this place (451) or this client (403): trying again at once is of no use."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class FeedPaused(FeedError):
    """No request may leave for `wait_s` seconds: too many were made (429), or this address is banned (418)."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class HistoryTooOld(FeedError):
    """Trades older than the exchange serves."""


class RecordingError(FeedError):
    """A recording cannot be replayed."""


class StorageError(PairscopeError):
    """The database cannot be used as it is."""


class DatabaseBusy(StorageError):
    """Another process captures into the file."""


class DatabaseDamaged(StorageError):
    """The file is ours and broken: it is to be kept, and not to be used."""


class SchemaTooNew(StorageError):
    """The file was written by a newer version."""


class BackupError(StorageError):
    """A backup cannot be made, or not be put back; nothing was changed."""


class AnalysisError(PairscopeError):
    """A number that the data does not support."""


class TooFewObservations(AnalysisError):
    """Fewer observations than the method needs."""

    def __init__(self, have: int, need: int, what: str = "bars") -> None:
        super().__init__(f"needs {need} {what}, has {have}")
        self.have = have
        self.need = need
        self.what = what

    def __reduce__(self) -> tuple[type, tuple[int, int, str]]:
        return type(self), (self.have, self.need, self.what)


class DegenerateSeries(AnalysisError):
    """A series without variation, or legs that are the same."""


class Cancelled(PairscopeError):
    """Long work that was told to stop, with how far it had come."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"cancelled after {done:,} of {total:,}")
        self.done = done
        self.total = total
