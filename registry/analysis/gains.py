"""What the additions of a sequence gained, measured against other modules that were registered on the same parent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from continual_mt.evaluation.forgetting import metric_for
from continual_mt.evaluation.metric_names import MetricName, QualityMetric
from continual_mt.evaluation.transfer import Transfer, forward_transfer, order_transfer
from continual_mt.languages import Pair
from registry.analysis.history import History
from registry.queries.catalog import Catalog
from registry.records.artifacts import ModuleRecord
from registry.records.sequences import View

MEASURED: tuple[QualityMetric, ...] = ("bleu", "chrf")
"""The metrics that `metric_for` chooses from, which every version computed."""


@dataclass(frozen=True)
class TransferResult:
    """A transfer, and by its name what each pair was compared with: a module, or a sequence."""

    transfer: Transfer
    references: Mapping[Pair, str]

    def to_json(self) -> dict[str, object]:
        return {
            "metric": self.transfer.metric,
            "mean": self.transfer.mean,
            "values": {str(pair): value for pair, value in self.transfer.values.items()},
            "references": {str(pair): name for pair, name in self.references.items()},
        }


def modules_of(catalog: Catalog, history: History) -> dict[int, ModuleRecord]:
    """The modules that a sequence's additions registered, by position, as far as its cells name them."""
    known = {module.full_name: module for module in catalog.modules(history.sequence.parent)}
    return {position: known[name] for position, name in history.modules.items() if name in known}


def against_scratch(catalog: Catalog, history: History, modules: Mapping[int, ModuleRecord]) -> TransferResult | None:
    """Forward transfer of the additions for which there is a module of the scope ``scratch``.

    That is the newest one of the same pair and the same training text that was scored on the same test set, with the
    same beam. None when there is no such module.
    """
    found: dict[Pair, tuple[str, dict[MetricName, float]]] = {}
    for module in modules.values():
        if module.scope != "scratch" and module.pair in history.tests:
            for other in _scratched(catalog, module):
                values = _scores_of(catalog, history, other)
                if len(values) == len(MEASURED):
                    found[module.pair] = other.full_name, values
    if not found:
        return None
    metric = metric_for(found)
    transfer = forward_transfer(
        metric, _where_trained(history, metric), {pair: values[metric] for pair, (_, values) in found.items()}
    )
    return _transfer_result(transfer, lambda pair: found[pair][0])


def _scratched(catalog: Catalog, module: ModuleRecord) -> list[ModuleRecord]:
    """Return the ``scratch`` modules of the same pair and the same training text, oldest first."""
    same = [other for other in catalog.modules(module.parent) if other.pair == module.pair]
    return [other for other in same if other.scope == "scratch" and _text(other) == _text(module)]


def _text(module: ModuleRecord) -> str | None:
    """Return the digest of the module's new training text, which is listed before replayed texts."""
    return next((corpus.digest for role, corpus in module.lineage.corpora if role == "train"), None)


def _scores_of(catalog: Catalog, history: History, module: ModuleRecord) -> dict[MetricName, float]:
    """Return the scores of a ``scratch`` module for its pair, on the sequence's test set and with the same beam."""
    test = history.tests[module.pair]
    return {
        metric: score.value
        for metric in MEASURED
        for score in catalog.scores(module.pair, parent=module.parent, kind="supervised", metric=metric)
        if (score.cross_attention, score.test_digest, score.beam) == (module.full_name, test.digest, test.beam)
    }


def _where_trained(history: History, metric: MetricName) -> dict[Pair, float]:
    """What each addition's pair scored at the position where it was trained."""
    view: View = "shared" if history.sequence.mode == "shared" else "routed"
    matrix = history.matrix(view, metric)
    found: dict[Pair, float] = {}
    for pair, position in matrix.trained.items():
        value = matrix.column(pair)[position] if 0 < position <= matrix.last else None
        if value is not None:
            found[pair] = value
    return found


def against_first(catalog: Catalog, history: History, modules: Mapping[int, ModuleRecord]) -> TransferResult | None:
    """Order transfer, in the mode ``shared``: against the newest sequence in which a pair came first.

    Scope, training text, training settings, replay, test set and beam have to be the same. None when there is no such
    sequence.
    """
    later = [module for position, module in sorted(modules.items()) if position > 1 and module.pair in history.tests]
    if history.sequence.mode != "shared" or not later:
        return None
    found = {module.pair: first for module in later if (first := _first(catalog, history, module))}
    if not found:
        return None
    metric = metric_for(found)
    matrix = history.matrix("shared", metric)
    values = {pair: order_transfer(matrix, first.matrix("shared", metric), pair) for pair, first in found.items()}
    measured = {pair: value for pair, value in values.items() if value is not None}
    return _transfer_result(Transfer(metric, measured), lambda pair: found[pair].sequence.name)


def _first(catalog: Catalog, history: History, module: ModuleRecord) -> History | None:
    """The newest sequence that began with a module's pair and can be compared with what it is in this one."""
    test = history.tests[module.pair]
    for sequence in reversed(catalog.sequences(module.parent)):
        if sequence.mode == "shared" and sequence.additions[0] == module.pair:
            other = History.read(catalog, sequence, prefer=test)
            if other.tests.get(module.pair) == test and _alike(module, modules_of(catalog, other).get(1)):
                return other
    return None


def _alike(module: ModuleRecord, other: ModuleRecord | None) -> bool:
    if other is None:
        return False
    settings = [(one.lineage.spec.get("training"), one.lineage.replay) for one in (module, other)]
    return module.scope == other.scope and _text(module) == _text(other) and settings[0] == settings[1]


def _transfer_result(transfer: Transfer, reference: Callable[[Pair], str]) -> TransferResult | None:
    """None where nothing could be compared."""
    return TransferResult(transfer, {pair: reference(pair) for pair in transfer.values}) if transfer.values else None
