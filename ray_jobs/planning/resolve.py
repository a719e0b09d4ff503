"""From a spec to resolved work: corpora read and identified, defaults filled in, and the digest that names the job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from continual_mt.artifacts.joint_languages import JOINT_FORM, joint_languages
from continual_mt.artifacts.parent_languages import ENDS, ParentLanguages, Vocabularies
from continual_mt.artifacts.sentence_form import SentenceForm
from continual_mt.artifacts.stored.optional_pieces import WORD_TRANSLATIONS
from continual_mt.artifacts.stored.stored_precision import precision_entry
from continual_mt.artifacts.vocabulary import Vocabulary, tokenizer_of
from continual_mt.config.hyperparameters import Initialisation
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import IncompatibleError
from continual_mt.languages import Pair, ends_of
from continual_mt.model.architecture import Architecture, Group, group_names, parameter_names
from continual_mt.model.language_sides import stored_names
from continual_mt.model.scopes import added_shapes, fitted, trainable_names
from ray_jobs.planning.back_translation import BackTranslation
from ray_jobs.planning.base import NO_BASE, Base, scope_on
from ray_jobs.planning.denoising import Denoising
from ray_jobs.planning.initialisation import (
    ResolvedText,
    check_start_of,
    parent_text,
    read_fitting_lexicon,
)
from ray_jobs.planning.resolved_pairs import (
    Problems,
    ResolvedPair,
    development_tokenization,
    read_pair,
    resolved_pairs,
    with_tokenization,
)
from ray_jobs.planning.starting_language import (
    check_lexicon_leads_to_a_language,
    spec_of_text,
    start_of_addition,
    starts_directly,
)
from ray_jobs.planning.text_alone import FindFrozenSide, FindRecipe, text_alone
from registry import ModuleRecord, ParentRecord
from registry.corpora import ResolvedCorpus, ResolvedTest, read_test

# Increased whenever the same spec starts to give another result: it did with additions' own starting values, and with
# dropout's present source of randomness.
IDENTITY_VERSIONS = {"parent": 2, "addition": 3, "sequence": 1}
INITIALISATION_VERSION = 1


@dataclass(frozen=True)
class ReplayedPair:
    """An earlier pair to replay; ``module`` brought it, None for the parent's own pair."""

    train: ResolvedCorpus
    module: ModuleRecord | None


