"""What files made to take memory take of ours: each is imported in a process that imported a small good one before."""

import json
import subprocess
import sys

import pytest

from tests.data.importers import hostile
from tests.running import ROOT

MOST_MB = 150
BECAME = {
    "BTCUSDT-sparse.csv": "not text",
    "BTCUSDT-endless.csv": "a line longer than 1,048,576 bytes",
    "BTCUSDT-endless.ndjson": "a line longer than 1,048,576 bytes",
    "BTCUSDT-bomb.zip": "unpacks to more than 200 times its",
    "BTCUSDT-bomb.csv.gz": "unpacks to more than 200 times its",
    "BTCUSDT-noise.csv": "not text",
    "BTCUSDT-many.zip": "10,000 files, the most is 16",
    "BTCUSDT-groups.parquet": "8,000,000 rows in",
    "BTCUSDT-pages.parquet": "group 0 of rows unpacks to",
    "BTCUSDT-wide.csv": "5000 columns are in no known order",
    "BTCUSDT-short.csv": "1 taken, 400000 rejected",
    "BTCUSDT-blank.csv": "1 taken, 0 rejected",
    "BTCUSDT-short.ndjson": "1 taken, 400000 rejected",
    "BTCUSDT-bad.csv": "1 taken, 200000 rejected",
    "BTCUSDT-fields.db": "none of its 160 rows can be taken: line 1, quantity",
    "BTCUSDT-strings.xlsx": "more than 33,554,432 bytes of 'xl/sharedStrings.xml'",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process is told by Linux")
def test_malformed_files_take_150_mb_at_most_whatever_they_hold(tmp_path):
    folder = tmp_path / "in"
    hostile.make(folder)
    call = [sys.executable, "-m", "tests.data.importers.hostile", str(folder)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.keys() == BECAME.keys()
    assert [name for name, (became, _) in told.items() if BECAME[name] not in became] == []
    assert max(grown for _, grown in told.values()) <= MOST_MB
