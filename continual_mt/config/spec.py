"""Specs: validated files that define what to train. All problems of a spec are reported at once, before work starts."""

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
    """Make a path absolute, relative to the spec's folder: workers run in another folder.

    The file must exist when a spec is read. A spec from the registry may name files that were deleted since.
    """
    base = (info.context or {}).get("base")
    absolute = Path(base or Path.cwd(), expanded(path)).absolute()
    if base is not None and not absolute.is_file():
        raise ValueError(f"file does not exist: {absolute}")
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
    """A source of sentence pairs: two aligned files, a TSV file, or a split of the embedded catalogs.

    Files may be plain, ``.gz`` or ``.zst``.
    """

    source: FilePath | None = None
    target: FilePath | None = None
    tsv: FilePath | None = None
    source_column: Annotated[int, Field(ge=0)] = 0
    target_column: Annotated[int, Field(ge=0)] = 1
    catalogs: Literal["train", "dev", "test"] | None = None
    licence: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> CorpusSpec:
        kinds = [bool(self.source or self.target), bool(self.tsv), bool(self.catalogs)]
        if sum(kinds) != 1:
            raise ValueError("expected exactly one of: source and target, tsv, catalogs")
        if kinds[0] and not (self.source and self.target):
            raise ValueError("expected both source and target")
        if self.source_column == self.target_column:
            raise ValueError("source_column and target_column must differ")
        return self

    def open(self, pair: Pair, cache: Path) -> Corpus:
        """Return the reader for this corpus, without reading. Catalogs are cached in the folder ``cache``."""
        if self.source and self.target:
            return TextFiles(pair, self.source, self.target, licence=self.licence)
        if self.tsv:
            return TabSeparated(pair, self.tsv, self.source_column, self.target_column, licence=self.licence)
        return CatalogCorpus(pair, self.catalogs or "train", cache)


class TestSpec(CorpusSpec):
    """A test set of one pair. Every recipe for that pair is scored on it."""

    pair: PairText
    name: Name = "test"


URL = Annotated[str, AfterValidator(without_credentials)]


class Resources(_Strict):
    """The resources of a job. They are not part of its identity: it may be resumed with others."""

    workers: Annotated[int, Field(ge=1)] = 1
    cpus: Annotated[
        int | None, Field(ge=1, description="per worker; by default all CPUs of the cluster, divided evenly")
    ] = None
    gpus: Annotated[float, Field(ge=0, description="per worker")] = 0
    storage: Annotated[
        URL | None, Field(description="where Ray keeps checkpoints; by default a folder in the home")
    ] = None
    wait_minutes: Annotated[float, Field(ge=0, description="how long to wait for an autoscaling cluster to grow")] = 0
    max_failures: Annotated[int, Field(ge=0, description="how many lost workers are replaced before the job fails")] = 3


class _TrainingSpec(_Strict):
    pair: PairText
    train: CorpusSpec
    dev: CorpusSpec
    tests: tuple[TestSpec, ...] = ()
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    beam: Annotated[
        int, Field(ge=1, le=64, description="beam size for the scores after training; 1 is greedy search")
    ] = 5
    resources: Resources = Field(default_factory=Resources)

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


class VocabularySpec(_Strict):
    """Vocabulary sizes. The default is one type for every 100 tokens of the corpus."""

    source: Vocabulary | None = None
    target: Vocabulary | None = None


class ParentSpec(_TrainingSpec):
    """The spec of ``continual-mt parent train``."""

    name: Name
    architecture: Architecture = Field(default_factory=Architecture)
    vocabulary: VocabularySpec = Field(default_factory=VocabularySpec)


class AdditionSpec(_TrainingSpec):
    """The spec of ``continual-mt add``: a language to add to a parent."""

    parent: Name | None = None
    scope: Scope = "xattn"
    vocabulary: Vocabulary | None = None


class SequenceSpec(_Strict):
    """The spec of ``continual-mt sequence run``: additions to one parent, in order.

    Keys beside ``additions`` are defaults for each of them. In the mode ``shared``, a baseline that forgets, each
    addition starts from the cross-attention of the one before instead of the parent's; ``replay`` is then the fraction
    of all batches that come from earlier pairs.
    """

    name: Name
    parent: Name
    mode: Literal["separate", "shared"] = "separate"
    replay: Annotated[float, Field(ge=0, lt=1)] = 0
    additions: tuple[AdditionSpec, ...]

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
        scopes = sorted({addition.scope for addition in additions})
        if info.data.get("mode") == "shared" and scopes not in (["xattn"], ["body"]):
            raise ValueError(
                f"scope {', '.join(scopes)}: the mode shared trains one cross-attention for all languages; expected "
                "xattn in all additions, or body in all"
            )
        return additions


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
