"""One palette: Streamlit's settings and the charts use the same colours."""

import tomllib

import numpy as np
import pytest

import config
from dashboard.theme import DARK, LIGHT, css, scale

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


def linear(color: str) -> np.ndarray:
    """Red, green and blue without the screen's gamma, 0..1."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts])


def luminance(color: str) -> float:
    return float(linear(color) @ (0.2126, 0.7152, 0.0722))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours after WCAG 2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize(
    ("color", "least"), [("text", 7.0), ("muted", 4.5), ("attention", 3.8), ("up", 3.8), ("down", 3.8)]
)
def test_words_can_be_read_on_their_ground(theme, color, least):
    assert contrast(getattr(theme, color), theme.ground) >= least


# What people without red cones, without green cones and without blue cones see of linear red, green and blue.
# G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, IEEE TVCG 15 (2009), severity 1.
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear red, green and blue under daylight: distances of 2 are just seen."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.clip(to_xyz @ rgb, 0, None) / (0.9505, 1.0, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize("kind", BLIND)
def test_the_two_sides_of_the_diverging_scale_differ_for_every_eye(theme, kind):
    for low, high in ((0, -1), (1, -2)):
        seen = [lab(BLIND[kind] @ linear(theme.diverging[at])) for at in (low, high)]
        assert np.linalg.norm(seen[0] - seen[1]) > 20


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_scales_can_be_read_by_lightness_alone(theme):
    steps = np.diff([luminance(color) for color in theme.sequential])
    assert (steps > 0).all() or (steps < 0).all()
    away = np.diff([contrast(color, theme.ground) for color in theme.diverging])
    assert (away[:2] < 0).all() and (away[2:] > 0).all()
    assert contrast(theme.diverging[2], theme.ground) < 1.25  # nothing is the colour of the page
    assert scale(theme.diverging)[0] == [0, theme.diverging[0]] and scale(theme.diverging)[-1][0] == 1
