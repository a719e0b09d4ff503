"""Specs: the validated files that say what to train. Every problem in one is reported at once, before work starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.corpora.catalogs import CatalogCorpus
from continual_mt.data.corpora.corpus import Corpus
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.corpora.tsv import TabSeparated
from continual_mt.errors import ContinualMTError
from continual_mt.home import expanded
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, Scope
from continual_mt.urls import without_credentials


def _absolute(path: Path, info: ValidationInfo) -> Path:
    """Relative paths count from the spec's own folder; workers change directory, so none stays relative.

    Of a spec that is being read, the file must be there; what is on record may name files that have gone since.
    """
    base = (info.context or {}).get("base")
    absolute = Path(base or Path.cwd(), expanded(path)).absolute()
    if base is not None and not absolute.is_file():
        raise ValueError(f"there is no file {absolute}")
    return absolute


def _normal_pair(text: str) -> str:
    try:
        return str(Pair.parse(text))
    except ContinualMTError as error:
        raise ValueError(str(error)) from error


FilePath = Annotated[Path, AfterValidator(_absolute)]
PairText = Annotated[str, AfterValidator(_normal_pair)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
Vocabulary = Annotated[int, Field(ge=64, le=256_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CorpusSpec(_Strict):
    """Where sentence pairs come from: two aligned files, a TSV, or a split of the embedded catalogs.

    Text may be plain, ``.gz`` or ``.zst``.
    """

    source: Annotated[FilePath | None, Field(description="file of source sentences, one per line")] = None
    target: Annotated[FilePath | None, Field(description="file of their translations, line by line")] = None
    tsv: Annotated[FilePath | None, Field(description="tab-separated file, instead of source and target")] = None
    source_column: Annotated[int, Field(ge=0, description="column of the source in tsv, counted from 0")] = 0
    target_column: Annotated[int, Field(ge=0, description="column of the translation in tsv, counted from 0")] = 1
    catalogs: Annotated[
        Literal["train", "dev", "test"] | None,
        Field(description="split of the demo's text (en, es, pt, de), instead of files"),
    ] = None
    licence: Annotated[str | None, Field(description="licence of the text, kept in the module's lineage")] = None

    @model_validator(mode="after")
    def _one_kind(self) -> CorpusSpec:
        kinds = [bool(self.source or self.target), bool(self.tsv), bool(self.catalogs)]
        if sum(kinds) != 1:
            raise ValueError("give exactly one of: source and target, tsv, catalogs")
        if kinds[0] and not (self.source and self.target):
            raise ValueError("give both source and target")
        if self.source_column == self.target_column:
            raise ValueError("source_column and target_column are the same")
        return self

    def open(self, pair: Pair, cache: Path) -> Corpus:
        """The reader for this corpus; ``cache`` is where catalogs are kept. Nothing is read yet."""
        if self.source and self.target:
            return TextFiles(pair, self.source, self.target, licence=self.licence)
        if self.tsv:
            return TabSeparated(pair, self.tsv, self.source_column, self.target_column, licence=self.licence)
        return CatalogCorpus(pair, self.catalogs or "train", cache)


class TestSpec(CorpusSpec):
    """A test set for one pair; every recipe for that pair is scored on it."""

    pair: Annotated[PairText, Field(description="pair that the test set is for, such as de-en")]
    name: Annotated[Name, Field(description="name of the test set, which scores are listed under")] = "test"


URL = Annotated[str, AfterValidator(without_credentials)]


class Resources(_Strict):
    """What a job may use. Not part of the job's identity: the same work may go on elsewhere."""

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


