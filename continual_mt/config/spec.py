"""Specs: validated files that define what to train. All problems of a spec are reported at once, before work starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from continual_mt.artifacts.parent_languages import Vocabularies
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.config.corpus_spec import (
    CorpusSpec,
    InitTextSpec,
    Language,
    Name,
    PairText,
    StrictModel,
    TestSpec,
    Text,
    TrainedPair,
)
from continual_mt.config.hyperparameters import (
    RATES_OF_A_START,
    RATES_OF_ADDED_TENSORS,
    Initialisation,
    TrainingSettings,
)
from continual_mt.config.monolingual_spec import BackTranslationSpec, DenoisingSpec
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.data.tokenizer_training import TokenizerRule
from continual_mt.model.architecture import Architecture
from continual_mt.model.scopes import SCOPES, Scope, adds_tensors, canonical, without_layers
from continual_mt.urls import without_credentials

Vocabulary = Annotated[int, Field(ge=64, le=256_000)]
URL = Annotated[str, AfterValidator(without_credentials)]
SAMPLING_TEMPERATURE = 5.0
"""The default of Arivazhagan et al., *Massively Multilingual Neural Machine Translation in the Wild*, 2019."""
_ONE_PAIR = ("pair", "train", "dev")


class Resources(StrictModel):
    """The resources of a job. They are not part of its identity: it may be resumed with others."""

    workers: Annotated[int, Field(ge=1, description="processes that train together and share each update")] = 1
    cpus: Annotated[
        int | None, Field(ge=1, description="processors per worker; by default the workers share all of the machine's")
    ] = None
    gpus: Annotated[float, Field(ge=0, description="GPUs per worker")] = 0
    storage: Annotated[
        URL | None, Field(description="folder or URL of checkpoints; by default a folder in the home")
    ] = None
    wait_minutes: Annotated[float, Field(ge=0, description="minutes that an autoscaling cluster may take to grow")] = 0
    max_failures: Annotated[int, Field(ge=0, description="workers that may be lost before the job fails")] = 3


_PAIR = Field(description="SOURCE-TARGET, two language tags, such as de-en or pt_BR-en")
_TRAIN = Field(description="text to train on")
_DEV = Field(description="text that chooses the checkpoint")


class _TrainingSpec(StrictModel):
    # Only a parent's spec may have pairs instead of these three.
    pair: Annotated[PairText | None, _PAIR]
    train: Annotated[CorpusSpec | None, _TRAIN]
    dev: Annotated[CorpusSpec | None, _DEV]
    tests: Annotated[tuple[TestSpec, ...], Field(description="test sets; all recipes of their pairs are scored")] = ()
    training: Annotated[TrainingSettings, Field(description="hyper-parameters")] = Field(
        default_factory=TrainingSettings
    )
    tokenizer: Annotated[
        TokenizerRule,
        Field(
            description="how tokenizers read text: nfc-bytes reads NFC, any white space as a space, and spells rare "
            "characters in bytes; identity reads characters as they are and leaves out the rarest, as earlier versions"
        ),
    ] = "nfc-bytes"
    stored_precision: Annotated[
        StoredPrecision,
        Field(
            description="format in which the weights are stored: float32; float16 or bfloat16, which take half the "
            "bytes; int8, which takes a quarter; they are rounded before anything is scored"
        ),
    ] = "float32"
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of weights, order and dropout")] = 1
    beam: Annotated[int, Field(ge=1, le=64, description="beam width of the scores after training; 1 is greedy")] = 5
    resources: Annotated[Resources, Field(description="what the job may use")] = Field(default_factory=Resources)

    # A validator of the field: those of a model run only if its fields are valid, and all problems are to be listed.
    @field_validator("resources")
    @classmethod
    def _workers_share_updates(cls, resources: Resources, info: ValidationInfo) -> Resources:
        training = info.data.get("training")
        if isinstance(training, TrainingSettings) and training.accumulate % resources.workers:
            raise ValueError(
                f"training.accumulate ({training.accumulate}) must be a multiple of resources.workers "
                f"({resources.workers}), so that updates do not depend on the number of workers"
            )
        return resources

    @property
    def trained_pairs(self) -> tuple[TrainedPair, ...]:
        """The pairs to train on, with their text."""
        assert self.pair is not None
        assert self.train is not None
        assert self.dev is not None
        return (TrainedPair(pair=self.pair, train=self.train, dev=self.dev),)


class VocabularySpec(StrictModel):
    """Vocabulary sizes. The default is one type for every 100 tokens of the corpus.

    All languages of an end share its vocabulary and its embedding table. With ``vocabularies: own`` these are the sizes
    for each language of an end.
    """

    source: Annotated[Vocabulary | None, Field(description="types of the source side")] = None
    target: Annotated[Vocabulary | None, Field(description="types of the target side")] = None


class ParentSpec(_TrainingSpec):
    """The spec of ``continual-mt parent train``. Either ``pair``, ``train`` and ``dev`` are required, or ``pairs``."""

    # A validator of the field: those of a model run only if its fields are valid.
    @field_validator("training")
    @classmethod
    def _parents_are_trained(cls, training: TrainingSettings) -> TrainingSettings:
        if training.updates == 0:
            raise ValueError("updates: a parent has to be trained; expected at least 1")
        return training

    name: Annotated[Name, Field(description="name of the parent; on the command line, by default, the pair")]
    pairs: Annotated[
        tuple[TrainedPair, ...],
        Field(
            validate_default=True,
            description="the pairs of a parent of several languages, instead of pair, train and dev",
        ),
    ] = ()
    development_pairs: Annotated[
        tuple[PairText, ...],
        Field(
            description="the pairs whose development scores choose the checkpoint, such as [ha-en], if the others only "
            "support them; by default all; used only with pairs",
        ),
    ] = ()
    sampling_temperature: Annotated[
        float,
        Field(
            ge=1,
            allow_inf_nan=False,
            description="how much the sentences of small pairs are repeated: a pair of n sentence pairs has a share in "
            "proportion to n^(1/temperature); at 1 nothing is repeated; used only with pairs",
        ),
    ] = SAMPLING_TEMPERATURE
    vocabularies: Annotated[
        Vocabularies,
        Field(
            description="shared: the languages of an end have one vocabulary and embedding table, and sentences name "
            "their languages; own: each language has its own of both, and batches are of one pair; used only with pairs"
        ),
    ] = "shared"
    architecture: Annotated[Architecture, Field(description="shape of the network")] = Field(
        default_factory=Architecture
    )
    vocabulary: Annotated[VocabularySpec, Field(description="sizes of the two vocabularies")] = Field(
        default_factory=VocabularySpec
    )

    @model_validator(mode="before")
    @classmethod
    def _pairs_are_instead(cls, values: Any) -> Any:
        """Without ``pairs`` a parent needs the three keys of one pair, as before there were others."""
        if isinstance(values, dict) and values.get("pairs"):
            return {**dict.fromkeys(_ONE_PAIR), **values}
        return values

    @field_validator("pairs")
    @classmethod
    def _check_pairs(cls, pairs: tuple[TrainedPair, ...], info: ValidationInfo) -> tuple[TrainedPair, ...]:
        given = [key for key in _ONE_PAIR if info.data.get(key) is not None]
        missing = [key for key in _ONE_PAIR if key in info.data and info.data[key] is None]
        if not pairs:
            if missing:
                raise ValueError(f"neither pairs nor {', '.join(missing)}; expected pair, train and dev, or pairs")
            return pairs
        names = [one.pair for one in pairs]
        doubled = sorted({name for name in names if names.count(name) > 1})
        problems = [f"expected no {', '.join(given)} beside it"] if given else []
        problems += [f"{', '.join(doubled)} is listed more than once"] if doubled else []
        problems += ["one pair; expected several. Fix: write pair, train and dev"] if len(pairs) == 1 else []
        if problems:
            raise ValueError("; ".join(problems))
        return pairs

    @field_validator("development_pairs")
    @classmethod
    def _are_trained(cls, chosen: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Sorted, and empty for all pairs: equal choices are written alike."""
        if "pairs" not in info.data or not chosen:
            return chosen
        names = {one.pair for one in info.data["pairs"]}
        if not names:
            raise ValueError("is used only with pairs. Fix: remove it")
        if unknown := sorted(set(chosen) - names):
            raise ValueError(
                f"{', '.join(unknown)} is not listed in pairs; expected some of {', '.join(sorted(names))}"
            )
        return tuple(sorted(set(chosen))) if set(chosen) != names else ()

    @field_validator("sampling_temperature")
    @classmethod
    def _pairs_are_sampled(cls, temperature: float, info: ValidationInfo) -> float:
        if info.data.get("pairs") == ():
            raise ValueError("is used only with pairs. Fix: remove it")
        return temperature

    @field_validator("vocabularies")
    @classmethod
    def _pairs_have_vocabularies(cls, vocabularies: Vocabularies, info: ValidationInfo) -> Vocabularies:
        if vocabularies == "own" and info.data.get("pairs") == ():
            raise ValueError("own is used only with pairs: the languages of one pair share nothing. Fix: remove it")
        return vocabularies

    @model_serializer(mode="wrap")
    def _leave_out_the_other_way(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A spec is written as before there were others like it, so that earlier records read the same."""
        unused = _ONE_PAIR if self.pairs else ("pairs", "sampling_temperature")
        if self.vocabularies == "shared":
            unused = (*unused, "vocabularies")
        if not self.development_pairs:
            unused = (*unused, "development_pairs")
        return {key: value for key, value in write(self).items() if key not in unused}

    @property
    def trained_pairs(self) -> tuple[TrainedPair, ...]:
        """The pairs with their text, by pair: their order in the spec decides nothing."""
        return tuple(sorted(self.pairs, key=lambda one: one.pair)) or super().trained_pairs


DEFAULT_SCOPE: Scope = "half"


class AdditionSpec(_TrainingSpec):
    """The spec of ``continual-mt add``: a language to add to a parent."""

    pair: Annotated[PairText, _PAIR]
    train: Annotated[CorpusSpec, _TRAIN]
    dev: Annotated[CorpusSpec, _DEV]
    parent: Annotated[Name | None, Field(description="the parent; required where the registry has several")] = None
    scope: Annotated[
        Scope,
        AfterValidator(canonical),
        Field(description=f"which parameters are trained: {', '.join(SCOPES)}; by default embeddings without updates"),
    ] = DEFAULT_SCOPE
    initialisation: Annotated[
        Initialisation | None,
        Field(
            validate_default=True,
            description="how new embeddings start: lexical, from word translations; shared, from the parent's equal "
            "pieces; random. By default lexical where the parent's text is on record, else shared",
        ),
    ] = None
    lexicon: Annotated[
        Text | None,
        Field(
            description="word translations for lexical: a new word, a tab, a word of the parent's language it replaces"
        ),
    ] = None
    init_text: Annotated[
        InitTextSpec | None,
        Field(
            description="text of a pair of the parent for lexical, where its training text is not on record, as that "
            "of an imported parent"
        ),
    ] = None
    init_language: Annotated[
        Language | None,
        Field(
            description="the parent's language whose embeddings lexical starts from, where each has its own "
            "vocabulary: one that the parent was trained to translate into, or from, the pair's other language, with "
            "text on record (by default the one with the most text); or that other language itself"
        ),
    ] = None
    monolingual: Annotated[
        Text | None,
        Field(
            description="text of the new language without translation, for its tokenizer; by default that of "
            "denoising, or of back_translation if the new language is the target"
        ),
    ] = None
    back_translation: Annotated[
        BackTranslationSpec | None,
        Field(description="text of the target language without translation, which a recipe translates"),
    ] = None
    denoising: Annotated[
        DenoisingSpec | None,
        Field(description="text of the new language without translation, which is restored from noised copies"),
    ] = None
    bridge: Annotated[
        bool, Field(description="train only the cross-attention between two sides that exist already")
    ] = False
    both_new: Annotated[bool, Field(description="train the sides of two new languages at once")] = False
    on: Annotated[tuple[str, ...], Field(description="modules to train against, where several bring one language")] = ()
    vocabulary: Annotated[
        Vocabulary | None,
        Field(description="types of the new side; by default what the corpus and the initialisation make possible"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in_defaults(cls, values: Any) -> Any:
        """Write defaults that depend on other keys into the spec: the scope without training, and the rates.

        Rates of groups that have none are filled in, unless there is one for all or embeddings start as noise.
        """
        if not isinstance(values, dict):
            return values
        training = values.get("training", {})
        if isinstance(training, TrainingSettings):
            training = training.model_dump(include=training.model_fields_set)
        if not isinstance(training, dict):
            return values
        if values.get("bridge") or values.get("both_new"):  # neither trains a half of the model
            values = {"scope": "xattn", **values}
        if training.get("updates") == 0:  # the embeddings are all that differs from the parent
            values = {"scope": "embeddings", **values}
        if "random" in (values.get("initialisation"), _start(values.get("scope"))) or "learning_rate" in training:
            return values
        given = training.get("learning_rates", {})
        if not isinstance(given, dict):
            return values
        rates = {**RATES_OF_A_START, **(RATES_OF_ADDED_TENSORS if adds_tensors(values.get("scope")) else {})}
        return {**values, "training": {**training, "learning_rates": {**rates, **given}}}

    @model_serializer(mode="wrap")
    def _leave_out_the_usual(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An addition against the parent is written as before there were others, so that earlier versions read it."""
        later = ("init_language", "back_translation", "denoising", "bridge", "both_new", "on")
        unused = [key for key in later if not getattr(self, key)]
        return {key: value for key, value in write(self).items() if key not in unused}

    @field_validator("back_translation", "denoising")
    @classmethod
    def _is_trained_on(
        cls, given: BackTranslationSpec | DenoisingSpec | None, info: ValidationInfo
    ) -> BackTranslationSpec | DenoisingSpec | None:
        training, other = info.data.get("training"), info.data.get("back_translation")
        if given is not None and isinstance(training, TrainingSettings) and training.updates == 0:
            raise ValueError("nothing is trained on it with training.updates 0. Fix: leave out one of the two")
        if (
            isinstance(given, DenoisingSpec)
            and isinstance(other, BackTranslationSpec)
            and given.share + other.share >= 1
        ):
            raise ValueError(
                f"share {given.share} and that of back_translation, {other.share}, leave no batches to the training "
                "text; expected a sum below 1"
            )
        return given

    @field_validator("both_new")
    @classmethod
    def _no_bridge(cls, both_new: bool, info: ValidationInfo) -> bool:
        if both_new and info.data.get("bridge"):
            raise ValueError("a bridge connects two sides that exist; expected bridge or both_new, not both")
        return both_new

    @field_validator("initialisation")
    @classmethod
    def _something_is_learned(cls, chosen: Initialisation | None, info: ValidationInfo) -> Initialisation | None:
        training, scope = info.data.get("training"), info.data.get("scope")
        if scope == "scratch" and chosen not in (None, "random"):
            raise ValueError(f"{chosen}: the scope scratch starts everything from noise; expected random")
        untrained = isinstance(training, TrainingSettings) and training.updates == 0
        if untrained and "random" in (chosen, _start(scope)):
            raise ValueError("random with training.updates 0 would be noise; expected lexical or shared")
        if untrained and scope == "xattn-random":
            raise ValueError("the scope xattn-random with training.updates 0 would be noise; expected another scope")
        return chosen

    @field_validator("init_language")
    @classmethod
    def _names_no_other(cls, language: str | None, info: ValidationInfo) -> str | None:
        if language is not None and info.data.get("init_text") is not None:
            raise ValueError("the pair of init_text names the language already; expected one of the two keys")
        return language

    @field_validator("lexicon", "init_text", "init_language")
    @classmethod
    def _is_used(
        cls, given: TextPlace | CorpusSpec | str | None, info: ValidationInfo
    ) -> TextPlace | CorpusSpec | str | None:
        chosen = info.data.get("initialisation")
        if given is not None and (chosen in ("shared", "random") or info.data.get("scope") == "scratch"):
            raise ValueError(f"is used by initialisation lexical only, not by {chosen or 'the scope scratch'}")
        return given


def _start(scope: object) -> Initialisation | None:
    """The start that a scope leaves no choice of."""
    return "random" if isinstance(scope, str) and scope.strip() == "scratch" else None


class SequenceSpec(StrictModel):
    """The spec of ``continual-mt sequence run``: additions to one parent, in order.

    Keys beside ``additions`` are defaults for each of them. In the mode ``shared``, a baseline that forgets, each
    addition starts from the cross-attention of the one before instead of the parent's, and the default scope is
    ``xattn``; ``replay`` is then the fraction of all batches that come from earlier pairs.
    """

    name: Annotated[Name, Field(description="name of the sequence")]
    parent: Annotated[Name, Field(description="the parent of all additions")]
    mode: Annotated[
        Literal["separate", "shared"], Field(description="one cross-attention each, or one that all go on training")
    ] = "separate"
    replay: Annotated[
        float, Field(ge=0, lt=1, description="share of batches from earlier pairs; only in the mode shared")
    ] = 0
    additions: Annotated[tuple[AdditionSpec, ...], Field(description="the additions, in order")]

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("additions"), list):
            return values
        own = {"name", "parent", "mode", "replay", "additions"}
        shared = {key: value for key, value in values.items() if key not in own}
        shared["parent"] = values.get("parent")
        if values.get("mode") == "shared":  # one cross-attention for all: the default scope would train other parts
            shared.setdefault("scope", "xattn")
        merged = [
            _lay(shared, addition) if isinstance(addition, dict) else addition for addition in values["additions"]
        ]
        return {key: value for key, value in values.items() if key in own} | {"additions": merged}

    @field_validator("replay")
    @classmethod
    def _replay_needs_shared(cls, replay: float, info: ValidationInfo) -> float:
        if replay and info.data.get("mode") == "separate":
            raise ValueError("only the mode shared replays. Fix: set mode: shared, or remove replay")
        return replay

    @field_validator("additions")
    @classmethod
    def _check_additions(cls, additions: tuple[AdditionSpec, ...], info: ValidationInfo) -> tuple[AdditionSpec, ...]:
        if not additions:
            raise ValueError("empty; expected at least one addition")
        pairs = [addition.pair for addition in additions]
        doubled = sorted({pair for pair in pairs if pairs.count(pair) > 1})
        if doubled:
            raise ValueError(f"{', '.join(doubled)} is listed more than once")
        parent = info.data.get("parent")
        if parent is not None and any(addition.parent != parent for addition in additions):
            raise ValueError(f"expected the sequence's parent, {parent}, in every addition")
        if info.data.get("mode") == "shared":
            check_shared((addition.scope for addition in additions), any_layers=True)
        return additions


def check_shared(scopes: Iterable[Scope], *, any_layers: bool = False) -> None:
    """Raise ValueError unless additions with these scopes can all go on training one cross-attention.

    ``any_layers`` accepts ``xattn`` of chosen layers: they may be all that the parent has, which is known later.
    """
    given = sorted(set(scopes))
    if {without_layers(scope) if any_layers else scope for scope in given} not in ({"xattn"}, {"body"}):
        raise ValueError(
            f"scope {', '.join(given)}: the mode shared trains one cross-attention for all languages; expected xattn "
            "in all additions, or body in all"
        )


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two nested mappings. Values of ``over`` replace those of ``under``; only mappings are merged."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _lay(shared: Mapping[str, Any], addition: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the shared keys of a sequence. Corpora are replaced, not merged: source and target belong together."""
    return merge(shared, addition) | {key: addition[key] for key in ("train", "dev") if key in addition}
