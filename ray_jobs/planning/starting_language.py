"""Which of the parent's languages the embeddings of an addition start from, and the text that connects the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from continual_mt.artifacts.parent_languages import listed
from continual_mt.config.corpus_spec import CorpusSpec, InitTextSpec, TrainedPair
from continual_mt.config.hyperparameters import Initialisation
from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import IncompatibleError
from continual_mt.languages import Pair, SideName
from ray_jobs.planning.base import Base
from ray_jobs.planning.initialisation import LEAST_PAIRS, WAYS_OUT, chosen_initialisation, read_as_trained_on
from registry import CorpusRecord, ParentRecord
from registry.corpora import ResolvedCorpus, read_corpus


def known_language(pair: Pair, new: SideName) -> str:
    """The language of an addition's pair that is not on the end that is new: the one that the parent has already."""
    return pair.language("target" if new == "source" else "source")


def starts_directly(parent: ParentRecord, pair: Pair, side: SideName) -> bool:
    """Whether the parent has the other language of an addition's pair on the end that is new, too.

    New embeddings can then start from those of that language, by the word translations in the addition's own text: a
    parent of many languages that has Spanish as a target mostly has it as a source.
    """
    return parent.languages.side(side, known_language(pair, side)) is not None


def language_to_start_from(parent: ParentRecord, pair: Pair, side: SideName, text: Pair | None) -> str | None:
    """The language of the parent, on the end that is new, whose embeddings those of the new language start from.

    It matters where each language has its own: it is the language of the ``text`` of a pair of the parent if there is
    one, else the pair's other language, else the only one. None if nothing tells which.
    """
    if text is not None:
        return text.language(side)
    if starts_directly(parent, pair, side):
        return known_language(pair, side)
    tags = parent.languages.tags(side)
    return tags[0] if len(tags) == 1 else None


def check_lexicon_leads_to_a_language(parent: ParentRecord, pair: Pair, side: SideName, spec: AdditionSpec) -> None:
    """Raise IncompatibleError unless it is clear which of the parent's own vocabularies has the words of a lexicon."""
    if parent.vocabularies == "shared" or spec.lexicon is None or spec.init_text or spec.init_language:
        return
    if language_to_start_from(parent, pair, side, None) is None:
        tags = parent.languages.tags(side)
        raise IncompatibleError(
            f"--lexicon: each language of {parent.name} has its own embeddings, and nothing tells to which of "
            f"{listed(tags)} the lexicon leads. Fix: name it with --init-language; or give text of a pair of that "
            "language, too, with --init-text and --init-pair"
        )


def start_of_addition(
    spec: AdditionSpec,
    parent: ParentRecord,
    pair: Pair,
    base: Base,
    side: SideName,
    train: ResolvedCorpus | None,
    cache: Path,
) -> tuple[Initialisation, ResolvedCorpus | None]:
    """How the embeddings of a new ``side`` start, and the text, if any, whose word translations a lexical start uses.

    ``train`` is the addition's own text, None if it cannot be read. Raises IncompatibleError and CorpusError as
    `text_to_start_from` and `chosen_initialisation` do.
    """
    usable = 0 if train is None else train.record.sentences
    text = text_to_start_from(spec, parent, pair, base, side, usable, cache)
    if train is None:
        return "random", None
    direct = starts_directly(parent, pair, side)
    initialisation = chosen_initialisation(spec, parent, train, direct=direct, text=text, base=base)
    return initialisation, text if initialisation == "lexical" else None


def text_to_start_from(
    spec: AdditionSpec, parent: ParentRecord, pair: Pair, base: Base, side: SideName, usable: int, cache: Path
) -> ResolvedCorpus | None:
    """Read the text whose word translations the embeddings of a new ``side`` start from; None without any.

    It is the text that the spec gives; else that of the module that the addition rests on; else, for a parent whose
    languages have their own vocabularies, that of a pair that the parent was trained on. ``usable`` is the number of
    the addition's own sentence pairs. Raises IncompatibleError for a language or a pair that does not fit, and
    CorpusError, with the ways out, for text on record that cannot be read or has changed.
    """
    if spec.init_language:
        _check_language_may_be_named(spec.init_language, parent, base)
    if spec.init_text:
        return read_init_text(spec.init_text, parent, pair, side, cache)
    if spec.scope == "scratch" or spec.initialisation not in (None, "lexical"):
        return None
    if base.rests_on.modules:
        return None if spec.lexicon else text_of_base(base, cache)
    if parent.vocabularies == "shared":
        return None
    candidates = _Candidates.of(parent, pair, side)
    if spec.init_language:
        chosen = candidates.named(spec.init_language)
    else:  # a lexicon leads to the pair's other language, as it did in earlier versions
        chosen = None if spec.lexicon or usable < LEAST_PAIRS else candidates.most()
    return None if chosen is None else candidates.read(chosen, cache)


def _check_language_may_be_named(language: str, parent: ParentRecord, base: Base) -> None:
    if parent.vocabularies == "shared":
        raise IncompatibleError(
            f"--init-language {language}: embeddings start from the one vocabulary of {parent.name}; expected a parent "
            "whose languages have their own (vocabularies: own). Fix: leave it out"
        )
    if base.rests_on.modules:
        raise IncompatibleError(
            f"--init-language {language}: the addition is trained against {base.rests_on.modules[0].full_name}; "
            "expected one against the parent's own languages. Fix: leave it out, or give text with --init-text"
        )


