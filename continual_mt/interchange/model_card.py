"""The model card of an export: what the model is made of, its scores, and the licences of the corpora."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.evaluation.language_identification import shortened
from continual_mt.inference.pivot_model import PivotModel
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.export_folder import DESCRIPTION
from continual_mt.interchange.licences import is_non_commercial

CARD = "README.md"


@dataclass(frozen=True)
class Part:
    """A parent or module that the model is made of. ``inputs`` are what else went into it, such as replayed pairs."""

    name: str
    digest: str
    description: str
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class CorpusUse:
    """A corpus that a part was trained or validated on. ``role`` is train, dev or test."""

    part: str
    role: str
    name: str
    pair: str
    sentences: int
    licence: str
    digest: str


@dataclass(frozen=True)
class ImportedPart:
    """A parent that came from another project: ``origin`` is its name on the Hub, or that of a folder."""

    part: str
    origin: str
    revision: str | None
    licence: str | None


@dataclass(frozen=True)
class ScoreEntry:
    """A score of the recipe on a test set."""

    test: str
    metric: str
    value: float
    beam: int
    sentences: int
    signature: str


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from. ``version`` is the version of this project that exports it.

    A pivot has the provenance of each of its two ``legs``, too.
    """

    recipe: AnyRecipe
    version: str
    parts: tuple[Part, ...]
    corpora: tuple[CorpusUse, ...] = ()
    scores: tuple[ScoreEntry, ...] = ()
    imports: tuple[ImportedPart, ...] = ()
    legs: tuple[Provenance, ...] = ()


@dataclass(frozen=True)
class SentenceTokens:
    """The names of the tokens around a sentence, for a runtime that puts none there itself.

    ``source_before`` and ``source_after`` are around the pieces of a source. A translation starts with
    ``target_prefix``. ``suppressed`` are never chosen, and ``unknown`` is left out of the text of a translation.
    ``maximum_decoding_length`` is how many tokens a translation has at most, its prefix included.
    """

    source_before: list[str]
    source_after: list[str]
    target_prefix: list[str]
    suppressed: list[str]
    unknown: str
    maximum_decoding_length: int


def write_card(
    folder: Path,
    model: PairModel | PivotModel[PairModel],
    provenance: Provenance,
    *,
    usage: str,
    metadata: Sequence[str],
    tokens: SentenceTokens | None = None,
) -> None:
    """Write the card, and the same for programs.

    ``usage`` is Markdown that shows how the folder is used; ``metadata`` are further lines of the card's YAML header.
    """
    header = ["---", f"language: [{', '.join(json.dumps(tag) for tag in _languages(model))}]", *metadata, "---"]
    title = f"# Translation from {model.source.language} to {model.target.language}"
    sections = [*header, "", title, "", usage.strip(), "", *_sections(provenance)]
    (folder / CARD).write_text("\n".join(sections) + "\n", encoding="utf-8")
    description = {
        "version": provenance.version,
        "recipe": _described(provenance.recipe),
        "maximum_tokens": first_of(model).maximum_tokens,
        "source_end": model.source.tokenizer.pieces[model.source.tokenizer.end],
        **({} if tokens is None else {"tokens": asdict(tokens)}),
        "parts": [asdict(part) for part in provenance.parts],
        "corpora": [asdict(corpus) for corpus in provenance.corpora],
        "scores": [asdict(score) for score in provenance.scores],
        **({"imports": [asdict(one) for one in provenance.imports]} if provenance.imports else {}),
    }
    text = json.dumps(description, ensure_ascii=False, indent=2) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")


def first_of(model: PairModel | PivotModel[PairModel]) -> PairModel:
    """Return the model that reads a sentence: this one, or the first leg of a pivot."""
    return model.first if isinstance(model, PivotModel) else model


def _described(recipe: AnyRecipe) -> dict[str, object]:
    if isinstance(recipe, Pivot):
        return recipe.to_json() | {"legs": [_described(leg) for leg in recipe.legs]}
    return {**recipe.to_json(), "fingerprint": recipe.fingerprint}


def _languages(model: PairModel | PivotModel[PairModel]) -> list[str]:
    return list(dict.fromkeys((model.source.language, model.target.language)))


def _sections(provenance: Provenance) -> list[str]:
    recipe = provenance.recipe
    parts = [(part.name, part.description, part.digest[:12], "; ".join(part.inputs)) for part in provenance.parts]
    corpora = [
        (use.name, use.pair, use.role, use.part, f"{use.sentences:,}", use.licence) for use in provenance.corpora
    ]
    scores = [
        (
            score.test,
            score.metric,
            f"{score.value:.2f}",
            str(score.beam),
            f"{score.sentences:,}",
            shortened(score.signature),
        )
        for score in provenance.scores
    ]
    return [
        "## Made of",
        "",
        f"Written by continual_mt {provenance.version}. Recipe: {recipe}; digest `{recipe.digest}`.",
        "",
        *_table(("part", "what it is", "digest", "made with"), parts),
        *_imports(provenance.imports),
        "## Scores",
        "",
        *(_table(("test set", "metric", "score", "beam", "sentences", "signature"), scores)),
        "## Corpora and their licences",
        "",
        "Check these licences before you publish or use the model: they may restrict both.",
        "",
        *(_table(("corpus", "pair", "used as", "by", "sentences", "licence"), corpora)),
    ]


def _imports(imports: Sequence[ImportedPart]) -> list[str]:
    if not imports:
        return []
    rows = [(one.part, one.origin, one.revision or "unknown", one.licence or "not stated") for one in imports]
    restricted = [one.part for one in imports if is_non_commercial(one.licence)]
    warning = f"**The licence of {', '.join(restricted)} allows no commercial use.** " if restricted else ""
    return [
        "## Imported from other projects",
        "",
        f"{warning}The model contains weights of these models, whose licences apply to it.",
        "",
        *_table(("part", "imported from", "revision", "licence"), rows),
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return ["None is recorded.", ""]
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
