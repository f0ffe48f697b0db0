"""A place to import into."""

import pytest

from tests.data.importers.files import Place


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    yield found
    found.close()


@pytest.fixture
def file(tmp_path):
    """Makes a file of these bytes."""

    def make(data, name="BTCUSDT-trades.csv"):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return make
