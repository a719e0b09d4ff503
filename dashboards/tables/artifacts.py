"""Tables of parents, modules, pairs, scores, alignments and corpora."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.evaluation.alignment_result import Method, Precision, Unit
from continual_mt.evaluation.language_identification import shortened
from continual_mt.evaluation.metric_names import METRIC_LABELS, METRICS
from dashboards.tables.table import NOTHING, Column, Table
from registry import Annotations, Lineage, ListedScore, ModuleRecord, PairEntry, ParentRecord, ScoreRecord
from registry.records.artifacts import bytes_in

KINDS: tuple[RecipeKind, ...] = ("original", "supervised", "bridge", "zero-shot", "pivot", "retention")
UNIT_NAMES: dict[Unit, str] = {"piece": "words of one piece", "word": "words of any length"}
METHOD_NAMES: dict[Method, str] = {"cosine": "nearest neighbour", "csls": "CSLS"}
WRONG_LANGUAGE = "wrong language"
MEASURED = (*(METRIC_LABELS[metric] for metric in METRICS), "of references")
"""The columns of all metrics, with the off-target rate of the references beside that of the translations."""
AnyScore = TypeVar("AnyScore", ScoreRecord, ListedScore)
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass
class _Measured:
    """All metrics of one recipe on one test set; ``about`` is any of its scores."""

    about: ScoreRecord
    metrics: dict[str, ScoreRecord] = field(default_factory=dict)

    def copy(self, metric: str) -> str:
        return points(self.metrics[metric].copy_value) if metric in self.metrics else NOTHING


def results_table(scores: Sequence[ScoreRecord], *, by_pair: bool = False) -> Table:
    """Show how well each recipe translates each test set, in the order of KINDS, then by pair; or pairs first.

    If a measurement was repeated, the last one is shown. Parent, modules, test set and beam get a column only if two
    rows would be equal without it; so does the number of models that a sentence runs through if there is a pivot.
    """

    def place(row: _Measured) -> tuple[object, ...]:
        names = KINDS.index(row.about.kind), row.about.pair
        return names[::-1] if by_pair else names

    measured = sorted(_measured(scores), key=place)
    row_names = [(str(row.about.pair), kind_of(row.about)) for row in measured]
    details = {
        "parent": [_parents_of(row.about) for row in measured],
        "modules": [_modules_of(row.about) for row in measured],
        "test set": [row.about.test for row in measured],
        "beam": [str(row.about.beam) for row in measured],
    }
    distinguishing = {
        name: values
        for name, values in details.items()
        if len(set(zip(row_names, values, strict=True))) > len(set(row_names))
    }
    models = [str(len(row.about.legs) or 1) for row in measured]
    has_pivots = any(count != "1" for count in models)
    columns = [Column("pair"), Column("recipe"), *map(Column, distinguishing)]
    counted = (*(["models"] if has_pivots else []), "BLEU of a copy", "sentences")
    columns += [Column(name, number=True) for name in (*MEASURED, *counted)]
    rows = []
    for i, (head, row) in enumerate(zip(row_names, measured, strict=True)):
        names = (*head, *(values[i] for values in distinguishing.values()))
        counts = (*([models[i]] if has_pivots else []), row.copy("bleu"), f"{row.about.sentences:,}")
        rows.append((*names, *_figures(row.metrics), *counts, remark(row.metrics)))
    return _with_remarks(columns, rows)


def _measured(scores: Sequence[ScoreRecord]) -> list[_Measured]:
    found: dict[tuple[str, str, str, int], _Measured] = {}
    for score in scores:
        key = (score.recipe, str(score.pair), score.test_digest, score.beam)
        found.setdefault(key, _Measured(score)).metrics[score.metric] = score
    return list(found.values())


def _with_remarks(columns: Sequence[Column], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table whose rows end with a remark, which has a column only if a row has one."""
    if any(row[-1] for row in rows):
        return Table([*columns, Column("remark")], rows)
    return Table(columns, [row[:-1] for row in rows])


def _figures(metrics: Mapping[str, ScoreRecord]) -> tuple[str, ...]:
    """Return one text for each of MEASURED."""
    values = (points(metrics[metric].value) if metric in metrics else NOTHING for metric in METRICS)
    return (*values, points(metrics["offtarget"].reference_value) if "offtarget" in metrics else NOTHING)


def remark(metrics: Mapping[str, ScoreRecord] | Mapping[str, ListedScore]) -> str:
    """Return what marks a pair that translates into another language; empty for other pairs."""
    return WRONG_LANGUAGE if "offtarget" in metrics and metrics["offtarget"].is_wrong_language else ""


