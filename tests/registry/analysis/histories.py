"""Cells for tests: what the pairs of a small sequence scored, in few words."""

from __future__ import annotations

from collections.abc import Mapping

from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.languages import Pair
from registry import CellRecord, Registry, SequenceRecord
from registry.records.sequences import SequenceMode, View

SEPARATE = "5" * 64


def sequence(
    name: str = "latin", mode: SequenceMode = "separate", *pairs: str, digest: str = SEPARATE
) -> SequenceRecord:
    """Two additions to fr-en by default."""
    additions = tuple(map(Pair.parse, pairs or ("de-en", "fr-es")))
    return SequenceRecord(digest, "base", name, mode, additions)


def cell(
    of: SequenceRecord,
    position: int,
    view: View,
    pair: str,
    value: float,
    *,
    metric: str = "bleu",
    test: str = "test",
    beam: int = 5,
    module: str | None = None,
) -> CellRecord:
    languages = Pair.parse(pair)
    kind: RecipeKind = "supervised" if languages in of.additions else "zero-shot"
    return CellRecord(
        sequence=of.digest,
        position=position,
        view=view,
        pair=languages,
        kind="original" if pair == "fr-en" else kind,
        recipe="b" * 64,
        module=module or (f"base/{of.additions[position - 1]}:1" if position else None),
        test=test,
        test_digest=f"{test}-{pair}".ljust(64, "t"),
        metric=metric,
        value=value,
        beam=beam,
    )


SCORES: Mapping[tuple[int, View], Mapping[str, float]] = {
    (0, "routed"): {"fr-en": 40.0},
    (1, "routed"): {"fr-en": 40.0, "de-en": 20.0},
    (2, "routed"): {"fr-en": 40.0, "de-en": 20.0, "fr-es": 12.0, "de-es": 6.0},
    (1, "through"): {"fr-en": 30.0},
    (2, "through"): {"fr-en": 10.0, "de-en": 15.0, "de-es": 6.0},
}


def record(registry: Registry, of: SequenceRecord) -> None:
    """Register a sequence with `SCORES` in BLEU, and twice as much in chrF."""
    registry.register_sequence(of)
    for position in range(3):
        cells = [
            cell(of, place, view, pair, value * factor, metric=metric)
            for (place, view), values in SCORES.items()
            for pair, value in values.items()
            for metric, factor in (("bleu", 1), ("chrf", 2))
            if place == position
        ]
        registry.register_cells(of.digest, position, cells)
