"""The chart library as browsers get it: the installed plotly.js, made ready sooner.

All of it is there. But of fifty kinds of traces, whose preparation takes two thirds of the time until the library is
ready, it begins with those that nearly all figures are made of; a figure with another one has the rest prepared first.
"""

import gzip
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import plotly

from dashboard.live.files import digest, text

INSTALLED = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
WRAPPED, UNWRAPPED = '"use strict";var Plotly=', "window.Plotly = Plotly;"  # where the library itself begins and ends
AT_ONCE = ("bar", "candlestick", "heatmap", "histogram")  # kinds of traces, beside "scatter", which all rests on
REGISTERS = re.compile(r"([\w$]+)\.register\(\[((?:[\w$]+\(\),?)+)\]\);")
HANDED_ON = r'=[\w$]+\(\(([\w$]+),([\w$]+)\)=>\{"use strict";\2\.exports=([\w$]+)\(\)\}\)'
KIND = re.compile(r'moduleType:"trace",name:"(\w+)"')
MODULE = '=>{"use strict";'  # begins each


def library_url() -> str:
    """Address of the chart library: plotly's version, and what we make of it, which is this module.

    The library itself, at 4.8 MB, is not read before it is asked for.
    """
    return f"/live/plotly.js?v={plotly.__version__}-{digest(text('library.py'))}"


LIBRARY_URL = library_url()


@lru_cache(1)
def library() -> bytes:
    """The whole of it."""
    return deferred(unwrapped(INSTALLED.read_text(encoding="utf-8"))).encode()


@lru_cache(1)
def packed_library() -> bytes:
    """The same, compressed once for all readers: 4.8 MB become 1.5."""
    return gzip.compress(library(), 6, mtime=0)


def unwrapped(text: str) -> str:
    """plotly.js without the wrapper for module loaders, or as it is where the wrapper is not the one that is known.

    Its feature tests throw errors, and for each a browser parses every function again that is running then, to know the
    line; they are all of the library. Without the wrapper it is ready a quarter sooner.
    """
    begin, end = text.find(WRAPPED), text.rfind(UNWRAPPED)
    if begin < 0 or end < begin:
        return text
    notice = text[: text.find("*/") + 2]
    return f"{notice}\n{text[begin:end]}{UNWRAPPED}\n"


def deferred(text: str) -> str:
    """plotly.js that prepares `AT_ONCE` alone, or as it is where it does not name its traces in the way that is known.

    `Plotly.atOnce` names what is ready; `Plotly.registerRest` prepares the others, after which it is null.
    """
    found = REGISTERS.search(text, max(0, text.rfind(".register([") - 40))
    if found is None:
        return text
    core, modules = found[1], found[2].split(",")
    kinds = {module: _kind(text, module.removesuffix("()")) for module in modules}
    if not set(AT_ONCE) <= set(kinds.values()):
        return text
    at_once = ",".join(module for module in modules if kinds[module] in AT_ONCE)
    rest = ",".join(module for module in modules if kinds[module] not in AT_ONCE)
    names = ",".join(f'"{kind}"' for kind in ("scatter", *AT_ONCE))
    now = f"{core}.register([{at_once}]);{core}.atOnce=[{names}];"
    later = f"{core}.registerRest=()=>{{{core}.atOnce=null;{core}.register([{rest}])}};"
    return f"{text[: found.start()]}{now}{later}{text[found.end() :]}"


def _kind(text: str, module: str) -> str | None:
    """The kind of traces that a module of the bundle brings, by way of the one whose exports it hands on."""
    for handed in _defined(text, module, HANDED_ON):
        for found in _defined(text, handed[3], "="):
            begin = text.find(MODULE, found.end()) + len(MODULE)
            kind = KIND.search(text, begin, text.find(MODULE, begin))
            return kind and kind[1]
    return None


def _defined(text: str, name: str, as_what: str) -> Iterator[re.Match[str]]:
    """Where a name of the bundle is defined so."""
    for found in re.finditer(re.escape(name) + as_what, text):
        if not re.match(r"[\w$.]", text[found.start() - 1]):
            yield found
