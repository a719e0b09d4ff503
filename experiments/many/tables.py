"""Print the tables of docs/results.md on twelve added languages, from ``results.jsonl``, as markdown.

python -m experiments.many.tables
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from statistics import fmean
from typing import Any

from experiments.many.bridges import KINDS
from experiments.many.run import RESULTS
from experiments.many.settings import ADDED, BRIDGED, FAMILIES, LANGUAGES, STARTS
from experiments.run import Row, read_rows
from experiments.tables import Table, megabytes, of, print_tables


def main() -> None:
    rows = read_rows(RESULTS)
    titles = {
        "the parent": parent_table(rows),
        "additions, routed": routed_table(rows),
        **{f"one cross-attention for all, and one each, start {one}": shared_table(rows, one) for one in STARTS},
        **{
            f"all pairs, start {one}: zero-shot / pivot through English, BLEU": matrix_table(rows, one)
            for one in STARTS
        },
        "all pairs by kind": kinds_table(rows),
        **{f"zero-shot / pivot by families, start {one}, BLEU": families_table(rows, one) for one in STARTS},
        "pairs with text, BLEU / chrF / off-target": pairs_table(rows),
        "pairs with text, differences of BLEU": significance_table(rows),
    }
    print_tables(titles)


def parent_table(rows: Sequence[Row]) -> Table:
    lines = [
        [row["pair"], f"{row['bleu']:.1f}", f"{row['chrf']:.1f}", megabytes(row), f"{row['seconds']:.0f}"]
        for row in of(rows, part="parent")
    ]
    return ["pair", "BLEU", "chrF", "MB", "s"], lines


def routed_table(rows: Sequence[Row]) -> Table:
    """One line a language: what its two modules score from both starts, and what those from Spanish take and change."""
    scores = {(row["start"], row["pair"]): row["bleu"] for row in of(rows, part="routed")}
    found = {row["pair"]: row for row in of(rows, part="routed", start="es")}
    lines = []
    for language in ADDED:
        pairs = [f"{language}-en", f"en-{language}"]
        if not all(pair in found for pair in pairs):
            continue
        both = [found[pair] for pair in pairs]
        cells = [language]
        for row in both:
            cells += [f"{row['bleu']:.1f} / {row['chrf']:.1f}", shown(scores, ("en", row["pair"]))]
        cells += [" + ".join(map(megabytes, both)), " + ".join(f"{row['processor_seconds']:.0f}" for row in both)]
        last = both[-1]
        lines.append([*cells, f"{last['before_equal']} of {last['before']}"])
    columns = ["X", "X-en, BLEU / chrF", "start en", "en-X, BLEU / chrF", "start en", "MB", "processor seconds"]
    return [*columns, "bit-equal pairs before"], lines


def shared_table(rows: Sequence[Row], start: str) -> Table:
    """One line an addition of the shared chain: the new pair, the parent's pairs, and what those before have lost."""
    shared = {(row["position"], row["pair"]): row["bleu"] for row in of(rows, part="shared", start=start)}
    alone = {row["pair"]: row["bleu"] for row in of(rows, part="xattn", start=start)}
    routed = {row["pair"]: row["bleu"] for row in of(rows, part="routed", start=start)}
    lines = []
    for position, language in enumerate(ADDED, start=1):
        pair = f"{language}-en"
        if (position, pair) not in shared:
            continue
        changes = [
            shared[position, f"{earlier}-en"] - shared[added, f"{earlier}-en"]
            for added, earlier in enumerate(ADDED[: position - 1], start=1)
        ]
        cells = [str(position), pair, f"{shared[position, pair]:.1f}", shown(alone, pair), shown(routed, pair)]
        cells += [f"{shared[position, original]:.1f}" for original in ("es-en", "en-es")]
        lines.append([*cells, f"{fmean(changes):+.1f}" if changes else "", f"{min(changes):+.1f}" if changes else ""])
    columns = ["", "new pair", "shared", "alone, `xattn`", "alone, `half`", "es-en", "en-es"]
    return [*columns, "earlier pairs since they were added, mean", "worst"], lines


