"""Tables of the history of a sequence, and of the comparison of two recipes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from continual_mt.evaluation.forgetting import Matrix
from continual_mt.evaluation.metric_names import METRIC_LABELS
from continual_mt.evaluation.significance import SIGNIFICANCE_LEVEL, Comparison
from continual_mt.languages import Pair
from dashboards.tables.artifacts import percent, points, short_name, size, stored_size
from dashboards.tables.table import NOTHING, Column, Table
from registry import ModuleRecord, SequenceRecord
from registry.analysis.gains import TransferResult
from registry.analysis.summary import Summary, ViewSummary

_Row = tuple[str, ...]


def matrix_table(matrix: Matrix, sequence: SequenceRecord) -> Table:
    """Show one row per position with the pair added there, and one column per pair."""
    columns = [Column("position", True), Column("added"), *(Column(str(pair), True) for pair in matrix.pairs)]
    rows = [(str(position), _added(sequence, position), *map(points, row)) for position, row in enumerate(matrix.rows)]
    return Table(columns, rows)


def scored_on_table(summary: Summary) -> Table:
    """Show the test set and beam of each pair, and the off-target rate of the references, if any was measured."""
    columns = [Column("pair"), Column("test set"), Column("text"), Column("beam", True)]
    rows = [(str(pair), test.name, test.digest[:12], str(test.beam)) for pair, test in sorted(summary.tests.items())]
    if not summary.of_references:
        return Table(columns, rows)
    rates = [points(summary.of_references.get(pair)) for pair in sorted(summary.tests)]
    columns.append(Column(f"{METRIC_LABELS['offtarget']} of references", True))
    return Table(columns, [(*row, rate) for row, rate in zip(rows, rates, strict=True)])


def additions_table(summary: Summary) -> Table:
    """Show one row per position: what its module stores, and how many pairs can be run from there on.

    The original pair is not counted.
    """
    names = ("parameters", "stored", "supervised", "zero-shot")
    columns = [Column("position", True), Column("added"), Column("module"), Column("scope")]
    rows: list[_Row] = []
    for position, count in enumerate(summary.coverage):
        module = summary.modules.get(position)
        about = (NOTHING,) * 4
        if module is not None:
            about = (short_name(module.full_name), _scope(module), f"{module.parameters:,}", stored_size(module))
        added = _added(summary.sequence, position)
        rows.append((str(position), added, *about, str(count.supervised), str(count.zero_shot)))
    return Table([*columns, *(Column(name, True) for name in names)], rows)


def _scope(module: ModuleRecord) -> str:
    replay = module.lineage.replay
    return f"{module.scope}, replay {replay}" if replay else module.scope


def _added(sequence: SequenceRecord, position: int) -> str:
    return str(sequence.additions[position - 1]) if position else "parent"


def averages_table(summary: Summary) -> Table:
    """Show the mean score of fixed sets of pairs, one column per position."""
    positions = range(len(summary.coverage))
    columns = [Column("view"), Column("mean over"), Column("pairs", True), Column("metric")]
    rows = [
        (
            view.view,
            average.pairs.name,
            str(len(average.pairs.pairs)),
            METRIC_LABELS[average.pairs.metric],
            *map(points, average.values),
        )
        for view in summary.views
        for average in view.averages
    ]
    return Table([*columns, *(Column(f"at {position}", True) for position in positions)], rows)


def forgetting_table(summary: Summary) -> Table:
    """Show BLEU of each pair that later additions could affect: when learned, at its best, and at the last position."""
    columns = [Column("view"), Column("pair"), Column("learned at", True)]
    names = ("first", "best", "last", "first - last", "best - last")
    rows = [
        (
            view.view,
            str(one.pair),
            NOTHING if one.learned is None else str(one.learned),
            *map(points, (one.first, one.best, one.last, one.since_first, one.since_best)),
        )
        for view in summary.views
        for one in view.forgetting
    ]
    return Table([*columns, *(Column(name, True) for name in names)], rows)


def measures_table(summary: Summary) -> Table:
    """Show every measure that is a single figure, one row each."""
    rows = [row for view in summary.views for row in _view_rows(view)]
    rows += _gain_rows("forward transfer", summary.forward_transfer)
    rows += _gain_rows("order transfer", summary.order_transfer)
    rows += _storage_rows(summary)
    return Table([Column("measure"), Column("view"), Column("over"), Column("in"), Column("value", True)], rows)


def _view_rows(view: ViewSummary) -> Iterator[_Row]:
    if view.kept is not None:
        over = _named(view.kept.pairs.pairs)
        metric = METRIC_LABELS[view.kept.pairs.metric]
        yield "backward transfer", view.view, over, metric, points(view.kept.backward_transfer)
        yield "forgetting, first - last", view.view, over, metric, points(view.kept.since_first)
        yield "forgetting, best - last", view.view, over, metric, points(view.kept.since_best)
    for measure, kept in (("unchanged", view.unchanged), ("retention", view.retention)):
        if kept is not None:
            for name, value in (("mean", kept.mean), ("worst", kept.worst)):
                yield f"{measure}, {name}", view.view, "original pair, positions from 1", "% of BLEU", points(value)


def _gain_rows(name: str, gain: TransferResult | None) -> Iterator[_Row]:
    if gain is None:
        return
    metric = METRIC_LABELS[gain.transfer.metric]
    for pair, value in gain.transfer.values.items():
        yield name, NOTHING, f"{pair} against {short_name(gain.references[pair])}", metric, points(value)
    yield f"{name}, mean", NOTHING, _named(gain.transfer.values), metric, points(gain.transfer.mean)


def _storage_rows(summary: Summary) -> Iterator[_Row]:
    stored = summary.storage
    if stored is None:
        return
    over = f"{stored.modules} of {len(summary.sequence.additions)} additions"
    figures: tuple[tuple[str, str, Callable[[float], str], float], ...] = (
        ("stored, mean", "parameters", lambda value: f"{value:,.0f}", stored.mean_parameters),
        ("stored, mean", "bytes", size, stored.mean_bytes),
        ("stored, together", "bytes", size, stored.bytes),
        ("stored, together", "share of full copies' parameters", percent, stored.share),
    )
    for name, unit, written, value in figures:
        yield name, NOTHING, over, unit, written(value)


def _named(pairs: Collection[Pair]) -> str:
    """Return up to three pairs by name, or the number of pairs."""
    return ", ".join(map(str, pairs)) if len(pairs) <= 3 else f"{len(pairs)} pairs"


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Show one row per metric: both scores, their difference and its p-value."""
    columns = [Column("metric"), *(Column(name, True) for name in ("first", "second", "difference", "p-value"))]
    columns += [Column(f"at p < {SIGNIFICANCE_LEVEL}")]
    rows = [
        (
            METRIC_LABELS[one.metric],
            points(one.first),
            points(one.second),
            f"{one.difference:+z.1f}",
            f"{one.p_value:.3f}",
            one.verdict,
        )
        for one in comparisons
    ]
    return Table(columns, rows)