class _TrainingSpec(_Strict):
    pair: Annotated[PairText, Field(description="SOURCE-TARGET, two language tags, such as de-en or pt_BR-en")]
    train: Annotated[CorpusSpec, Field(description="text to train on")]
    dev: Annotated[CorpusSpec, Field(description="text that chooses the checkpoint")]
    tests: Annotated[tuple[TestSpec, ...], Field(description="test sets; all recipes of their pairs are scored")] = ()
    training: Annotated[TrainingSettings, Field(description="hyper-parameters")] = Field(
        default_factory=TrainingSettings
    )
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of weights, order and dropout")] = 1
    beam: Annotated[int, Field(ge=1, le=64, description="beam width of the scores after training; 1 is greedy")] = 5
    resources: Annotated[Resources, Field(description="what the job may use")] = Field(default_factory=Resources)

    # A field's validator and not the model's: those run only when nothing else is wrong, and all problems are listed.
    @field_validator("resources")
    @classmethod
    def _workers_share_updates(cls, resources: Resources, info: ValidationInfo) -> Resources:
        training = info.data.get("training")
        if isinstance(training, TrainingSettings) and training.accumulate % resources.workers:
            raise ValueError(
                f"training.accumulate ({training.accumulate}) must be a multiple of resources.workers "
                f"({resources.workers}), so that an update is the same however many workers share it"
            )
        return resources


class VocabularySpec(_Strict):
    """Types a side; by default as many as leave 100 tokens of the corpus a type."""

    source: Annotated[Vocabulary | None, Field(description="types of the source side")] = None
    target: Annotated[Vocabulary | None, Field(description="types of the target side")] = None


class ParentSpec(_TrainingSpec):
    """A parent to train: ``continual-mt parent train``."""

    name: Annotated[Name, Field(description="name of the parent; on the command line, by default, the pair")]
    architecture: Annotated[Architecture, Field(description="shape of the network")] = Field(
        default_factory=Architecture
    )
    vocabulary: Annotated[VocabularySpec, Field(description="sizes of the two vocabularies")] = Field(
        default_factory=VocabularySpec
    )


class AdditionSpec(_TrainingSpec):
    """A language to add to a parent: ``continual-mt add``."""

    parent: Annotated[Name | None, Field(description="the parent; required where the registry has several")] = None
    scope: Annotated[Scope, Field(description="which parameters are trained")] = "xattn"
    vocabulary: Annotated[
        Vocabulary | None,
        Field(description="types of the new side; by default one for every 100 tokens of the corpus"),
    ] = None


class SequenceSpec(_Strict):
    """Additions to one parent, in order. What stands beside ``additions`` holds for each that says nothing else.

    In the mode ``shared``, a contrast that does forget, each addition goes on with the cross-attention of the one
    before, instead of with the parent's. There ``replay`` is the share of all batches that come from earlier pairs.
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
        merged = [
            _lay(shared, addition) if isinstance(addition, dict) else addition for addition in values["additions"]
        ]
        return {key: value for key, value in values.items() if key in own} | {"additions": merged}

    @field_validator("replay")
    @classmethod
    def _where_something_is_forgotten(cls, replay: float, info: ValidationInfo) -> float:
        if replay and info.data.get("mode") == "separate":
            raise ValueError("the mode separate forgets nothing; set mode: shared, or leave replay out")
        return replay

    @field_validator("additions")
    @classmethod
    def _sound(cls, additions: tuple[AdditionSpec, ...], info: ValidationInfo) -> tuple[AdditionSpec, ...]:
        if not additions:
            raise ValueError("there is none; name at least one")
        pairs = [addition.pair for addition in additions]
        doubled = sorted({pair for pair in pairs if pairs.count(pair) > 1})
        if doubled:
            raise ValueError(f"{', '.join(doubled)} stands there more than once")
        parent = info.data.get("parent")
        if parent is not None and any(addition.parent != parent for addition in additions):
            raise ValueError(f"every addition of a sequence is to its parent, {parent}")
        scopes = sorted({addition.scope for addition in additions})
        if info.data.get("mode") == "shared" and scopes not in (["xattn"], ["body"]):
            raise ValueError(
                f"scope {', '.join(scopes)}: in the mode shared one cross-attention is trained through all languages, "
                "so all additions have the scope xattn, or all of them body"
            )
        return additions


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``under``, mapping by mapping; nothing else is combined."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _lay(shared: Mapping[str, Any], addition: Mapping[str, Any]) -> dict[str, Any]:
    """What is shared, under an addition. A corpus replaces the shared one: half of each would be neither."""
    return merge(shared, addition) | {key: addition[key] for key in ("train", "dev") if key in addition}