def kind_of(score: ScoreRecord) -> str:
    """Return the kind of recipe that was scored, and what it leads through.

    That is the module whose cross-attention a retention uses, and the language in between of a pivot.
    """
    if score.kind == "retention" and score.cross_attention is not None:
        return f"retention through {short_name(score.cross_attention)}"
    return f"pivot through {score.legs[0].pair.target}" if score.legs else score.kind


def _parents_of(score: ScoreRecord) -> str:
    return " + ".join(dict.fromkeys(leg.parent for leg in score.legs)) or score.parent


def _modules_of(score: ScoreRecord) -> str:
    return ", ".join(map(short_name, score.scored.modules)) or NOTHING


def metrics_table(scores: Sequence[ScoreRecord]) -> Table:
    """Show one recipe on one test set: one row per metric, with its signature, in which languages are counted.

    A metric that was not measured, such as ``offtarget`` for a language that cannot be identified, has no values.
    """
    found = {score.metric: score for score in scores}
    columns = [Column("metric"), *(Column(name, True) for name in ("value", "copy of the source", "references"))]
    rows: list[tuple[str, ...]] = []
    for metric in dict.fromkeys((*METRICS, *found)):
        score = found.get(metric)
        if score is None:
            rows.append((metric, *(NOTHING,) * 4, ""))
        else:
            values = map(points, (score.value, score.copy_value, score.reference_value))
            rows.append((metric, *values, shortened(score.signature), remark({metric: score})))
    return _with_remarks([*columns, Column("signature")], rows)


def alignment_table(alignments: Sequence[Precision]) -> Table:
    """Show precision@1 and precision@5 of an alignment: one row per kind of word and method."""
    columns = [Column("looked up"), Column("method")]
    columns += [Column(name, number=True) for name in ("precision@1", "precision@5", "queries", "candidates")]
    rows = [
        (
            UNIT_NAMES[found.unit],
            METHOD_NAMES[found.method],
            *(NOTHING if share is None else percent(share) for share in (found.at_1, found.at_5)),
            f"{found.queries:,}",
            f"{found.candidates:,}",
        )
        for found in alignments
    ]
    return Table(columns, rows)


def pairs_table(entries: Sequence[PairEntry], scores: Sequence[ScoreRecord]) -> Table:
    """Show each pair with its recipe and scores: BLEU on its largest test set, and the other metrics on the same one.

    How many models a sentence runs through is shown where that is more than one of any pair.

    The other metrics are taken from ``scores``.
    """
    several = len({entry.parent for entry in entries}) > 1
    is_costly = any(entry.models > 1 for entry in entries)
    others = by_translations(scores)
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        best = entry.score
        head = (entry.parent,) if several else ()
        cost = (str(entry.models),) if is_costly else ()
        names = (*head, str(entry.pair), entry.kind, *cost, parts_of(entry.recipe))
        if best is None:
            rows.append((*names, *(NOTHING,) * len(MEASURED), NOTHING, ""))
        else:
            found = others.get((entry.recipe.digest, best.test_digest, best.beam), {})
            test = f"{best.test}, {best.sentences:,} sentences, beam {best.beam}"
            rows.append((*names, points(best.value), *_figures(found)[1:], test, remark(found)))
    columns = [*([Column("parent")] if several else []), Column("pair"), Column("kind")]
    columns += [*([Column("models", number=True)] if is_costly else []), Column("recipe")]
    return _with_remarks([*columns, *(Column(name, True) for name in MEASURED), Column("test set")], rows)


def by_translations(scores: Iterable[AnyScore]) -> dict[tuple[str, str, int], dict[str, AnyScore]]:
    """Return scores by recipe, test set and beam, and then by metric."""
    found: dict[tuple[str, str, int], dict[str, AnyScore]] = {}
    for score in scores:
        found.setdefault((score.recipe, score.test_digest, score.beam), {})[score.metric] = score
    return found


def parts_of(recipe: AnyRecipe) -> str:
    """Return where the parts of a recipe come from: ``source de-en:1, xattn fr-es:1, target fr-es:1``."""
    if isinstance(recipe, Pivot):
        return "; then ".join(f"{leg.parent}/{leg.pair} ({parts_of(leg)})" for leg in recipe.legs)
    # Written out, since ten thousand pairs are listed at once.
    keys = recipe.source, recipe.cross_attention, recipe.target
    source, xattn, target = ["parent" if key is None else short_name(key.name) for key in keys]
    return f"source {source}, xattn {xattn}, target {target}"


