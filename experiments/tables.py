"""Print the tables of docs/results.md from ``results.jsonl``: means over seeds, with the smallest and the largest.

python -m experiments.tables
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from experiments.initialisation import RESULTS

Row = dict[str, Any]
Table = tuple[list[str], list[list[str]]]
"""Columns and lines."""


def main() -> None:
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    for parent, title in (("third", "disjoint thirds"), ("full", "full text")):
        of_parent = [row for row in rows if row["parent"] == parent]
        if of_parent:
            print(f"\n{title}\n")
            print_crossed(of_parent)
    for parent in ("low", "tatoeba"):
        of_parent = [row for row in rows if row["parent"] == parent]
        if of_parent:
            print(f"\n{parent}\n")
            print_by_size(of_parent)
    imported = [row for row in rows if row["parent"] == "m2m100-tiny"]
    if imported:
        print("\nm2m100-tiny\n")
        print_imported(imported)


def print_crossed(rows: Sequence[Row]) -> None:
    """One line a scope and start: each pair's BLEU, the original pair through each module, and the bytes of both.

    Seeds whose zero-shot pair was not measured yet are left out.
    """
    complete = {(row["scope"], row["start"], row["seed"]) for row in rows if row["pair"] == "de-cs"}
    rows = [row for row in rows if (row["scope"], row["start"], row["seed"]) in complete]
    settings = list(dict.fromkeys((row["scope"], row["start"]) for row in rows))
    lines = []
    for scope, start in settings:
        chosen = [row for row in rows if (row["scope"], row["start"]) == (scope, start)]
        of_pair = {pair: [row for row in chosen if row["pair"] == pair] for pair in ("de-en", "fr-cs", "de-cs")}
        cells = [f"`{scope}`", start, str(len(of_pair["de-cs"]))]
        cells += [spread([row["bleu"] for row in of_pair[pair]]) for pair in ("de-en", "fr-cs", "de-cs")]
        cells += [spread([row["retention_bleu"] for row in of_pair[pair]]) for pair in ("de-en", "fr-cs")]
        cells += [f"{fmean(row['bytes'] for row in of_pair[pair]) / 1e6:.1f}" for pair in ("de-en", "fr-cs")]
        lines.append(cells)
    columns = ["scope", "start", "seeds", "de-en", "fr-cs", "de-cs, zero-shot"]
    columns += ["fr-en through de-en", "fr-en through fr-cs", "de-en, MB", "fr-cs, MB"]
    print_markdown(columns, lines)


def print_by_size(rows: Sequence[Row]) -> None:
    """One line a setting, one column a number of training pairs."""
    texts = list(dict.fromkeys(row["text"] for row in rows))
    settings = list(dict.fromkeys((row["scope"], row["start"], row["updates"], row["tokenizer"]) for row in rows))
    lines = []
    for scope, start, updates, tokenizer in settings:
        cells = [f"`{scope}`", start, str(updates), tokenizer]
        for text in texts:
            labels = {"text": text, "scope": scope, "start": start, "updates": updates, "tokenizer": tokenizer}
            found = [row for row in rows if all(row[key] == value for key, value in labels.items())]
            cells.append(f"{found[0]['bleu']:.1f} / {found[0]['chrf']:.1f}" if found else "")
        lines.append(cells)
    print_markdown(["scope", "start", "updates", "tokenizer", *(f"{text} pairs" for text in texts)], lines)


def print_imported(rows: Sequence[Row]) -> None:
    """One line a pair of the imported parent; then one a setting and direction, with the pairs that it brings."""
    originals = [row for row in rows if row["kind"] == "original"]
    print_markdown([row["pair"] for row in originals], [[f"{row['bleu']:.1f}" for row in originals]])
    print()
    for through in dict.fromkeys(row["through"] for row in rows if "through" in row):
        brought = [row for row in rows if row.get("through") == through]
        pairs = list(dict.fromkeys(row["pair"] for row in brought))
        lines = []
        for scope, start in dict.fromkeys((row["scope"], row["start"]) for row in brought):
            chosen = [row for row in brought if (row["scope"], row["start"]) == (scope, start)]
            by_pair = {row["pair"]: row for row in chosen}
            cells = [f"{by_pair[pair]['bleu']:.1f}" for pair in pairs]
            lines.append([f"`{scope}`", start, *cells, f"{chosen[0]['bytes'] / 1e6:.1f}"])
        print_markdown(["scope", "start", pairs[0], *(f"{pair}, zero-shot" for pair in pairs[1:]), "MB"], lines)
        print()


def of(rows: Sequence[Row], **labels: Any) -> list[Row]:
    """The rows with these labels."""
    return [row for row in rows if all(row.get(key) == value for key, value in labels.items())]


def megabytes(row: Row) -> str:
    return f"{row['bytes'] / 1e6:.1f}"


def core_hours(rows: Sequence[Row]) -> str:
    """The time of the processor that these trainings took together."""
    return f"{sum(row['processor_seconds'] for row in rows) / 3600:.1f}"


def print_tables(titles: Mapping[str, Table]) -> None:
    """Print the tables that have lines, each under its title."""
    for title, (columns, lines) in titles.items():
        if lines:
            print(f"\n{title}\n")
            print_markdown(columns, lines)


def spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{fmean(values):.1f}" + (f" ({min(values):.1f}–{max(values):.1f})" if len(values) > 1 else "")


def print_markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    print(f"| {' | '.join(columns)} |")
    print(f"|{' --- |' * len(columns)}")
    for cells in lines:
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
