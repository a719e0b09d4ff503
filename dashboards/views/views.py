"""What the page, the report and the MLflow artifacts show, computed from records, independent of any chart library."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.evaluation.metric_names import METRIC_LABELS
from continual_mt.languages import Pair
from dashboards.tables.artifacts import (
    KINDS,
    AnyScore,
    by_translations,
    parts_of,
    percent,
    points,
    remark,
    short_name,
    size,
    stored_size,
    time_of,
)
from dashboards.tables.table import NOTHING
from registry import CellRecord, ModuleRecord, PairEntry, ParentRecord, SequenceRecord
from registry.records.artifacts import bytes_in

VIEWS = {
    "routed": "routed: every pair uses its own recipe",
    "through": "through: every pair uses the cross-attention trained last",
    "shared": "shared: every pair uses one shared cross-attention",
}
ROWS = 150
CURVES = 30


@dataclass(frozen=True)
class PairCell:
    """One pair in the matrix; ``recipe`` and ``test`` are text to show; ``value`` is None without a score.

    ``of_references`` is the off-target rate of the references, and ``remark`` marks a pair in the wrong language. A
    sentence runs through ``models`` models, of a pivot through 2.
    """

    pair: Pair
    kind: RecipeKind
    recipe: str
    value: float | None
    test: str
    of_references: float | None = None
    remark: str = ""
    models: int = 1


@dataclass(frozen=True)
class PairMatrix:
    """Scores by source and target language; a pair that cannot be run has no cell."""

    metric: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    cells: Mapping[tuple[str, str], PairCell]

    @classmethod
    def of(cls, metric: str, cells: Iterable[PairCell]) -> PairMatrix:
        """Arrange cells in a matrix: the languages of the original pair first, the others by name."""
        found = {(cell.pair.source, cell.pair.target): cell for cell in cells}
        first = {language for cell in found.values() if cell.kind == "original" for language in _languages(cell.pair)}

        def ordered(languages: Iterable[str]) -> tuple[str, ...]:
            return tuple(sorted(set(languages), key=lambda language: (language not in first, language)))

        return cls(metric, ordered(source for source, _ in found), ordered(target for _, target in found), found)

    def rows(self) -> list[list[PairCell | None]]:
        return [[self.cells.get((source, target)) for target in self.targets] for source in self.sources]


def _languages(pair: Pair) -> tuple[str, str]:
    return pair.source, pair.target


def pair_matrix(entries: Sequence[PairEntry], scores: Sequence[AnyScore], metric: str) -> PairMatrix:
    """Return all pairs of one parent that can be run, with their best BLEU or another metric of the same translations.

    ``entries`` and ``scores`` have to be of one parent. Pairs in the wrong language are marked in all metrics.
    """
    measured = by_translations(scores)
    cells = []
    for entry in entries:
        best = entry.score
        found = {} if best is None else measured.get((entry.recipe.digest, best.test_digest, best.beam), {})
        score = found.get(metric)
        test = "no score yet" if best is None else f"{best.test}, {best.sentences:,} sentences, beam {best.beam}"
        value, of_references = (None, None) if score is None else (score.value, score.reference_value)
        about = entry.pair, entry.kind, parts_of(entry.recipe)
        cells.append(PairCell(*about, value, test, of_references, remark(found), len(entry.recipe.legs)))
    return PairMatrix.of(metric, cells)


def zero_shot_matrix(cells: Sequence[CellRecord], metric: str) -> PairMatrix | None:
    """Return the zero-shot pairs after the last addition of a sequence; None if none was scored."""
    chosen = [cell for cell in cells if cell.metric == metric and cell.kind == "zero-shot"]
    for view in ("routed", "shared", "through"):
        seen = [cell for cell in chosen if cell.view == view]
        if seen:
            last = max(cell.position for cell in seen)
            return PairMatrix.of(metric, (_pair_cell(cell) for cell in seen if cell.position == last))
    return None


def _pair_cell(cell: CellRecord) -> PairCell:
    through = f"position {cell.position}, after {short_name(cell.module)}" if cell.module else "before any addition"
    return PairCell(cell.pair, cell.kind, through, cell.value, f"{cell.test}, beam {cell.beam}")


@dataclass(frozen=True)
class Measurement:
    """The scores of one pair on one test set, by position: a row of the heatmap and one curve.

    ``kinds`` are the kinds of recipe, by position; empty without a score. ``carried`` scores were not translated again
    at their position, since the logits were bit-equal.
    """

    label: str
    pair: Pair
    values: tuple[float | None, ...]
    kinds: tuple[str, ...]
    carried: tuple[bool, ...]


@dataclass(frozen=True)
class SequenceSheet:
    """One view of a sequence in one metric: rows × positions. ``left_out`` is the number of rows not shown."""

    view: str
    metric: str
    positions: tuple[str, ...]
    rows: tuple[Measurement, ...]
    left_out: int

    @property
    def title(self) -> str:
        return f"{METRIC_LABELS.get(self.metric, self.metric)}, {VIEWS.get(self.view, self.view)}"

    def shown(self, count: int) -> tuple[Measurement, ...]:
        return self.rows[:count]


@dataclass
class _Row:
    pair: Pair
    test: str
    beam: int
    rank: int = len(KINDS)
    cells: dict[tuple[str, int], CellRecord] = field(default_factory=dict)

    def add(self, cell: CellRecord) -> None:
        self.cells[cell.view, cell.position] = cell
        self.rank = min(self.rank, KINDS.index(cell.kind))


def sequence_sheets(
    sequence: SequenceRecord,
    cells: Sequence[CellRecord],
    metric: str,
    *,
    language: str | None = None,
    limit: int = ROWS,
) -> tuple[SequenceSheet, ...]:
    """Return one sheet per scored view, with the original pair first, then supervised and zero-shot pairs.

    ``language`` selects the pairs that include it. At most ``limit`` rows are kept; the others are counted.
    """
    chosen = [cell for cell in cells if cell.metric == metric]
    rows = _rows(cell for cell in chosen if language is None or language in _languages(cell.pair))
    labels = _labels(rows)
    last = max((cell.position for cell in chosen), default=-1)
    positions = [position_name(sequence, position) for position in range(last + 1)]
    sheets = []
    for view in VIEWS:
        scored = [
            _measurement(row, labels[i], view, last)
            for i, row in enumerate(rows)
            if any(seen == view for seen, _ in row.cells)
        ]
        if scored:
            sheets.append(
                SequenceSheet(view, metric, tuple(positions), tuple(scored[:limit]), max(0, len(scored) - limit))
            )
    return tuple(sheets)


def _rows(cells: Iterable[CellRecord]) -> list[_Row]:
    found: dict[tuple[Pair, str, int], _Row] = {}
    for cell in cells:
        found.setdefault((cell.pair, cell.test_digest, cell.beam), _Row(cell.pair, cell.test, cell.beam)).add(cell)
    return sorted(found.values(), key=lambda row: (row.rank, row.pair, row.test, row.beam))


def _labels(rows: Sequence[_Row]) -> list[str]:
    """Label rows by pair and kind; equal labels also get test set and beam."""
    labels = [f"{row.pair} {KINDS[row.rank]}" for row in rows]
    times = Counter(labels)
    return [
        label if times[label] == 1 else f"{label}, {row.test}, beam {row.beam}"
        for label, row in zip(labels, rows, strict=True)
    ]


def _measurement(row: _Row, label: str, view: str, last: int) -> Measurement:
    found = [row.cells.get((view, position)) for position in range(last + 1)]
    values = tuple(None if cell is None else cell.value for cell in found)
    kinds = tuple("" if cell is None else cell.kind for cell in found)
    return Measurement(label, row.pair, values, kinds, tuple(cell is not None and cell.carried for cell in found))


def position_name(sequence: SequenceRecord, position: int) -> str:
    """Return the number of additions and the last one, ``2 fr-es``; ``0`` before any addition."""
    return (
        f"{position} {sequence.additions[position - 1]}" if 0 < position <= len(sequence.additions) else f"{position}"
    )


@dataclass(frozen=True)
class Storage:
    """Bytes of a parent and its modules; ``copies_bytes`` is the size of full copies of all these models instead.

    A copy in place of a module has the module's precision, so that sizes in equal formats are compared.
    """

    parent: str
    parent_bytes: int
    modules: tuple[tuple[str, int], ...]
    copies_bytes: int

    @property
    def modules_bytes(self) -> int:
        return sum(stored for _, stored in self.modules)

    @property
    def summary(self) -> str:
        stored = self.parent_bytes + self.modules_bytes
        return (
            f"{self.parent}: {size(stored)} for the parent and {len(self.modules)} modules; "
            f"full copies would take {size(self.copies_bytes)}"
        )


def storage(parent: ParentRecord, modules: Sequence[ModuleRecord]) -> Storage:
    """Return the bytes of a parent and its modules; modules of other parents are ignored."""
    own = [module for module in modules if module.parent == parent.name]
    stored = tuple((short_name(module.full_name), module.bytes) for module in own)
    copies = parent.bytes + sum(bytes_in(parent, module.precision) for module in own)
    return Storage(parent.name, parent.bytes, stored, copies)


def module_facts(module: ModuleRecord, whole: int) -> list[tuple[str, str]]:
    """Return a module and its lineage as (name, text); ``whole`` is the number of parameters of its parent."""
    lineage = module.lineage
    return [
        ("parent", f"{module.parent} ({module.parent_fingerprint})"),
        ("new side", module.new_sides),
        ("scope", f"{module.scope}, in a sequence that shares one cross-attention" if module.shared else module.scope),
        ("initialisation", f"{module.initialisation}{', untrained' if module.untrained else ''}"),
        ("parameters", f"{module.parameters:,} ({percent(module.parameters / whole)} of a full copy)"),
        ("stored", stored_size(module)),
        ("created", time_of(module)),
        ("MLflow run id", lineage.run or NOTHING),
        ("digest", module.digest),
        ("code version", lineage.code_version),
    ]


def spec_text(module: ModuleRecord) -> str:
    return json.dumps(module.lineage.spec, ensure_ascii=False, indent=2)


def hover(cell: PairCell, metric: str) -> str:
    """Return the hover text of a pair as HTML that plotly accepts; names are escaped."""
    value = f"{METRIC_LABELS[metric]} {points(cell.value)}"
    value += "" if cell.of_references is None else f" (of references {points(cell.of_references)})"
    models = f"{cell.models} models per sentence" if cell.models > 1 else ""
    lines = (f"{cell.pair} {cell.kind}", cell.recipe, models, value, cell.remark, cell.test)
    return "<br>".join(html.escape(line) for line in lines if line)
