"""How the embeddings of an addition start: what that is decided by, and the parent's word translation table.

The table is made once, from the text that the parent was trained on, and stored with the parent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.stored.optional_pieces import WORD_TRANSLATIONS
from continual_mt.config.corpus_spec import CorpusSpec
from continual_mt.config.hyperparameters import Initialisation
from continual_mt.config.spec import AdditionSpec
from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.data.tokenized_corpus import tokenize_corpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorpusError, IncompatibleError, MisuseError
from continual_mt.evaluation.lexicon import Lexicon, read_lexicon
from continual_mt.initialisation.lexicon_weights import check_words_occur
from continual_mt.initialisation.word_translation import ROUNDS, WordTranslations
from continual_mt.languages import NewSide, Pair, SideName
from ray_jobs.console import Display
from ray_jobs.planning.base import Base
from registry import CorpusRecord, ParentRecord, Registry
from registry.corpora import ResolvedCorpus, read_recorded

LEAST_PAIRS = 100
"""Sentence pairs below which a text is too small to find word translations in."""
WAYS_OUT = (
    "--init shared starts from the pieces that both languages share, --init random from noise (initialisation: …)"
)


@dataclass(frozen=True)
class ResolvedText:
    """Text of one language, or a lexicon, that an addition reads beside its corpora."""

    path: TextPlace
    digest: str
    lines: int
    licence: str | None = None

    def record(self, pair: Pair) -> CorpusRecord:
        return CorpusRecord(self.digest, pair, self.path.name, self.lines, 0, self.licence or "not stated")


def read_monolingual(path: TextPlace) -> ResolvedText:
    """Read text of one language. Raises CorpusError if it cannot be read or has no text."""
    digest, count = hashlib.sha256(), 0
    for line in read_lines(path):
        digest.update(f"{line}\n".encode())
        count += bool(line.strip())
    if not count:
        raise CorpusError(path, "no text; expected sentences, one per line")
    return ResolvedText(path, digest.hexdigest(), count)


def read_word_list(path: TextPlace) -> tuple[ResolvedText, Lexicon]:
    """Read a lexicon, whose digest does not depend on the order of its lines. Raises CorpusError."""
    lexicon = read_lexicon(path)
    lines = lexicon.lines()
    digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    return ResolvedText(path, digest, len(lines)), lexicon


def read_fitting_lexicon(
    path: TextPlace, train: ResolvedCorpus | None, monolingual: ResolvedText | None, side: SideName
) -> ResolvedText:
    """Read a lexicon, and check that a word of it occurs in the text of the new language. Raises CorpusError."""
    found, lexicon = read_word_list(path)
    if train is not None:
        sentences = (one.source if side == "source" else one.target for one in train.corpus.read())
        check_words_occur(lexicon, chain(sentences, monolingual_lines(monolingual) if monolingual else ()))
    return found


def chosen_initialisation(
    spec: AdditionSpec,
    parent: ParentRecord,
    train: ResolvedCorpus,
    *,
    direct: bool = False,
    text: ResolvedCorpus | None = None,
    base: Base | None = None,
) -> Initialisation:
    """What a spec asks for. By default ``lexical`` if that can be had, else ``shared``; ``random`` for ``scratch``.

    ``direct`` is whether the addition's own text is enough for ``lexical``; ``text`` is that which it starts from, and
    ``base`` what it is trained against. Raises CorpusError if there is no text, or too little, for the ``lexical``
    start that was asked for.
    """
    if spec.scope == "scratch":
        return "random"
    pairs = train.summary.sentences - train.summary.empty
    rests_on = base.rests_on.modules if base is not None else ()
    of_parent = not rests_on and (has_text(parent) or WORD_TRANSLATIONS in parent.pieces)
    has_translations = direct or bool(spec.init_text) or text is not None or of_parent
    can_count = pairs >= LEAST_PAIRS and has_translations
    if spec.initialisation is None:
        return "lexical" if spec.lexicon or can_count else "shared"
    if spec.initialisation == "lexical" and rests_on and not (spec.lexicon or has_translations):
        raise CorpusError(
            f"the module {rests_on[0].full_name}",
            "no text between its language and one of the parent's is on record, in which word translations could be "
            f"counted. Fix: give such text with --init-text; or {WAYS_OUT}, or give a lexicon with --lexicon",
        )
    if spec.initialisation == "lexical" and spec.lexicon is None and pairs < LEAST_PAIRS:
        raise CorpusError(
            train.corpus.name,
            f"{pairs} sentence pairs are too few to find word translations in; expected at least {LEAST_PAIRS}. "
            f"Fix: {WAYS_OUT}, or give a lexicon with --lexicon",
        )
    return spec.initialisation


def check_start_of(spec: AdditionSpec, side: NewSide) -> None:
    """Check that an addition with two new sides, or none, asks for nothing that only one new side can start from.

    Raises IncompatibleError.
    """
    asked = {
        "--lexicon": spec.lexicon,
        "--init-text": spec.init_text,
        "--init-language": spec.init_language,
        "--monolingual": spec.monolingual,
        "--init lexical": spec.initialisation == "lexical",
        "--init shared": side == "none" and spec.initialisation == "shared",
    }
    for option in (name for name, given in asked.items() if given):
        what = "a bridge has no new embeddings" if side == "none" else "of two new languages, it would be for one"
        raise IncompatibleError(f"{option}: {what}. Fix: leave it out")


def has_text(parent: ParentRecord) -> bool:
    """Whether it is on record where the text lies that a parent was trained on."""
    is_recorded = any(role == "train" for role, _ in parent.lineage.corpora)
    return is_recorded and isinstance(parent.lineage.spec.get("train"), dict)


def with_word_translations(
    registry: Registry, parent: ParentRecord, cache: Path, display: Display, *, has_lexicon: bool = False
) -> ParentRecord:
    """Return a parent that has its word translation table, which is made and stored if it is missing.

    If it cannot be made, because the parent's text is not on record, cannot be read or has changed, an addition with a
    lexicon does without, which is reported; otherwise CorpusError names the ways out.
    """
    if WORD_TRANSLATIONS in parent.pieces and registry.blobs.has(parent.pieces[WORD_TRANSLATIONS]):
        return parent  # one that was lost is counted again, which gives the same bytes
    try:
        table = _word_translations(registry, parent, cache, display)
    except CorpusError as error:
        if not has_lexicon:
            raise
        display.say(f"{error}. The embeddings start from the lexicon alone")
        return parent
    return registry.add_word_translations(parent.name, table)


def _word_translations(registry: Registry, parent: ParentRecord, cache: Path, display: Display) -> bytes:
    train = parent_text(parent, cache, f"put it back as it was; or {WAYS_OUT}, or give a lexicon with --lexicon")
    if train is None:
        several = parent.languages.several
        missing = "it has several pairs" if several else "its text is not on record"
        given = "text of one of its pairs with --init-text and --init-pair" if several else "such text with --init-text"
        raise CorpusError(
            f"the parent {parent.name}",
            f"its word translations cannot be counted: {missing}. Fix: give {given}; or {WAYS_OUT}, or give "
            "a lexicon with --lexicon",
        )
    return count_word_translations(registry.load_parent(parent.name), parent.name, train, cache, display).to_bytes()


def count_word_translations(
    parent: Parent,
    name: str,
    text: ResolvedCorpus,
    cache: Path,
    display: Display,
    known: Mapping[SideName, Tokenizer] | None = None,
) -> WordTranslations:
    """Count word translations in text of a parent's pair, tokenized as the parent does.

    ``known`` has the tokenizer of a side that is a module's.
    """
    pair = text.corpus.pair
    tokenizers = {end: (known or {}).get(end) or parent.tokenizer(end, pair.language(end)) for end in ENDS}
    source, target = tokenizers["source"], tokenizers["target"]
    most = min(tokenizer.room(parent.architecture.maximum_positions) for tokenizer in (source, target))
    corpus = tokenize_corpus(text.corpus, text.summary.digest, source, target, cache, maximum_tokens=most)
    with display.counting(f"word translations of {name}", 2 * ROUNDS) as progress:
        table = WordTranslations.count(corpus, (source.size, target.size), progress)
    display.say(f"{name}: word translations were counted in {len(corpus):,} sentence pairs")
    return table


def parent_text(parent: ParentRecord, cache: Path, way_out: str) -> ResolvedCorpus | None:
    """Read the text that a parent was trained on; None if none is recorded, as for an imported parent.

    Raises CorpusError, with the ``way_out``, if the text can no longer be read or has changed.
    """
    trained_on = [corpus for role, corpus in parent.lineage.corpora if role == "train"]
    pair = parent.languages.only_pair
    if not trained_on or pair is None:
        return None
    return read_as_trained_on(
        f"the parent {parent.name}", parent.lineage.spec.get("train"), pair, trained_on[0], cache, way_out
    )


def read_as_trained_on(
    name: str, place: object, pair: Pair, recorded: CorpusRecord, cache: Path, way_out: str
) -> ResolvedCorpus:
    """Read the text that the parent or module ``name`` was trained on, at the ``place`` in its spec.

    Raises CorpusError, with the ``way_out``, if the text can no longer be read or has changed.
    """
    try:
        resolved = read_recorded(CorpusSpec.model_validate(place), pair, recorded.digest, cache)
    except (MisuseError, ValueError) as error:
        raise CorpusError(
            recorded.name, f"{name} was trained on it, and it cannot be read ({error}). Fix: {way_out}"
        ) from error
    if resolved.summary.digest != recorded.digest:
        raise CorpusError(recorded.name, f"its text has changed since {name} was trained on it. Fix: {way_out}")
    return resolved


def monolingual_lines(text: ResolvedText) -> Iterator[str]:
    """Yield the lines that are not blank."""
    return (line for line in read_lines(text.path) if line.strip())


def check_unchanged(text: ResolvedText) -> None:
    """Raise CorpusError if text of one language changed since it was read first."""
    if read_monolingual(text.path).digest != text.digest:
        raise CorpusError(text.path, "the text changed after it was inspected. Fix: start again")