@dataclass(frozen=True)
class _Candidates:
    """The texts on record through which a new language can take the place of one of the parent's, by their pairs."""

    parent: ParentRecord
    known: str
    side: SideName
    starts_directly: bool
    texts: Mapping[Pair, tuple[CorpusRecord, CorpusSpec]]

    @classmethod
    def of(cls, parent: ParentRecord, pair: Pair, side: SideName) -> _Candidates:
        known = known_language(pair, side)
        texts = {one: text for one, text in _trained_on(parent).items() if known_language(one, side) == known}
        return cls(parent, known, side, starts_directly(parent, pair, side), texts)

    def most(self) -> Pair | None:
        """The pair with the most sentence pairs, the first by tag of equal ones; None if all have too few."""
        sizes = {pair: text.sentences for pair, (text, _) in self.texts.items() if text.sentences >= LEAST_PAIRS}
        return min(sizes, key=lambda pair: (-sizes[pair], pair.language(self.side)), default=None)

    def named(self, tag: str) -> Pair | None:
        """The pair of a language, None for the language from which embeddings start directly.

        Raises IncompatibleError for any other.
        """
        if tag == self.known and self.starts_directly:
            return None
        for pair in self.texts:
            if pair.language(self.side) == tag:
                return pair
        possible = sorted(pair.language(self.side) for pair in self.texts)
        possible += [self.known] if self.starts_directly else []
        expected = f"expected one of {listed(possible)}. Fix: name one of these" if possible else "Fix: leave it out"
        raise IncompatibleError(
            f"--init-language {tag}: no text of {tag} and {self.known} is on record for {self.parent.name}; "
            f"{expected}, or give such text with --init-text and --init-pair"
        )

    def read(self, pair: Pair, cache: Path) -> ResolvedCorpus:
        """Read the text of a pair. Raises CorpusError, with the ways out, if it cannot be read or has changed."""
        others = sorted(other.language(self.side) for other in self.texts if other != pair)
        others += [self.known] if self.starts_directly else []
        another = f"; or name another language with --init-language: {listed(others)}" if others else ""
        way_out = f"put it back as it was, or give such text with --init-text and --init-pair {pair}{another}; or "
        recorded, place = self.texts[pair]
        name = f"the parent {self.parent.name}"
        return read_as_trained_on(name, place, pair, recorded, cache, way_out + WAYS_OUT)


def _trained_on(parent: ParentRecord) -> dict[Pair, tuple[CorpusRecord, CorpusSpec]]:
    """The texts that a parent of several pairs was trained on, and where they lay; empty if that is not on record."""
    listed_pairs = parent.lineage.spec.get("pairs")
    try:
        pairs = [TrainedPair.model_validate(one) for one in listed_pairs] if isinstance(listed_pairs, list) else []
    except ValueError:
        return {}
    places = {Pair.parse(one.pair): one.train for one in pairs}
    recorded = [corpus for role, corpus in parent.lineage.corpora if role == "train"]
    return {one.pair: (one, places[one.pair]) for one in recorded if one.pair in places}


def pair_of_init_text(spec: InitTextSpec, parent: ParentRecord, pair: Pair, new: SideName) -> Pair:
    """The parent's pair that text for the addition ``pair`` is of, by tags.

    It leads from the language that the addition shares with the parent to one whose embeddings the parent has on the
    end that is new: for es-fr, added to a parent from {en, de} into {fr, pt}, it is en-fr or de-fr. It need not be
    named if there is only one. Raises IncompatibleError if it is not named, or is another.
    """
    languages = parent.languages
    shared = known_language(pair, new)
    starts = [tag for tag in languages.tags(new) if tag != shared]
    expected = [Pair(tag, shared) if new == "source" else Pair(shared, tag) for tag in starts]
    given = None if spec.pair is None else languages.pair_in_tags(Pair.parse(spec.pair))
    if given is None and len(expected) == 1:
        return expected[0]
    if given is not None and given in expected:
        return given
    what, fix = "the pair of the text is not named", "name it with --init-pair (init_text: {pair: …})"
    if given is not None:
        what, fix = f"text of {given}", "give text of such a pair"
        if (turned := Pair(given.target, given.source)) in expected:
            fix = f"name the pair {turned}, and give its two files in that order"
    if not expected:
        fix = "leave it out"
    raise IncompatibleError(
        f"--init-text: {what}; expected a pair of {parent.name} between {shared} and its {new} languages: "
        f"{listed(map(str, expected)) or 'it has none'}. Fix: {fix}"
    )


def read_init_text(spec: InitTextSpec, parent: ParentRecord, pair: Pair, side: SideName, cache: Path) -> ResolvedCorpus:
    """Read text of a parent's own pair for the addition ``pair``. Raises CorpusError, and as `pair_of_init_text`."""
    return read_corpus(spec, pair_of_init_text(spec, parent, pair, side), cache)


def spec_of_text(text: ResolvedCorpus) -> InitTextSpec:
    """The key of a spec for text that embeddings start from, with its pair."""
    return InitTextSpec.model_validate(
        text.spec.model_dump(mode="json", exclude_none=True) | {"pair": str(text.corpus.pair)}
    )


def text_of_base(base: Base, cache: Path) -> ResolvedCorpus | None:
    """The text of the module whose side an addition is trained against, if it leads to a language of the parent's own.

    None if it is not on record. Raises CorpusError, with the ways out, if it cannot be read or has changed.
    """
    for end, record in (("target", base.rests_on.target), ("source", base.rests_on.source)):
        if record is None or record.rests_on.modules or record.side != end:
            continue
        trained_on = [corpus for role, corpus in record.lineage.corpora if role == "train"]
        if not trained_on or not isinstance(record.lineage.spec.get("train"), dict):
            return None
        way_out = f"put it back as it was; or {WAYS_OUT}, or give a lexicon with --lexicon"
        place = record.lineage.spec["train"]
        return read_as_trained_on(record.full_name, place, record.pair, trained_on[0], cache, way_out)
    return None
