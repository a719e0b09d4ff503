"""A sequence in figures: every measure that can be computed from what was recorded along it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from continual_mt.evaluation.forgetting import (
    Forgetting,
    Matrix,
    PairSet,
    Points,
    Retention,
    averages,
    backward_transfer,
    forgetting,
    mean_forgetting,
    retention,
)
from continual_mt.evaluation.metric_names import MetricName
from continual_mt.evaluation.transfer import Coverage, coverage
from continual_mt.languages import Pair
from registry.analysis.gains import TransferResult, against_first, against_scratch, modules_of
from registry.analysis.history import History, ScoredOn
from registry.queries.catalog import Catalog
from registry.records.artifacts import ModuleRecord, bytes_in
from registry.records.sequences import SequenceRecord, View

MatrixOf = Callable[[MetricName], Matrix]


@dataclass(frozen=True)
class Average:
    """The mean score of a named set of pairs at each position."""

    pairs: PairSet
    values: tuple[Points, ...]

    def to_json(self) -> dict[str, object]:
        return {**_set_to_json(self.pairs), "values": list(self.values)}


@dataclass(frozen=True)
class ForgettingSummary:
    """Backward transfer and forgetting in the mean over ``pairs``, those that were trained before the last position."""

    pairs: PairSet
    backward_transfer: Points
    since_first: Points
    since_best: Points

    def to_json(self) -> dict[str, object]:
        return {
            **_set_to_json(self.pairs),
            "backward_transfer": self.backward_transfer,
            "forgetting_since_first": self.since_first,
            "forgetting_since_best": self.since_best,
        }


@dataclass(frozen=True)
class ViewSummary:
    """One view: averages; what was forgotten, pair by pair in BLEU and in the mean; what is left of the original pair.

    ``unchanged`` is that pair's own recipe, in the view routed: it is 100 % by construction. ``retention`` is the
    paper's, the parent's sides in the whole child, in the other views. ``kept`` is None before the second position.
    """

    view: View
    averages: tuple[Average, ...]
    forgetting: tuple[Forgetting, ...]
    kept: ForgettingSummary | None
    retention: Retention | None
    unchanged: Retention | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "view": self.view,
            "averages": [average.to_json() for average in self.averages],
            "forgetting": [one.to_json() for one in self.forgetting],
            "kept": self.kept.to_json() if self.kept else None,
            "retention": self.retention.to_json() if self.retention else None,
            "unchanged": self.unchanged.to_json() if self.unchanged else None,
        }


@dataclass(frozen=True)
class Storage:
    """What additions store, beside full copies of their parent; pieces that modules share are counted for each.

    ``copy_bytes`` is the mean size of a copy: in place of each module one of the module's precision.
    """

    modules: int
    parameters: int
    bytes: int
    copy_parameters: int
    copy_bytes: int

    @property
    def mean_parameters(self) -> float:
        return self.parameters / self.modules

    @property
    def mean_bytes(self) -> float:
        return self.bytes / self.modules

    @property
    def share(self) -> float:
        """Of the parameters that as many full copies of the parent would have."""
        return self.mean_parameters / self.copy_parameters

    def to_json(self) -> dict[str, object]:
        return {
            "modules": self.modules,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "mean_parameters": self.mean_parameters,
            "mean_bytes": self.mean_bytes,
            "copy_parameters": self.copy_parameters,
            "copy_bytes": self.copy_bytes,
            "share_of_copies": self.share,
        }


@dataclass(frozen=True)
class Summary:
    """A sequence up to its ``last`` scored position, None before the first.

    ``coverage`` counts what can be run at positions 0 to ``last``; ``modules`` are those that were added, by position.
    ``of_references`` are the off-target rates of the references of ``tests``, as far as they were measured.
    """

    sequence: SequenceRecord
    last: int | None
    tests: Mapping[Pair, ScoredOn]
    views: tuple[ViewSummary, ...]
    coverage: tuple[Coverage, ...]
    modules: Mapping[int, ModuleRecord]
    storage: Storage | None
    forward_transfer: TransferResult | None
    order_transfer: TransferResult | None
    of_references: Mapping[Pair, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {
            "last": self.last,
            "tests": {
                str(pair): {**test.to_json(), "offtarget_of_references": self.of_references.get(pair)}
                for pair, test in sorted(self.tests.items())
            },
            "views": [view.to_json() for view in self.views],
            "coverage": [count.to_json() for count in self.coverage],
            "modules": {str(position): module.full_name for position, module in sorted(self.modules.items())},
            "storage": self.storage.to_json() if self.storage else None,
            "forward_transfer": self.forward_transfer.to_json() if self.forward_transfer else None,
            "order_transfer": self.order_transfer.to_json() if self.order_transfer else None,
        }


def summarize(catalog: Catalog, history: History) -> Summary:
    """All measures that can be computed from what was recorded."""
    modules = modules_of(catalog, history)
    behind = 0 if history.last is None else history.last
    apart = {module.pair for module in modules.values() if module.scope == "scratch"}
    return Summary(
        sequence=history.sequence,
        last=history.last,
        tests=history.tests,
        views=tuple(_summarize_view(history, view) for view in history.views),
        coverage=coverage(history.languages, history.sequence.additions[:behind], apart),
        modules=modules,
        storage=_storage(catalog, history.sequence.parent, list(modules.values())),
        forward_transfer=against_scratch(catalog, history, modules),
        order_transfer=against_first(catalog, history, modules),
        of_references=_of_references(catalog, history),
    )


def _of_references(catalog: Catalog, history: History) -> dict[Pair, float]:
    return {
        score.pair: score.reference_value
        for score in catalog.scores(parent=history.sequence.parent, metric="offtarget")
        if score.reference_value is not None
        and score.pair in history.tests
        and history.tests[score.pair].digest == score.test_digest
    }


def _summarize_view(history: History, view: View) -> ViewSummary:
    def matrix(metric: MetricName) -> Matrix:
        return history.matrix(view, metric)

    bleu = matrix("bleu")
    sets = [*_growing("trained", bleu, zero_shot=False), *_growing("zero-shot", bleu, zero_shot=True)]
    original = retention(bleu) if bleu.last and set(history.originals) & set(bleu.pairs) else None
    return ViewSummary(
        view=view,
        averages=tuple(Average(pairs, averages(matrix(pairs.metric), pairs)) for pairs in sets),
        forgetting=tuple(forgetting(bleu, pair) for pair in bleu.pairs if _could_forget(bleu, pair)),
        kept=_kept(matrix, bleu.earlier),
        retention=original if view != "routed" else None,
        unchanged=original if view == "routed" else None,
    )


def _growing(name: str, matrix: Matrix, *, zero_shot: bool) -> list[PairSet]:
    """Return one set of pairs for each position at which pairs were learned: all pairs learned by then.

    A set is not extended at later positions, so that its averages can be compared.
    """
    pairs = [pair for pair in matrix.pairs if (pair not in matrix.trained) == zero_shot]
    learned = {pair: matrix.learned(pair) for pair in pairs}
    found: list[PairSet] = []
    for position in range(matrix.last + 1):
        if position in learned.values():
            there = tuple(pair for pair, place in learned.items() if place is not None and place <= position)
            found.append(PairSet(f"{name} by {position}", there))
    return found


def _could_forget(matrix: Matrix, pair: Pair) -> bool:
    """Whether something was added after a pair was learned."""
    learned = matrix.learned(pair)
    return learned is not None and learned < matrix.last


def _kept(matrix: MatrixOf, pairs: tuple[Pair, ...]) -> ForgettingSummary | None:
    if not pairs:
        return None
    over = PairSet("trained before the last", pairs)
    chosen = matrix(over.metric)
    return ForgettingSummary(over, backward_transfer(chosen, pairs), *mean_forgetting(chosen, pairs))


def _storage(catalog: Catalog, parent: str, modules: list[ModuleRecord]) -> Storage | None:
    if not modules:
        return None
    whole = catalog.parent(parent)
    parameters, size = sum(module.parameters for module in modules), sum(module.bytes for module in modules)
    copies = sum(bytes_in(whole, module.precision) for module in modules)
    return Storage(len(modules), parameters, size, whole.parameters, round(copies / len(modules)))


def _set_to_json(pairs: PairSet) -> dict[str, object]:
    return {"set": pairs.name, "pairs": [str(pair) for pair in pairs.pairs], "metric": pairs.metric}
