from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from dashboards.theme.palette import KIND_COLOURS, PALETTE, SERIES, css_variables, dark_of_light, luminance

THEMES = ("light", "dark")
# Machado, Oliveira and Fernandes (2009): how linear red, green and blue are seen, severity 1.0.
SEEN = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
LEAST_DIFFERENCE = 20.0  # CIE 1976; 2.3 can just be noticed side by side


def red_green_blue(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(luminance(red_green_blue(colour)) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def lab(linear: np.ndarray) -> np.ndarray:
    """Linear red, green and blue as CIE L*a*b* under D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear, 0, 1) / (0.9505, 1.0, 1.089)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def seen(colour: str, how: str) -> np.ndarray:
    part = np.array(red_green_blue(colour))
    return lab(np.array(SEEN[how]) @ np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4))


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read_on_every_background(theme: str) -> None:
    colours = {name: getattr(colour, theme) for name, colour in PALETTE.items()}
    for text in ("text", "muted", "accent", "problem"):
        for ground in ("ground", "surface", "raised"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_lines_can_be_seen_on_every_background(theme: str) -> None:
    for kind, colour in KIND_COLOURS.items():
        for ground in ("ground", "surface"):
            assert contrast(getattr(colour, theme), getattr(PALETTE[ground], theme)) >= 3, (kind, ground)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("how", SEEN)
def test_the_kinds_of_pairs_stay_apart_in_colour_blind_eyes(theme: str, how: str) -> None:
    drawn = [getattr(colour, theme) for kind, colour in KIND_COLOURS.items() if kind != "retention"]
    apart = [np.linalg.norm(seen(one, how) - seen(other, how)) for one, other in combinations(drawn, 2)]
    assert min(apart) >= LEAST_DIFFERENCE


def test_luminance_of_known_colours() -> None:
    assert luminance((0.0, 0.0, 0.0)) == 0
    assert luminance((1.0, 1.0, 1.0)) == pytest.approx(1)
    assert luminance((1.0, 0.0, 0.0)) == pytest.approx(0.2126)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # as WCAG's examples have it


def test_each_light_colour_leads_to_one_dark_colour() -> None:
    assert len(dark_of_light()) == len(PALETTE) + len(KIND_COLOURS)
    assert dark_of_light()["#ffffff"] == PALETTE["surface"].dark
    assert all(one != other for one, other in pairwise(SERIES))


def test_the_style_sheet_has_both_themes_and_prefers_the_chosen_one() -> None:
    light, by_system, chosen = css_variables().splitlines()
    assert "--ground:#f4f6fa;" in light
    assert by_system.startswith("@media (prefers-color-scheme:dark){:root:not([data-theme=light]){")
    assert chosen.startswith(":root[data-theme=dark]{color-scheme:dark;--ground:#0f141b;")
    assert "--kind-pivot:#c984b4;" in chosen
