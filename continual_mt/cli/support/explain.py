"""``translate --explain``: the recipes that a pair could run with, and why one was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from continual_mt.cli.support.console import print_json, print_table, print_text

if TYPE_CHECKING:
    from continual_mt.artifacts.choice import Choice


def print_choice(choice: Choice, *, as_json: bool) -> None:
    """Print a choice as a table with the reason below, or as JSON."""
    from dashboards.tables.choices import candidates_table, named

    if as_json:
        print_json(choice.to_json())
        return
    print_table(candidates_table(choice))
    print_text(f"\n{choice.pair} runs with {named(choice.chosen)}: {choice.reason}.\n")
