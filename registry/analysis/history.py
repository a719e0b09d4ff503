"""The scores along a sequence as matrices of score × position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from continual_mt.artifacts.parent_languages import ParentLanguages
from continual_mt.errors import UnknownNameError
from continual_mt.evaluation.forgetting import Matrix
from continual_mt.evaluation.metric_names import METRICS, MetricName
from continual_mt.languages import Pair
from registry.queries.catalog import Catalog
from registry.records.names import unknown
from registry.records.sequences import CellRecord, SequenceRecord, View
from registry.records.values import JSONObject

VIEWS: tuple[View, ...] = ("routed", "through", "shared")


@dataclass(frozen=True)
class ScoredOn:
    """What a pair's column was measured on, the same at every position: one text and one width of the beam."""

    name: str
    digest: str
    beam: int

    def to_json(self) -> JSONObject:
        return {"name": self.name, "digest": self.digest, "beam": self.beam}


@dataclass(frozen=True)
class History:
    """The cells of a sequence, with one test set a pair. ``originals`` are the parent's pairs that were scored."""

    sequence: SequenceRecord
    languages: ParentLanguages
    originals: tuple[Pair, ...]
    tests: Mapping[Pair, ScoredOn]
    cells: tuple[CellRecord, ...]

    @classmethod
    def read(
        cls, catalog: Catalog, sequence: SequenceRecord, *, test: str | None = None, prefer: ScoredOn | None = None
    ) -> History:
        """A pair that was scored on several test sets counts on the one called ``test``, else on the first by name.

        Of several texts or beams under that name it is what was measured most often; ``prefer`` comes before all of
        these. Raises UnknownNameError when no pair was scored on a test set of that name.
        """
        cells = catalog.cells(sequence.digest)
        names = {cell.test for cell in cells}
        if test is not None and test not in names:
            raise unknown("test set", test, names)
        pairs = {cell.pair for cell in cells}
        tests = {pair: _test_of([cell for cell in cells if cell.pair == pair], test, prefer) for pair in pairs}
        chosen = tuple(cell for cell in cells if _test_set(cell) == tests[cell.pair])
        languages = catalog.parent(sequence.parent).languages
        originals = tuple(sorted({cell.pair for cell in chosen if cell.pair in languages}))
        return cls(sequence, languages, originals, tests, chosen)

    @property
    def last(self) -> int | None:
        """The last position at which something was scored; None before the first."""
        return max((cell.position for cell in self.cells), default=None)

    @property
    def views(self) -> tuple[View, ...]:
        """The views that something was scored in; a view that holds only the baseline of another view is left out."""
        seen = {cell.view for cell in self.cells if cell.position > 0} or {cell.view for cell in self.cells}
        return tuple(view for view in VIEWS if view in seen)

    @cached_property
    def trained(self) -> Mapping[Pair, int]:
        """The position at which each pair was trained, 0 for the parent's own."""
        return dict.fromkeys(self.originals, 0) | {
            pair: place for place, pair in enumerate(self.sequence.additions, start=1)
        }

    @property
    def modules(self) -> Mapping[int, str]:
        """The name of the module that was trained last at each position, as far as it was noted."""
        return {cell.position: cell.module for cell in self.cells if cell.module is not None}

    def matrix(self, view: View, metric: MetricName) -> Matrix:
        """Scores in one view: the parent's pairs, those that were trained in their order, and zero-shot ones by name.

        At the position where a pair was trained its own cross-attention is the one that was trained last, and at
        position 0 the parent's is: all views are the same there, and cells that only ``routed`` has count for the
        others. Pairs that were scored in another metric only have an empty column. Raises UnknownNameError while
        nothing was scored.
        """
        if self.last is None:
            raise UnknownNameError(f"nothing was scored along the sequence {self.sequence.name} yet")
        cells = [cell for cell in self.cells if cell.view == view or self._in_all_views(cell)]
        # The view's own cells come last and replace shared ones.
        cells.sort(key=lambda cell: cell.view == view)
        values = {(cell.position, cell.pair): cell.value for cell in cells if cell.metric == metric}
        found = {cell.pair for cell in cells}
        pairs = tuple(pair for pair in (*self.trained, *sorted(found - set(self.trained))) if pair in found)
        rows = tuple(tuple(values.get((position, pair)) for pair in pairs) for position in range(self.last + 1))
        return Matrix(metric, pairs, rows, {pair: self.trained[pair] for pair in pairs if pair in self.trained})

    def matrices(self) -> list[tuple[View, Matrix]]:
        """Every view in every metric that something was scored in; earlier versions computed fewer."""
        scored = {cell.metric for cell in self.cells}
        return [(view, self.matrix(view, metric)) for metric in METRICS if metric in scored for view in self.views]

    def _in_all_views(self, cell: CellRecord) -> bool:
        """Whether a cell's recipe is the same in every view."""
        return cell.view == "routed" and self.trained.get(cell.pair) == cell.position


def find_sequence(catalog: Catalog, name: str, *, parent: str | None = None) -> SequenceRecord:
    """Return the newest sequence of a name. Raises UnknownNameError, listing the known ones."""
    sequences = catalog.sequences(parent)
    for sequence in reversed(sequences):
        if sequence.name == name:
            return sequence
    raise unknown("sequence", name, (sequence.name for sequence in sequences))


def _test_set(cell: CellRecord) -> ScoredOn:
    return ScoredOn(cell.test, cell.test_digest, cell.beam)


def _test_of(cells: list[CellRecord], wanted: str | None, prefer: ScoredOn | None) -> ScoredOn:
    counts = Counter(map(_test_set, cells))
    if prefer is not None and prefer in counts:
        return prefer
    names = sorted({test.name for test in counts})
    name = wanted if wanted in names else names[0]
    return min((test for test in counts if test.name == name), key=lambda t: (-counts[t], t.digest, t.beam))
