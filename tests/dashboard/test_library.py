"""The chart library as it is served: the installed one, with few kinds of traces prepared at once."""

import re

import pytest

from config import ROOT
from dashboard.live import files
from dashboard.live.library import AT_ONCE, INSTALLED, LIBRARY_URL, deferred, library, library_url, unwrapped

SEEN_LATER = {"surface"}  # kinds that our figures have beside those


@pytest.fixture(scope="module")
def installed():
    return INSTALLED.read_text(encoding="utf-8")


def modules(text: str) -> list[set[str]]:
    """Modules of each list that the end of the bundle registers."""
    return [set(found.split(",")) for found in re.findall(r"[.]register[(]\[((?:[\w$]+[(][)],?)+)\]", text[-20_000:])]


def test_it_is_the_installed_one_without_its_wrapper(installed):
    served = unwrapped(installed)
    assert served.startswith("/**\n* plotly.js v")
    assert "window.Plotly = Plotly;" in served and "factory" not in served[:1_000]
    assert len(installed) - len(served) < 1_000
    assert unwrapped("(function(a, b) { another wrapper })") == "(function(a, b) { another wrapper })"


def test_nothing_of_it_is_lost(installed):
    (whole,), served = modules(installed), library().decode()
    at_once, later = modules(served)
    assert at_once | later == whole and not at_once & later
    assert (len(at_once), len(whole)) == (len(AT_ONCE), 47)
    assert 0 < len(served) - len(unwrapped(installed)) < 200


def test_of_our_figures_few_wait_for_the_rest():
    sources = [path.read_text("utf-8") for path in (ROOT / "dashboard" / "charts").glob("*.py")]
    known = {"scatter", *AT_ONCE, *SEEN_LATER}
    used = {kind for source in sources for kind in re.findall(r'"type": "(\w+)"', source)}
    assert used & known == known


@pytest.mark.parametrize(
    "other",
    [
        "",
        "Plotly=core();",
        "R.register([a(),b()]);",
        'a=W((x,y)=>{"use strict";y.exports=z()});R.register([a()]);',
        'z=W((x,y)=>{"use strict";y.exports={moduleType:"trace",name:"bar"}});'
        'a=W((x,y)=>{"use strict";y.exports=z()});R.register([a()]);',
    ],
)
def test_another_bundle_stays_as_it_is(other):
    assert deferred(other) == other


def test_a_name_that_ends_like_another_is_another():
    kinds = "".join(
        f'k{i}=W((x,y)=>{{"use strict";y.exports={{moduleType:"trace",name:"{kind}"}}}});'
        f'xm{i}=W((x,y)=>{{"use strict";y.exports=k{(i + 1) % 5}()}});m{i}=W((x,y)=>{{"use strict";y.exports=k{i}()}});'
        for i, kind in enumerate([*AT_ONCE, "pie"])
    )
    made = deferred(f"{kinds}R.register([m0(),m4(),m1(),m2(),m3()]);")
    assert made.startswith(f"{kinds}R.register([m0(),m1(),m2(),m3()]);R.atOnce=[")
    assert made.endswith("R.registerRest=()=>{R.atOnce=null;R.register([m4()])};")


def test_its_address_changes_with_what_we_make_of_it(monkeypatch, tmp_path):
    source = (files.HERE / "library.py").read_text("utf-8")
    monkeypatch.setattr(files, "HERE", tmp_path)
    (tmp_path / "library.py").write_text(source, "utf-8")
    assert library_url() == LIBRARY_URL
    (tmp_path / "library.py").write_text(source.replace('"bar", ', ""), "utf-8")
    assert library_url() != LIBRARY_URL
