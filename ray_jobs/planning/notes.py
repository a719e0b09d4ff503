"""What a user should know of a resolved job before it trains."""

from __future__ import annotations

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.data.corpora.tsv import named_lines
from continual_mt.languages import SideName, ends_of
from ray_jobs.planning.initialisation import LEAST_PAIRS
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.starting_language import known_language, starts_directly
from registry import ParentRecord


def notes_on_text(job: ResolvedJob) -> list[str]:
    """What a user should know of the text: which rows are left out, since they have another number of columns."""
    return [
        f"{corpus.corpus.name}: {len(faults):,} of {corpus.summary.sentences:,} rows are left out, since they have "
        f"another number of columns than most ({named_lines(faults)})"
        for one in job.pairs
        for corpus in (one.train, one.dev)
        if (faults := corpus.summary.faults)
    ]


def notes_on_start(spec: ParentSpec | AdditionSpec, job: ResolvedJob) -> list[str]:
    """What a user should know of a start: what a default is, if it is not obvious, and that a target is not trained."""
    if not isinstance(spec, AdditionSpec) or job.parent is None:
        return []
    notes = []
    if spec.initialisation is None and job.initialisation == "shared":
        pairs = job.train.summary.sentences - job.train.summary.empty
        why = (
            f"{pairs} sentence pairs are fewer than {LEAST_PAIRS}"
            if pairs < LEAST_PAIRS
            else "no word translations lead to the parent's languages"
            if job.parent.languages.several or job.base.rests_on.modules or job.base.side == "both"
            else "its text is not on record"
        )
        notes.append(f"embeddings start from the pieces that are equal to the parent's (shared), because {why}")
    if job.base.side in ENDS and (language := _chosen_language(spec, job, job.parent, job.base.side)):
        notes.append(language)
    if spec.training.updates == 0 and "target" in ends_of(job.base.side):
        notes.append(
            "a new target language that is not trained translates badly: its decoder has to learn to generate it"
        )
    return notes


def _chosen_language(spec: AdditionSpec, job: ResolvedJob, parent: ParentRecord, side: SideName) -> str | None:
    """The language of a parent with own vocabularies that a lexical start uses; None if the spec decides it."""
    is_named = spec.init_text is not None or spec.init_language is not None
    if parent.vocabularies == "shared" or job.initialisation != "lexical" or is_named or job.base.rests_on.modules:
        return None
    known, is_direct = known_language(job.pair, side), starts_directly(parent, job.pair, side)
    if job.init_text is not None:
        text = job.init_text.record
        note = (
            f"embeddings start from those of {text.pair.language(side)}, by the text of {text.pair} that {parent.name} "
            f"was trained on ({text.sentences:,} sentence pairs)"
        )
        earlier = f"; --init-language {known} starts from those of {known}, as earlier versions did"
        return note + (earlier if is_direct else "")
    if not is_direct:
        return None
    why = (
        "which the lexicon leads to"
        if spec.lexicon
        else f"because {parent.name} has no text of {known} and another language on record with at least "
        f"{LEAST_PAIRS} sentence pairs"
    )
    return f"embeddings start from those of {known}, {why}"
