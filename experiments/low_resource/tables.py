"""Print the tables of the low-resource pairs, from ``results.jsonl``, as markdown.

A training that its limit ended, and not patience, is marked with * and left out of means and differences.

python -m experiments.low_resource.tables
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from experiments.low_resource.run import RESULTS
from experiments.low_resource.settings import COMPARED, HALF, PARENT_OF, SYSTEMS, TESTS
from experiments.run import Row, read_rows
from experiments.tables import Table, core_hours, megabytes, of, print_tables

NAMES = {"test": "in domain", "flores": "FLORES-200"}


def main() -> None:
    rows = read_rows(RESULTS)
    scores = {f"{NAMES[text]}, BLEU / chrF": scores_table(rows, text) for text in TESTS}
    differences = {f"{NAMES[text]}, differences of chrF": differences_table(rows, text) for text in TESTS}
    print_tables(
        {"the parents": parents_table(rows), **scores, **differences, "sizes and costs": costs_table(rows)}
        | {"all trainings": total_table(rows)}
    )


def parents_table(rows: Sequence[Row]) -> Table:
    lines = [
        [row["parent"], row["pair"], scores_of(row), megabytes(row), ending(row), core_hours([row])]
        for row in of(rows, part="parent")
    ]
    return ["parent", "pair", "BLEU / chrF", "MB", "best update of", "core-hours"], lines


def scores_table(rows: Sequence[Row], text: str) -> Table:
    """One line a pair, one column a system; the means are over the pairs that have all systems."""
    lines, whole = [], []
    for pair in PARENT_OF:
        found = tested(rows, pair, text)
        if found:
            lines.append(
                [pair, *(scores_of(found[one]) + mark(rows, found[one]) if one in found else "" for one in SYSTEMS)]
            )
        if all(one in found and counts(rows, found[one]) for one in SYSTEMS):
            whole.append(found)
    if whole:
        means = [
            {metric: fmean(found[one][metric] for found in whole) for metric in ("bleu", "chrf")} for one in SYSTEMS
        ]
        lines.append([f"mean of {len(whole)}", *map(scores_of, means)])
    return ["pair", *SYSTEMS], lines


def differences_table(rows: Sequence[Row], text: str) -> Table:
    """One line a pair: the chrF of half minus that of each other system, with the p-value of the difference."""
    lines = []
    by_system: dict[str, list[float]] = {other: [] for other in COMPARED}
    for pair in PARENT_OF:
        found, cells = tested(rows, pair, text), []
        for other in COMPARED:
            compared = of(rows, part="significance", pair=pair, text=text, first=other, second=HALF)
            cells.append("")
            if compared:
                (row,) = compared
                both = [found[other], found[HALF]]
                counted = all(counts(rows, one) for one in both)
                cells[-1] = f"{row['chrf_difference']:+.1f} (p {row['chrf_p']:.3f}){'' if counted else ' *'}"
                by_system[other] += [row["chrf_difference"]] if counted else []
        if any(cells):
            lines.append([pair, *cells])
    if lines:
        means = [f"{fmean(values):+.1f} of {len(values)}" if values else "" for values in by_system.values()]
        lines.append(["mean", *means])
    return ["pair", *(f"half − {other}" for other in COMPARED)], lines


def costs_table(rows: Sequence[Row]) -> Table:
    """One line a pair and system, as it is trained with the dropout that was chosen."""
    lines = []
    for pair in PARENT_OF:
        for system, row in tested(rows, pair, "test").items():
            made = training_of(rows, row)
            lines.append([pair, system, str(row["dropout"]), megabytes(made), ending(made), core_hours([made])])
    return ["pair", "system", "dropout", "MB", "best update of", "core-hours"], lines


def total_table(rows: Sequence[Row]) -> Table:
    """The cost of all trainings of a system, those included that only its dropout was chosen by."""
    lines = []
    for system in SYSTEMS:
        trained = of(rows, part="dev", system=system)
        if trained:
            lines.append([system, str(len(trained)), core_hours(trained)])
    parents = of(rows, part="parent")
    if parents:
        lines.append(["parents of the additions", str(len(parents)), core_hours(parents)])
    return ["system", "trainings", "core-hours"], lines


def tested(rows: Sequence[Row], pair: str, text: str) -> dict[str, Row]:
    """The scores of a pair on a test set, by system."""
    return {row["system"]: row for row in of(rows, part="test", pair=pair, text=text)}


def training_of(rows: Sequence[Row], row: Row) -> Row:
    """The training that a score is of."""
    labels = {key: row[key] for key in ("pair", "system", "dropout", "seed")}
    (found,) = of(rows, part="dev", **labels)
    return found


def counts(rows: Sequence[Row], row: Row) -> bool:
    return not training_of(rows, row)["at_limit"]


def mark(rows: Sequence[Row], row: Row) -> str:
    return "" if counts(rows, row) else " *"


def scores_of(row: Row) -> str:
    return f"{row['bleu']:.1f} / {row['chrf']:.1f}"


def ending(row: Row) -> str:
    return f"{row['best_update']:,} of {row['ended']:,}{' *' if row['at_limit'] else ''}"


if __name__ == "__main__":
    main()
