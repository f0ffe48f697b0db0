"""What the hub builds: figures by their name, and the panels of a page together."""

from collections.abc import Mapping

from dashboard.live import figures, panels
from dashboard.live.hub import Key, Payload


def key_of(name: str, query: Mapping[str, str]) -> Key:
    """The key of what an address asks for.

    Raises
    ------
    NotFound
        No figure, or no panel, of that name.
    InputError
        A value that cannot be used.
    """
    return panels.key_of(query) if name == panels.TOGETHER else figures.key_of(name, query)


def build(key: Key) -> Payload:
    """What a key stands for, as it is now."""
    return panels.build(key) if key.name == panels.TOGETHER else figures.build(key)
