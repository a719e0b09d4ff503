"""What an imported parent was made from: its lineage has this in place of a spec of a training."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, JsonValue, ValidationError

from continual_mt.artifacts.stored.stored_precision import StoredPrecision, precision_entry
from continual_mt.config.corpus_spec import Name, StrictModel

_KEY = "import"


class ImportSpec(StrictModel):
    """What ``continual-mt parent import`` imported. A parent's lineage stores it as ``{"import": {...}}``."""

    origin: Annotated[str, Field(description="name of the model on the Hub, or of the folder, without its path")]
    revision: Annotated[str | None, Field(description="commit's hash on the Hub; none for a folder")] = None
    licence: Annotated[str | None, Field(description="licence that the model card names")] = None
    family: Annotated[str, Field(description="family of models, such as marian or nllb")]
    pair: Annotated[
        str | None,
        # As it was typed: of two codes with one tag, the tag would choose another.
        Field(pattern="^[^-]+-[^-]+$", description="pair that was imported, in tags or codes; none if languages were"),
    ] = None
    languages: Annotated[
        tuple[str, ...], Field(description="languages that were chosen, as the model calls them; none: all")
    ] = ()
    name: Annotated[Name, Field(description="the parent's name")]
    denoising: Annotated[bool | None, Field(description="what --denoising or --no-denoising chose")] = None
    converted: Annotated[bool, Field(description="whether the weights were in pytorch_model.bin")] = False
    precision: Annotated[StoredPrecision, Field(description="format in which the weights are stored")] = "float32"

    @classmethod
    def of(cls, spec: Mapping[str, object]) -> ImportSpec | None:
        """Return what a recorded spec says was imported; None for a training, and for what this version cannot read."""
        try:
            return cls.model_validate(spec[_KEY], strict=False) if isinstance(spec.get(_KEY), dict) else None
        except ValidationError:
            return None

    def recorded(self) -> dict[str, JsonValue]:
        """Return the spec that a parent's lineage stores. Float32 is left out, as before there were others."""
        return {_KEY: {**self.model_dump(mode="json", exclude={"precision"}), **precision_entry(self.precision)}}

    @property
    def described(self) -> str:
        """``facebook/nllb-200-3.3B, revision 1a07f7d195896b2114afcb79b7b57ab512e7b43e, licence cc-by-nc-4.0``"""
        revision = f", revision {self.revision}" if self.revision else ""
        return f"{self.origin}{revision}, licence {self.licence or 'not stated'}"

    @property
    def brief(self) -> str:
        """As ``described``, with the first digits of the revision, for tables."""
        revision = f" at {self.revision[:12]}" if self.revision else ""
        return f"{self.origin}{revision}, {self.licence or 'licence not stated'}"

    @property
    def command(self) -> str:
        """The command that imports it again; of a folder, where that is now has to be added."""
        words = ["continual-mt", "parent", "import", self.origin if self.revision else f"FOLDER/{self.origin}"]
        words += ["--revision", self.revision] if self.revision else []
        words += ["--pair", self.pair] if self.pair else []
        words += ["--languages", ",".join(self.languages) or "all"] if not self.pair else []
        words += ["--name", self.name]
        words += {None: [], True: ["--denoising"], False: ["--no-denoising"]}[self.denoising]
        words += ["--convert"] if self.converted else []
        words += ["--precision", self.precision] if self.precision != "float32" else []
        return shlex.join(words)