def matrix_table(rows: Sequence[Row], start: str) -> Table:
    """One line a source, one column a target: zero-shot / pivot, or the score of a trained pair in bold."""
    found: dict[tuple[str, str], float] = {}
    for row in of(rows, part="matrix", start=start):
        found[row["pair"], row["kind"]] = row["bleu"]
    scored = {language for pair, _ in found for language in pair.split("-")}
    shown_ones = [language for language in LANGUAGES if language in scored]
    lines = [[f"**{source}**", *(cell(found, source, target) for target in shown_ones)] for source in shown_ones]
    return ["", *shown_ones], lines


def cell(found: dict[tuple[str, str], float], source: str, target: str) -> str:
    pair = f"{source}-{target}"
    for kind in ("original", "supervised"):
        if (pair, kind) in found:
            return f"**{found[pair, kind]:.0f}**"
    return " / ".join(f"{found[pair, kind]:.0f}" for kind in ("zero-shot", "pivot") if (pair, kind) in found)


def kinds_table(rows: Sequence[Row]) -> Table:
    """One line a start and kind of recipe: the means over its pairs."""
    lines = []
    for start in (*STARTS, "en, es"):
        for kind in ("original", "supervised", "zero-shot", "pivot"):
            chosen = of(rows, part="matrix", start=start, kind=kind)
            if chosen:
                metrics = ("bleu", "chrf", "offtarget", "offtarget_references")
                means = [f"{fmean(row[metric] for row in chosen):.1f}" for metric in metrics]
                lines.append([start, kind, str(len(chosen)), *means])
    return ["start", "kind", "pairs", "BLEU", "chrF", "off-target, %", "off-target of references, %"], lines


def families_table(rows: Sequence[Row], start: str) -> Table:
    """One line a family of sources, one column a family of targets: the mean of zero-shot / of pivots."""
    lines = []
    for source, sources in FAMILIES.items():
        cells = [source]
        for targets in FAMILIES.values():
            means = []
            for kind in ("zero-shot", "pivot"):
                chosen = [
                    row["bleu"]
                    for row in of(rows, part="matrix", start=start, kind=kind)
                    if is_of(row, sources, targets)
                ]
                means += [f"{fmean(chosen):.1f}"] if chosen else []
            cells.append(" / ".join(means))
        lines.append(cells)
    return ["from", *(f"into {family}" for family in FAMILIES)], lines if of(rows, part="matrix", start=start) else []


def is_of(row: Row, sources: Iterable[str], targets: Iterable[str]) -> bool:
    source, target = row["pair"].split("-")
    return source in sources and target in targets


def pairs_table(rows: Sequence[Row]) -> Table:
    """One line a pair with text of the pair and a start: each kind's scores."""
    lines = []
    for pair, start in product(BRIDGED, STARTS):
        found = {row["kind"]: row for row in of(rows, part="matrix", pair=pair, start=start)}
        trained = of(rows, part="pairs", pair=pair, start=start)
        if found or trained:
            trained += of(rows, part="pairs", pair=pair, recipe="both-new")
            found |= {row["recipe"]: row for row in trained}
            lines.append([pair, start, *(scores_of(found.get(kind)) for kind in KINDS)])
    return ["pair", "start", *KINDS], lines


def scores_of(row: Row | None) -> str:
    return f"{row['bleu']:.1f} / {row['chrf']:.1f} / {row['offtarget']:.0f} %" if row else ""


def significance_table(rows: Sequence[Row]) -> Table:
    """One line a pair and start: the second kind's BLEU minus the first's, with its p-value."""
    compared = [(first, second) for first, second in combinations(KINDS, 2) if "bridge" in (first, second)]
    compared.append(("zero-shot", "pivot"))
    lines = []
    for pair, start in product(BRIDGED, STARTS):
        found = of(rows, part="significance", pair=pair, start=start)
        chosen = {(row["first"], row["second"]): row for row in found}
        if any("bridge" in names for names in chosen):
            lines.append([pair, start, *(difference(chosen.get(names)) for names in compared)])
    return ["pair", "start", *(f"{second} − {first}" for first, second in compared)], lines


def difference(row: Row | None) -> str:
    return f"{row['bleu_difference']:+.1f} (p {row['bleu_p']:.3f})" if row else ""


def shown(scores: Mapping[Any, float], key: object) -> str:
    return f"{scores[key]:.1f}" if key in scores else ""


if __name__ == "__main__":
    main()
