"""What a user should know of a resolved job before it trains."""

from __future__ import annotations

from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.data.corpora.tsv import named_lines
from continual_mt.languages import ends_of
from ray_jobs.planning.initialisation import LEAST_PAIRS
from ray_jobs.planning.resolve import ResolvedJob


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
    """What a user should know of a start: that a default is not ``lexical``, that a target is not trained."""
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
    if spec.training.updates == 0 and "target" in ends_of(job.base.side):
        notes.append(
            "a new target language that is not trained translates badly: its decoder has to learn to generate it"
        )
    return notes
