"""The text that a spec names: corpora and test sets, as files, URLs or the embedded catalogs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic_core import core_schema

from continual_mt.data.corpora.catalogs import CatalogCorpus
from continual_mt.data.corpora.corpus import Corpus
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.corpora.text_url import TextPlace, TextURL, check_driver, text_place
from continual_mt.data.corpora.tsv import TabSeparated
from continual_mt.errors import ContinualMTError
from continual_mt.home import expanded
from continual_mt.languages import Pair, parse_language
from continual_mt.urls import is_url


def _text_place(value: Any, handler: Callable[[Any], Path], info: ValidationInfo) -> TextPlace:
    """A path or a URL. What is read from a spec must exist, or have a driver; a record may be older than the text."""
    place = value if isinstance(value, TextURL) else text_place(value) if isinstance(value, str) else None
    if isinstance(place, TextURL):
        if (info.context or {}).get("base") is not None:
            check_driver(place)
        return place
    path = handler(value if place is None else place)
    if is_url(str(path)):
        raise ValueError(f"malformed URL: {path}; expected PROTOCOL://…, or an absolute path if its name contains ':'")
    return _absolute(path, info)


def _absolute(path: Path, info: ValidationInfo) -> Path:
    """Make a path absolute, relative to the spec's folder: workers run in another folder.

    The file must exist when a spec is read. A spec from the registry may name files that were deleted since.
    """
    base = (info.context or {}).get("base")
    absolute = Path(base or Path.cwd(), expanded(path)).absolute()
    if base is not None and absolute.is_dir():
        raise ValueError(f"is a folder; expected a file: {absolute}")
    if base is not None and not absolute.exists():
        raise ValueError(f"file does not exist: {absolute}")
    return absolute


def _normal_language(text: str) -> str:
    try:
        return parse_language(text)
    except ContinualMTError as error:
        raise ValueError(str(error)) from error


def _normal_pair(text: str) -> str:
    try:
        return str(Pair.parse(text))
    except ContinualMTError as error:
        raise ValueError(str(error)) from error


class _TextPlaceSchema:
    """How pydantic checks and writes a `TextPlace`: as a path, but for what is a URL."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_wrap_validator_function(
            _text_place, handler(Path), serialization=core_schema.to_string_ser_schema()
        )


Text = Annotated[TextPlace, _TextPlaceSchema]
Language = Annotated[str, AfterValidator(_normal_language)]
PairText = Annotated[str, AfterValidator(_normal_pair)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]


class StrictModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CorpusSpec(StrictModel):
    """A source of sentence pairs: two aligned files, a TSV file, or a split of the embedded catalogs.

    A file is a path, or any URL that fsspec has a driver for, such as s3://BUCKET/train.de.gz; without credentials.
    Files may be plain or compressed by gzip, xz, bzip2 or zstd.
    """

    source: Annotated[Text | None, Field(description="file or URL of source sentences, one per line")] = None
    target: Annotated[Text | None, Field(description="file or URL of their translations, line by line")] = None
    tsv: Annotated[Text | None, Field(description="tab-separated file or URL, instead of source and target")] = None
    source_column: Annotated[int, Field(ge=0, description="column of the source in tsv, counted from 0")] = 0
    target_column: Annotated[int, Field(ge=0, description="column of the translation in tsv, counted from 0")] = 1
    ragged: Annotated[
        bool, Field(description="read rows of tsv with another number of columns than most, as earlier versions did")
    ] = False
    catalogs: Annotated[
        Literal["train", "dev", "test"] | None,
        Field(description="split of the demo's text (en, es, pt, de), instead of files"),
    ] = None
    licence: Annotated[str | None, Field(description="licence of the text, kept in the module's lineage")] = None

    @model_validator(mode="after")
    def _one_kind(self) -> CorpusSpec:
        kinds = [bool(self.source or self.target), bool(self.tsv), bool(self.catalogs)]
        if sum(kinds) != 1:
            raise ValueError("expected exactly one of: source and target, tsv, catalogs")
        if kinds[0] and not (self.source and self.target):
            raise ValueError("expected both source and target")
        if kinds[0] and self.source == self.target:
            raise ValueError(f"source and target are the same file, {self.source}")
        if self.source_column == self.target_column:
            raise ValueError("source_column and target_column must differ")
        return self

    def open(self, pair: Pair, cache: Path) -> Corpus:
        """Return the reader for this corpus, without reading. Catalogs are cached in the folder ``cache``."""
        if self.source and self.target:
            return TextFiles(pair, self.source, self.target, licence=self.licence)
        if self.tsv:
            return TabSeparated(
                pair, self.tsv, self.source_column, self.target_column, licence=self.licence, ragged=self.ragged
            )
        return CatalogCorpus(pair, self.catalogs or "train", cache)


class TestSpec(CorpusSpec):
    """A test set of one pair. Every recipe for that pair is scored on it."""

    pair: Annotated[PairText, Field(description="pair that the test set is for, such as de-en")]
    name: Annotated[Name, Field(description="name of the test set, which scores are listed under")] = "test"


class InitTextSpec(CorpusSpec):
    """Text of a pair of the parent, through which the embeddings of an addition start."""

    pair: Annotated[
        PairText | None,
        Field(
            description="the parent's pair, such as en-fr; required where the parent has several pairs with the "
            "language that the new one is translated from or into"
        ),
    ] = None


class TrainedPair(StrictModel):
    """A pair to train on, with its text."""

    pair: Annotated[PairText, Field(description="SOURCE-TARGET, two language tags, such as de-en or pt_BR-en")]
    train: Annotated[CorpusSpec, Field(description="text of the pair to train on")]
    dev: Annotated[CorpusSpec, Field(description="text of the pair that is scored to choose the checkpoint")]
    development_tokenization: Annotated[
        str | None, Field(description="tokenization of BLEU on dev; by default what fits the target language")
    ] = None