@dataclass(frozen=True)
class ResolvedJob:
    """A job with everything read and every default filled in; ``digest`` covers all that decides its result.

    ``pairs`` has several only for a parent of several; ``pair``, ``train`` and ``dev`` are those of all other jobs.
    ``start`` is the module whose cross-attention (and body, if it has one) an addition continues from; with None it
    starts from the parent's. ``replay`` is the share of batches that come from the pairs ``replayed``.
    ``initialisation`` is how an addition's embeddings start, ``word_translations`` the digest of the parent's table if
    they start from it; ``lexicon``, ``monolingual`` and ``init_text`` are what the addition reads beside its corpora.
    ``back_translation`` is the text that it back-translates, ``denoising`` what it restores from noise.
    ``base`` is what an addition is trained against.
    """

    spec: ParentSpec | AdditionSpec
    pairs: tuple[ResolvedPair, ...]
    parent: ParentRecord | None
    architecture: Architecture
    tests: tuple[ResolvedTest, ...]
    start: ModuleRecord | None = None
    replay: float = 0.0
    replayed: tuple[ReplayedPair, ...] = ()
    initialisation: Initialisation = "random"
    lexicon: ResolvedText | None = None
    monolingual: ResolvedText | None = None
    init_text: ResolvedCorpus | None = None
    word_translations: str | None = None
    back_translation: BackTranslation | None = None
    denoising: Denoising | None = None
    base: Base = NO_BASE

    @property
    def kind(self) -> str:
        return "parent" if self.parent is None else "addition"

    @property
    def is_joint(self) -> bool:
        """Whether it trains a parent on several pairs."""
        return len(self.pairs) > 1

    @property
    def pair(self) -> Pair:
        return self._only_pair.pair

    @property
    def train(self) -> ResolvedCorpus:
        return self._only_pair.train

    @property
    def dev(self) -> ResolvedCorpus:
        return self._only_pair.dev

    @property
    def _only_pair(self) -> ResolvedPair:
        (only,) = self.pairs
        return only

    @property
    def vocabularies(self) -> Vocabularies:
        """``own`` if it trains a parent whose languages have their own vocabularies."""
        return self.spec.vocabularies if isinstance(self.spec, ParentSpec) else "shared"

    @property
    def development(self) -> tuple[ResolvedPair, ...]:
        """The pairs whose development scores choose the checkpoint."""
        chosen = self.spec.development_pairs if isinstance(self.spec, ParentSpec) else ()
        return tuple(one for one in self.pairs if str(one.pair) in chosen) if chosen else self.pairs

    @property
    def languages(self) -> ParentLanguages:
        """The languages of the pairs, with tokens that name them if several share a vocabulary."""
        if not self.is_joint:
            return ParentLanguages.of_pair(self.pair)
        return joint_languages((one.pair for one in self.pairs), self.vocabularies)

    @property
    def form(self) -> SentenceForm:
        """How sentences of the parent that is trained name their languages."""
        return JOINT_FORM if self.is_joint and self.vocabularies == "shared" else SentenceForm()

    def tokenization(self, pair: Pair) -> str:
        """The tokenization of a pair's development score."""
        return development_tokenization(self.spec, pair)

    def sides(self, pair: Pair, source: Vocabulary, target: Vocabulary) -> tuple[Tokenizer, Tokenizer]:
        """The job's tokenizers as one of its pairs needs them: with tokens of languages where several share one."""
        out_of, into = tokenizer_of(source, pair.source), tokenizer_of(target, pair.target)
        assert out_of is not None
        assert into is not None
        if not self.is_joint:
            return out_of, into
        languages, form = self.languages, self.form
        return (
            form.source_tokenizer(languages, pair, out_of, own=True),
            form.target_tokenizer(languages, pair, into),
        )

    @property
    def label(self) -> str:
        """The pair, or the name of a parent of several: short, and fit for the name of a file."""
        return self.experiment if self.is_joint else str(self.pair)

    @property
    def title(self) -> str:
        """The title in logs and in MLflow: ``parent es-en`` or ``pt-en xattn``."""
        return f"{self.pair} {self.spec.scope}" if isinstance(self.spec, AdditionSpec) else f"parent {self.label}"

    @property
    def experiment(self) -> str:
        """The parent's name, which is also the name of MLflow's experiment."""
        return self.spec.name if isinstance(self.spec, ParentSpec) else self.parent.name if self.parent else ""

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the parameters that train, and of those of them that are randomly initialized.

        An addition initializes its new side, with the scope ``xattn-random`` also θ_xattn, and with ``scratch``
        all; what the scope adds is initialized, too.
        """
        if isinstance(self.spec, ParentSpec) or self.parent is None:
            names = parameter_names(self.architecture)
            if self.vocabularies == "own":
                names = stored_names(self.architecture, *(self.languages.tags(end) for end in ENDS))
            return names, names
        side, scope = self.base.side, self.spec.scope
        trained = trainable_names(self.architecture, scope, side)
        if scope == "scratch":
            return trained, trained
        fresh: list[Group] = [*ends_of(side)]
        if scope == "xattn-random":
            fresh.append("cross_attention")
        noise = tuple(name for group in fresh for name in group_names(self.architecture, group))
        return trained, (*noise, *self.added())

    def added(self) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of the tensors that the scope adds to the model."""
        if isinstance(self.spec, ParentSpec) or self.parent is None:
            return {}
        return added_shapes(self.architecture, self.spec.scope, self.base.side)

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the result, as JSON."""
        spec = self.spec.model_dump(mode="json", include={"pair", "scope", "vocabulary", "training", "seed"})
        identity: dict[str, Any] = {
            "version": IDENTITY_VERSIONS[self.kind],
            "kind": self.kind,
            "spec": spec,
            "architecture": self.architecture.to_json(),
            "parent": self.parent.fingerprint if self.parent else None,
        }
        if isinstance(self.spec, ParentSpec) and self.is_joint:
            identity["pairs"] = [
                [str(one.pair), one.train.summary.digest, one.dev.summary.digest, self.tokenization(one.pair)]
                for one in self.pairs
            ]
            identity["sampling_temperature"] = self.spec.sampling_temperature
            if self.spec.development_pairs:
                identity["development_pairs"] = self.spec.development_pairs
            if self.vocabularies == "own":
                identity["vocabularies"] = "own"
        else:
            identity |= {"train": self.train.summary.digest, "dev": self.dev.summary.digest}
        if self.start:
            identity["start"] = self.start.digest
        if self.parent and (self.base.side not in ENDS or self.base.rests_on.modules):
            digests = {part: key.digest for part, key in self.base.keys.items()}
            identity |= {"side": self.base.side, "rests_on": digests}
        # What came later is left out where it means what was meant before.
        if self.spec.tokenizer != "identity":
            identity["tokenizer"] = self.spec.tokenizer
        identity |= precision_entry(self.spec.stored_precision)
        if self.initialisation != "random":
            identity["initialisation"] = [self.initialisation, INITIALISATION_VERSION, self.word_translations]
        if self.lexicon:
            identity["lexicon"] = self.lexicon.digest
        if self.monolingual:
            identity["monolingual"] = self.monolingual.digest
        if self.init_text:
            identity["init_text"] = self.init_text.summary.digest
            if self.parent and self.parent.vocabularies == "own":  # its pair decides whose embeddings are started from
                identity["init_pair"] = str(self.init_text.corpus.pair)
        if self.back_translation:
            identity["back_translation"] = self.back_translation.identity
        if self.denoising:
            identity["denoising"] = self.denoising.identity
        if self.replayed:
            pairs = [(pair.train.summary.digest, pair.module.digest if pair.module else None) for pair in self.replayed]
            identity["replay"] = [self.replay, pairs]
        return identity


def sequence_identity(
    spec: SequenceSpec, jobs: Sequence[ResolvedJob], original: ResolvedCorpus | None = None
) -> dict[str, object]:
    """What identifies a sequence: its name, its mode and its additions in order.

    With replay also the share and ``original``, the parent's own text, if that is known.
    """
    version, additions = IDENTITY_VERSIONS["sequence"], [job.digest for job in jobs]
    identity: dict[str, object] = {"version": version, "name": spec.name, "additions": additions}
    if spec.mode != "separate":
        identity["mode"] = spec.mode
    if spec.replay:
        identity |= {"replay": spec.replay, "original": original.summary.digest if original else None}
    return identity


def sequence_digest(spec: SequenceSpec, jobs: Sequence[ResolvedJob], original: ResolvedCorpus | None = None) -> str:
    """The digest over the values of a sequence's identity, in their order."""
    identity = list(sequence_identity(spec, jobs, original).values())
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


