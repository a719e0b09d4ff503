"""Print the paper's tables from ``results.jsonl``, as markdown: means over seeds, with the smallest and the largest.

A training that its limit ended, and not patience, counts for nothing: * marks means that leave one out, and scores that
have no other. The differences to ``body`` need the translations, which are in the home of ``--folder``.

python -m experiments.paper.tables [--folder HOMES]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from continual_mt.model.scopes import Scope
from experiments.paper.goal import goal_table
from experiments.paper.lexicon import COUNTED, GOLD
from experiments.paper.rivals import SUPERVISED
from experiments.paper.run import RESULTS
from experiments.paper.search import best_rates
from experiments.paper.settings import (
    PAIRS,
    PRECISIONS,
    SEARCHED,
    SETTINGS,
    STORED,
    TEXTS,
    ZERO_SHOT,
    Rates,
    Setting,
    by_group,
)
from experiments.run import Row, read_rows
from experiments.tables import Table, core_hours, of, print_tables, spread

RIVALS = (*SUPERVISED, "pivot", "zero-shot")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="folder of the home, for the differences to body")
    options = parser.parse_args()
    rows = read_rows(RESULTS)
    titles = {"the parents": parents_table(rows)}
    for text in TEXTS:
        titles[f"{text}: BLEU"] = supervised_table(rows, text)
        if options.folder:
            counted = [row for row in of(rows, part="test", table=text, kind="supervised") if counts(rows, row)]
            titles[f"{text}: difference to body, mean of all pairs, BLEU (95 %)"] = goal_table(counted, options.folder)
        titles[f"{text}: zero-shot, BLEU"] = zero_shot_table(rows, text)
        titles[f"{text}: what zero-shot pairs are compared with, BLEU of each seed"] = rivals_table(rows, text)
        titles[f"{text}: fr-en through the modules of a pair, % of the parent's BLEU"] = retention_table(rows, text)
    titles["stored bytes"] = bytes_table(rows)
    titles["modules of few bytes, BLEU"] = small_table(rows)
    titles["the rates that were chosen"] = rates_table(rows)
    titles["lexicon induction into French, precision at 1, %"] = lexicon_table(rows)
    print_tables(titles | {"all trainings": total_table(rows)})


def parents_table(rows: Sequence[Row]) -> Table:
    lines = []
    for row in of(rows, part="parent"):
        scores = [f"{one['bleu']:.1f} / {one['chrf']:.1f}" for one in of(rows, part="original", parent=row["parent"])]
        lines.append([row["parent"], *(scores or [""]), ending(row), core_hours([row])])
    return ["parent", "fr-en, BLEU / chrF", "best update of", "core-hours"], lines


def supervised_table(rows: Sequence[Row], table: str) -> Table:
    """One line a setting, one column a pair."""
    lines = []
    for scope, start in SETTINGS:
        found = [tested(rows, table, scope, start, "supervised", pair) for pair in PAIRS]
        if any(found):
            means = [fmean(values) for one in found if (values := counted_bleu(rows, one))]
            mean = f"{fmean(means):.1f}" if len(means) == len(PAIRS) else ""
            lines.append([f"`{scope}`", start, str(max(map(len, found))), *(bleu(rows, one) for one in found), mean])
    return ["scope", "start", "seeds", *PAIRS, "mean"], lines


def zero_shot_table(rows: Sequence[Row], table: str) -> Table:
    """One line a setting: each zero-shot pair, and its share of the best rival that was trained on text of the pair."""
    best = {pair: best_rival(rows, table, pair) for pair in ZERO_SHOT}
    lines = []
    for scope, start in SETTINGS:
        found = {pair: tested(rows, table, scope, start, "zero-shot", pair) for pair in ZERO_SHOT}
        if any(found.values()):
            cells = [f"`{scope}`", start]
            for pair, one in found.items():
                values = counted_bleu(rows, one)
                cells += [bleu(rows, one), share(fmean(values), best[pair]) if values else ""]
            lines.append(cells)
    return ["scope", "start", *(column for pair in ZERO_SHOT for column in (pair, "% of the best rival"))], lines


def best_rival(rows: Sequence[Row], table: str, pair: str) -> float | None:
    """The BLEU of the best model that was trained on text of a zero-shot pair, if all three are measured."""
    found = [of(rows, part="rival", table=table, pair=pair, rival=name) for name in SUPERVISED]
    return max(row["bleu"] for one in found for row in one) if all(found) else None


def rivals_table(rows: Sequence[Row], table: str) -> Table:
    """One line a zero-shot pair: its rivals, and by how much it is better than the pivot with each seed, with p."""
    lines = []
    for pair in ZERO_SHOT:
        found = {name: of(rows, part="rival", table=table, pair=pair, rival=name) for name in RIVALS}
        compared = of(rows, part="significance", table=table, pair=pair)
        if any(found.values()):
            means = [", ".join(map(marked, found[name])) for name in RIVALS]
            lines.append([pair, *means, ", ".join(f"{row['difference']:+.1f} ({row['p']:.3f})" for row in compared)])
    return ["pair", *RIVALS, "zero-shot − pivot (p)"], lines


def marked(row: Row) -> str:
    return f"{row['bleu']:.1f}{' *' if row.get('at_limit') else ''}"


def retention_table(rows: Sequence[Row], table: str) -> Table:
    """One line a setting, one column the pair whose modules fr-en runs through; empty until the parent is scored."""
    parent, _ = TEXTS[table]
    original = next((row["bleu"] for row in of(rows, part="original", parent=parent)), None)
    lines = []
    for scope, start in SETTINGS:
        found = tested(rows, table, scope, start, "retention", "fr-en")
        through = [[row for row in found if pair_of(rows, row) == pair] for pair in PAIRS]
        means = [fmean(values) if (values := counted_bleu(rows, one)) else None for one in through]
        if found:
            lines.append([f"`{scope}`", start, *("" if mean is None else share(mean, original) for mean in means)])
    return ["scope", "start", *PAIRS], lines


def bytes_table(rows: Sequence[Row]) -> Table:
    """One line a setting: what a module of each pair stores, in MB, and as a share of a whole model (``scratch``).

    Starts differ in bytes, too: by default a vocabulary is larger where embeddings start from word translations.
    """
    whole = {pair: megabytes(rows, "scratch", "random", pair) for pair in PAIRS}
    lines = []
    for scope, start in SETTINGS:
        sizes = {pair: megabytes(rows, scope, start, pair) for pair in PAIRS}
        if any(sizes.values()):
            shares = [
                f"{size:.1f} ({share(size, whole[pair]) or '?'} %)" if size else "" for pair, size in sizes.items()
            ]
            lines.append([f"`{scope}`", start, *shares])
    return ["scope", "start", *(f"{pair}, MB" for pair in PAIRS)], lines


def megabytes(rows: Sequence[Row], scope: Scope, start: str, pair: str) -> float | None:
    found = tested(rows, "full", scope, start, "supervised", pair)
    return trainings_of(rows, found[0])[0]["bytes"] / 1e6 if found else None


def small_table(rows: Sequence[Row]) -> Table:
    """One line a module of few bytes, or one in float32 that it comes from: BLEU, and MB as a mean over its pairs."""
    lines = []
    for scope, start in STORED:
        found = {pair: tested(rows, "full", scope, start, "supervised", pair)[:1] for pair in PAIRS}
        sizes = [megabytes(rows, scope, start, pair) for pair in PAIRS]
        lines.append(line_of_bytes(rows, scope, start, "float32", found, [size for size in sizes if size]))
        for precision in PRECISIONS:
            stored = of(rows, part="test", table="stored", scope=scope, start=start, precision=precision)
            lines.append(line_of_stored(rows, scope, start, precision, stored))
    for scope, types in dict.fromkeys((row["scope"], row["types"]) for row in of(rows, part="test", table="small")):
        small = of(rows, part="test", table="small", scope=scope, types=types)
        lines.append(line_of_stored(rows, scope, "lexical", f"int8, {types:,} types", small))
    return ["scope", "start", "stored as", *PAIRS, "mean", "MB"], [line for line in lines if any(line[3:])]


def line_of_stored(rows: Sequence[Row], scope: Scope, start: str, stored_as: str, scores: Sequence[Row]) -> list[str]:
    """The line of scores that have the bytes of their module."""
    found = {pair: of(scores, pair=pair) for pair in PAIRS}
    return line_of_bytes(rows, scope, start, stored_as, found, [row["bytes"] / 1e6 for row in scores])


def line_of_bytes(
    rows: Sequence[Row],
    scope: Scope,
    start: str,
    stored_as: str,
    found: Mapping[str, Sequence[Row]],
    sizes: Sequence[float],
) -> list[str]:
    values = [value for one in found.values() for value in counted_bleu(rows, one)]
    mean = f"{fmean(values):.1f}" if len(values) == len(PAIRS) else ""
    size = f"{fmean(sizes):.1f}" if len(sizes) == len(PAIRS) else ""
    return [f"`{scope}`", start, stored_as, *(bleu(rows, one) for one in found.values()), mean, size]


class NotTrainedError(Exception):
    """A training that was not done yet."""


class Known:
    """The trainings that were done."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def trained(self, setting: Setting, rates: Rates) -> Row:
        """Raises NotTrainedError for another."""
        found = of(self._rows, part="trained", **setting.labels(rates))
        if not found:
            raise NotTrainedError(f"{setting}: no result with the rates {rates}")
        return found[0]


