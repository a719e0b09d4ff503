"""A job and its result in the words of MLflow: tags, parameters, metrics and tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.languages import Pair
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.tracking.lineage import Registered, name_of
from ray_jobs.tracking.mlflow_tracker import Tracker
from registry import CellRecord, ModuleRecord, ScoreRecord
from registry.analysis.summary import Summary
from registry.evaluation import Evaluation


def tags(job: ResolvedJob, sequence: str | None) -> dict[str, str]:
    """What the MLflow UI filters runs by. ``precision`` is already a parameter: that in which the training computes."""
    common = {"kind": job.kind, "pair": _pair(job), "job": job.digest}
    if job.spec.stored_precision != "float32":
        common["stored_precision"] = job.spec.stored_precision
    if isinstance(job.spec, ParentSpec) or job.parent is None:
        return common | {"parent": job.experiment}
    common |= {"parent": job.experiment, "scope": job.spec.scope, "side": job.base.side}
    if modules := job.base.keys.modules:
        common["rests_on"] = ", ".join(key.name for key in modules)
    return common | ({"sequence": sequence} if sequence else {})


def parameters(job: ResolvedJob) -> dict[str, object]:
    """Digests and settings, by which MLflow compares runs; flat, since it keeps only short parameters."""
    values: dict[str, object] = {
        "pair": _pair(job),
        "train_digest": _digest([one.train.summary.digest for one in job.pairs]),
        "dev_digest": _digest([one.dev.summary.digest for one in job.pairs]),
        "train_sentences": sum(one.sentences for one in job.pairs),
        "seed": job.spec.seed,
    }
    if isinstance(job.spec, ParentSpec) and job.is_joint:
        values |= {"pairs": len(job.pairs), "sampling_temperature": job.spec.sampling_temperature}
        values |= {"vocabularies": "own"} if job.vocabularies == "own" else {}
        if chosen := job.spec.development_pairs:
            values["development_pairs"] = ", ".join(chosen)
    if isinstance(job.spec, AdditionSpec):
        values |= {"scope": job.spec.scope, "initialisation": job.initialisation}
    if job.parent:
        values["parent_fingerprint"] = job.parent.fingerprint
    if job.replayed:
        values |= {"replay": job.replay, "replayed": ", ".join(str(pair.train.corpus.pair) for pair in job.replayed)}
    if job.back_translation:
        asked = job.back_translation
        values |= {"back_translation_share": asked.spec.share, "back_translated_by": str(asked.recipe)}
    if job.denoising:
        values["denoising_share"] = job.denoising.spec.share
    training = job.spec.training
    rates = {f"learning_rate/{group}": rate for group, rate in training.learning_rates.items()}
    return values | training.model_dump(exclude={"learning_rates"}) | rates


def _pair(job: ResolvedJob) -> str:
    """The pair; the languages of a parent of several, as the registry shows them."""
    return str(job.languages)


def _digest(digests: Sequence[str]) -> str:
    """The digest of a text, or one over those of several pairs."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def metrics_of_back_translations(counts: Mapping[str, int]) -> dict[str, float]:
    """How many back-translations were kept, and how many were left out, by reason: ``back_translation/copied``."""
    return {f"back_translation/{name}": float(count) for name, count in counts.items()}


def metric_name(score: ScoreRecord) -> str:
    """``bleu/pt-en``; a retention names the module whose cross-attention it uses: ``retention/es-en/through/pt-en``."""
    if score.kind != "retention":
        return f"{score.metric}/{score.pair}"
    through = (score.cross_attention or score.parent).rpartition("/")[2].partition(":")[0]
    metric = "" if score.metric == "bleu" else f"{score.metric}/"
    return f"retention/{metric}{score.pair}/through/{through}"


def metrics_of(scores: Sequence[ScoreRecord]) -> dict[str, float]:
    """All scores as metrics; zero-shot BLEU also has a separate name. Several test sets of a pair have their names.

    ``offtarget_of_references/PAIR`` is the off-target rate of the references.
    """
    sets: dict[Pair, set[str]] = {}
    for score in scores:
        sets.setdefault(score.pair, set()).add(score.test_digest)
    values: dict[str, float] = {}
    for score in scores:
        suffix = f"/{score.test}" if len(sets[score.pair]) > 1 else ""
        values[metric_name(score) + suffix] = score.value
        if score.reference_value is not None:
            values[f"offtarget_of_references/{score.pair}{suffix}"] = score.reference_value
        if score.kind == "zero-shot" and score.metric == "bleu":
            values[f"zero_shot/{score.pair}{suffix}"] = score.value
    return values


