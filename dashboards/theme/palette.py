"""The colours of everything that is drawn, for a light and a dark background.

Text has a contrast of at least 4.5 on every background, lines and markers at least 3. The colours of the kinds stay
distinct with each of the three common forms of colour blindness.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from continual_mt.artifacts.recipe import RecipeKind


@dataclass(frozen=True)
class Colour:
    """One colour of the palette, in hexadecimal. No two have the same ``light``, so that it leads to ``dark``."""

    light: str
    dark: str


PALETTE = {
    "ground": Colour("#f4f6fa", "#0f141b"),
    "surface": Colour("#ffffff", "#171e28"),
    "raised": Colour("#edf0f6", "#212b39"),
    "line": Colour("#d8dee8", "#2e3a4a"),
    "text": Colour("#18212f", "#e6ebf2"),
    "muted": Colour("#55617a", "#a3afc1"),
    "accent": Colour("#2457c5", "#82abff"),
    "on-accent": Colour("#fefefe", "#0f141c"),
    "problem": Colour("#b3261e", "#ff8f86"),
    "unscored": Colour("#c6ced9", "#3b4859"),
    "absent": Colour("#eceff5", "#1d2632"),
}
"""By role: ``unscored`` is a pair without a score, ``absent`` one that cannot be run."""

KIND_COLOURS: dict[RecipeKind, Colour] = {
    "original": Colour("#27389a", "#7a73e6"),
    "supervised": Colour("#00735a", "#36ad75"),
    "bridge": Colour("#c2570c", "#e8812b"),
    "zero-shot": Colour("#378eec", "#97dff9"),
    "pivot": Colour("#a05798", "#c984b4"),
    "retention": Colour("#6f7c91", "#8794a8"),
}
SERIES = tuple(KIND_COLOURS.values())
"""The colours of what has no kind, such as languages and parts of a total, in this order."""


def role(name: str) -> str:
    """Return a colour of the palette for a chart, which is drawn for a light background."""
    return PALETTE[name].light


def luminance(colour: Iterable[float]) -> float:
    """Return the relative luminance, from 0 to 1, of red, green and blue from 0 to 1, as WCAG 2 defines it."""
    linear = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in colour)
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def dark_of_light() -> dict[str, str]:
    """Return the dark colour for each light one, by which `theme.js` recolours a chart."""
    return {colour.light: colour.dark for colour in (*PALETTE.values(), *KIND_COLOURS.values())}


def css_variables() -> str:
    """Return rules that define ``--ROLE`` and ``--kind-KIND`` for both backgrounds; without a choice, the system's."""
    named = {**PALETTE, **{f"kind-{kind}": colour for kind, colour in KIND_COLOURS.items()}}
    light = "".join(f"--{name}:{colour.light};" for name, colour in named.items())
    dark = "".join(f"--{name}:{colour.dark};" for name, colour in named.items())
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}\n"
    )
