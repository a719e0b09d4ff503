"""Tables of parents, modules, pairs, scores, alignments and corpora."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.evaluation.alignment_result import Method, Precision, Unit
from dashboards.tables.table import NOTHING, Column, Table
from registry import Annotations, Lineage, ModuleRecord, PairEntry, ParentRecord, ScoreRecord
from registry.records.artifacts import bytes_in

KINDS: tuple[RecipeKind, ...] = ("original", "supervised", "zero-shot", "pivot", "retention")
UNIT_NAMES: dict[Unit, str] = {"piece": "words of one piece", "word": "words of any length"}
METHOD_NAMES: dict[Method, str] = {"cosine": "nearest neighbour", "csls": "CSLS"}
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass
class _Measured:
    """All metrics of one recipe on one test set; ``about`` is any of its scores."""

    about: ScoreRecord
    metrics: dict[str, ScoreRecord] = field(default_factory=dict)

    def value(self, metric: str) -> str:
        return points(self.metrics[metric].value) if metric in self.metrics else NOTHING

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
    figures = {
        "BLEU": [row.value("bleu") for row in measured],
        "chrF": [row.value("chrf") for row in measured],
        "models": [str(len(row.about.legs) or 1) for row in measured],
        "BLEU of a copy": [row.copy("bleu") for row in measured],
        "sentences": [f"{row.about.sentences:,}" for row in measured],
    }
    if all(count == "1" for count in figures["models"]):
        del figures["models"]
    columns = [Column("pair"), Column("recipe"), *map(Column, distinguishing)]
    columns += [Column(name, number=True) for name in figures]
    shown = [*distinguishing.values(), *figures.values()]
    return Table(columns, [(*head, *(values[i] for values in shown)) for i, head in enumerate(row_names)])


def _measured(scores: Sequence[ScoreRecord]) -> list[_Measured]:
    found: dict[tuple[str, str, str, int], _Measured] = {}
    for score in scores:
        key = (score.recipe, str(score.pair), score.test_digest, score.beam)
        found.setdefault(key, _Measured(score)).metrics[score.metric] = score
    return list(found.values())


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
    """Show one recipe on one test set: one row per metric, with the sacreBLEU signature."""
    columns = (Column("metric"), Column("value", True), Column("copy of the source", True), Column("signature"))
    return Table(
        columns, [(score.metric, points(score.value), points(score.copy_value), score.signature) for score in scores]
    )


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
    """Show each pair with its recipe and scores: BLEU on its largest test set, and chrF on the same one.

    The chrF figures are taken from ``scores``.
    """
    chrf = {(score.recipe, score.test_digest, score.beam): score.value for score in scores if score.metric == "chrf"}
    several = len({entry.recipe.parent for entry in entries}) > 1
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        best = entry.score
        figures = (NOTHING, NOTHING, NOTHING)
        if best is not None:
            found = chrf.get((entry.recipe.digest, best.test_digest, best.beam))
            figures = (
                points(best.value),
                points(found),
                f"{best.test}, {best.sentences:,} sentences, beam {best.beam}",
            )
        head = (entry.recipe.parent,) if several else ()
        rows.append((*head, str(entry.pair), entry.kind, parts_of(entry.recipe), *figures))
    columns = [Column("pair"), Column("kind"), Column("recipe"), Column("BLEU", True), Column("chrF", True)]
    columns = [*([Column("parent")] if several else []), *columns, Column("test set")]
    return Table(columns, rows)


def parts_of(recipe: AnyRecipe) -> str:
    """Return where the parts of a recipe come from: ``source de-en:1, xattn fr-es:1, target fr-es:1``."""
    if isinstance(recipe, Pivot):
        return "; then ".join(f"{leg.parent}/{leg.pair} ({parts_of(leg)})" for leg in recipe.legs)
    parts = (("source", recipe.source), ("xattn", recipe.cross_attention), ("target", recipe.target))
    return ", ".join(f"{part} {short_name(key.name) if key else 'parent'}" for part, key in parts)


def storage_table(
    parents: Sequence[ParentRecord],
    modules: Sequence[ModuleRecord],
    *,
    created: bool = False,
    annotations: Mapping[str, Annotations] | None = None,
) -> Table:
    """Show what each parent and module stores; the share is relative to the parameters of the parent.

    ``annotations`` maps full names to aliases and tags, which get a column each unless all are empty. Where something
    is stored in half precision, so do the precision and the size in float32.
    """
    whole = {parent.name: parent.parameters for parent in parents}
    belonging = {name: list(group) for name, group in groupby(_by_parent(modules), lambda module: module.parent)}
    records = [record for parent in parents for record in (parent, *belonging.get(parent.name, ()))]
    found = [(annotations or {}).get(name_of(record), Annotations()) for record in records]
    is_half = any(record.precision != "float32" for record in records)
    labels = {"aliases": [one.aliases for one in found], "tags": [one.tags for one in found]}
    used = {name: values for name, values in labels.items() if any(values)}
    rows = [
        (
            *_stored(record, whole),
            *((record.precision, size(bytes_in(record, "float32"))) if is_half else ()),
            *(", ".join(values[i]) or NOTHING for values in used.values()),
            *([time_of(record)] if created else []),
        )
        for i, record in enumerate(records)
    ]
    columns = [Column("name"), Column("what")]
    columns += [Column(name, number=True) for name in ("parameters", "stored", "share of a full copy")]
    columns += [Column("precision"), Column("in float32", number=True)] if is_half else []
    return Table([*columns, *map(Column, used), *([Column("created")] if created else [])], rows)


def _by_parent(modules: Sequence[ModuleRecord]) -> Iterator[ModuleRecord]:
    return iter(sorted(modules, key=lambda module: module.parent))


def _stored(record: ParentRecord | ModuleRecord, whole: dict[str, int]) -> tuple[str, ...]:
    sizes = f"{record.parameters:,}", size(record.bytes)
    share = 1.0 if isinstance(record, ParentRecord) else record.parameters / whole[record.parent]
    return (name_of(record), what_is(record), *sizes, percent(share))


def stored_size(record: ParentRecord | ModuleRecord) -> str:
    """Describe the stored bytes; in half precision beside those in float32: ``1.2 MB in float16 (float32: 2.3 MB)``."""
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
    words = [f"new {record.side} {record.language}", record.scope]
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