def rates_table(rows: Sequence[Row]) -> Table:
    """One line a setting and side whose search is done: the rate of each group, and its development BLEU."""
    lines, known = [], Known(rows)
    for scope, start in SETTINGS:
        for pair in SEARCHED.values():
            setting = Setting("paper-full", pair, "full", scope, start)
            try:
                rates = best_rates(known, setting)
            except NotTrainedError:
                continue
            row = known.trained(setting, rates)
            chosen = ", ".join(f"{group.replace('_', '-')} {rate:g}" for group, rate in by_group(rates).items())
            lines.append([f"`{scope}`", start, pair, chosen, f"{row['dev']:.1f}", ending(row)])
    return ["scope", "start", "searched on", "rates", "development BLEU", "best update of"], lines


def lexicon_table(rows: Sequence[Row]) -> Table:
    """One line a setting, pair and lexicon: the nearest neighbour by cosine, of pieces and of words; mean of seeds."""
    lines = []
    for scope, start in SETTINGS:
        for pair in PAIRS:
            for name in (GOLD, COUNTED):
                found = of(rows, part="lexicon", scope=scope, start=start, pair=pair, lexicon=name)
                if found:
                    cells = [f"`{scope}`", start, pair.split("-")[0], name, f"{found[0]['entries']:,}"]
                    lines.append([*cells, *(cell for unit in ("piece", "word") for cell in precision(found, unit))])
    columns = ["scope", "start", "from", "lexicon", "words in it"]
    return [*columns, "pieces", "of them covered", "candidates", "words", "of them covered", "candidates"], lines


