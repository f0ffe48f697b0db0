"""Every calibration in its short form: what `python run.py calibrate` shows in full."""

import pytest

from tests.calibrate.__main__ import PROOF
from tests.table import Size, table


@pytest.mark.parametrize("name", PROOF.scenarios)
def test_it_is_worth_what_it_says(name):
    rows = PROOF.run(name, Size(short=True))
    assert rows
    assert all(row.holds for row in rows), "\n" + table(rows)