FindBase = Callable[[ParentRecord, AdditionSpec], Base]
"""Finds what an addition is trained against."""

WithTable = Callable[[ParentRecord, bool], ParentRecord]
"""Makes a parent's word translation table, unless it has one, and returns the record that names it.

The second argument is whether the addition can do without, because it has a lexicon.
"""


def resolve(
    spec: ParentSpec | AdditionSpec,
    parent: ParentRecord | None,
    cache: Path,
    with_table: WithTable | None = None,
    find: FindBase | None = None,
    find_recipe: FindRecipe | None = None,
    find_frozen_side: FindFrozenSide | None = None,
) -> ResolvedJob:
    """Read every corpus of a spec. Raises all misuse found at once, before anything is trained or written.

    ``parent`` is the record of an addition's parent, None for a parent's own training; ``with_table`` is needed for
    additions, ``find`` for those that rest on other modules, ``find_recipe`` for those that back-translate, and
    ``find_frozen_side`` for those that denoise.
    """
    problems = Problems()
    base: Base | None = None
    if isinstance(spec, AdditionSpec) and parent is not None:
        languages, pair = parent.languages, parent.languages.pair_in_tags(Pair.parse(spec.pair))
        written = [{"pair": str(languages.pair_in_tags(Pair.parse(test.pair)))} for test in spec.tests]
        tests_in_tags = tuple(test.model_copy(update=tags) for test, tags in zip(spec.tests, written, strict=True))
        language = spec.init_language and languages.written_in_tags(spec.init_language)
        spec = spec.model_copy(update={"pair": str(pair), "tests": tests_in_tags, "init_language": language})
        base = problems.attempt(partial(find or _against_parent, parent, spec))
        if base is not None:
            names = tuple(module.full_name for module in base.rests_on.modules)
            spec = spec.model_copy(update={"scope": scope_on(spec, base), "on": names})
        spec = problems.attempt(partial(_with_fitted_scope, spec, parent)) or spec
    spec = with_tokenization(spec)
    pairs = [read_pair(one, spec, cache, problems) for one in spec.trained_pairs]
    tests = [problems.attempt(lambda test=test: read_test(test, cache)) for test in spec.tests]  # type: ignore[misc]
    initialisation: Initialisation | None = "random"
    lexicon = monolingual = init_text = table = alone = None
    if isinstance(spec, AdditionSpec) and parent is not None:
        alone = text_alone(spec, base, problems, find_recipe, find_frozen_side)
        spec, monolingual = alone.spec, alone.tokenizer
        owner, addition, train = parent, spec, pairs[0].train
        side = base.side if base is not None else "none"
        if base is not None and side in ENDS:
            new = side
            if path := spec.lexicon:
                lexicon = problems.attempt(lambda: read_fitting_lexicon(path, train, monolingual, new))
            problems.attempt(lambda: check_lexicon_leads_to_a_language(owner, pair, new, addition))
            start = problems.attempt(partial(start_of_addition, spec, owner, pair, base, new, train, cache))
            initialisation, init_text = start or (None, None)
        elif base is not None:
            problems.attempt(lambda: check_start_of(addition, side))
            initialisation = "shared" if side == "both" and spec.initialisation != "random" else "random"
    problems.raise_any(f"the spec of {_name(spec)}")
    assert initialisation is not None
    kept = tuple(test for test in tests if test is not None)
    if isinstance(spec, AdditionSpec) and parent is not None:
        assert base is not None
        language = spec.init_language if initialisation == "lexical" and init_text is None else None
        text_key = None if init_text is None else spec_of_text(init_text)  # its pair names the language
        started = {
            "initialisation": initialisation,
            "init_text": text_key,
            "init_language": language,
        }
        spec = spec.model_copy(update=started)
        has_evidence = init_text is not None or base.side not in ENDS or starts_directly(parent, pair, base.side)
        if initialisation == "lexical" and not has_evidence and not base.rests_on.modules:
            assert with_table is not None
            parent = with_table(parent, lexicon is not None)
            table = parent.pieces.get(WORD_TRANSLATIONS)
    architecture = architecture_of(spec, parent)
    return ResolvedJob(
        spec,
        resolved_pairs(spec, [one.read() for one in pairs]),
        parent,
        architecture,
        kept,
        initialisation=initialisation,
        lexicon=lexicon,
        monolingual=monolingual,
        init_text=init_text,
        word_translations=table,
        back_translation=None if alone is None else alone.back_translation,
        denoising=None if alone is None else alone.denoising,
        base=base or NO_BASE,
    )


