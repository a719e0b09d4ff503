"""What an addition does with text that has no translation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from continual_mt.config.corpus_spec import Name, StrictModel, Text

_Licence = Annotated[str | None, Field(description="licence of the text, kept in the module's lineage")]


class BackTranslationSpec(StrictModel):
    """Text of the pair's target language that a recipe translates into the source language, to train on both.

    The recipe is one of the registry for the opposite direction, of any kind and of any parent.
    """

    text: Annotated[Text, Field(description="file or URL of sentences of the target language, one per line")]
    licence: _Licence = None
    recipe: Annotated[
        str | None,
        Field(
            description="the recipe that translates: a kind, a module such as en-de:1, a pivot or a recipe's digest, "
            "as translate --recipe; by default the one that the registry chooses for the opposite pair"
        ),
    ] = None
    parent: Annotated[
        Name | None,
        Field(description="the recipe's parent; by default the addition's own, else the one that has a recipe"),
    ] = None
    share: Annotated[
        float, Field(gt=0, lt=1, description="share of batches that are back-translations; they replace no other text")
    ] = 0.5
    tag: Annotated[
        bool,
        Field(
            description="mark back-translations with a type of the new vocabulary: before a new source, or as the "
            "start of a new target"
        ),
    ] = True
    beam: Annotated[int, Field(ge=1, le=64, description="beam width of the translations; 1 is greedy")] = 1
    maximum_ratio: Annotated[
        float,
        Field(
            gt=1,
            allow_inf_nan=False,
            description="a translation is left out if it is this many times longer or shorter, in characters, than the "
            "training text leads to expect",
        ),
    ] = 3.0
    check_language: Annotated[
        bool, Field(description="leave out translations that are identified as another language than the source's")
    ] = False


class DenoisingSpec(StrictModel):
    """Text of the new language, which the addition restores from noised copies of its sentences.

    The other end of this training is a frozen side of the same language, which exists already: an encoder that reads it
    for a new target, a decoder that writes it for a new source.
    """

    text: Annotated[
        Text | None,
        Field(description="file or URL of sentences of the new language, one per line; by default monolingual"),
    ] = None
    licence: _Licence = None
    through: Annotated[
        str | None,
        Field(
            description="the module with the frozen side of the language, such as de-en:1; by default the parent's "
            "own side, else the module that recipes choose"
        ),
    ] = None
    share: Annotated[
        float, Field(gt=0, lt=1, description="share of batches that are noised sentences; they replace no other text")
    ] = 0.2
    drop: Annotated[float, Field(ge=0, lt=1, description="probability with which a word is left out")] = 0.1
    distance: Annotated[int, Field(ge=0, le=100, description="places that a word moves at most")] = 3