def metrics_of_cells(
    cells: Sequence[CellRecord],
    before: Sequence[CellRecord] = (),
    of_references: Mapping[tuple[str, str, int], float] | None = None,
) -> dict[str, float]:
    """One position of a sequence: ``bleu/PAIR`` and ``zero_shot/PAIR`` routed, ``through/bleu/PAIR``, ``shared/…``.

    ``retention/PAIR`` is the original pair's BLEU through the newest module, in percent of the parent's own BLEU;
    ``unchanged/PAIR`` is that by its own recipe, in percent of its BLEU at position 0, whose cells are ``before``.
    ``offtarget_of_references/PAIR`` is from ``of_references``, by recipe, test set and beam.
    """
    sets: dict[Pair, set[str]] = {}
    for cell in cells:
        sets.setdefault(cell.pair, set()).add(cell.test_digest)
    own = {cell.test_digest: cell.value for cell in cells if cell.kind == "original" and cell.metric == "bleu"}
    first = {
        cell.test_digest: cell.value
        for cell in before
        if (cell.kind, cell.metric, cell.view) == ("original", "bleu", "routed")
    }
    values: dict[str, float] = {}
    for cell in cells:
        suffix = f"/{cell.test}" if len(sets[cell.pair]) > 1 else ""
        prefix = "" if cell.view == "routed" else f"{cell.view}/"
        values[f"{prefix}{cell.metric}/{cell.pair}{suffix}"] = cell.value
        key = cell.recipe, cell.test_digest, cell.beam
        if cell.metric == "offtarget" and of_references and key in of_references:
            values[f"offtarget_of_references/{cell.pair}{suffix}"] = of_references[key]
        if cell.metric == "bleu" and cell.kind == "zero-shot":
            values[f"{prefix}zero_shot/{cell.pair}{suffix}"] = cell.value
        if cell.metric == "bleu" and cell.view == "through" and own.get(cell.test_digest):
            values[f"retention/{cell.pair}{suffix}"] = 100 * cell.value / own[cell.test_digest]
        is_original = (cell.kind, cell.metric, cell.view) == ("original", "bleu", "routed")
        if is_original and first.get(cell.test_digest):
            values[f"unchanged/{cell.pair}{suffix}"] = 100 * cell.value / first[cell.test_digest]
    return values


def table_of_cells(cells: Sequence[CellRecord]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """One position of a sequence as columns and rows; ``carried`` scores were not translated again."""
    columns = ("view", "pair", "kind", "test", "metric", "value", "carried")
    return columns, [(c.view, str(c.pair), c.kind, c.test, c.metric, c.value, c.carried) for c in cells]


def metrics_of_summary(summary: Summary) -> dict[str, float]:
    """The measures of a sequence under flat names, so that two sequences can be compared: ``forgetting/through``, …"""
    values: dict[str, float | None] = {}
    for view in summary.views:
        if view.kept:
            values[f"backward_transfer/{view.view}"] = view.kept.backward_transfer
            values[f"forgetting/{view.view}"] = view.kept.since_first
            values[f"forgetting_since_best/{view.view}"] = view.kept.since_best
        if view.retention:
            values[f"retention_mean/{view.view}"] = view.retention.mean
            values[f"retention_worst/{view.view}"] = view.retention.worst
        if view.unchanged:
            values["unchanged_worst"] = view.unchanged.worst
    if summary.storage:
        values["stored/mean_bytes"] = summary.storage.mean_bytes
        values["stored/mean_parameters"] = summary.storage.mean_parameters
        values["stored/share_of_copies"] = summary.storage.share
    return {name: value for name, value in values.items() if value is not None}


def track(tracker: Tracker, record: Registered, evaluations: Sequence[Evaluation]) -> None:
    """Put a result on its MLflow run: sizes, scores, and the tables of scores and sample translations."""
    tracker.tags({"registered": name_of(record)})
    scores = [score for evaluation in evaluations for score in evaluation.scores]
    metrics = {"parameters": record.parameters, "bytes": record.bytes} | metrics_of(scores)
    if isinstance(record, ModuleRecord):
        about = {"registered": record.full_name, "digest": record.digest, "scope": record.scope}
        # Slashes, colons and dots are not allowed in the names of logged models.
        tracker.module(f"{record.parent} {record.pair} v{record.version}".replace(".", "_"), about, metrics)
    else:
        tracker.metrics(metrics, 0)
    columns = (
        *("pair", "kind", "test", "metric", "value", "copy of the source", "recipe", "signature", "carried"),
        *("references", "wrong language"),
    )
    rows = [
        (
            *(str(s.pair), s.kind, s.test, s.metric, s.value, s.copy_value),
            *(str(evaluation.recipe), s.signature, evaluation.carried, s.reference_value, s.is_wrong_language),
        )
        for evaluation in evaluations
        for s in evaluation.scores
    ]
    tracker.table(columns, rows, "scores.json")
    samples = [
        (str(evaluation.recipe.pair), evaluation.recipe.kind, sample.source, sample.hypothesis, sample.reference)
        for evaluation in evaluations
        for sample in evaluation.samples
    ]
    tracker.table(("pair", "kind", "source", "hypothesis", "reference"), samples, "samples.json")
