"""Optional packages: which extra installs them, and the error where one is missing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal

from continual_mt.errors import MissingExtraError

Extra = Literal["dashboard", "demo", "fast", "hf"]

PACKAGES: Mapping[Extra, tuple[str, ...]] = {
    "dashboard": ("dash", "flask", "jinja2", "matplotlib", "plotly"),
    "demo": ("polib",),
    "fast": ("ctranslate2",),
    "hf": ("transformers",),
}
"""Extra → the modules that it installs and this project imports; pyproject.toml has the same as requirements."""


def missing(extra: Extra) -> str | None:
    """What to install, as a sentence, or None if all packages of the extra are installed. Imports none of them."""
    absent = [package for package in PACKAGES[extra] if find_spec(package) is None]
    if not absent:
        return None
    verb = "is" if len(absent) == 1 else "are"
    return (
        f"needs the extra {extra!r} ({', '.join(absent)} {verb} not installed). "
        f"Fix: pip install 'continual-mt[{extra}]'"
    )


def require(extra: Extra, subject: str) -> None:
    """Raise MissingExtraError if a package of the extra is not installed. Call it before work starts."""
    problem = missing(extra)
    if problem:
        raise MissingExtraError(f"{subject} {problem}")