def storage_table(
    parents: Sequence[ParentRecord],
    modules: Sequence[ModuleRecord],
    *,
    created: bool = False,
    annotations: Mapping[str, Annotations] | None = None,
) -> Table:
    """Show what each parent and module stores; the share is relative to the parameters of the parent.

    ``annotations`` maps full names to aliases and tags, which get a column each unless all are empty. Where something
    is not stored in float32, so do the precision and the size in float32.
    """
    whole = {parent.name: parent.parameters for parent in parents}
    belonging = {name: list(group) for name, group in groupby(_by_parent(modules), lambda module: module.parent)}
    records = [record for parent in parents for record in (parent, *belonging.get(parent.name, ()))]
    found = [(annotations or {}).get(name_of(record), Annotations()) for record in records]
    is_smaller = any(record.precision != "float32" for record in records)
    labels = {"aliases": [one.aliases for one in found], "tags": [one.tags for one in found]}
    used = {name: values for name, values in labels.items() if any(values)}
    rows = [
        (
            *_stored(record, whole),
            *((record.precision, size(bytes_in(record, "float32"))) if is_smaller else ()),
            *(", ".join(values[i]) or NOTHING for values in used.values()),
            *([time_of(record)] if created else []),
        )
        for i, record in enumerate(records)
    ]
    columns = [Column("name"), Column("what")]
    columns += [Column(name, number=True) for name in ("parameters", "stored", "share of a full copy")]
    columns += [Column("precision"), Column("in float32", number=True)] if is_smaller else []
    return Table([*columns, *map(Column, used), *([Column("created")] if created else [])], rows)


def _by_parent(modules: Sequence[ModuleRecord]) -> Iterator[ModuleRecord]:
    return iter(sorted(modules, key=lambda module: module.parent))


def _stored(record: ParentRecord | ModuleRecord, whole: dict[str, int]) -> tuple[str, ...]:
    sizes = f"{record.parameters:,}", size(record.bytes)
    share = 1.0 if isinstance(record, ParentRecord) else record.parameters / whole[record.parent]
    return (name_of(record), what_is(record), *sizes, percent(share))


def stored_size(record: ParentRecord | ModuleRecord) -> str:
    """Describe the stored bytes, beside those in float32 if they are not: ``1.2 MB in float16 (float32: 2.3 MB)``."""
    if record.precision == "float32":
        return size(record.bytes)
    return f"{size(record.bytes)} in {record.precision} (float32: {size(bytes_in(record, 'float32'))})"


def name_of(record: ParentRecord | ModuleRecord) -> str:
    """Return the name of a parent or the full name of a module."""
    return record.name if isinstance(record, ParentRecord) else record.full_name


def what_is(record: ParentRecord | ModuleRecord) -> str:
    """Describe a record in a few words: ``parent fr-en``; ``new source de, half, lexical``."""
    if isinstance(record, ParentRecord):
        imported = record.lineage.imported
        return f"parent {languages_of(record)}" + (f", imported from {imported.brief}" if imported else "")
    words = ["a bridge" if record.is_bridge else f"new {record.new_sides}", record.scope]
    words += [] if record.initialisation == "random" else [record.initialisation]
    words += ["untrained"] if record.untrained else []
    words += ["in a shared sequence"] if record.shared else []
    return ", ".join(words)


def languages_of(parent: ParentRecord) -> str:
    """Describe what a parent translates: ``fr-en``, or ``{de, fr}-{en, es}, 4 pairs``."""
    languages = parent.languages
    return f"{languages}, {languages.count:,} pairs" if languages.several else str(languages)


def start_table(start: Mapping[str, Any]) -> Table:
    """Show how the most frequent types of a module started, as `Registry.start_of` returned it."""
    columns = (Column("frequent type"), Column("starts from"), Column("parent's nearest"))
    return Table(columns, [(one["piece"], one["origin"], " ".join(one["nearest"])) for one in start["frequent"]])


def corpora_table(lineage: Lineage) -> Table:
    """Show the corpora that an artifact was trained on, with their licences."""
    columns = (Column("role"), Column("corpus"), Column("sentences", True), Column("skipped", True), Column("licence"))
    return Table(
        columns,
        [
            (role, corpus.name, f"{corpus.sentences:,}", f"{corpus.skipped:,}", corpus.licence)
            for role, corpus in lineage.corpora
        ],
    )


def short_name(module: str) -> str:
    """Return a module's name without its parent: ``de-en:1``."""
    return module.rpartition("/")[2]


def points(value: float | None) -> str:
    """Format a score of 0 to 100 with one decimal."""
    return NOTHING if value is None else f"{value:z.1f}"


def percent(share: float) -> str:
    return f"{share:.1%}"


def size(count: float) -> str:
    """Format a number of bytes in decimal units: ``1.2 MB``."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"


def time_of(record: ParentRecord | ModuleRecord) -> str:
    return record.created.strftime("%Y-%m-%d %H:%M UTC")