def precision(found: Sequence[Row], unit: str) -> list[str]:
    """Precision at 1 of a unit, the number of words looked up, and that of the candidates."""
    measured = [one for row in found for one in row["results"] if (one["unit"], one["method"]) == (unit, "cosine")]
    at_1 = [100 * one["precision_at_1"] for one in measured if one["precision_at_1"] is not None]
    return [spread(at_1), f"{measured[0]['queries']:,}", f"{measured[0]['candidates']:,}"]


def total_table(rows: Sequence[Row]) -> Table:
    """The cost of all trainings, those of the search included, and how many their limit ended."""
    lines = []
    for name, part in (("parents", "parent"), ("additions", "trained"), ("small additions", "small")):
        if found := of(rows, part=part):
            lines.append([name, str(len(found)), str(len(of(found, at_limit=True))), core_hours(found)])
    return ["", "trainings", "ended by their limit", "core-hours"], lines


def tested(rows: Sequence[Row], table: str, scope: Scope, start: str, kind: str, pair: str) -> list[Row]:
    return of(rows, part="test", table=table, scope=scope, start=start, kind=kind, pair=pair)


def trainings_of(rows: Sequence[Row], row: Row) -> list[Row]:
    """The trainings of the modules that a score is of, or of those that they were converted from."""
    if row["table"] == "stored":
        labels = {key: row[key] for key in ("kind", "scope", "start", "seed", "pair")}
        return [one for first in of(rows, part="test", table="full", **labels) for one in trainings_of(rows, first)]
    trained = [one for one in rows if one["part"] in ("trained", "small")]
    return [one for module in row["modules"] for one in of(trained, module=module)]


def pair_of(rows: Sequence[Row], row: Row) -> str:
    """The pair whose module a retention runs through."""
    return str(trainings_of(rows, row)[0]["pair"])


def counts(rows: Sequence[Row], row: Row) -> bool:
    """Whether patience ended all trainings that a score is of."""
    return not any(one["at_limit"] for one in trainings_of(rows, row))


def counted_bleu(rows: Sequence[Row], found: Sequence[Row]) -> list[float]:
    return [row["bleu"] for row in found if counts(rows, row)]


def bleu(rows: Sequence[Row], found: Sequence[Row]) -> str:
    """The mean of the scores that count, or else of all, with a mark if some do not count."""
    counted = counted_bleu(rows, found)
    mark = " *" if len(counted) < len(found) else ""
    return spread(counted or [row["bleu"] for row in found]) + mark


def share(value: float, whole: float | None) -> str:
    return f"{100 * value / whole:.0f}" if whole else ""


def ending(row: Row) -> str:
    return f"{row['best_update']:,} of {row['ended']:,}{' *' if row['at_limit'] else ''}"


if __name__ == "__main__":
    main()
