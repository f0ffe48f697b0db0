"""One palette: Streamlit's settings and the charts use the same colours."""

import tomllib

import pytest

import config
from dashboard.theme import DARK, LIGHT, css

SETTINGS = tomllib.loads((config.ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_pages_and_charts_share_their_colours(theme):
    section = SETTINGS["theme"][theme.name]
    assert section["backgroundColor"] == theme.ground
    assert section["textColor"] == theme.text
    assert section["primaryColor"] == theme.accent
    assert section["borderColor"] == theme.border
    assert (section["greenColor"], section["redColor"], section["orangeColor"]) == (
        theme.up,
        theme.down,
        theme.attention,
    )
    assert section["sidebar"]["backgroundColor"] == theme.panel


def test_the_settings_that_were_measured_are_in_force():
    assert SETTINGS["runner"]["postScriptGC"] is False
    assert SETTINGS["server"]["fileWatcherType"] == "none"
    assert SETTINGS["server"]["address"] == "127.0.0.1"
    assert SETTINGS["browser"]["gatherUsageStats"] is False


def test_css_colours_follow_the_theme_in_force():
    assert f"--ps-up:light-dark({LIGHT.up},{DARK.up})" in css()


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours after WCAG 2."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize(
    ("color", "least"), [("text", 7.0), ("muted", 4.5), ("attention", 3.8), ("up", 3.8), ("down", 3.8)]
)
def test_words_can_be_read_on_their_ground(theme, color, least):
    assert contrast(getattr(theme, color), theme.ground) >= least