def _against_parent(parent: ParentRecord, spec: AdditionSpec) -> Base:
    return Base(parent.languages.new_side(Pair.parse(spec.pair)))


def _name(spec: ParentSpec | AdditionSpec) -> str:
    return spec.name if isinstance(spec, ParentSpec) and spec.pairs else str(spec.pair)


def _with_fitted_scope(spec: AdditionSpec, parent: ParentRecord) -> AdditionSpec:
    """Write the scope in the spelling of a parent's architecture. Raises IncompatibleError if it does not fit."""
    try:
        return spec.model_copy(update={"scope": fitted(spec.scope, architecture_of(spec, parent))})
    except ValueError as error:
        raise IncompatibleError(f"scope: {error}") from error


def earlier_job(spec: ParentSpec | AdditionSpec, job: ResolvedJob) -> ResolvedJob:
    """The job that earlier versions resolved a spec to, without the keys that were filled in since."""
    tokenizer = spec.tokenizer if "tokenizer" in spec.model_fields_set else "identity"
    return replace(job, spec=job.spec.model_copy(update={"training": spec.training, "tokenizer": tokenizer}))


def architecture_of(spec: ParentSpec | AdditionSpec, parent: ParentRecord | None) -> Architecture:
    """The architecture of a new parent, or of the parent that a language is added to."""
    if isinstance(spec, ParentSpec):
        return spec.architecture
    assert parent is not None
    return Architecture.from_json(dict(parent.architecture))


def original_text(parent: ParentRecord, cache: Path) -> ResolvedCorpus | None:
    """What a parent was trained on, to be replayed; None if no corpus is recorded for it, as for an imported parent.

    Raises CorpusError if the text can no longer be read or has changed.
    """
    return parent_text(parent, cache, "put it back as it was, or leave out replay")
