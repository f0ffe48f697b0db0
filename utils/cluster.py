"""Other machines as an executor of concurrent.futures: a Dask cluster, where one is set.

Its workers need this repository on their path and the same packages: start them from its folder with
`python run.py`'s interpreter. Dask itself is not needed without a cluster.
"""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from utils.errors import SettingsError

ANSWER_S = 10  # within which the scheduler must answer


@contextmanager
def cluster_executor(address: str) -> Iterator[Executor]:
    """The executor of the Dask scheduler at `address`, for example tcp://10.0.0.5:8786; left, it is disconnected.

    Raises
    ------
    SettingsError
        Dask is not installed, or no scheduler answers within 10 s.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SettingsError("PAIRSCOPE_DASK needs the package distributed: pip install distributed") from None
    try:
        client = Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError) as exc:
        raise SettingsError(f"PAIRSCOPE_DASK: no scheduler answers at {address} ({type(exc).__name__})") from None
    with client, client.get_executor(pure=False) as executor:
        yield executor
